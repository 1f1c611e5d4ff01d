"""The machine, its processes, and its logs."""

from .model import Dashboard
from .parts import *

KINDS = 'kind=~"process|pm2|systemd|container"'
MOUNT = f'{BASE},mount=~"$mount"'
LOG = f'{GROUP},log=~"$log"'
ROW = "job, instance, probe"


def _host(title, description, series, threshold, **more):
    return lines(title, description,
                 [Query(f"max by (instance) ({sel(series, labels=BASE)})", "{{instance}}"), thresholds(threshold, BASE)],
                 "percentunit", 8, maximum=1, **more)


first = [
    table("Processes", "Everything that is supervised, whatever starts it: processes, units of systemd, containers, apps of PM2. "
          "State, restarts within 15 minutes, memory, and cores used.",
          [f"max by ({ROW}, kind) ({sel('banken:process_up:last')})",
           f"max by ({ROW}, kind) ({sel('banken:process_restarts:last15m')})",
           f"max by ({ROW}, kind) ({sel('banken:process_memory_bytes:last')})",
           f"max by ({ROW}, kind) ({sel('banken:process_cpu_ratio:last')})",
           f"max by ({ROW}, kind) ((time() - {sel('banken_process_start_timestamp_seconds', labels=PROBE)})"
           f" * {ON} group_left (kind) {sel('banken_probe_interval_seconds')} ^ 0)"],
          "none", 24, 6, no_value="No process is watched.", sort=("probe", False),
          columns={"probe": Column("Name", link="banken-check"), "kind": Column("Kind"), "Value #A": Column("State", mapping="up"),
                   "Value #B": Column("Restarts (15 min)", decimals=0, steps=[(None, "green"), (3, "orange")],
                                      threshold_series="banken:process_restarts:threshold"),
                   "Value #C": Column("Memory", "bytes"), "Value #D": Column("CPU", "suffix: cores", decimals=2),
                   "Value #E": Column("Running for", "s", decimals=0), "instance": Column("Instance")}),
    _host("CPU of the host", "Busy share of all cores, and the thresholds.", "banken:host_cpu_ratio:last", "banken:host_cpu_ratio:threshold"),
    _host("Memory of the host", "Share that is not available any more, and the thresholds.", "banken:host_memory_used_ratio:last",
          "banken:host_memory_used_ratio:threshold"),
    lines("Disks", "Used share of the ten fullest file systems, and the thresholds.",
          [Query(f"max by (mount) ({sel('banken:host_disk_used_ratio:last', labels=MOUNT)})"
                 f" and on (mount) topk(10, max by (mount) ({sel('banken:host_disk_used_ratio:last', labels=MOUNT)} @ end()))", "{{mount}}"),
           thresholds("banken:host_disk_used_ratio:threshold", BASE)], "percentunit", 8, maximum=1),
    lines("Memory of processes", "Resident memory of all instances together, and the lowest thresholds of those that are chosen.",
          [Query(f"max by (probe) ({sel('banken:process_memory_bytes:last')})", "{{probe}}"),
           thresholds("banken:process_memory_bytes:threshold", PROBE)], "bytes", 8),
    lines("CPU of processes", "Cores that all instances use together, and the lowest thresholds of those that are chosen.",
          [Query(f"max by (probe) ({sel('banken:process_cpu_ratio:last')})", "{{probe}}"),
           thresholds("banken:process_cpu_ratio:threshold", PROBE)], "suffix: cores", 8),
    lines("Restarts of processes", "Restarts within 15 minutes, and the threshold.",
          [Query(f"max by (probe) ({sel('banken:process_restarts:last15m')})", "{{probe}}"),
           default_thresholds("banken:process_restarts:threshold")], "short", 8, decimals=0),
    lines("Matches in logs", "Lines that patterns found, by severity.",
          Query(f"sum by (severity) ({increase('banken_log_matches_total', labels=LOG)})", "{{severity}} lines"), "short", 8, bars=True,
          stacked=True),
    lines("Volume of logs", "How fast logs grow.", Query(f"sum by (log) ({rate('banken_log_bytes_total', labels=LOG)})", "{{log}}"), "Bps", 8),
    lines("Size of logs", "The largest file of each log that is followed, and the thresholds.",
          [Query(f"max by (log) ({sel('banken:log_size_bytes:last', labels=LOG)})", "{{log}}"),
           thresholds("banken:log_size_bytes:threshold", LOG)], "bytes", 8),
]

