"""Who repairs in `repairs.py`: Banken with a shipped example or a plain configuration, and Debian's monit."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

from repair_stage import ROOT, free_port, until

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def zero_downtime(bot):
    """The shipped example, armed, for this bot: its address, its paths, its manager, and a limit of memory that is soon reached."""
    text = (ROOT / "deploy/examples/zero-downtime-bot.yml").read_text()
    text = text.replace("http://localhost:8082", f"http://127.0.0.1:{bot.port}")
    for script in ("dashboard", "system_guardian", "health_monitor"):
        text = text.replace(rf"'{script}\.py'", rf"'{bot.folder}/{script}\.py'")
    pm2 = 'pm2: crypto-dashboard, home: "${PM2_HOME:-/home/bot/.pm2}"'
    assert text.count(pm2) == 4, "the example has changed"
    text = text.replace(pm2, bot.restart_block())
    text = text.replace("memory: { warning: 400MiB, critical: 512MiB }", "memory: { warning: 48MiB, critical: 64MiB }")
    if not bot.probes_pm2:
        # As the example says for a bot without PM2.
        text, cut = re.subn(r"  - name: crypto-\w+\n(?:    .*\n)+", "", text)
        text, uncaused = re.subn(r"    depends_on: \[ crypto-\w+ \]\n", "", text)
        assert (cut, uncaused) == (3, 2), "the example has changed"
    return text


def trading_bot(bot, divisor):
    """The staged recovery of the shipped example and the probes that it needs; every waiting time divided."""
    text = (ROOT / "deploy/examples/trading-bot.yml").read_text()
    def entry(name, key):
        found = re.search(rf"^  - name: {name}\n(?:    .*\n)+", text[text.index(f"\n{key}:"):], re.M)
        return found.group(0)
    def divided(seconds):
        return f"{round(1000 * seconds / divisor)}ms"
    remedies = entry("staged-recovery", "remedies") + entry("restart-bot", "remedies")
    unit = 'systemd: "${BOT_UNIT:-trading-bot.service}"'
    assert remedies.count(unit) == 2 and remedies.count("retry_delay: 60s") == 2, "the example has changed"
    remedies = remedies.replace(unit, bot.restart_block()).replace("retry_delay: 60s", f"retry_delay: {divided(60)}\n    start_grace: {divided(10)}")
    health = entry("health", "probes").replace("${BOT_URL:-http://127.0.0.1:8082}/health", f"http://127.0.0.1:{bot.port}/api/health")
    process = entry("bot", "probes").replace(r"start_live_with_api.*\.py", rf"{bot.folder}/dashboard\.py")
    defaults = f"defaults: {{ interval: {divided(30)}, retry_interval: {divided(5)}, timeout: {divided(10)} }}"
    return (f"listen: ${{BANKEN_LISTEN}}\nstate_dir: ${{BANKEN_STATE_DIR}}\n{defaults}\nhost: false\n"
            f"probes:\n{health}{process}remedies:\n{remedies}")


def plain(bot, probe, interval, failures, more=""):
    """One probe and one restart, for what monit is compared with: the same interval, failures in a row and timeout. What monit cannot
    be told is how soon to look again after a failure."""
    retry = min(250 * interval, 1000)
    return (f"listen: ${{BANKEN_LISTEN}}\nstate_dir: ${{BANKEN_STATE_DIR}}\nhost: false\n"
            f"defaults: {{ interval: {interval}s, retry_interval: {retry}ms, timeout: 1s, failure_threshold: {failures} }}\n"
            f"probes:\n  - {{ name: bot, {probe} }}\n"
            f"remedies:\n  - {{ name: restart, when: {{ probe: bot }}, armed: true, {more}"
            f"steps: [ {{ service_restart: {{ {bot.restart_block()} }} }} ] }}\n")


class Banken:
    """With a folder of state of its own, so that what an earlier run did holds nothing back."""

    def __init__(self, config, bot, binary):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banken-", dir=bot.folder))
        (self.folder / "banken.yml").write_text(config)
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BANKEN_")}
        environment |= {"BANKEN_LISTEN": f"127.0.0.1:{self.port}", "BANKEN_STATE_DIR": str(self.folder / "state"), "BANKEN_ARMED": "true",
                        "BOT_DIR": str(bot.folder), "BOT_LOGS": str(bot.folder / "logs"), "PM2_HOME": str(bot.folder / "pm2")}
        log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([binary, "--config", self.folder / "banken.yml"], env=environment, stdout=log, stderr=log)

    def until_watching(self):
        def look():
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            return all(check["status"] == "healthy" for name, check in self.checks().items() if name not in ("host", "memory"))
        until("Banken finds everything healthy", look, 90)

    def checks(self):
        try:
            with OPENER.open(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=5) as answer:
                return json.load(answer)["checks"]
        except OSError:
            return {"": {"status": "none"}}

    def journal(self):
        try:
            lines = (self.folder / "state/remedies/journal.jsonl").read_text().splitlines(keepends=True)
        except OSError:
            return []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def end(self, keep=False):
        self.process.terminate()
        self.process.wait(30)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Monit:
    """Debian's monit, in the foreground, with the same scripts."""

    def __init__(self, check, poll, bot):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="monit-", dir=bot.folder))
        config = self.folder / "monitrc"
        config.write_text(f"set daemon {poll}\nset pidfile {self.folder}/pid\nset idfile {self.folder}/id\nset statefile {self.folder}/state\n{check}\n")
        config.chmod(0o600)
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["monit", "-I", "-c", str(config)], stdout=log, stderr=log)

    def until_watching(self):
        until("monit watches", lambda: "Starting Monit" in self.log.read_text() or self.process.poll() is not None)
        # Its first cycle begins at once, and is soon over.
        time.sleep(0.5)
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text())

    def end(self, keep=False):
        self.process.terminate()
        self.process.wait(30)


def monit_server(bot):
    scripts = "".join(f'  {verb} program = "{bot.folder}/{verb}-dashboard.sh"\n' for verb in ("start", "stop", "restart"))
    test = f'  if failed port {bot.port} protocol http request "/" with timeout 1 second for 3 cycles then restart\n'
    return f"check host dashboard with address 127.0.0.1\n{scripts}{test}"


def monit_process(bot, more=""):
    scripts = "".join(f'  {verb} program = "{bot.folder}/{verb}-dashboard.sh"\n' for verb in ("start", "stop", "restart"))
    return f"check process dashboard with pidfile {bot.folder}/dashboard.pid\n{scripts}{more}"
