#!/usr/bin/env python3
"""The stage on which dashboards are proved: a Banken that watches a simulated trading service, PostgreSQL, Redis and this host, some of
it broken on purpose, and a Prometheus with the alert rules of this repository.

Everything listens on free ports of the loopback address, lives in one temporary folder, and ends with the `with` block. Only
Debian's packages are needed: prometheus, postgresql-15, redis-server, dnsmasq-base.

    python3 grafana/stage.py --banken target/debug/banken       # stays until Ctrl-C, says where everything is
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse

from proof.servers import PATIENCE, ends_with_us, eventually, free_port, get, tool

HERE = pathlib.Path(__file__).resolve().parent
RULES = HERE.parent / "alert-rules"

# Who is broken, and how: `settlement`, whose service goes away, and `reports`, which depends on it.
PROBES = """\
  - { name: database, group: databases, interval: 1s, postgres: { url: 'postgres://banken:monitor@127.0.0.1:%(postgres)d/app', slow: 50ms,
      queries: [ { name: orders, sql: 'select status, count(*) from orders group by status', labels: [status] } ] },
      thresholds: { connections: { warning: 80%%, critical: 90%% }, replication_lag: { warning: 10s }, query: { warning: 30s },
                    size: { warning: 1GiB } } }
  - { name: standby, group: databases, interval: 1s, postgres: { url: 'postgres://banken:monitor@127.0.0.1:%(standby)d/app' },
      thresholds: { replication_lag: { warning: 10s, critical: 1m } } }
  - { name: cache, group: databases, interval: 1s, redis: { address: '127.0.0.1:%(redis)d' },
      thresholds: { memory_ratio: { warning: 80%% }, clients: { warning: 80%% }, memory: { warning: 64MiB } } }
  - { name: cache-replica, group: databases, interval: 1s, redis: { address: '127.0.0.1:%(replica)d' },
      thresholds: { replication_lag: { warning: 15s } } }
  - { name: backup, group: backups, interval: 2s, file: { path: '%(folder)s/backup-*.dump' } }
  - { name: name-server, group: edge, interval: 2s, dns: { name: exchange.test, server: '127.0.0.1:%(dns)d' } }
  - name: journey
    group: bot
    http:
      steps:
        - { name: page, url: 'http://127.0.0.1:%(demo)d/' }
        - { name: price, url: 'http://127.0.0.1:%(demo)d/api/ticker/DOGE_JPY' }
  - { name: settlement, group: broken, interval: 1s, http: { url: 'http://127.0.0.1:%(settlement)d/' } }
  - { name: reports, group: broken, interval: 1s, depends_on: [ settlement ], http: { url: 'http://127.0.0.1:%(settlement)d/?reports' } }
"""

# One that acts and sees it recover, and one in dry run. What is done does not matter to a dashboard.
REMEDIES = """\
remedies:
  - { name: renew-ticker, when: { probe: ticker }, armed: true, start_grace: 20s, steps: [ { command: { argv: [ /bin/true ] } } ] }
  - { name: restart-settlement, when: { probe: settlement }, steps: [ { command: { argv: [ /bin/true ] } } ] }
"""

SECOND = """\
listen: 127.0.0.1:%(second)d
host: { interval: 1s }
defaults: { interval: 1s, retry_interval: 1s, timeout: 3s }
probes:
  - { name: first-banken, group: edge, http: { url: 'http://127.0.0.1:%(banken)d/healthz' } }
  - { name: first-process, process: { cmdline: 'banken.*%(folder)s/banken.yml' } }
"""

# What not every machine has: raw sockets, and a plugin of Nagios.
PLUGIN = pathlib.Path("/usr/lib/nagios/plugins/check_load")
SOMETIMES = {
    "icmp": (os.geteuid() == 0, "  - { name: loopback, group: edge, interval: 1s, icmp: { host: 127.0.0.1, count: 2 } }\n"),
    "plugin": (PLUGIN.exists(), f"  - {{ name: load, interval: 1s, command: {{ argv: [ {PLUGIN}, -w, '90,90,90', -c, '99,99,99' ], format: nagios }} }}\n"),
}

PROMETHEUS = """\
global: { scrape_interval: %(scrape)ds, scrape_timeout: %(scrape)ds, evaluation_interval: 2s }
rule_files: [ '%(folder)s/rules/*.yml' ]
scrape_configs:
  - { job_name: banken, static_configs: [ { targets: [ '127.0.0.1:%(banken)d', '127.0.0.1:%(second)d' ] } ] }
  - { job_name: prometheus, static_configs: [ { targets: [ '127.0.0.1:%(prometheus)d' ] } ] }
