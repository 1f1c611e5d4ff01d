#!/usr/bin/env python3
"""How soon the status page is there, and how soon it shows a failure, in a real Chromium on this machine.

First paint, bytes and the cost of saving the history with so many probes; then the time from the moment a failing run
began until the open page says so.
Needs: `cargo build --release`, chromium, nginx.

    python3 benches/status_page.py [--probes 1000] [--rounds 5]
"""
import argparse
import http.server
import json
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from browser import Browser
from support import BANKEN, cpu_seconds, end, fetch, free_port, resident_mib, start_nginx, until


class Switch(http.server.BaseHTTPRequestHandler):
    """A target that fails when it is told to."""
    broken = False

    def do_GET(self):
        body = b"ok"
        self.send_response(500 if Switch.broken else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def configuration(probes, target, switch, state, port):
    lines = [f"listen: 127.0.0.1:{port}", "host: false", f"state_dir: {state}", "defaults: { interval: 10s, timeout: 5s }", "probes:"]
    lines += [f"  - {{ name: p{n:05}, group: g{n // 100}, http: {{ url: 'http://127.0.0.1:{target}/' }} }}" for n in range(probes)]
    lines.append(f"  - {{ name: switch, interval: 500ms, timeout: 400ms, failure_threshold: 1, success_threshold: 1, "
                 f"http: {{ url: 'http://127.0.0.1:{switch}/' }} }}")
    return "\n".join(lines) + "\n"


def paints(base, rounds):
    seen = []
    for _ in range(rounds):
        browser = Browser()
        browser.open(base)
        browser.until("performance.getEntriesByName('first-contentful-paint').length === 1")
        seen.append(json.loads(browser.evaluate("""JSON.stringify((() => {
            const n = performance.getEntriesByType('navigation')[0];
            const paint = name => performance.getEntriesByName(name)[0].startTime;
            return { first: paint('first-paint'), content: paint('first-contentful-paint'), dom: n.domContentLoadedEventEnd,
                     bytes: n.transferSize, whole: n.decodedBodySize, rows: document.querySelectorAll('.row').length }; })())""")))
        browser.close()
    return seen


def delays(base, rounds):
    browser = Browser()
    browser.open(base)
    word = "document.querySelector('#probe-switch .badge').textContent"
    seen = []
    for _ in range(rounds):
        Switch.broken = False
        browser.until(f"{word}.includes('✓')")
        browser.evaluate("""window.told = new Promise(told => { new MutationObserver(() => {
            if (%s.includes('✗')) told(Date.now() / 1000); }).observe(document.body, { childList: true, subtree: true }); }); 0""" % word)
        Switch.broken = True
        shown = browser.evaluate("window.told")
        # The moment at which the state changed, to a millisecond, is a metric's sample of the last run that began.
        began = next(float(line.split()[1]) for line in fetch(f"{base}/metrics").splitlines()
                     if line.startswith("banken_probe_last_run_timestamp_seconds{") and 'probe="switch"' in line)
        seen.append(shown - began)
    browser.close()
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=70, help="how long Banken is left alone first, to see it save")
    options = parser.parse_args()
    target, port = free_port(), free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Switch)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="banken-page-") as name:
        folder = pathlib.Path(name)
        nginx = start_nginx(folder, target)
        config = folder / "banken.yml"
        config.write_text(configuration(options.probes, target, server.server_address[1], folder / "state", port))
        banken = subprocess.Popen([str(BANKEN), "--config", str(config), "--log-level", "error"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        base = f"http://127.0.0.1:{port}"
        try:
            until("every probe has run", lambda: fetch(f"{base}/readyz"), patience=90)
            before, begun = cpu_seconds(banken.pid), time.monotonic()
            time.sleep(options.seconds)
            share = (cpu_seconds(banken.pid) - before) / (time.monotonic() - begun)
            saved = sum(file.stat().st_size for file in (folder / "state/history").glob("*.json"))
            print(f"{options.probes} probes every 10 s: {share * 100:.1f} % of a core, {resident_mib(banken.pid):.0f} MiB, "
                  f"history on disk {saved / 1024:.0f} KiB")
            seen = paints(base, options.rounds)
            one = seen[0]
            for key, what in (("first", "first paint"), ("content", "first contentful paint"), ("dom", "all rows there")):
                values = [round(one[key]) for one in seen]
                print(f"{what}: median {statistics.median(values):.0f} ms, worst {max(values)} ms")
            print(f"{one['rows']} rows, {one['bytes'] / 1024:.0f} KiB sent, {one['whole'] / 1024:.0f} KiB of HTML")
            late = delays(base, options.rounds)
            print(f"from the beginning of a failing run until the page says so: median {statistics.median(late) * 1000:.0f} ms, "
                  f"worst {max(late) * 1000:.0f} ms")
        finally:
            end(banken)
            end(nginx)
            server.shutdown()


if __name__ == "__main__":
    main()
