#!/usr/bin/env python3
"""What a probe costs, from ten of them to ten thousand: http, tcp, dns and file in equal parts.

Starts nginx and dnsmasq, and a Banken for each number of probes. A Banken without a probe is measured first: what it
spends is not the probes'. Prints lag, CPU, memory and the CPU time of one run, twice:

- every 2 s, whatever their number. Few probes are dearer then: a machine that has nothing else to do falls asleep
  between two runs, and each one pays for waking it and for caches that have gone cold.
- at the same number of runs a second, whatever their number, so that nothing but the number differs.

The last column holds the CPU time of a run against the mean of its table. Exits 1 if a cost of the second table is more
than 20 % from its mean. Needs: nginx, dnsmasq (Debian packages
nginx-light, dnsmasq-base), and `cargo build --release`.

    python3 benches/mixed_probes.py [--numbers 10,100,1000,10000] [--seconds 30] [--interval 2] [--rate 1000]
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from support import BANKEN, Scrape, cpu_seconds, end, fetch, free_port, quantile, resident_mib, start_nginx, until

FILES = 500
# Cost that does not depend on the number of probes stays within this share of its mean.
FLAT = 0.20


def start_dnsmasq(port):
    return subprocess.Popen(
        ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}", "--listen-address=127.0.0.1",
         "--bind-interfaces", "--no-resolv", "--no-hosts", "--address=/bench.test/192.0.2.1", "--dns-forward-max=10000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def probe(number, files, http_port, dns_port):
    blocks = (
        f'http: {{ url: "http://127.0.0.1:{http_port}/p/{number}" }}',
        f"tcp: {{ address: 127.0.0.1:{http_port} }}",
        f"dns: {{ server: 127.0.0.1:{dns_port}, name: host-{number}.bench.test }}",
        f"file: {{ path: {files / str(number % FILES)}, max_age: 30d, min_size: 1 }}",
    )
    return f"  - {{ name: p{number:05}, {blocks[number % 4]} }}"


def measure(folder, number, interval, seconds, ports):
    config = folder / "banken.yml"
    listen = free_port()
    lines = [f"listen: 127.0.0.1:{listen}", "host: false",
             f"defaults: {{ interval: {round(interval * 1000)}ms, timeout: 1900ms, retry_interval: 1s }}", "probes:"]
    lines += [probe(n, folder, *ports) for n in range(number)] or ["  []"]
    config.write_text("\n".join(lines))
    log = open(folder / "banken.log", "w")
    process = subprocess.Popen([str(BANKEN), "--config", str(config)], stdout=subprocess.DEVNULL, stderr=log)
    base = f"http://127.0.0.1:{listen}"
    try:
        until("Banken is ready", lambda: fetch(f"{base}/readyz"))
        # The first round is made in a second; then each probe finds its place in its interval.
        time.sleep(max(3, 2 * interval))
        # Few probes may run seldom: more time for them, so that the figure is of hundreds of runs all the same.
        seconds *= 4 if number and number / interval < 50 else 1
        before, cpu, begun = fetch(f"{base}/metrics"), cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        spent, elapsed = cpu_seconds(process.pid) - cpu, time.monotonic() - begun
        after = Scrape(fetch(f"{base}/metrics"))
        return {"number": number, "cpu": spent / elapsed, "seconds": elapsed, "before": Scrape(before), "after": after,
                "memory": resident_mib(process.pid), "threads": len(os.listdir(f"/proc/{process.pid}/task"))}
    finally:
        end(process)


def cost_of_a_run(result, idle):
    """Microseconds of CPU time."""
    return (result["cpu"] - idle) * result["seconds"] / (result["after"].runs - result["before"].runs) * 1e6


def show(results, idle):
    """Prints a line for each number of probes, and gives the largest deviation from the mean cost."""
    costs = [cost_of_a_run(result, idle) for result in results]
    mean = sum(costs) / len(costs)
    for result, cost in zip(results, costs):
        show_one(result, cost, mean)
    return max(abs(cost / mean - 1) for cost in costs)


def show_one(result, cost, mean):
    before, after = result["before"], result["after"]
    runs = after.runs - before.runs
    print(f"{result['number']:>6} probes: {runs / result['seconds']:>6.0f} runs/s, "
          f"{after.failures - before.failures:.0f} failed, {after.unknown - before.unknown:.0f} unknown, "
          f"{after.missed - before.missed:.0f} missed, lag p50 <= {quantile(before, after, 0.5) * 1000:g} ms, "
          f"p99 <= {quantile(before, after, 0.99) * 1000:g} ms, {result['cpu'] * 100:.1f} % of a core, "
          f"{result['memory']:.0f} MiB, {result['threads']} threads, "
          f"{cost:.0f} µs CPU per run ({(cost / mean - 1) * 100:+.0f} %)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", default="10,100,1000,10000")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--interval", type=float, default=2)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        for number in range(FILES):
            (folder / str(number)).write_text('{"backup": true}\n')
        ports = free_port(), free_port()
        servers = [start_nginx(folder, ports[0]), start_dnsmasq(ports[1])]
        try:
            idle = measure(folder, 0, options.interval, options.seconds, ports)["cpu"]
            print(f"without a probe: {idle * 100:.2f} % of a core", flush=True)
            numbers = [int(number) for number in options.numbers.split(",")]
            print(f"every {options.interval:g} s:", flush=True)
            show([measure(folder, n, options.interval, options.seconds, ports) for n in numbers], idle)
            print(f"{options.rate} runs a second:", flush=True)
            apart = show([measure(folder, n, n / options.rate, options.seconds, ports) for n in numbers], idle)
            print(f"cost of a run: within {apart * 100:.0f} % of the mean from {numbers[0]} to {numbers[-1]} probes")
            if apart > FLAT:
                sys.exit(f"that is more than {FLAT * 100:.0f} %")
        finally:
            end(servers[0], signal.SIGQUIT)
            end(servers[1])


if __name__ == "__main__":
    main()
