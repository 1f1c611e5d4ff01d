"""What the benchmarks share: free ports, waiting with a deadline, the cost of a process, scrapes of Banken."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BANKEN = ROOT / "target/release/banken"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return answer.read().decode()


def until(what, look, patience=60):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            seen = look()
            if seen:
                return seen
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"it did not happen within {patience} s: {what}")


def cpu_seconds(pid):
    """CPU time of a process and its threads, to the nanosecond; a thread that has ended is not in it."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def cpu_seconds_in_ticks(pid):
    """User and system time of a process, of all threads that it ever had, in ticks of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Scrape:
    """Sums over all probes, and the histogram of the schedule's lag, from the text of a scrape. Reading a large one takes
    seconds here: fetch both texts at the right moment, and read them afterwards."""

    def __init__(self, text):
        self.runs = self.failures = self.unknown = self.missed = 0
        self.lag = {}
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("banken_probe_runs_total{"):
                self.runs += float(value)
            elif name.startswith("banken_probe_failures_total{"):
                self.failures += float(value)
            elif name.startswith("banken_probe_unknown_total{"):
                self.unknown += float(value)
            elif name == "banken_schedule_missed_total":
                self.missed = float(value)
            elif name.startswith("banken_schedule_lag_seconds_bucket"):
                bound = re.search(r'le="([^"]+)"', name).group(1)
                self.lag[float("inf") if bound == "+Inf" else float(bound)] = float(value)


def quantile(before, after, share):
    """The upper bound of the bucket in which a quantile of the lag lies."""
    counts = {bound: after.lag[bound] - before.lag[bound] for bound in after.lag}
    total = counts[float("inf")]
    return min(bound for bound, count in sorted(counts.items()) if count >= share * total)


def start_nginx(folder, port):
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log crit;\n"
        "worker_rlimit_nofile 65536;\n"
        "events { worker_connections 16384; }\n"
        "http { access_log off; server { "
        f"listen 127.0.0.1:{port} backlog=16384; location / {{ return 200 'ok'; }} }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", str(conf), "-p", str(folder)])
    until("nginx answers", lambda: fetch(f"http://127.0.0.1:{port}/"))
    return process


def end(process, how=signal.SIGTERM):
    process.send_signal(how)
    process.wait()
