"""The first page after being woken: what is broken now, why, and since when."""

from .looks import ANY_IS
from .model import Dashboard
from .parts import *

UP = sel("banken_build_info", labels=BASE)
ROW = "job, instance, probe"
NAMES = "severity, alertname, job, instance, group, probe, task, log, pattern, mount, signal, remedy"

# The severity of each alert as a number, so that the table can be sorted by it.
RANK = "\n  or ".join(f'{rank} * max by ({NAMES}) (ALERTS{{alertstate="firing",severity="{severity}",{ALERT}}})'
                     for severity, rank in (("critical", 3), ("warning", 2), ("info", 1)))


def _firing(severity):
    """Without an alert it is 0, without Banken it is nothing."""
    return (f'count(ALERTS{{alertstate="firing",severity="{severity}",{ALERT}}})\n'
            f"  or on () 0 * count({UP})")


def _count(condition, everything):
    return f"count({condition})\n  or on () 0 * count({everything})"


def _stat(title, description, expr, steps=(), mapping=""):
    return stat(title, description, expr, "short" if not mapping else "none", 3, 4, steps=list(steps), mapping=mapping,
                no_value="NO DATA", decimals=0)


HEALTHY = sel("banken_probe_healthy")
FAILURES = f"sum by ({ROW}, reason) ({increase('banken_probe_failures_total', window='$__range')}) > 0"
DOWN = f"and on ({ROW}) ({HEALTHY} == 0)"

now = [
    _stat("Critical alerts", "Alerts of severity critical that fire now: somebody acts. NO DATA means that Prometheus has nothing "
          "from Banken, which is worse than any number.", _firing("critical"), ANY_IS["critical"]),
    _stat("Warnings", "Alerts of severity warning that fire now: for today.", _firing("warning"), ANY_IS["warning"]),
    _stat("Infos", "Alerts of severity info that fire now: worth knowing.", _firing("info"), ANY_IS["info"]),
    _stat("Probes down", "Probes that failed as often in a row as their failure_threshold says.",
          _count(f"{HEALTHY} == 0", HEALTHY), ANY_IS["critical"]),
    _stat("Probes suspect", "Probes whose last run failed, but not yet often enough to be down.",
          _count(sel("banken_probe_state", 'state="suspect"') + " == 1", sel("banken_probe_state", 'state="suspect"')), ANY_IS["info"]),
    _stat("Probes unknown", "Probes that say nothing: no run yet, or a fault of Banken's own. What they watch is not watched.",
          _count(sel("banken_probe_state", 'state="unknown"') + " == 1", sel("banken_probe_state", 'state="unknown"')),
          ANY_IS["warning"]),
    _stat("Banken", "Whether Prometheus reaches every Banken that is chosen. DOWN: at least one is not reached.",
          f"min({sel('up', labels=BASE)})", mapping="up"),
    stat("Alerting", "BankenWatchdog fires all the time. SILENT: Prometheus does not evaluate the rules, so no alert would fire.",
         Query('count(ALERTS{alertname="BankenWatchdog",alertstate="firing"}) or on () vector(0)',
               waiver="The watchdog is about Prometheus: it has no job and no instance."),
         "none", 3, 4, mapping="watchdog", no_value="NO DATA"),
    table("Alerts that fire", "The alerts that fire now, the most severe first, and for how long their condition has held. The "
          "dashboard of the probe is behind its name.",
          [f"topk(50, {RANK})",
           f"max by ({NAMES}) (\n  (time() - ALERTS_FOR_STATE{{{ALERT}}})\n"
           f'    and ignoring (alertstate) ALERTS{{alertstate="firing",{ALERT}}}\n) and topk(50, {RANK})'],
          "s", 14, 9, no_value="No alert fires.", sort=("Value #A", True),
          columns={"Value #A": Column("Severity", mapping="severity", width=90), "alertname": Column("Alert", width=190),
                   "probe": Column("Probe", link="banken-check"), "task": Column("Job"), "log": Column("Log"),
                   "pattern": Column("Pattern"), "mount": Column("Mount"), "instance": Column("Instance"),
                   "Value #B": Column("For", "s", width=90, decimals=0)}),
    table("What is down, and why", "Each probe that is down with the reasons of its failures in the range of this page, and the time "
          "since it last succeeded. A probe that never did has none.",
          [Query(f"topk(50, {FAILURES} {DOWN})", scenario="broken"),
           Query(f"topk(50, ({FAILURES} {DOWN}) * 0\n  + on ({ROW}) group_left ()\n"
                 f"max by ({ROW}) (time() - {sel('banken_probe_last_success_timestamp_seconds')}))", scenario="outage")],
          "short", 10, 9, no_value="Nothing is down.", sort=("Value #A", True),
          columns={"probe": Column("Probe", link="banken-check"), "reason": Column("Reason"),
                   "Value #A": Column("Failures", decimals=0), "Value #B": Column("Last success", "s", decimals=0),
                   "instance": Column("Instance")}),
    gauges("Slowest now", "The ten probes whose last run took longest.",
           Query(f"topk(10, {sel('banken:probe_duration_seconds:last')})", NAME), "s", 8, 8,
           links={"banken-check": "Everything about this probe"}),
    gauges("Lowest success rate", "The ten probes with the smallest share of good runs within the last 15 minutes.",
           Query(f"bottomk(10, clamp_min({sel('banken:probe_success_ratio:15m')}, 0))", NAME), "percentunit", 8, 8, maximum=1,
           links={"banken-check": "Everything about this probe"}),
    table("Jobs", "Each job: whether it is late, how long its last run took, and the time since one ended well.",
          [f"max by (job, instance, task) ({sel('banken_job_late', labels=GROUP)})",
           f"max by (job, instance, task) ({sel('banken_job_duration_seconds', labels=GROUP)})",
           f"max by (job, instance, task) (time() - {sel('banken_job_last_success_timestamp_seconds', labels=GROUP)})"],
          "none", 8, 8, no_value="No job is configured.",
          columns={"task": Column("Job", link="banken-performance"), "Value #A": Column("Time", mapping="late"),
                   "Value #B": Column("Last run", "s"), "Value #C": Column("Last success", "s", decimals=0)}),
    timeline("States of those that were down longest", "How long each probe was up, suspect, down or unknown: the 25 that were down longest in "
             "the range of this page. A gap is time without data: Banken or Prometheus did not run.",
             Query(f"({state()})\n  and {ON} topk(25, max by ({ROW}) ("
                   f"increase({sel('banken_probe_unhealthy_seconds_total')}[$__range] @ end())))", NAME),
             "none", 24, 12, mapping="state", links={"banken-check": "Everything about this probe"}),
]

