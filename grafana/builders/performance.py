"""How fast: latency by phase, cycles of jobs, the ATR, and how the bot trades."""

from .model import Dashboard
from .parts import *

TASK = f'{GROUP},task=~"$task"'
P95 = f"max by (probe) ({sel('banken:probe_latency_seconds:p95')})"


def _kpi(title, description, field, unit, series, **more):
    return lines(title, description,
                 [Query(f"max by (probe) ({sel('banken_probe_json_value', f'field={chr(34)}{field}{chr(34)}')})", "{{probe}}"),
                  default_thresholds(series)], unit, 6, 7, **more)


first = [
    lines("Response time, p95", "The 15 slowest probes: 95 % of the runs of 15 minutes were faster.",
          Query(f"{P95}\n  and on (probe) topk(15, {at_the_end('banken:probe_latency_seconds:p95', 'probe')})", "{{probe}}"), "s", 12, 9,
          links={"banken-check": "Everything about this probe"}, legend_table=True),
    lines("Time by phase", "Where the time of a run goes, on average over the probes that are chosen.",
          Query(f"avg by (phase) ({sel('banken_probe_phase_duration_seconds')})", "{{phase}}"), "s", 12, 9, stacked=True),
    heatmap("All runs by duration", "Runs of all probes that are chosen: dark is many. A band that climbs is a service that gets slower.",
            Query(f"sum by (le) ({increase('banken_probe_latency_seconds_bucket')})", "{{le}}"), "s", 12),
    lines("Success rate over an hour", "The ten probes with the smallest share of good runs.",
          Query(f"clamp_min(min by (probe) ({sel('banken:probe_success_ratio:1h')}), 0)\n"
                f"  and on (probe) bottomk(10, {at_the_end('banken:probe_success_ratio:1h', 'probe', 'min')})", "{{probe}}"),
          "percentunit", 12, maximum=1, links={"banken-check": "Everything about this probe"}),
    lines("Duration of jobs", "How long the last run of each job took, with the thresholds that alerts compare with.",
          [Query(f"max by (task) ({sel('banken_job_duration_seconds', labels=TASK)})", "{{task}}"),
           thresholds("banken:job_duration_seconds:threshold", TASK)], "s", 12),
    lines("Runs of jobs by result", "Runs that ended: success, failure, or abandoned (began and never ended).",
          Query(f"sum by (task, result) ({increase('banken_job_runs_total', labels=TASK)})", "{{task}} {{result}}"), "short", 12,
          bars=True, stacked=True),
    lines("Success rate of jobs", "Share of the runs of an hour that ended well, and the threshold below which it is too low.",
          [Query(f"max by (task) ({sel('banken:job_success_ratio:last1h', labels=TASK)})", "{{task}}"),
           default_thresholds("banken:job_success_ratio:threshold")], "percentunit", 8, maximum=1),
    lines("Records of a run", "What the last run processed, and the bounds outside of which it is unusual.",
          [Query(f"max by (task) ({sel('banken_job_records', labels=TASK)})", "{{task}}"),
           Query(f"max by (bound) ({sel('banken:job_records:bound', labels=TASK)})", "{{bound}}")], "short", 8, decimals=0),
    timeline("Jobs that run", "When each job ran, as far as scrapes saw it.",
             Query(f"clamp_max(max by (task) ({sel('banken_job_running', labels=TASK)}), 1)", "{{task}}"), "none", 8, mapping="running"),
    _kpi("Drawdown", "Share of the capital that is lost since its peak.", "drawdown", "percentunit",
         "banken:trading_drawdown_ratio:threshold", maximum=1),
    _kpi("Win rate", "Share of trades that are won.", "win_rate", "percentunit", "banken:trading_win_ratio:threshold", maximum=1),
    _kpi("Sharpe ratio", "Return for the risk that is taken. Below 0 the bot loses money.", "sharpe_ratio", "short",
         "banken:trading_sharpe_ratio:threshold"),
    _kpi("Kelly ratio", "How much of the capital to bet, by the bot's own record. Below 0: do not bet.", "kelly_ratio", "short",
         "banken:trading_kelly_ratio:threshold"),
]

rows = [
    Row("Initialization of the ATR", [
        lines("Duration of the initialization", "With all of its attempts and pauses, and the thresholds.",
              [Query(f"max by (probe) ({sel('banken:atr_init_duration_seconds:last')})", "{{probe}}"),
               thresholds("banken:atr_init_duration_seconds:threshold", PROBE)], "s", 8),
        lines("Attempt", "The attempt that goes on, or the last one. More than one: the candles did not come at once.",
              [Query(f"max by (probe) ({sel('banken_atr_init_attempt', labels=PROBE)})", "{{probe}}"),
               default_thresholds("banken:atr_init_attempts:threshold")], "short", 8, decimals=0),
        timeline("Checks of the candles", "Whether the candles passed each check.",
                 Query(f"min by (probe, check) ({sel('banken_atr_data_valid', labels=PROBE)})", "{{probe}} {{check}}"), "none", 8,
                 mapping="valid"),
        lines("Average true range", "The ATR at the latest candle, in units of the price.",
              Query(f"max by (probe) ({sel('banken_atr_value', labels=PROBE)})", "{{probe}}"), "short", 12),
        lines("Candles", "Candles in the last answer.", Query(f"max by (probe) ({sel('banken_atr_candles', labels=PROBE)})", "{{probe}}"),
              "short", 12, decimals=0),
    ]),
    Row("How long jobs take", [
        heatmap("Runs of jobs by duration", "Runs of the jobs that are chosen: dark is many.",
                Query(f"sum by (le) ({increase('banken_job_run_seconds_bucket', labels=TASK)})", "{{le}}"), "s", 12),
        lines("Time since the last success", "Of each job: a saw whose teeth are as high as the time between runs.",
              Query(f"max by (task) (time() - {sel('banken_job_last_success_timestamp_seconds', labels=TASK)})", "{{task}}"), "s", 12),
    ]),
]

DASHBOARD = Dashboard(
    "banken-performance", "Banken: what is slow, and how does the bot trade?",
    "Latency by probe and phase, cycles of jobs, initialization of the ATR, key figures of trading.",
    [*variables(), more_variable("task", "Job (task)", "banken_job_running", "Jobs as banken.yml names them.")], first, rows, ALERT,
)
