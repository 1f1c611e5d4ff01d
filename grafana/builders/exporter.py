"""Banken itself: what it uses, whether it keeps up, whether it errs."""

from .looks import ANY_IS
from .model import Dashboard
from .parts import *

BY = "{{instance}}"


def own(family):
    return Query(f"max by (instance) ({sel(family, labels=BASE)})", BY)


def own_rate(family, words=BY):
    return Query(f"sum by (instance) ({rate(family, labels=BASE)})", words)


def own_increase(family, words=BY, scenario="healthy"):
    return Query(f"sum by (instance) ({increase(family, labels=BASE)})", words, scenario)


def _stat(title, description, queries, unit, **more):
    return stat(title, description, queries, unit, 4, 4, no_value="NO DATA", **more)


first = [
    _stat("Reached by Prometheus", "Whether the last scrape succeeded. DOWN: at least one of those that are chosen is not reached.",
          f"min({sel('up', labels=BASE)})", "none", mapping="up"),
    _stat("Configuration", "Whether the latest attempt to load a configuration was taken over. FAILED: the old one goes on.",
          f"min({sel('banken_config_last_reload_successful', labels=BASE)})", "none", mapping="ok"),
    _stat("Running for", "Time since Banken started, the youngest of those that are chosen.",
          f"min(time() - {sel('process_start_time_seconds', labels=BASE)})", "s"),
    _stat("Probes", "Probes that are configured.", f"count({sel('banken_probe_interval_seconds')})", "short", decimals=0),
    _stat("Missed in this range", "Runs in the range of this page that were due and skipped because the run before was not done.",
          f"round(sum({increase('banken_schedule_missed_total', labels=BASE, window='$__range')}))", "short", decimals=0,
          steps=ANY_IS["warning"]),
    _stat("Unknown in this range", "Runs in the range of this page that ended with a fault of Banken's own: permissions, file descriptors, memory.",
          f"round(sum({increase('banken_probe_unknown_total', window='$__range')}))", "short", decimals=0, steps=ANY_IS["warning"]),
    lines("CPU of Banken", "Use: cores that Banken needs.", own_rate("process_cpu_seconds_total"), "suffix: cores", 8),
    lines("Memory of Banken", "Use: resident memory.", own("process_resident_memory_bytes"), "bytes", 8),
    lines("Open files of Banken", "Use: open file descriptors and the most there may be.",
          [own("process_open_fds"), Query(f"min by (instance) ({sel('process_max_fds', labels=BASE)})", "{{instance}} limit")], "short", 8,
          decimals=0),
    lines("How late runs begin", "Saturation: 99 % of the runs begin earlier than this. Beyond the threshold durations are doubtful.",
          [Query(f"max by (instance) ({sel('banken:schedule_lag_seconds:p99', labels=BASE)})", BY),
           default_thresholds("banken:schedule_lag_seconds:threshold")], "s", 8),
    lines("Waiting for a permit", "Saturation: how long due runs wait because enough others run, 99 % of them shorter than this.",
          Query(f"histogram_quantile(0.99, sum by (instance, le) ({rate('banken_schedule_permit_wait_seconds_bucket', labels=BASE)})) >= 0", BY),
          "s", 8),
    lines("Missed runs", "Saturation: runs that were due and skipped because the run before was not done.",
          own_increase("banken_schedule_missed_total"), "short", 8, bars=True),
    lines("Duration of a scrape", "How long Prometheus waited for the metrics, and how long Banken took to encode them.",
          [Query(f"max by (instance) ({sel('scrape_duration_seconds', labels=BASE)})", "{{instance}} whole"),
           Query(f"max by (instance) ({sel('banken_scrape_duration_seconds', labels=BASE)})", "{{instance}} encoding")], "s", 8),
    lines("Series", "Samples of a scrape: what this Banken costs Prometheus.", own("scrape_samples_scraped"), "short", 8, decimals=0),
    lines("Runs", "Runs of probes by kind.", Query(f"sum by (kind) ({rate('banken_probe_runs_total')})", "{{kind}}"), "cps", 8, stacked=True),
]

rows = [
    Row("Errors of Banken", [
        lines("Unknown runs by kind", "Errors: runs that say nothing about their target.",
              Query(f"sum by (kind) ({increase('banken_probe_unknown_total')})", "{{kind}}"), "short", 8, bars=True),
        lines("Saves of the state", "Times when what must survive a restart was saved, and times when that failed.",
              [own_increase("banken_state_saves_total", "{{instance}} saved"),
               own_increase("banken_state_save_failures_total", "{{instance}} failed")], "short", 8, bars=True),
        lines("Damaged states", "Saved states that were found damaged at a start: what they held begins anew.",
              own_increase("banken_state_damaged_total"), "short", 8, bars=True),
    ]),
    Row("This binary", [
        table("Versions", "Which version runs where.", f"max by (job, instance, version, revision, rustc) ({sel('banken_build_info', labels=BASE)})",
              "none", 12, 7, columns={"instance": Column("Instance"), "version": Column("Version"), "revision": Column("Revision"),
                                      "rustc": Column("Compiler")}),
        lines("Since the configuration was loaded", "Time since a configuration was last taken over.",
              Query(f"max by (instance) (time() - {sel('banken_config_last_reload_success_timestamp_seconds', labels=BASE)})", BY), "s", 6, 7),
        lines("Threads of Banken", "Threads of the process.", own("process_threads"), "short", 6, 7, decimals=0),
    ]),
    Row("Prometheus and its rules", [
        lines("Failures of rules", "Evaluations of Banken's rules that failed. Their alerts may be silent.",
              Query('sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{rule_group=~".*banken-.*"}[$__rate_interval]))',
                    "{{rule_group}}", waiver="Prometheus's own metric: its job is not Banken's."), "short", 12, bars=True),
        lines("Duration of rules", "How long the evaluation of each group takes. It must be well below the evaluation interval.",
              Query('max by (rule_group) (prometheus_rule_group_last_duration_seconds{rule_group=~".*banken-.*"})', "{{rule_group}}",
                    waiver="Prometheus's own metric: its job is not Banken's."), "s", 12),
    ]),
]

DASHBOARD = Dashboard(
    "banken-exporter", "Banken: is Banken itself well?",
    "What Banken uses (CPU, memory, files), whether it keeps up (lag, missed runs), and its errors (unknown runs, reloads, saves).",
    variables(), first, rows, ALERT_ANY_PROBE,
)
