#!/usr/bin/env python3
"""5,000 HTTP probes a second, and what they cost beside blackbox_exporter.

Starts nginx, Banken with 5,000 probes at an interval of 1 s, and, in the same run, Debian's blackbox_exporter driven
by wrk over the same targets. Prints Banken's schedule (missed ticks, p50 and p99 lag) and the CPU seconds per 1,000
probes of both. Needs: nginx, prometheus-blackbox-exporter, wrk (Debian packages), and `cargo build --release`.

    python3 benches/http_probes.py [--probes 5000] [--seconds 60] [--interval 1s] [--keep-alive]

With --keep-alive it measures Banken twice, with a new connection for each probe and with kept ones, and nobody else.
"""
import argparse
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


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
    """User and system time of a process and its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Scrape:
    def __init__(self, base):
        text = fetch(f"{base}/metrics")
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


def measure_banken(folder, nginx_port, options, keep_alive=False):
    config = folder / "banken.yml"
    lines = [
        "listen: 127.0.0.1:%d" % (port := free_port()),
        "host: false",
        f"defaults: {{ interval: {options.interval}, timeout: 900ms, retry_interval: 500ms }}",
        "probes:",
    ]
    for number in range(options.probes):
        url = f"http://127.0.0.1:{nginx_port}/p/{number}"
        kept = ", keep_alive: true" if keep_alive else ""
        lines.append(f"  - {{ name: p{number:05}, http: {{ url: \"{url}\"{kept} }} }}")
    config.write_text("\n".join(lines))
    process = subprocess.Popen([options.banken, "--config", str(config)],
                               stdout=subprocess.DEVNULL, stderr=open(folder / "banken.log", "w"))
    base = f"http://127.0.0.1:{port}"
    try:
        until("Banken is ready", lambda: fetch(f"{base}/readyz"))
        time.sleep(5)
        before, cpu = Scrape(base), cpu_seconds(process.pid)
        begun = time.monotonic()
        time.sleep(options.seconds)
        after, spent = Scrape(base), cpu_seconds(process.pid) - cpu
        elapsed = time.monotonic() - begun
        runs = after.runs - before.runs
        print(f"banken: {runs / elapsed:.0f} probes/s, "
              f"{after.failures - before.failures:.0f} failed, {after.unknown - before.unknown:.0f} unknown, "
              f"{after.missed - before.missed:.0f} missed ticks, "
              f"lag p50 <= {quantile(before, after, 0.5) * 1000:g} ms, p99 <= {quantile(before, after, 0.99) * 1000:g} ms, "
              f"{resident_mib(process.pid):.0f} MiB resident")
        cost = spent / runs * 1000
        print(f"banken{' with keep_alive' if keep_alive else ''}: {cost:.3f} CPU s per 1,000 probes")
        return cost
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def measure_blackbox(folder, nginx_port, options):
    port = free_port()
    config = folder / "blackbox.yml"
    config.write_text("modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n"
                      "    http: { preferred_ip_protocol: ip4 }\n")
    process = subprocess.Popen(["prometheus-blackbox-exporter", f"--config.file={config}",
                                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    script = folder / "targets.lua"
    script.write_text(
        "local n = 0\n"
        "request = function()\n"
        f"  n = (n + 1) % {options.probes}\n"
        f"  return wrk.format('GET', '/probe?module=http_2xx&target=127.0.0.1:{nginx_port}/p/' .. n)\n"
        "end\n"
    )
    try:
        until("blackbox_exporter answers", lambda: "probe_success 1" in fetch(
            f"{base}/probe?module=http_2xx&target=127.0.0.1:{nginx_port}/p/0"))
        cpu = cpu_seconds(process.pid)
        seconds = max(10, options.seconds // 3)
        output = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script), base],
                                capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds(process.pid) - cpu
        runs = int(re.search(r"(\d+) requests in", output).group(1))
        cost = spent / runs * 1000
        print(f"blackbox_exporter: {runs / seconds:.0f} probes/s, {resident_mib(process.pid):.0f} MiB resident")
        print(f"blackbox_exporter: {cost:.3f} CPU s per 1,000 probes")
        return cost
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--interval", default="1s")
    parser.add_argument("--keep-alive", action="store_true")
    parser.add_argument("--banken", default=str(ROOT / "target/release/banken"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        port = free_port()
        nginx = start_nginx(folder, port)
        try:
            ours = measure_banken(folder, port, options)
            if options.keep_alive:
                print(f"kept / new: {measure_banken(folder, port, options, keep_alive=True) / ours:.3f}")
                return
            theirs = measure_blackbox(folder, port, options)
        finally:
            nginx.send_signal(signal.SIGQUIT)
            nginx.wait()
        print(f"banken / blackbox_exporter: {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
