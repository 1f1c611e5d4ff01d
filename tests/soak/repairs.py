#!/usr/bin/env python3
"""How long a repair takes, from the fault to serving again and to the verified recovery, with real processes.

The four scenarios of the example `zero-downtime-bot.yml` as it is shipped (only addresses, paths, the manager and a limit of memory
are the test's), each with plain scripts, PM2, supervisor, systemd and Docker; the staged recovery of `trading-bot.yml` with its
waiting times divided by ten; and Debian's monit beside a Banken that is configured alike, on the same faults in the same run. Every run
begins with a fault at a random moment of the interval, and with a Banken that has a folder of state of its own.

Exits 1 if a repair takes longer than 30 s, if one is done that nobody needs, or if Banken is slower than monit. Everything listens on
loopback, in a network of its own where that is allowed, and ends with the run. Needs root for systemd and Docker, and: monit,
supervisor, systemd, dbus-daemon, docker.io (Debian), PM2 (tests/run installs it), `cargo build --release`.

    python3 tests/soak/repairs.py [--runs 20] [--lanes WORDS] [--workers 16] [--json FILE]
"""
import argparse
import concurrent.futures
import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import repair_stage as stage
import repair_watchers as watchers

BOUND = 30.0
GIVEN_UP = 120.0
FORK = multiprocessing.get_context("fork")
ENDING = FORK.Event()
LANES = []


class Lane:
    """One fault, one manager, one watcher, many runs. `bound`: seconds from the fault until it serves again."""

    def __init__(self, table, row, make, watch, fault, interval, remedy=None, good=None, bound=BOUND, actions=1, settle=None):
        self.table, self.row, self.make, self.watch, self.fault, self.interval = table, row, make, watch, fault, interval
        self.remedy, self.good, self.bound, self.actions, self.settle = remedy, good or (lambda bot: bot.serves()), bound, actions, settle
        self.serving, self.verified, self.acted, self.troubles = [], [], [], []

    def words(self):
        return f"{self.table}: {self.row}"

    def once(self, bot, rng):
        if self.settle:
            self.settle(bot)
        bot.until_well()
        watcher = self.watch(bot)
        keep = True
        try:
            watcher.until_watching()
            time.sleep(rng.random() * self.interval)
            began = time.monotonic()
            self.fault(bot)
            stage.until("it serves again", lambda: self.good(bot), GIVEN_UP, every=0.005)
            self.serving.append(time.monotonic() - began)
            if isinstance(watcher, watchers.Banken):
                self.verify(watcher, began)
            keep = False
        except (TimeoutError, RuntimeError, AssertionError, OSError) as error:
            self.troubles.append(f"{error} ({watcher.folder})")
        finally:
            watcher.end(keep)

    def verify(self, banken, began):
        if self.remedy:
            def recovered():
                return any(entry["what"] == "recovered" and entry["remedy"] == self.remedy for entry in banken.journal())
            stage.until(f"{self.remedy} has verified the recovery", recovered, 60)
            self.verified.append(time.monotonic() - began)
        else:
            # Whoever has nothing to do does nothing, also a while later.
            time.sleep(5)
        intents = [f"{entry['remedy']}/{entry['action']}" for entry in banken.journal() if entry["what"] == "intent"]
        self.acted.append(len(intents))
        if len(intents) != self.actions:
            self.troubles.append(f"{len(intents)} actions instead of {self.actions}: {intents}")

    def run(self, runs, seed):
        rng = random.Random(f"{seed} {self.words()}")
        bot = None
        try:
            bot = self.make()
            for _ in range(runs):
                self.once(bot, rng)
                if len(self.troubles) > 3 or ENDING.is_set():
                    break
        except Exception as error:  # Of one lane: the others go on.
            self.troubles.append(f"{type(error).__name__}: {error}")
        finally:
            if bot:
                bot.end()
                if not self.troubles:
                    shutil.rmtree(bot.folder, ignore_errors=True)
        print(self.line(), flush=True)
        return self

    def line(self):
        def figures(values):
            return f"{statistics.median(values):6.2f} {max(values):6.2f}" if values else "     –      –"
        trouble = f"  TROUBLE: {'; '.join(self.troubles)}" if self.troubles else ""
        return f"{self.words():<74} {len(self.serving):3} runs  serving {figures(self.serving)}  verified {figures(self.verified)}{trouble}"

    def is_well(self, runs):
        in_time = bool(self.serving) and max(self.serving + self.verified) < self.bound if self.bound else True
        return in_time and not self.troubles and len(self.serving) == runs


