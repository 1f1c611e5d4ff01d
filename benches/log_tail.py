#!/usr/bin/env python3
"""What following files costs: time until a line is counted, speed of a burst, idling; beside Debian's mtail.

Latency: lines are appended one by one and the metrics are asked for until the count has gone up. Burst: 200 MB are
appended at once and counted. Idle: 100 files that nobody writes to are followed; of Banken also what it costs without any
log. Each program runs alone, one after the other, in the same run, with ten patterns.

    cargo build --release
    python3 benches/log_tail.py [--lines 200] [--idle-seconds 60]
"""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.path.join(ROOT, "target", "release", "banken")
TICKS = os.sysconf("SC_CLK_TCK")
WORDS = ["ERROR", "Traceback", "CRITICAL", "refused", "timeout", "No space", "denied", "in use", "JSONDecode", "CERTIFICATE"]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def until(condition, what, pause=0.01, patience=120):
    deadline = time.time() + patience
    while not condition():
        if time.time() > deadline:
            raise SystemExit(f"it did not happen within {patience} s: {what}")
        time.sleep(pause)


class Program:
    """One that is measured: how it is started, and which series counts lines with ERROR."""

    def __init__(self, name, port, folder, logs):
        self.name, self.port = name, port
        if name == "banken":
            config = os.path.join(folder, "banken.yml")
            rules = "".join(f"      - {{ id: w{i}, pattern: '{word}' }}\n" for i, word in enumerate(WORDS))
            with open(config, "w") as file:
                file.write(
                    f"listen: 127.0.0.1:{port}\nhost: false\nstate_dir: {folder}/state\nlogs:\n  - name: app\n"
                    f"    paths: ['{logs}/*.log']\n    rules:\n{rules}"
                )
            command = [BINARY, "--config", config]
            self.series = r'banken_log_matches_total\{log="app",pattern="w0",severity="warning"\} (\d+)'
        else:
            program = os.path.join(folder, "bench.mtail")
            with open(program, "w") as file:
                for i, word in enumerate(WORDS):
                    file.write(f"counter w{i}\n/{word}/ {{\n  w{i}++\n}}\n")
            command = ["mtail", "--progs", program, "--logs", f"{logs}/*.log", "--port", str(port), "--address", "127.0.0.1"]
            self.series = r'w0\{prog="bench.mtail"\} (\d+)'
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.answers(), "it answers")
        time.sleep(2)

    def answers(self):
        try:
            return bool(scrape(self.port))
        except OSError:
            return False

    def count(self):
        found = re.search(self.series, scrape(self.port))
        return int(found.group(1)) if found else 0

    def end(self):
        self.process.terminate()
        self.process.wait()


def latency(program, path, lines):
    times = []
    rng = random.Random(1)
    count = program.count()
    with open(path, "ab", buffering=0) as file:
        for _ in range(lines):
            time.sleep(rng.random() * 0.1)
            begun = time.perf_counter()
            file.write(b"2026-11-22 10:00:00,123 - bot - ERROR - something failed\n")
            until(lambda: program.count() > count, "the line is counted", pause=0)
            times.append(time.perf_counter() - begun)
            count += 1
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99) - 1]


def burst(program, path, megabytes):
    line = b"2026-11-22 10:00:00,123 - trading_bot.market - INFO - Ticker DOGE_JPY 23.417 volume 1234567 spread 0.004\n"
    block = line * 99 + b"2026-11-22 10:00:00,123 - bot - ERROR - something failed\n"
    blocks = megabytes * 1_000_000 // len(block)
    before = program.count()
    spare = path + ".spare"
    with open(spare, "wb") as file:
        for _ in range(blocks):
            file.write(block)
    with open(spare, "rb") as source, open(path, "ab") as target:
        begun = time.perf_counter()
        shutil.copyfileobj(source, target, 16 << 20)
    os.remove(spare)
    until(lambda: program.count() >= before + blocks, "the burst is counted")
    return blocks * len(block) / 1e6 / (time.perf_counter() - begun)


def idle(program, seconds):
    begun, cpu = time.time(), cpu_seconds(program.process.pid)
    time.sleep(seconds)
    return (cpu_seconds(program.process.pid) - cpu) / (time.time() - begun)


def without_logs(seconds):
    """What Banken costs that follows nothing."""
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "banken.yml")
        with open(config, "w") as file:
            file.write("listen: 127.0.0.1:0\nhost: false\n")
        process = subprocess.Popen([BINARY, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        cpu = cpu_seconds(process.pid)
        time.sleep(seconds)
        share = (cpu_seconds(process.pid) - cpu) / seconds
        process.terminate()
        process.wait()
    return share


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--idle-seconds", type=int, default=60)
    parser.add_argument("--megabytes", type=int, default=200)
    options = parser.parse_args()
    print(f"Banken without logs: {without_logs(options.idle_seconds) * 100:.2f} % of a core")
    print(f"{'':8} {'median':>9} {'p99':>9} {'burst':>12} {'idle, 100 files':>16}")
    for number, name in enumerate(["banken", "mtail"]):
        folder = tempfile.mkdtemp(prefix="banken-tail-")
        logs = os.path.join(folder, "logs")
        os.mkdir(logs)
        for file in range(100):
            with open(os.path.join(logs, f"service-{file}.log"), "w") as log:
                log.write("2026-11-22 10:00:00,123 - bot - INFO - started\n")
        program = Program(name, 21000 + os.getpid() % 10000 + number, folder, logs)
        path = os.path.join(logs, "service-0.log")
        quiet = idle(program, options.idle_seconds)
        median, p99 = latency(program, path, options.lines)
        speed = burst(program, path, options.megabytes)
        program.end()
        shutil.rmtree(folder)
        print(f"{name:8} {median * 1000:6.1f} ms {p99 * 1000:6.1f} ms {speed:7.0f} MB/s {quiet * 100:13.2f} %", flush=True)


if __name__ == "__main__":
    main()
