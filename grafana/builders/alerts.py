"""Statistics of alerts and objectives: how often, how long, what is left of the error budget."""

from .looks import CRITICAL, FINE, WARNING
from .model import Dashboard
from .parts import *

FIRING = f'ALERTS{{alertstate="firing",{ALERT}}}'
NEW = f"({FIRING} unless {FIRING} offset 1m)"
UP = sel("banken_build_info", labels=BASE)
ONE_NUMBER = "The objective is one number for everything: its series has no label to filter by."
ROW = "job, instance, probe"
# Not less than promised is fine; the number is the recorded objective.
AVAILABLE = {"steps": [(None, CRITICAL), (0.999, FINE)], "threshold_series": "banken:slo_availability_ratio:objective"}


def _by_probe(series):
    return f"max by ({ROW}) ({sel(series)})"


def _objective(series, words):
    return Query(f"max({series})", words, waiver=ONE_NUMBER)


def _stat(title, description, queries, unit, **more):
    return stat(title, description, queries, unit, 4, 4, no_value="NO DATA", **more)


first = [
    _stat("New alerts in this range", "How many alerts began to fire in the range of this page. The same alert twice counts twice.",
          f"sum(count_over_time({NEW}[$__range:1m])) or on () 0 * count({UP})", "short", decimals=0),
    _stat("Time with a critical alert", "How much of the range of this page had at least one critical alert, to the minute.",
          f'60 * sum(count_over_time((count(ALERTS{{alertstate="firing",severity="critical",{ALERT}}}))[$__range:1m]))'
          f" or on () 0 * count({UP})", "s", decimals=0),
    _stat("Worst availability, 30 days", "Of the probes that are chosen, the one that was down longest. Promised are 99.9 %.",
          f"min({sel('banken:probe_availability_ratio:30d')})", "percentunit", maximum=1, decimals=3, **AVAILABLE),
    _stat("Smallest error budget left", "What is left of the downtime that the objective allows in 30 days. 0 %: nothing, or overdrawn.",
          f"clamp_min(min({sel('banken:slo_error_budget_remaining_ratio:30d')}), 0)", "percentunit", maximum=1),
    _stat("Longest mean time to repair", "The probe whose incidents of 30 days took longest on average. The goal is an hour.",
          [Query(f"max({sel('banken:probe_mttr_seconds:30d')})", scenario="outage")], "s",
          steps=[(None, FINE), (3600, WARNING)], threshold_series="banken:slo_mttr_seconds:objective"),
    _stat("Shortest time between failures", "The probe that fails most often: the mean time between its incidents of 30 days. Without "
          "an incident it is the time that was watched.", f"min({sel('banken:probe_mtbf_seconds:30d')})", "s"),
    table("Alerts by name", "How often each alert began to fire, and how long it fired, added up over what it is about, in the range of this page: "
          "the noisy ones first.",
          [f"sum by (alertname, severity) (count_over_time({NEW}[$__range:1m]))",
           f"60 * sum by (alertname, severity) (count_over_time({FIRING}[$__range:1m]))"],
          "short", 12, 10, sort=("Value #A", True), no_value="No alert in this range.",
          columns={"severity": Column("Severity", mapping="severity_word", width=100), "alertname": Column("Alert"),
                   "Value #A": Column("Began", decimals=0, width=90), "Value #B": Column("Fired for", "s", decimals=0, width=110)}),
    lines("New alerts over time", "How many alerts began to fire, by severity.",
          Query(f"sum by (severity) (count_over_time({NEW}[$__interval:1m]))", "{{severity}}"), "short", 12, 10, bars=True, stacked=True,
          interval="1m", decimals=0, no_value="No alert in this range."),
    table("Objectives by probe", "Availability over 7, 30 and 365 days, the error budget of 30 days as a share and as downtime that is "
          "left (below 0 it is overdrawn), mean time to repair, and mean time between failures.",
          [f"bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})",
           _by_probe("banken:probe_availability_ratio:7d") + f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})",
           _by_probe("banken:probe_availability_ratio:365d") + f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})",
           f"clamp_min({_by_probe('banken:slo_error_budget_remaining_ratio:30d')}, 0)"
           f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})",
           Query(f"{_by_probe('banken:slo_error_budget_remaining_ratio:30d')} * on () group_left ()"
                 f" (30 * 86400 * (1 - banken:slo_availability_ratio:objective))"
                 f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})", waiver=ONE_NUMBER),
           Query(_by_probe("banken:probe_mttr_seconds:30d") + f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})",
                 scenario="outage"),
           _by_probe("banken:probe_mtbf_seconds:30d") + f" and {ON} bottomk(50, {_by_probe('banken:probe_availability_ratio:30d')})"],
          "percentunit", 24, 11, maximum=1, sort=("Value #A", False),
          columns={"probe": Column("Probe", link="banken-check"), "instance": Column("Instance"),
                   "Value #B": Column("7 days", "percentunit", decimals=3, maximum=1, **AVAILABLE),
                   "Value #A": Column("30 days", "percentunit", decimals=3, maximum=1, **AVAILABLE),
                   "Value #C": Column("365 days", "percentunit", decimals=3, maximum=1, **AVAILABLE),
                   "Value #D": Column("Budget left", "percentunit", gauge=True, maximum=1),
                   "Value #E": Column("Downtime left", "s", decimals=0), "Value #F": Column("MTTR", "s", decimals=0),
                   "Value #G": Column("MTBF", "s", decimals=0)}),
    lines("Fast burn", "How many times faster than allowed the error budget is spent: critical beyond 14.4 (1 h and 5 min).",
          [Query(f"max by (probe) ({sel('banken:slo_burn_rate:1h')}) and on (probe) topk(10, max by (probe) ({sel('banken:slo_burn_rate:1h')} @ end()))",
                 "{{probe}}"),
           Query('max by (severity) (banken:slo_burn_rate:threshold{window="1h"})', "{{severity}} threshold", waiver=ONE_NUMBER)],
          "suffix:×", 12),
    lines("Slow burn", "The same over 3 days: a warning beyond 1 (3 d and 6 h). At 1 the budget lasts exactly 30 days.",
          [Query(f"max by (probe) ({sel('banken:slo_burn_rate:3d')}) and on (probe) topk(10, max by (probe) ({sel('banken:slo_burn_rate:3d')} @ end()))",
                 "{{probe}}"),
           Query('max by (severity) (banken:slo_burn_rate:threshold{window="3d"})', "{{severity}} threshold", waiver=ONE_NUMBER)],
          "suffix:×", 12),
]

