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
import subprocess
import tempfile
import time

from support import (BANKEN, Scrape, cpu_seconds_in_ticks, end, fetch, free_port, quantile, resident_mib, start_nginx,
                     until)


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
        before, cpu, begun = fetch(f"{base}/metrics"), cpu_seconds_in_ticks(process.pid), time.monotonic()
        time.sleep(options.seconds)
        spent, elapsed = cpu_seconds_in_ticks(process.pid) - cpu, time.monotonic() - begun
        before, after = Scrape(before), Scrape(fetch(f"{base}/metrics"))
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
        end(process)


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
        cpu = cpu_seconds_in_ticks(process.pid)
        seconds = max(10, options.seconds // 3)
        output = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script), base],
                                capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds_in_ticks(process.pid) - cpu
        runs = int(re.search(r"(\d+) requests in", output).group(1))
        cost = spent / runs * 1000
        print(f"blackbox_exporter: {runs / seconds:.0f} probes/s, {resident_mib(process.pid):.0f} MiB resident")
        print(f"blackbox_exporter: {cost:.3f} CPU s per 1,000 probes")
        return cost
    finally:
        end(process)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--interval", default="1s")
    parser.add_argument("--keep-alive", action="store_true")
    parser.add_argument("--banken", default=str(BANKEN))
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
            end(nginx, signal.SIGQUIT)
        print(f"banken / blackbox_exporter: {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
