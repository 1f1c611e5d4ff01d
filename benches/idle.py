#!/usr/bin/env python3
"""What Banken costs while it watches this host and itself, without a configuration.

Prints resident memory and the share of one core after a minute, scraped every 15 s as Prometheus would.
Needs: `cargo build --release`.

    python3 benches/idle.py [--seconds 60]
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid, key):
    return int(re.search(rf"{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "BANKEN_LISTEN": "127.0.0.1:0"}
        environment.pop("BANKEN_CONFIG", None)
        process = subprocess.Popen([str(ROOT / "target/release/banken")], cwd=folder, env=environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            metrics = next(line.split()[1] for line in process.stdout if line.strip().startswith("metrics"))
            time.sleep(5)
            before, begun = cpu_seconds(process.pid), time.monotonic()
            while (left := begun + options.seconds - time.monotonic()) > 0:
                opener.open(metrics, timeout=10).read()
                time.sleep(min(15, left))
            share = (cpu_seconds(process.pid) - before) / (time.monotonic() - begun)
            print(f"resident {memory(process.pid, 'VmRSS'):.1f} MiB "
                  f"(anonymous {memory(process.pid, 'RssAnon'):.1f} MiB), {share * 100:.2f} % of a core")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


if __name__ == "__main__":
    main()