def _of_remedies(part, window="$__range"):
    return f"sum by (remedy) ({increase(f'banken_remedy_recovery_seconds_{part}', labels=BASE, window=window)})"


rows = [
    Row("Recoveries by remedies", [
        table("Time to recovery by remedy", "What Banken repaired by itself in the range of this page, from the first failure to the verified "
              "recovery. The probe's mean time to repair has the incidents too that a person ended.",
              [Query(f"round({_of_remedies('count')}) > 0", scenario="remedies"),
               Query(f"{_of_remedies('sum')} / ({_of_remedies('count')} > 0)", scenario="remedies")],
              "short", 12, sort=("Value #A", True), no_value="No remedy repaired anything in this range.",
              columns={"remedy": Column("Remedy"), "Value #A": Column("Recoveries", decimals=0, width=110),
                       "Value #B": Column("Mean", "s", decimals=1, width=110)}),
        lines("Time to recovery", "The mean of the recoveries of each moment, from the first failure on.",
              [Query(f"{_of_remedies('sum', '$__rate_interval')} / ({_of_remedies('count', '$__rate_interval')} > 0)", "{{remedy}}",
                     scenario="remedies")], "s", 12, bars=True, no_value="No remedy repaired anything in this range."),
    ]),
    Row("Trends", [
        lines("Availability of 30 days over time", "The ten probes with the least, and what is promised.",
              [Query(f"max by (probe) ({sel('banken:probe_availability_ratio:30d')})"
                     f" and on (probe) bottomk(10, max by (probe) ({sel('banken:probe_availability_ratio:30d')} @ end()))", "{{probe}}"),
               _objective("banken:slo_availability_ratio:objective", "objective")], "percentunit", 12, maximum=1, decimals=3),
        lines("Mean time to repair over time", "The ten probes whose incidents of 30 days took longest, and the goal.",
              [Query(f"max by (probe) ({sel('banken:probe_mttr_seconds:30d')})"
                     f" and on (probe) topk(10, max by (probe) ({sel('banken:probe_mttr_seconds:30d')} @ end()))", "{{probe}}",
                     scenario="outage"),
               _objective("banken:slo_mttr_seconds:objective", "objective")], "s", 12),
        lines("Alerts that wait", "Alerts whose condition holds, but not yet for long enough.",
              Query(f'count by (alertname) (ALERTS{{alertstate="pending",{ALERT}}})', "{{alertname}}", scenario="pending"),
              "short", 12, decimals=0, no_value="No alert waits."),
        timeline("When alerts fired", "Each alert that fired in the range of this page, as long as it fired.",
                 Query(f"topk(40, max by (alertname, severity, probe) ({FIRING}))", "{{severity}}: {{alertname}} {{probe}}"), "none", 12,
                 8, mapping="firing"),
    ]),
]

DASHBOARD = Dashboard(
    "banken-alerts", "Banken: how often do alerts fire, and are objectives kept?",
    "Alerts by name and severity, time firing, error budgets, availability over 7, 30 and 365 days, MTTR and MTBF.",
    variables(), first, rows, ALERT, span="now-24h", refresh="1m",
)
