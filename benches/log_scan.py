#!/usr/bin/env python3
"""A log of 1 GB, scanned by Banken, ripgrep, grep and mtail on one core.

Writes a log that looks like a service's (97 % INFO lines of several shapes and lengths, 1.6 % lines that one of the ten
error classes matches, the rest warnings; the same for the same seed), reads it once so that it is in memory, and lets
each program count in it, pinned to one core: `banken scan`; `rg -c` and `grep -cE` with the alternation of the very same
expressions; Debian's mtail with ten counters, one for each class, on the first lines of the log only. The counts of
each pattern must be those of `grep -cE`, and so must mtail's of each class. Needs: ripgrep, mtail (Debian packages),
and `cargo build --release`.

    python3 benches/log_scan.py [--megabytes 1000] [--mtail-megabytes 50] [--runs 3]
"""
import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BANKEN = ROOT / "target/release/banken"
CORE = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]

# mtail has one counter for each of the ten classes; two of them are two patterns here, and file systems three.
CLASSES = {
    "http": ["http_4xx", "http_5xx"],
    "python": ["python_exception"],
    "database": ["database_connection_error"],
    "files": ["file_not_found", "permission_denied", "file_system_error"],
    "memory": ["memory_error"],
    "disk": ["disk_full"],
    "port": ["port_in_use"],
    "json": ["json_decode_error"],
    "redis": ["redis_connection_error"],
    "tls": ["ssl_certificate_error"],
}

PAIRS = ["BTC_JPY", "ETH_JPY", "DOGE_JPY", "XRP_JPY", "SOL_JPY"]
AGENTS = ["curl/7.88.1", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
          "python-requests/2.31.0", "Prometheus/2.42.0", "kube-probe/1.29"]

MATCHING = [
    'INFO:     10.0.{a}.{b}:5{c} - "GET /api/orders/{n} HTTP/1.1" 404 Not Found',
    '10.0.{a}.{b} - - [22/Nov/2026:07:{s}:44 +0000] "POST /api/orders HTTP/1.1" 502 157 "-" "curl/7.88.1"',
    "Traceback (most recent call last):",
    "{t} - bot - [ERROR] - cycle {n} failed: ValueError: price of {n} is not a number",
    'psycopg.OperationalError: connection failed: connection to server at "10.0.{a}.{b}", port 5432 failed: Connection refused',
    "{t} - store - [ERROR] - open: [Errno 2] No such file or directory: '/app/data/{n}.json'",
    "PermissionError: [Errno 13] Permission denied: '/app/data/{n}.json'",
    "Nov 22 03:{s}:44 host kernel: Out of memory: Killed process {n} (python3) total-vm:{n}kB, anon-rss:{n}kB",
    "OSError: [Errno 28] No space left on device: '/app/logs/{n}.log'",
    "OSError: [Errno 98] Address already in use",
    "json.decoder.JSONDecodeError: Expecting value: line {a} column {b} (char {n})",
    "redis.exceptions.ConnectionError: Error 111 connecting to cache-{a}:6379. Connection refused.",
    "{t} - fetch - [WARNING] - [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
]


def info(r, t):
    shape = r.random()
    if shape < 0.30:
        return (f"{t} - trader.engine - [INFO] - cycle {r.randrange(10**6)}: {r.choice(PAIRS)} price={r.random() * 1e6:.2f} "
                f"atr={r.random() * 100:.4f} signal=hold took {r.randrange(2000)} ms")
    if shape < 0.50:
        return (f'10.0.{r.randrange(256)}.{r.randrange(256)} - - [22/Nov/2026:07:{r.randrange(60):02}:{r.randrange(60):02} +0000] '
                f'"GET /api/ticker/{r.choice(PAIRS)}?n={r.randrange(10**6)} HTTP/1.1" 200 {r.randrange(90000)} "-" "{r.choice(AGENTS)}"')
    if shape < 0.65:
        return f'INFO:     127.0.0.1:{r.randrange(30000, 60000)} - "GET /api/status HTTP/1.1" 200 OK'
    if shape < 0.80:
        return (json.dumps({"time": t, "level": "info", "logger": "orders", "msg": "order placed", "id": r.randrange(10**9),
                            "pair": r.choice(PAIRS), "amount": round(r.random() * 10, 4), "status": 200}))
    if shape < 0.90:
        return f"{t} - scheduler - [INFO] - next run in {r.randrange(300)} s"
    if shape < 0.97:
        return f"{t} - collector - [INFO] - 取引データを保存しました: {r.choice(PAIRS)} {r.randrange(500)}件 ({r.random():.3f}秒)"
    return f"{t} - backtest - [INFO] - equity " + " ".join(f"{r.random() * 1e6:.2f}" for _ in range(r.randrange(20, 80)))


def line(r):
    t = f"2026-11-22 07:{r.randrange(60):02}:{r.randrange(60):02},{r.randrange(1000):03}"
    kind = r.random()
    if kind < 0.97:
        return info(r, t)
    if kind < 0.986:
        return r.choice(MATCHING).format(t=t, a=r.randrange(256), b=r.randrange(256), c=r.randrange(1000, 9999),
                                         n=r.randrange(1000, 10**6), s=f"{r.randrange(60):02}")
    return f"{t} - trader.risk - [WARNING] - spread {r.random():.4f} above limit, skipped {r.choice(PAIRS)}"


