#!/usr/bin/env python3
"""Kills Banken a thousand times while lines are written and files are rotated, and compares the counts.

A writer appends lines without a pause and renames the file away every few thousand of them. Banken is started, killed
with SIGKILL after a random time, and started again. In the end every line must be counted exactly once, and no counter
may ever have gone back in a scrape.

    cargo build --release
    python3 tests/soak/log_kills.py [--kills 1000] [--seed 1]
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(ROOT, "target", "release", "banken")


class Writer(threading.Thread):
    """Appends lines; every third one matches. A line's end may be written later than its beginning."""

    def __init__(self, folder, rng):
        super().__init__(daemon=True)
        self.folder, self.rng = folder, rng
        self.lines = self.matching = self.rotations = 0
        self.stop = threading.Event()

    def path(self, number=None):
        return os.path.join(self.folder, "app.log" if number is None else f"app.log.{number}")

    def rotate(self):
        last = 1
        while os.path.exists(self.path(last)):
            last += 1
        for number in range(last - 1, 0, -1):
            os.rename(self.path(number), self.path(number + 1))
        os.rename(self.path(), self.path(1))
        self.rotations += 1

    def run(self):
        file = open(self.path(), "ab", buffering=0)
        until_rotation = self.rng.randrange(2000, 6000)
        while not self.stop.is_set():
            for _ in range(self.rng.randrange(1, 60)):
                matching = self.lines % 3 == 0
                text = b"%s line %d\n" % (b"ERROR" if matching else b"INFO", self.lines)
                cut = self.rng.randrange(len(text))
                file.write(text[:cut])
                file.write(text[cut:])
                self.lines += 1
                self.matching += matching
                until_rotation -= 1
                if until_rotation == 0:
                    # As logrotate does it with a writer that reopens: renamed first, opened anew after that.
                    self.rotate()
                    file.close()
                    file = open(self.path(), "ab", buffering=0)
                    until_rotation = self.rng.randrange(2000, 6000)
            time.sleep(self.rng.random() * 0.01)


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = dict(re.findall(r"^(banken_log_\w+_total)\{[^}]*\} (\d+)$", text, re.M))
    return {name: int(value) for name, value in found.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    folder = tempfile.mkdtemp(prefix="banken-soak-")
    logs = os.path.join(folder, "logs")
    os.mkdir(logs)
    port = 20000 + os.getpid() % 20000
    config = os.path.join(folder, "banken.yml")
    with open(config, "w") as file:
        file.write(
            f"listen: 127.0.0.1:{port}\nhost: false\nstate_dir: {folder}/state\nlogs:\n  - name: app\n"
            f"    paths: ['{logs}/app.log']\n    from: beginning\n"
            f"    rules: [{{ id: hit, pattern: ERROR, severity: error }}]\n"
        )
    start = lambda: subprocess.Popen([BINARY, "--config", config, "--log-level", "error"], stdout=subprocess.DEVNULL)
    # What was rotated away before Banken was ever there is not its to count: the first position comes first.
    open(os.path.join(logs, "app.log"), "w").close()
    process = start()
    while not os.path.exists(f"{folder}/state/logs/app.json"):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    writer = Writer(logs, random.Random(options.seed + 1))
    writer.start()
    highest, went_back, seen_after = {}, {}, 0
    begun = time.time()
    for kill in range(options.kills):
        process = start()
        deadline = time.time() + rng.random() * rng.choice([0.05, 0.3, 1.5])
        while time.time() < deadline:
            try:
                values = scrape(port)
            except OSError:
                continue
            for name, value in values.items():
                if value < highest.get(name, 0):
                    went_back[name] = went_back.get(name, 0) + 1
                highest[name] = max(value, highest.get(name, 0))
            seen_after += bool(values)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if kill % 100 == 99:
            print(f"{kill + 1} kills, {writer.lines} lines, {writer.rotations} rotations", flush=True)
    writer.stop.set()
    writer.join()
    process = start()
    deadline, values = time.time() + 60, {}
    while time.time() < deadline and values.get("banken_log_lines_total") != writer.lines:
        time.sleep(0.2)
        try:
            values = scrape(port)
        except OSError:
            pass
    time.sleep(3)
    values = scrape(port)
    process.send_signal(signal.SIGTERM)
    process.wait()
    shutil.rmtree(folder)
    lines, matches = values.get("banken_log_lines_total"), values.get("banken_log_matches_total")
    print(
        f"{options.kills} kills in {time.time() - begun:.0f} s, {writer.rotations} rotations, {seen_after} scrapes\n"
        f"lines    written {writer.lines:>9}  counted {lines:>9}\n"
        f"matches  written {writer.matching:>9}  counted {matches:>9}\n"
        f"scrapes in which a counter was lower than before: {went_back or 0}"
    )
    exact = (lines, matches) == (writer.lines, writer.matching) and not went_back
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
