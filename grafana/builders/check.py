"""One probe in detail: since when, how often, which phase, which reason, which field."""

from .model import Dashboard
from .parts import *

ROW = "job, instance, probe"


def _stat(title, description, expr, unit, **more):
    return stat(title, description, Query(expr, more.pop("legend", "")), unit, 3, 4, no_value="NO DATA", **more)


first = [
    _stat("State", "The verdict after thresholds. SUSPECT: failed, but not yet often enough in a row. UNKNOWN: Banken itself cannot say.",
          f"max({state()})", "none", mapping="state"),
    _stat("Runs that succeed", "Share of good runs within the last 15 minutes, the worst of the probes that are chosen.",
          f"clamp_min(min({sel('banken:probe_success_ratio:15m')}), 0)", "percentunit", maximum=1),
    _stat("Availability, 30 days", "Share of the last 30 days, or of what is known of them, that was not spent in incidents.",
          f"min({sel('banken:probe_availability_ratio:30d')})", "percentunit", maximum=1, decimals=3),
    _stat("Last run took", "Duration of the latest run that says something.", f"max({sel('banken:probe_duration_seconds:last')})", "s"),
    _stat("Failed in a row", "Failed runs since the last good one.", f"max({sel('banken_probe_consecutive_failures')})", "short",
          decimals=0),
    _stat("Since the last run", "More than a few intervals: the probe does not run, and nobody watches.",
          f"max(time() - {sel('banken_probe_last_run_timestamp_seconds')})", "s", decimals=0),
    _stat("Since the last success", "Time since a run last succeeded.",
          f"max(time() - {sel('banken_probe_last_success_timestamp_seconds')})", "s", decimals=0),
    _stat("Incidents in this range", "How often the probe became unhealthy in the range of this page.",
          f"round(sum({increase('banken_probe_incidents_total', window='$__range')}))", "short", decimals=0),
    timeline("State over time", "How long each state lasted. A gap is time without data.", Query(state(), NAME), "none", 12, 6,
             mapping="state"),
    history("Results of runs", "A grid of what single runs said, sampled by Prometheus.",
            Query(f"max by ({ROW}) ({sel('banken_probe_success')})", NAME), "none", 12, 6, mapping="ok"),
    lines("Latency", "Quantiles of the runs of 15 minutes, and the thresholds that alerts compare the last run with.",
          [Query(f"max by (probe) ({sel(f'banken:probe_latency_seconds:{quantile}')})", f"{quantile} {{{{probe}}}}") for quantile in ("p50", "p95", "p99")]
          + [thresholds("banken:probe_duration_seconds:threshold", PROBE)], "s", 12),
    heatmap("How long runs took", "Runs by duration: dark is many. Two bands mean two kinds of answers.",
            Query(f"sum by (le) ({increase('banken_probe_latency_seconds_bucket')})", "{{le}}"), "s", 12),
    lines("Phases of a run", "Which phase takes the time: resolve the name, connect, TLS, wait for the first byte, transfer.",
          Query(f"max by (phase) ({sel('banken_probe_phase_duration_seconds')})", "{{phase}}"), "s", 12, stacked=True),
    lines("Failures by reason", "What went wrong, by the reason that the probe gave.",
          Query(f"sum by (reason) ({increase('banken_probe_failures_total')}) > 0", "{{reason}}", scenario="broken"), "short", 12,
          bars=True, no_value="No failure in this range."),
    lines("Success rate", "Share of good runs of 15 minutes, with the thresholds below which it is too low.",
          [Query(f"clamp_min(min by (probe) ({sel('banken:probe_success_ratio:15m')}), 0)", "{{probe}}"), default_thresholds("banken:probe_success_ratio:threshold")],
          "percentunit", 12, 7, maximum=1),
    lines("Runs and unknown runs", "How often the probe runs, and how often a run says nothing because of a fault of Banken's own.",
          [Query(f"sum({rate('banken_probe_runs_total')})", "runs"), Query(f"sum({rate('banken_probe_unknown_total')})", "unknown")],
          "cps", 12, 7),
]