rows = [
    Row("Groups and alerts over time", [
        history("Share of good probes by group", "Each cell is the share of the probes of a group that were up.",
                Query(f"label_replace(avg by (group) ({sel('banken_probe_healthy')}), 'group', 'without', 'group', '')", "{{group}}"), "percentunit", 12, 8, maximum=1,
                steps=[(None, "red"), (1, "green")]),
        lines("Alerts firing by severity", "How many alerts fired at each time. No line is no alert of that severity.",
              Query(f'count by (severity) (ALERTS{{alertstate="firing",{ALERT}}})', "{{severity}}"), "short", 12, 8,
              stacked=True, decimals=0, links={"banken-alerts": "Statistics of alerts"}),
        lines("What logs say", "Matches of the patterns of logs by severity, per second.",
              Query(f"sum by (severity) ({rate('banken_log_matches_total', labels=GROUP)})", "{{severity}} lines"), "cps", 12, 8),
        table("Failures that another probe explains", "Probes that fail because one fails on which they depend (depends_on). Only the "
              "cause alerts; these would come back with it.",
              Query(f"max by ({ROW}, cause) ({sel('banken_probe_caused_by')}) == 1", scenario="broken"), "none", 12, 8,
              no_value="No failure is explained by another.",
              columns={"probe": Column("Probe", link="banken-check"), "cause": Column("Because of"), "instance": Column("Instance")}),
    ]),
    Row("What Banken did by itself", [
        lines("Actions of remedies", "Actions that remedies took, by outcome. A remedy that acts again and again hides something broken.",
              Query(f"sum by (remedy, outcome) ({increase('banken_remedy_actions_total', labels=BASE)}) > 0", "{{remedy}} {{outcome}}",
                    scenario="remedies"), "short", 8, 8, bars=True, decimals=0, no_value="No remedy did anything."),
        lines("Actions that were held back", "Times when a remedy would have acted and did not, by reason: dry run, cool-down, breaker …",
              Query(f"sum by (remedy, reason) ({increase('banken_remedy_suppressed_total', labels=BASE)}) > 0", "{{remedy}} {{reason}}",
                    scenario="remedies"), "short", 8, 8, bars=True, decimals=0, no_value="No remedy did anything."),
        table("Remedies now", "The state of each remedy. Exhausted: it gave up, and a person is needed.",
              Query(f"max by (job, instance, remedy, state) ({sel('banken_remedy_state', labels=BASE)}) == 1", scenario="remedies"),
              "none", 8, 8, no_value="No remedy is configured.",
              columns={"remedy": Column("Remedy"), "state": Column("State"), "instance": Column("Instance")}),
    ]),
]

DASHBOARD = Dashboard(
    "banken-overview", "Banken: what is broken now?",
    "Firing alerts, what is down and why, the worst of everything; below, how it came to be. Begin here.",
    variables(), now, rows, ALERT,
)