"""

DATABASE = """\
create role banken login password 'monitor'; grant pg_monitor to banken;
create role replicator replication login password 'monitor';
"""
TABLES = """\
create extension pg_stat_statements;
create table orders (status text, n int);
insert into orders select 'open', i from generate_series(1, 400) as i;
insert into orders select 'paid', i from generate_series(1, 1600) as i;
delete from orders where n % 10 = 0; vacuum orders; delete from orders where n % 11 = 0;
grant select on orders to banken;
select pg_sleep(0.1);
"""


class Stage:
    def __init__(self, banken, rules=RULES, scrape=1):
        self.banken_binary, self.rules = str(pathlib.Path(banken).resolve()), pathlib.Path(rules)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banken-stage-"))
        self.folder.chmod(0o755)
        names = "banken second prometheus postgres standby redis replica settlement dns demo tls control"
        self.ports = {name: free_port() for name in names.split()}
        (self.folder / "rules").mkdir()
        self.processes, self.words = [], {**self.ports, "folder": str(self.folder), "scrape": scrape}
        self.ended = threading.Event()
        self.scenarios = {"healthy", "broken", "outage", "remedies"} | {name for name, (possible, _) in SOMETIMES.items() if possible}
        # PostgreSQL refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

    @property
    def prometheus(self):
        return f"http://127.0.0.1:{self.ports['prometheus']}"

    def __enter__(self):
        try:
            for step in (self.databases, self.service, self.watchers, self.metrics):
                step()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.ended.set()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT if "postgres" in process.args[0] else signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *command, **more):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       preexec_fn=ends_with_us, **more)
        self.processes.append(process)
        return process

    def run(self, *command, **more):
        return subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=PATIENCE, text=True, **more).stdout

    def sql(self, statements, database="postgres"):
        command = [tool("psql"), "-h", "127.0.0.1", "-p", self.ports["postgres"], "-U", "postgres", "-qtAX", "-v", "ON_ERROR_STOP=1"]
        # One statement a command: some of them cannot stand in a transaction together.
        parts = [part for statement in statements.split(";") if statement.strip() for part in ("-c", statement)]
        return self.run(*command, "-d", database, *parts, cwd="/")

    def databases(self):
        home = self.folder / "postgres"
        home.mkdir()
        if self.user:
            shutil.chown(home, "postgres", "postgres")
        run = lambda *command, **more: self.run(*command, cwd=home, **self.user, **more)
        run(tool("initdb"), "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = ["fsync=off", "wal_level=replica", "listen_addresses=127.0.0.1", f"unix_socket_directories={home}",
                    "shared_preload_libraries=pg_stat_statements", "max_connections=20", "shared_buffers=16MB"]
        options = [part for setting in settings for part in ("-c", setting)]
        self.start("postgres", tool("postgres"), "-D", home / "data", "-p", self.ports["postgres"], *options, cwd=home, **self.user)
        eventually("PostgreSQL takes connections", lambda: self.sql("select 1"))
        self.sql(DATABASE + "create database app")
        self.sql(TABLES, "app")
        run(tool("pg_basebackup"), "-h", "127.0.0.1", "-p", self.ports["postgres"], "-U", "replicator", "-D", home / "standby", "-R",
            "--checkpoint=fast")
        self.start("standby", tool("postgres"), "-D", home / "standby", "-p", self.ports["standby"], *options, cwd=home, **self.user)
        redis = [tool("redis-server"), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "3600 1"]
        self.start("redis", *redis, "--port", self.ports["redis"], "--maxmemory", "64mb", "--dbfilename", "one.rdb")
        self.start("replica", *redis, "--port", self.ports["replica"], "--replicaof", "127.0.0.1", self.ports["redis"], "--dbfilename",
                   "two.rdb")
        self.start("dns", tool("dnsmasq"), "--keep-in-foreground", f"--port={self.ports['dns']}", "--listen-address=127.0.0.1",
                   "--bind-interfaces", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=",
                   "--address=/exchange.test/192.0.2.7")
        (self.folder / "backup-1.dump").write_text("the newest backup")
        threading.Thread(target=self.traffic, daemon=True).start()

    def traffic(self):
        """Some life in the databases: a key that is there, one that is not, one that expires; a statement and an open transaction."""
        turn = 0
        while not self.ended.wait(1.0):
            turn += 1
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                with socket.create_connection(("127.0.0.1", self.ports["redis"]), timeout=2) as connection:
                    connection.sendall(b"SET price 1\r\nGET price\r\nGET nothing\r\nNONSENSE\r\n" + b"SET key:%d 1 EX 2\r\n" % turn)
                    connection.recv(4096)
                self.sql("begin; update orders set n = n + 1 where n < 20; select pg_sleep(0.3); commit", "app")

    def service(self):
        port = self.ports
        address = lambda name: f"127.0.0.1:{port[name]}"
        self.demo = [self.banken_binary, "demo", "--listen", address("demo"), "--tls-listen", address("tls"), "--control", address("control"),
                     "--dir", self.folder / "demo", "--cycle", "3s"]
        config = self.run(*self.demo, "--watch-listen", address("banken"), "--print-config")
        for old, new in (("interval: 5s", "interval: 1s"), ("interval: 30s", "interval: 5s"), ("interval: 1m", "interval: 5s"),
                         ("every: 20s", "every: 3s"), ("grace: 10s", "grace: 20s")):
            if old not in config:
                raise ValueError(f"the configuration of the demo has no {old!r} any more")
            config = config.replace(old, new)
        before, after = config.split("\nlogs:\n")
        here = "".join(SOMETIMES[name][1] for name in sorted(self.scenarios & set(SOMETIMES)))
        (self.folder / "banken.yml").write_text(f"{before}\n{PROBES % self.words}{here}logs:\n{after}{REMEDIES}")
        (self.folder / "second.yml").write_text(SECOND % self.words)
        jobs = f"http://{address('banken')}/api/v1/jobs/continuous-processing"
        self.start("demo", *self.demo, "--jobs-url", jobs)
        self.mortal = self.start("settlement", sys.executable, "-m", "http.server", self.ports["settlement"], "--bind", "127.0.0.1", "--directory",
                                 self.folder / "rules")
        eventually("the demo answers", lambda: get(f"http://{address('demo')}/"))

    def watchers(self):
        for name in ("banken", "second"):
            self.start(name, self.banken_binary, "run", "--config", self.folder / f"{name}.yml")
            eventually(f"{name} is ready", lambda: get(f"http://127.0.0.1:{self.ports[name]}/readyz"))
        self.fault("log_errors", "")

    def metrics(self):
        rules = self.folder / "rules"
        for file in self.rules.glob("*.yml"):
            # Groups that are evaluated every few minutes: nobody waits so long here. Their windows stay as they are.
            (rules / file.name).write_text(re.sub(r"^( +interval:) \d+m$", r"\1 4s", file.read_text(), flags=re.M))
        (self.folder / "prometheus.yml").write_text(PROMETHEUS % self.words)
        self.start("prometheus", tool("prometheus"), f"--config.file={self.folder}/prometheus.yml",
                   f"--storage.tsdb.path={self.folder}/tsdb", f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}")
        eventually("Prometheus is ready", lambda: get(f"{self.prometheus}/-/ready"))

    def fault(self, name, query, method="PUT"):
        get(f"http://127.0.0.1:{self.ports['control']}/demo/{name}{query}", method=method)

    def query(self, expression):
        data = urllib.parse.urlencode({"query": expression}).encode()
        return json.loads(get(f"{self.prometheus}/api/v1/query", data))["data"]["result"]

    def until(self, expression):
        return eventually(expression, lambda: self.query(expression))

    def settle(self):
        """Until what is broken has alerted, one incident is over, and rates have two samples and more."""
        for probe in ("ticker", "settlement"):
            self.until(f'banken:probe_incidents:sampled{{probe="{probe}"}} == 0 and banken_probe_healthy{{probe="{probe}"}} == 1')
        self.fault("error", "?value=500&for=8s")
        self.mortal.kill()
        # What counts alerts looks at whole minutes.
        down = 'ALERTS{alertname="BankenProbeDown",probe="settlement",alertstate="firing"}'
        self.until(f"count_over_time(({down} unless {down} offset 1m)[5m:1m]) > 0")
        self.until('banken_probe_incidents_total{probe="ticker"} > 0 and banken_probe_healthy{probe="ticker"} == 1')
        self.until('banken_remedy_recovery_seconds_count{remedy="renew-ticker"} > 0')
        self.until('sum by (remedy) (increase(banken_remedy_suppressed_total{remedy="restart-settlement"}[1m])) > 0')
        self.until('increase(banken_job_run_seconds_count{task="continuous-processing"}[5m]) > 0')
        self.until('banken_postgres_replication_lag_seconds{probe="standby"} >= 0')
        self.until(f'count_over_time(up{{job="banken"}}[2m]) * {self.words["scrape"]} > 45')
        self.until("banken:probe_availability_ratio:365d")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--banken", required=True, help="the binary")
    parser.add_argument("--rules", default=RULES, help="the folder of alert rules")
    parser.add_argument("--scrape", type=int, default=1, help="the scrape interval in seconds; default 1")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Stage(arguments.banken, arguments.rules, arguments.scrape) as stage:
        print(json.dumps({"url": stage.prometheus, "folder": str(stage.folder), **stage.ports}), flush=True)
        stage.settle()
        print("settled", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