# Faults, and what is good again.

def fills(bot):
    line = b"2026-11-28 12:00:00 INFO all is well, and told at length\n"
    with open(bot.folder / "logs/app.log", "ab") as log:
        log.write(line * (51_000_000 // len(line)))


def is_rotated(bot):
    return (bot.folder / "logs/app.log").stat().st_size < 1_000_000 and any(bot.folder.glob("logs/app.log.*"))


def crash(bot):
    stage.kill(bot.pids())


def hang(bot):
    stage.kill(bot.pids(), signal.SIGSTOP)


def swell(bot):
    pid = bot.pids()[0]
    (bot.folder / "swollen").write_text(str(pid))
    stage.kill([pid], signal.SIGUSR1)
    stage.until("it has grown", lambda: (stage.resident(pid) or 0) > 70 << 20, 10, every=0.005)


def is_slim(bot):
    if (stage.resident(int((bot.folder / "swollen").read_text())) or 0) > 64 << 20:
        return False
    sizes = [stage.resident(pid) or 1 << 40 for pid in bot.pids()]
    return bool(sizes) and max(sizes) < 64 << 20 and bot.serves()


def everything(bot):
    bot.kill_all()


def breaks(times):
    """It ends, and at its next starts so often at once."""
    def fault(bot):
        (bot.folder / "broken").write_text(str(times))
        stage.kill(bot.pids())
    return fault


def deafens(bot):
    """It answers with errors, also after a restart, until it is set up anew."""
    (bot.folder / "deaf").write_text("1")


def given_up(bot):
    """A restart by hand brings up something that crashes three times in a row; then the cause is gone, and nobody starts it."""
    (bot.folder / "broken").write_text("3")
    bot.pm2("restart", "crypto-dashboard")


def leaks(bot):
    (bot.folder / "leaks").write_text("1")


def staged(light, severe):
    """What the light and the severe step of the staged recovery do."""
    def settle(bot):
        bot.script("refresh.sh", light.format(folder=bot.folder))
        bot.script("rebuild.sh", severe.format(folder=bot.folder))
    return settle


def lanes(binary, systemd, docker):
    managers = [stage.Bot, stage.Pm2, stage.Supervisor]
    managers += [lambda: stage.Systemd(systemd)] if systemd else []
    managers += [lambda: stage.Docker(docker)] if docker else []
    names = ["argv", "PM2", "supervisor"] + ["systemd"] * bool(systemd) + ["Docker"] * bool(docker)

    def shipped(bot):
        return watchers.Banken(watchers.zero_downtime(bot), bot, binary)

    def once(failures, probe, interval, more=""):
        return lambda bot: watchers.Banken(watchers.plain(bot, probe(bot), interval, failures, more), bot, binary)

    def ends(bot):
        return rf"process: {{ cmdline: '{bot.folder}/dashboard\.py' }}"

    def http(bot):
        return f'http: {{ url: "http://127.0.0.1:{bot.port}/" }}'

    quick, slow = [], []
    for make, name in zip([make if name != "PM2" else stage.Pm2Alone for make, name in zip(managers, names)], names):
        # Each minute would be as quick: the end of a process is told, not found.
        quick.append(Lane("process death, interval 60 s", f"{name}, Banken", make, once(1, ends, 60), crash, 2, "restart", bound=5))
    for make, name in zip(managers, names):
        if name == "PM2":
            slow.append(Lane("1 crash", "PM2 restarts it by itself", make, shipped, crash, 5, actions=0))
            slow.append(Lane("1 crash", "PM2 gave it up", stage.Pm2GivesUp, shipped, given_up, 5, "restart-crashed"))
        else:
            slow.append(Lane("1 crash", name, make, shipped, crash, 5, "restart-crashed"))
        slow.append(Lane("2 API hangs", name, make, shipped, hang, 10, "restart-api"))
        slow.append(Lane("3 memory exhausted, freed", name, make, shipped, swell, 5, "free-memory", is_slim))
        slow.append(Lane("3 memory exhausted, restarted", name, make, shipped, swell, 5, "free-memory", is_slim, actions=2, settle=leaks))
        slow.append(Lane("4 everything down", name, make, shipped, everything, 5, "emergency", lambda bot: bot.is_well()))

        if name == "argv":
            slow.append(Lane("5 log above 50 MB", name, make, shipped, fills, 5, "rotate-logs", is_rotated))

    def tenth(bot):
        return watchers.Banken(watchers.trading_bot(bot, 10), bot, binary)
    resume, nothing = "kill -CONT $(cat {folder}/hung)", "true"

    def hang_known(bot):
        (bot.folder / "hung").write_text(str(bot.pids()[0]))
        hang(bot)

    both = [(make, name) for make, name in zip(managers, names) if name in ("argv", "systemd")]
    for make, name in both:
        table = "staged recovery, waits divided by 10"
        slow.append(Lane(table, f"{name}, the light step helps", make, tenth, hang_known, 3, "staged-recovery", settle=staged(resume, nothing)))
        slow.append(Lane(table, f"{name}, the restart helps", make, tenth, hang, 3, "staged-recovery", actions=2, settle=staged(nothing, nothing)))
        slow.append(Lane(table, f"{name}, the severe step helps", make, tenth, deafens, 3, "staged-recovery", actions=3,
                         settle=staged(nothing, "rm -f {folder}/deaf")))
        slow.append(Lane(table, f"{name}, three tries", make, tenth, breaks(2), 3, "restart-bot", actions=3, bound=60))

    for poll in (1, 10):
        for fault, words, check, probe, failures in ((crash, "dead server", watchers.monit_server, http, 3), (hang, "hung server", watchers.monit_server, http, 3),
                                                     (crash, "dead process", watchers.monit_process, ends, 1)):
            table = f"{words}, interval {poll} s"
            (quick if words == "dead process" and poll == 1 else slow).extend([
                Lane(table, "monit", stage.Bot, lambda bot, check=check, poll=poll: watchers.Monit(check(bot), poll, bot), fault, poll, bound=None),
                Lane(table, "Banken", stage.Bot, once(failures, probe, poll), fault, poll, "restart")])
    return quick, slow


def slow_start(binary):
    """A service that is slow to start, watched each second and restarted after 3 failures in a row: how often is it started?

    monit leaves a process alone for the time that its start may take, 30 s if nothing is said, but what it only knows by its address
    it does not."""
    test = '  if failed port {0} protocol http request "/" with timeout 1 second for 3 cycles then restart\n'

    def by_banken(bot):
        return watchers.Banken(watchers.plain(bot, f'http: {{ url: "http://127.0.0.1:{bot.port}/" }}', 1, 3), bot, binary)

    def by_process(bot):
        return watchers.Monit(watchers.monit_process(bot, test.format(bot.port)), 1, bot)

    def by_address(bot):
        return watchers.Monit(watchers.monit_server(bot), 1, bot)

    stage.take_orphans()
    cases = [(words, make, starts, window) for starts, window in ((6, 60), (45, 150))
             for words, make in (("monit, check host", by_address), ("monit, check process", by_process), ("Banken", by_banken))]
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        counted = list(pool.map(lambda case: starts_within(*case[1:]), cases))
    return [(words, starts, window, *found) for (words, _, starts, window), found in zip(cases, counted)]


def starts_within(make, seconds, window):
    """How often a service that takes so long is started within the window after its crash, and when it serves, if it does."""
    bot = stage.Bot()
    try:
        watcher = make(bot)
        try:
            watcher.until_watching()
            (bot.folder / "start_seconds").write_text(str(seconds))
            (bot.folder / "starts").write_text("")
            crash(bot)
            began, served = time.monotonic(), None
            while time.monotonic() < began + window:
                if served is None and bot.serves():
                    served = time.monotonic() - began
                stage.bury()
                time.sleep(0.05)
            return (bot.folder / "starts").read_text().count("\n"), served
        finally:
            watcher.end()
    finally:
        bot.end()
        shutil.rmtree(bot.folder, ignore_errors=True)


def in_a_network_of_its_own():
    """The same program again, where nothing else is on the network; here, where that is not allowed."""
    if os.environ.get("REPAIRS_INSIDE") or os.geteuid() != 0:
        return
    inside = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run(inside + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.environ["REPAIRS_INSIDE"] = "1"
        os.execvp(inside[0], inside + [sys.executable, *sys.argv])


def run_lane(index, runs, seed):
    signal.signal(signal.SIGTERM, lambda *_: ENDING.set())
    stage.take_orphans()
    lane = LANES[index].run(runs, seed)
    return lane.serving, lane.verified, lane.acted, lane.troubles


def shared(make, words):
    try:
        return make()
    except (RuntimeError, TimeoutError, OSError) as error:
        print(f"LEFT OUT: {words}: {error}", flush=True)
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--lanes", default="", help="only those whose name holds these words")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--binary", default=str(stage.ROOT / "target/release/banken"))
    parser.add_argument("--bound", type=float, default=BOUND, help="seconds that no repair of the scenarios may exceed")
    parser.add_argument("--limit", type=float, default=5400, help="seconds after which no further run is begun")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    in_a_network_of_its_own()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    limit = threading.Timer(arguments.limit, ENDING.set)
    limit.daemon = True
    limit.start()
    # Only for lanes that are wanted: with words that name another manager neither is.
    wants = lambda manager: arguments.lanes in f": {manager}" or not arguments.lanes.startswith(":")
    systemd = shared(stage.SystemdManager, "systemd") if wants("systemd") else None
    docker = shared(stage.Dockerd, "Docker") if wants("Docker") else None
    try:
        quick, slow = lanes(arguments.binary, systemd, docker)
        wanted = lambda lane: arguments.lanes in lane.words()
        done = []
        # What takes milliseconds is measured while little else runs.
        for some, workers in ((quick, min(3, arguments.workers)), (slow, arguments.workers)):
            # What takes longest begins first.
            LANES[:] = sorted(filter(wanted, some), key=lambda lane: -lane.interval)
            for lane in LANES:
                lane.bound = lane.bound and max(lane.bound, arguments.bound)
            # A process for each, so that none waits for another one's polling.
            with FORK.Pool(workers, maxtasksperchild=1) as pool:
                runs = [pool.apply_async(run_lane, (index, arguments.runs, arguments.seed)) for index in range(len(LANES))]
                for lane, run in zip(LANES, runs):
                    lane.serving, lane.verified, lane.acted, lane.troubles = run.get()
            done += LANES
        loops = slow_start(arguments.binary) if arguments.lanes in "slow start" else None
    finally:
        ENDING.set()
        for one in (systemd, docker):
            if one:
                one.end()
                shutil.rmtree(one.folder, ignore_errors=True)
    sys.exit(0 if report(done, loops, arguments) else 1)


def report(done, loops, arguments):
    print(f"\n{'':74}           fault → serving      → verified recovery\n{'':74}           median  worst       median  worst   [s]")
    done.sort(key=lambda lane: lane.words())
    for lane in done:
        print(lane.line())
    well = True
    for lane in done:
        if not lane.is_well(arguments.runs):
            well = False
            print(f"NOT WELL: {lane.words()}: {len(lane.serving)} runs, bound {lane.bound}: {'; '.join(lane.troubles)}")
    by_name = {lane.words(): lane for lane in done}
    for lane in done:
        rival = by_name.get(f"{lane.table}: monit")
        if rival and lane.row == "Banken" and lane.serving and rival.serving:
            ratio = statistics.median(rival.serving) / statistics.median(lane.serving)
            print(f"{lane.table}: Banken is {ratio:.1f} times faster than monit (median)")
            well &= ratio > 1
    for words, seconds, window, starts, served in loops or []:
        shown = f"serves after {served:.1f} s" if served else "never serves"
        print(f"slow start of {seconds} s, {words}: started {starts} times in {window} s, {shown}")
        well &= starts == 1 or words != "Banken"
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump([{"lane": lane.words(), "serving": lane.serving, "verified": lane.verified} for lane in done], file)
    return well


if __name__ == "__main__":
    main()