rows = [
    Row("HTTP and JSON", [
        timeline("Fields of the answer", "Whether each field is there and as expected.",
                 Query(f"max by (probe, field) ({sel('banken_probe_json_field_valid')})", "{{probe}} {{field}}"), "none", 12, 8,
                 mapping="valid"),
        lines("Values of exported fields", "The numbers of the fields with `export: true`, each in a unit of its own.",
              Query(f"max by (probe, field) ({sel('banken_probe_json_value')})", "{{probe}} {{field}}"), "short", 12),
        history("Status codes", "The status code of each answer.",
                Query(f"max by (probe) ({sel('banken_probe_http_status_code')})", "{{probe}}"), "none", 12, 7,
                mapping="status_code"),
        lines("Size of the answer", "The body after inflating. A sudden change is often an error page.",
              Query(f"max by (probe) ({sel('banken_probe_http_body_bytes')})", "{{probe}}"), "bytes", 12, 7),
        lines("Steps of a journey", "How long each step took, for probes with `steps`.",
              Query(f"max by (probe, step) ({sel('banken_probe_http_step_duration_seconds')})", "{{probe}} {{step}}"), "s", 24, 7,
              stacked=True),
    ]),
    Row("Certificate", [
        lines("Certificate valid for", "Time until the certificate that the target presents expires, with the thresholds.",
              [Query(f"min by (probe) ({sel('banken:certificate_remaining_seconds:last')})", "{{probe}}"),
               default_thresholds("banken:certificate_remaining_seconds:threshold")], "s", 16),
        history("Certificate verified", "Whether it is valid for the name and signed by a trusted authority.",
                Query(f"min by (probe) ({sel('banken_probe_tls_verified')})", "{{probe}}"), "none", 8, mapping="verified"),
    ]),
    Row("Names and packets", [
        lines("Answers of the name server", "Records of the type that was asked for.",
              Query(f"max by (probe) ({sel('banken_probe_dns_answers')})", "{{probe}}"), "short", 8, decimals=0),
        lines("Packets lost", "Share of echo requests without an answer.",
              Query(f"max by (probe) ({sel('banken_icmp_loss_ratio')})", "{{probe}}", scenario="icmp"), "percentunit", 8, maximum=1),
        lines("Round trip", "Shortest, mean and longest round trip of the last run.",
              [Query(f"max by (probe) ({sel(f'banken_icmp_round_trip_{which}_seconds')})", f"{{{{probe}}}} {which}", scenario="icmp")
               for which in ("min", "mean", "max")], "s", 8),
    ]),
    Row("Files, commands, metrics of others", [
        lines("Age of the file", "Time since the file was written, with the thresholds. Backups have some by default.",
              [Query(f"max by (probe) ({sel('banken:file_age_seconds:last')})", "{{probe}}"),
               thresholds("banken:file_age_seconds:threshold", PROBE)], "s", 8),
        lines("Size of the file", "The file that is judged.", Query(f"max by (probe) ({sel('banken_file_size_bytes')})", "{{probe}}"),
              "bytes", 8),
        lines("Values of checks", "Exported checks of a page of metrics.",
              Query(f"max by (probe, check) ({sel('banken_prometheus_check_value')})", "{{probe}} {{check}}"), "short", 8),
        lines("Values of a plugin", "Performance data of Nagios plugins, in seconds, bytes, or as it is written.",
              Query(f"max by (probe, value) ({sel('banken_command_value')})", "{{probe}} {{value}}", scenario="plugin"), "short", 8),
        lines("Signals with thresholds of banken.yml", "Signals that alert only where banken.yml sets thresholds, with these.",
              [Query(f"max by (probe, signal) ({sel('banken:signal_value:last')})", "{{probe}} {{signal}}"),
               Query(f"max by (probe, signal, severity) ({sel('banken:signal_value:threshold', labels=PROBE)})",
                     "{{severity}} threshold of {{probe}} {{signal}}")], "short", 16),
    ]),
]

# What is only there for some kinds of probe.
for panel in (panel for row in rows for panel in row.panels):
    panel.no_value = "This probe has none of these."

DASHBOARD = Dashboard(
    "banken-check", "Banken: how is this probe doing, and why?",
    "Everything that is known of one probe (or of a few): its states, phases, reasons, latency, fields, certificate.",
    variables(probe={"include_all": False, "waiver": "A page about one probe must not open with a thousand of them."}), first, rows, ALERT,
)