rows = [
    Row("The host in detail", [
        lines("CPU by mode", "Where the time of all cores goes.",
              Query(f"sum by (mode) ({rate('banken_host_cpu_seconds_total', labels=BASE)})", "{{mode}}"), "suffix: cores", 8, stacked=True),
        lines("Load by core", "Processes that run or wait, for each core. Above 1 for long: they wait for one another.",
              Query(f"max by (window) ({sel('banken_host_load', labels=BASE)} / on (job, instance) group_left () "
                    f"{sel('banken_host_cpus', labels=BASE)})", "{{window}}"), "short", 8),
        lines("Swap", "Used share of the swap space, where there is any.",
              [Query(f"max by (instance) ({sel('banken:host_swap_used_ratio:last', labels=BASE)})", "{{instance}}", scenario="swap"),
               Query(f"min by (severity) ({sel('banken:host_swap_used_ratio:threshold', labels=BASE)})", "{{severity}} threshold",
                     scenario="swap")], "percentunit", 8, maximum=1),
        lines("Network", "Received above, sent below.",
              [Query(f"sum by (device) ({rate('banken_host_network_receive_bytes_total', labels=BASE)})", "{{device}} received"),
               Query(f"-sum by (device) ({rate('banken_host_network_transmit_bytes_total', labels=BASE)})", "{{device}} sent")], "Bps", 8),
        lines("Space that is left", "The ten file systems with the least.",
              Query(f"min by (mount) ({sel('banken_host_disk_available_bytes', labels=MOUNT)})"
                    f" and on (mount) bottomk(10, min by (mount) ({sel('banken_host_disk_available_bytes', labels=MOUNT)} @ end()))",
                    "{{mount}}"), "bytes", 8),
        history("File systems that do not answer", "STUCK: the file system gives no answer or an error, as a dead network mount does.",
                Query(f"topk(20, max by (mount) ({sel('banken_host_disk_stuck', labels=MOUNT)}))", "{{mount}}"), "none", 8, mapping="stuck"),
        lines("Processes on the host", "Threads of the kernel included.",
              Query(f"max by (instance) ({sel('banken_host_processes', labels=BASE)})", "{{instance}}"), "short", 12, 7, decimals=0),
        stat("Host is up for", "Time since the host booted.",
             Query(f"max by (instance) (time() - {sel('banken_host_boot_timestamp_seconds', labels=BASE)})", "{{instance}}"), "s", 12, 7,
             no_value="NO DATA"),
    ]),
    Row("Processes in detail", [
        lines("Threads", "Of all instances together.", Query(f"max by (probe) ({sel('banken_process_threads', labels=PROBE)})", "{{probe}}"),
              "short", 8, decimals=0),
        lines("Open files of processes", "Open file descriptors. A line that only climbs is a leak.",
              Query(f"max by (probe) ({sel('banken_process_open_fds', labels=PROBE)})", "{{probe}}"), "short", 8, decimals=0),
        lines("Instances", "How many processes run that belong to each probe.", Query(f"max by (probe) ({sel('banken_process_instances', labels=PROBE)})", "{{probe}}"), "short",
              8, decimals=0),
    ]),
    Row("Logs in detail", [
        lines("Matches by pattern", "The ten patterns that found most.",
              Query(f"sum by (log, pattern) ({increase('banken_log_matches_total', labels=LOG)}) > 0\n  and on (log, pattern) topk(10, "
                    f"sum by (log, pattern) (increase({sel('banken_log_matches_total', labels=LOG)}[$__range] @ end())))",
                    "{{log}} {{pattern}}"), "short", 12, bars=True),
        lines("Not yet read", "Bytes that are in a log and have not been read. A line that climbs: the log is written faster than it is read.",
              Query(f"max by (log) ({sel('banken_log_lag_bytes', labels=LOG)})", "{{log}}"), "bytes", 6),
        history("Logs that can be read", "Whether each log can be read.",
                Query(f"min by (log) ({sel('banken_log_readable', labels=LOG)})", "{{log}}"), "none", 6, mapping="readable"),
    ]),
]

DASHBOARD = Dashboard(
    "banken-host", "Banken: how are the host, its processes and its logs?",
    "The table of processes; CPU, memory and disks of the host with the thresholds; how fast logs grow and what is found in them.",
    [*variables(more=KINDS), more_variable("mount", "Mount", "banken_host_disk_size_bytes", "File systems.", BASE),
     more_variable("log", "Log", "banken_log_files", "Logs as banken.yml names them.")], first, rows, ALERT_ANY_PROBE,
)