def write_log(path, size):
    """Blocks of lines in random order: Python would need minutes to make each line of a gigabyte by itself."""
    r = random.Random(20261122)
    blocks = ["".join(line(r) + "\n" for _ in range(20000)).encode() for _ in range(24)]
    written = 0
    with open(path, "wb") as file:
        while written < size:
            written += file.write(r.choice(blocks))
    return written


def copy_lines(log, path, size):
    """The first lines of a log."""
    with open(log, "rb") as whole:
        text = whole.read(size)
    return path.write_bytes(text[:text.rindex(b"\n") + 1])


def run(arguments, runs=1, **more):
    """The output and the shortest time."""
    times = []
    for _ in range(runs):
        begun = time.monotonic()
        done = subprocess.run(CORE + [str(argument) for argument in arguments], capture_output=True, text=True, **more)
        times.append(time.monotonic() - begun)
        if done.returncode not in (0, 1):
            sys.exit(f"{arguments[0]}: {done.stderr}")
    return done.stdout, min(times)


def mtail_program(patterns):
    text = ""
    for name, ids in CLASSES.items():
        expression = "|".join(patterns[one]["pattern"] for one in ids).replace("/", "\\/")
        text += f"counter {name}_total\n/{expression}/ {{\n  {name}_total++\n}}\n"
    return text


def run_mtail(folder, patterns, log):
    program = folder / "classes.mtail"
    program.write_text(mtail_program(patterns))
    arguments = ["mtail", "-one_shot", "-one_shot_format", "json", "-progs", program, "-logs", log,
                 "-address", "127.0.0.1", "-port", "0"]
    output, seconds = run(arguments, env={**os.environ, "GOMAXPROCS": "1"})
    counts = {name: int(value) for name, value in
              re.findall(r'"Name":\s*"(\w+)_total".*?"Value":\s*\{\s*"Value":\s*(\d+)', output, re.S)}
    return counts, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--mtail-megabytes", type=int, default=50, help="mtail would need many minutes: it has the first lines")
    parser.add_argument("--runs", type=int, default=3, help="of which the fastest counts; mtail runs once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        log, short = folder / "service.log", folder / "short.log"
        size = write_log(log, options.megabytes * 10**6)
        _, lines_time = run(["wc", "-l", log], options.runs)

        output, ours = run([BANKEN, "scan", "--format", "json", log], options.runs)
        scanned = json.loads(output)
        patterns = {pattern["id"]: pattern for pattern in scanned["patterns"]}
        alternation = "|".join(pattern["pattern"] for pattern in patterns.values())

        posix = {"env": {**os.environ, "LC_ALL": "C"}}
        timed = {"wc -l": lines_time}
        rg_count, timed["rg -c"] = run(["rg", "-j1", "-c", "-e", alternation, log], options.runs)
        _, timed["rg -c, no Unicode"] = run(["rg", "-j1", "--no-unicode", "-c", "-e", alternation, log], options.runs)
        _, timed["rg -c --no-mmap"] = run(["rg", "-j1", "--no-mmap", "-c", "-e", alternation, log], options.runs)
        grep_count, timed["grep -cE"] = run(["grep", "-cE", "-e", alternation, log], options.runs, **posix)

        mtail_size, mtail_log = size, log
        if options.mtail_megabytes < options.megabytes:
            mtail_size, mtail_log = copy_lines(log, short, options.mtail_megabytes * 10**6), short
        mtail_counts, mtail_time = run_mtail(folder, patterns, mtail_log)

        print(f"{size / 1e6:.0f} MB, {scanned['lines']} lines, {int(grep_count)} match "
              f"({int(grep_count) / scanned['lines']:.2%}), {len(patterns)} patterns of {len(CLASSES)} classes")
        ours_rate = size / ours / 1e6
        print(f"{'':22}{'seconds':>9}{'MB/s':>9}  Banken is faster by")
        print(f"{'banken scan':22}{ours:9.3f}{ours_rate:9.0f}")
        for what, seconds in timed.items():
            print(f"{what:22}{seconds:9.3f}{size / seconds / 1e6:9.0f}  {seconds / ours:.2f}")
        rate = mtail_size / mtail_time / 1e6
        print(f"{'mtail':22}{mtail_time:9.3f}{rate:9.1f}  {ours_rate / rate:.1f}   ({mtail_size / 1e6:.0f} MB)")

        wrong = [] if int(rg_count) == int(grep_count) else [f"rg: {rg_count.strip()} lines, grep: {grep_count.strip()}"]
        for pattern in patterns.values():
            count = int(run(["grep", "-cE", "-e", pattern["pattern"], log], **posix)[0])
            if count != pattern["count"]:
                wrong.append(f"{pattern['id']}: {pattern['count']}, grep says {count}")
        for name, ids in CLASSES.items():
            expression = "|".join(patterns[one]["pattern"] for one in ids)
            count = int(run(["grep", "-cE", "-e", expression, mtail_log], **posix)[0])
            if count != mtail_counts.get(name):
                wrong.append(f"mtail, {name}: {mtail_counts.get(name)}, grep says {count}")
        print("\n".join(wrong) or "counts: those of grep -cE, for each pattern (and mtail's, for each class)")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
