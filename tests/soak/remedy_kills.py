#!/usr/bin/env python3
"""Kills Banken a thousand times while it repairs, and looks whether anything was done twice or forgotten.

A life is one folder of state and one broken thing, which a remedy mends with a program that takes a moment. Within a life
Banken is started and killed with SIGKILL after a random time, several times, mostly while the program runs or just around
it; then it is left to come to its end. After each life:

* every step was taken at most once (the program writes down which incident and attempt it was called for),
* every step that was taken was announced in the journal before,
* every incident that was opened has an end, and the thing is mended,
* no line of the journal was lost but the one that a kill may have cut short.

    cargo build --release
    python3 tests/soak/remedy_kills.py [--kills 1000] [--seed 1] [--binary target/release/banken]
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MEND = """#!/bin/sh
# What it is called for is on disk before it does anything.
echo "$BANKEN_INCIDENT $BANKEN_ATTEMPT" >> {folder}/begun
sleep 0.0$(( $$ % 10 ))
{mend}
echo "$BANKEN_INCIDENT $BANKEN_ATTEMPT" >> {folder}/ended
"""

CONFIG = """
listen: 127.0.0.1:{port}
state_dir: {folder}/state
host: false
probes:
  - name: thing
    interval: 30ms
    retry_interval: 10ms
    failure_threshold: 2
    success_threshold: 2
    file: {{ path: {folder}/thing }}
remedies:
  - name: mend
    when: {{ probe: thing }}
    start_grace: 100ms
    retry_delay: 50ms
    cooldown: 0s
    armed: true
    steps: [ {{ command: {{ argv: [ {folder}/mend.sh ], timeout: 5s }} }} ]
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Life:
    def __init__(self, binary, rng):
        self.binary, self.rng = binary, rng
        self.folder = tempfile.mkdtemp(prefix="banken-remedy-kills-")
        self.port = free_port()
        # Now and then the program does not help the first time.
        helps_late = rng.random() < 0.3
        thing = f"{self.folder}/thing"
        mend = f'if [ -e {self.folder}/first ]; then touch {thing}; else touch {self.folder}/first; fi' if helps_late else f"touch {thing}"
        self.write("mend.sh", MEND.format(folder=self.folder, mend=mend))
        os.chmod(f"{self.folder}/mend.sh", 0o755)
        self.write("banken.yml", CONFIG.format(folder=self.folder, port=self.port))

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def lines(self, name):
        try:
            with open(f"{self.folder}/{name}") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def start(self):
        log = open(f"{self.folder}/log", "ab")
        return subprocess.Popen([self.binary, "--config", f"{self.folder}/banken.yml"], stdout=log, stderr=log)

    def kill_after(self, kills):
        for number in range(kills):
            process = self.start()
            begun = len(self.lines("begun"))
            if number == 0 or self.rng.random() < 0.5:
                # Just around a step: wait for one to begin, if one does, then a moment.
                deadline = time.monotonic() + 0.4
                while time.monotonic() < deadline and len(self.lines("begun")) == begun:
                    time.sleep(0.001)
                time.sleep(self.rng.random() * 0.09)
            else:
                time.sleep(self.rng.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()

    def state(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=2) as answer:
                return json.load(answer)
        except OSError:
            return None

    def settle(self):
        """Lets it come to its end: everything mended, or given up."""
        process = self.start()
        deadline = time.monotonic() + 30
        try:
            while time.monotonic() < deadline:
                report = self.state()
                remedy = report and report.get("remedies", {}).get("mend")
                if remedy and remedy["state"] == "exhausted":
                    return "exhausted"
                is_over = remedy and remedy["state"] == "idle" and report["checks"]["thing"]["status"] == "healthy"
                # Right after its start it has not yet taken up what was saved.
                if is_over and not self.open_incidents():
                    return "mended"
                time.sleep(0.02)
            return "stuck: " + json.dumps(self.state())
        finally:
            time.sleep(0.05)
            process.terminate()
            process.wait()

    def journal(self):
        """Its entries, and how many lines were cut short."""
        journal, broken = [], 0
        for line in self.lines("state/remedies/journal.jsonl"):
            try:
                journal.append(json.loads(line))
            except ValueError:
                broken += 1
        return journal, broken

    def open_incidents(self):
        journal, _ = self.journal()
        opened = {entry["incident"] for entry in journal if entry["what"] == "opened"}
        return opened - {entry["incident"] for entry in journal if entry["what"] in ("recovered", "closed", "gave_up")}

    def check(self, outcome):
        journal, broken = self.journal()
        problems = []
        if outcome not in ("mended", "exhausted"):
            problems.append(f"it ended {outcome}")
        begun = collections.Counter(self.lines("begun"))
        twice = [step for step, times in begun.items() if times > 1]
        if twice:
            problems.append(f"taken twice: {twice}")
        announced = {f"{entry['incident']} {entry['attempt']}" for entry in journal if entry["what"] == "intent"}
        unannounced = set(begun) - announced
        if unannounced:
            problems.append(f"taken and not announced: {unannounced}")
        # An incident that is forgotten keeps a life from being over.
        if outcome != "mended" and self.open_incidents():
            problems.append(f"open: {self.open_incidents()}")
        if any(not re.fullmatch(r"mend-\d+", entry["incident"]) for entry in journal):
            problems.append("an entry without an incident")
        return problems, len(begun), broken, collections.Counter(entry["what"] for entry in journal)

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "banken"))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    kills = steps = cut = lives = failed = 0
    outcomes, told = collections.Counter(), collections.Counter()
    began = time.monotonic()
    while kills < arguments.kills:
        life = Life(arguments.binary, rng)
        times = min(rng.randrange(1, 5), arguments.kills - kills)
        life.kill_after(times)
        outcome = life.settle()
        problems, taken, broken, entries = life.check(outcome)
        kills, steps, cut, lives = kills + times, steps + taken, cut + broken, lives + 1
        outcomes[outcome] += 1
        told += entries
        if problems:
            failed += 1
            print(f"life {lives} in {life.folder}: " + "; ".join(problems), flush=True)
        else:
            life.end()
    print(f"{kills} kills in {lives} lives, {time.monotonic() - began:.0f} s: {steps} steps, {told['interrupted']} of them interrupted, "
          f"{cut} lines of the journal cut short; {dict(outcomes)}; {failed} lives with a problem")
    print(f"the journal told: {dict(told)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
