"""What `repairs.py` breaks: the three processes of a bot, kept by plain scripts, PM2, supervisor, systemd or Docker.

Everything is started by its own path below a temporary folder, so that a process is found, and ended, by that path alone.
"""
import ctypes
import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3"
SCRIPTS = ("dashboard", "system_guardian", "health_monitor")
APPS = dict(zip(SCRIPTS, ("crypto-dashboard", "crypto-guardian", "crypto-health")))

# Serves a page and a ticker. `broken` beside it: it ends at once, as often as that says. `start_seconds`: it takes so long to
# listen. `deaf`: it answers with errors. SIGUSR1: it takes 80 MiB. SIGUSR2: it gives them back, unless `leaks` is there.
DASHBOARD = '''
import os, signal, socket, sys, time
folder, held = os.path.dirname(os.path.abspath(sys.argv[0])), []
def text(name):
    try:
        return open(os.path.join(folder, name)).read().strip()
    except OSError:
        return ""
left = text("broken")
if left:
    if left.isdigit() and int(left) > 0:
        open(os.path.join(folder, "broken"), "w").write(str(int(left) - 1) if int(left) > 1 else "")
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGINT, lambda *_: os._exit(0))
signal.signal(signal.SIGUSR1, lambda *_: held.append(bytearray(b"x" * (80 << 20))))
signal.signal(signal.SIGUSR2, lambda *_: text("leaks") or held.clear())
time.sleep(float(text("start_seconds") or 0))
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(64)
while True:
    peer, _ = listener.accept()
    try:
        peer.settimeout(1)
        asked = peer.recv(4096)
        page = b'{"current_price": 41.5}' if b"/api/" in asked else b"<html><title>bot</title></html>"
        status = b"500 Internal Server Error" if text("deaf") else b"200 OK"
        peer.sendall(b"HTTP/1.1 " + status + b"\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(page) + page)
    except OSError:
        pass
    peer.close()
'''
GUARD = "import time\nwhile True:\n    time.sleep(60)\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


SIGNALLED = set()
PR_SET_CHILD_SUBREAPER = 36


def take_orphans():
    """Whoever is left behind by a script becomes a child of ours: the init of a container may be slow to bury them, and monit waits
    for that."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury():
    for pid in list(SIGNALLED):
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                SIGNALLED.discard(pid)
        except ChildProcessError:
            # Somebody else's child.
            SIGNALLED.discard(pid)


def until(what, look, patience=30, every=0.02):
    deadline = time.monotonic() + patience
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {patience} s: {what}")
        bury()
        time.sleep(every)


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, timeout=120, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}")
    return done.stdout


def processes(mark):
    """Pids of interpreters that have this among their arguments; what has ended has none."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = open(f"/proc/{entry}/cmdline", "rb").read().split(b"\0")
            except OSError:
                continue
            if os.fsencode(str(mark)) in words and b"python" in words[0]:
                found.append(int(entry))
    return found


def kill(pids, how=signal.SIGKILL):
    for pid in pids:
        SIGNALLED.add(pid)
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            pass


def resident(pid):
    try:
        return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def answers(port, path="/api/ticker/DOGE_JPY", wanted=b"current_price"):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.25) as peer:
            peer.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
            answer = b""
            while chunk := peer.recv(65536):
                answer += chunk
            return b" 200 " in answer[:20] and wanted in answer
    except OSError:
        return False


class Bot:
    """Three processes in a folder, kept by plain scripts. The other managers differ in a few lines each."""

    manager = "argv"
    probes_pm2 = False

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="br-", dir="/tmp"))
        (self.folder / "logs").mkdir()
        self.port = free_port()
        for script in SCRIPTS:
            (self.folder / f"{script}.py").write_text(DASHBOARD if script == "dashboard" else GUARD)
        self.script("free_memory.sh", f'kill -USR2 "$(cat {self.folder}/swollen)"')
        self.prepare()
        self.script("auto_recovery.sh", self.rebuild())
        self.start_all()
        self.until_well()

    def script(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def command(self, script):
        return f"{PYTHON} -S -E {self.folder}/{script}.py {self.port}"

    def prepare(self):
        for script in SCRIPTS:
            pid = self.folder / f"{script}.pid"
            # In the background, and no child of whoever runs this. How often it was started is counted.
            start = f"setsid {self.command(script)} >/dev/null 2>&1 </dev/null &\necho $! > {pid}\necho >> {self.folder}/starts"
            self.script(f"start-{script}.sh", start)
            self.script(f"stop-{script}.sh", f'kill -9 "$(cat {pid})" 2>/dev/null\ntrue')
            self.script(f"restart-{script}.sh", f"{self.folder}/stop-{script}.sh\nexec {self.folder}/start-{script}.sh")

    def rebuild(self):
        return "\n".join(f"{self.folder}/restart-{script}.sh" for script in SCRIPTS)

    def start_all(self):
        for script in SCRIPTS:
            run(self.folder / f"start-{script}.sh")

    def restart_block(self):
        return f"argv: [ {self.folder}/restart-dashboard.sh ]"

    def pids(self, script="dashboard"):
        return processes(f"{self.folder}/{script}.py")

    def serves(self):
        return answers(self.port)

    def is_well(self):
        # What costs least comes first: this is asked all the time.
        return self.serves() and all(len(self.pids(script)) == 1 for script in SCRIPTS)

    def until_well(self, patience=60):
        until(f"{self.manager} has everything up", self.is_well, patience)

    def kill_all(self):
        kill([pid for script in SCRIPTS for pid in self.pids(script)])

    def end(self):
        self.kill_all()


class Pm2(Bot):
    manager = "PM2"
    probes_pm2 = True
    options = ()

    def program(self):
        tools = sorted((ROOT / "target/tools").glob("pm2-*/node_modules/pm2/bin/pm2"))
        if not tools:
            sys.exit("PM2 is not there: tests/run installs it below target/tools")
        return tools[-1]

    def prepare(self):
        self.home = self.folder / "pm2"
        self.environment = dict(os.environ, PM2_HOME=str(self.home), HOME=str(self.folder))

    def pm2(self, *arguments):
        return run("node", self.program(), *arguments, env=self.environment, cwd=self.folder)

    def start_all(self):
        for script, app in APPS.items():
            self.pm2("start", self.folder / f"{script}.py", "--name", app, "--interpreter", PYTHON, *self.options, "--", self.port)
        self.pm2("save")

    def rebuild(self):
        return f"export HOME={self.folder}\nnode {self.program()} kill >/dev/null 2>&1\nnode {self.program()} resurrect >/dev/null"

    def restart_block(self):
        return f"pm2: crypto-dashboard, home: {self.home}"

    def daemon(self):
        return int((self.home / "pm2.pid").read_text())

    def kill_all(self):
        # As after a restart of the whole machine: the daemon too.
        kill([self.daemon()])
        super().kill_all()

    def end(self):
        self.pm2("kill")
        Bot.kill_all(self)


class Pm2Alone(Pm2):
    """PM2 that does not start anything again by itself."""

    manager = "PM2 (--no-autorestart)"
    options = ("--no-autorestart",)

    def restart_block(self):
        return super().restart_block() + ", start_stopped: true"


class Pm2GivesUp(Pm2):
    """PM2 that gives up an app that has crashed three times in a row."""

    manager = "PM2 (gave up)"
    options = ("--max-restarts", "3")


class Supervisor(Bot):
    manager = "supervisor"

    def prepare(self):
        self.socket = self.folder / "supervisor.sock"
        programs = "".join(
            f"[program:{script}]\ncommand={self.command(script)}\nautorestart=false\nstartsecs=0\nstopwaitsecs=1\n" for script in SCRIPTS)
        (self.folder / "supervisor.conf").write_text(
            f"[supervisord]\nlogfile={self.folder}/supervisor.log\npidfile={self.folder}/supervisor.pid\nchildlogdir={self.folder}\n"
            f"[unix_http_server]\nfile={self.socket}\n[rpcinterface:supervisor]\n"
            f"supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n{programs}")

    def start_all(self):
        run("supervisord", "-c", self.folder / "supervisor.conf")

    def daemon(self):
        return int((self.folder / "supervisor.pid").read_text())

    def rebuild(self):
        return f"rm -f {self.socket} {self.folder}/supervisor.pid\nexec supervisord -c {self.folder}/supervisor.conf"

    def restart_block(self):
        return f"supervisor: {{ program: dashboard, socket: {self.socket} }}"

    def kill_all(self):
        kill([self.daemon()])
        super().kill_all()


class Chamber:
    """A chamber with its own processes, mounts and control groups; the scripts are those of the tests."""

    def __init__(self, command, environment, log):
        source = (ROOT / "tests/system/chamber.rs").read_text()
        groups, inside = (re.search(rf'const {name}: &str = r#"(.*?)"#;', source, re.S).group(1) for name in ("GROUPS", "INSIDE"))
        self.log = pathlib.Path(log)
        with open(log, "wb") as file:
            self.process = subprocess.Popen(["sh", "-c", groups, "sh", *map(str, command)], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                            env=dict(os.environ, inside=inside, **environment))

    def end(self):
        self.process.kill()
        self.process.wait()
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("group "):
                folder = line.removeprefix("group ")
                deadline = time.monotonic() + 10
                while os.path.exists(folder) and time.monotonic() < deadline:
                    for below, _, _ in os.walk(folder, topdown=False):
                        try:
                            os.rmdir(below)
                        except OSError:
                            pass
                    time.sleep(0.05)


class SystemdManager:
    """A systemd of its own with a bus, for all bots together."""

    BUS_CONFIG = ('<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
                  '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd"><busconfig><type>session</type>'
                  '<listen>unix:path={0}</listen><auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" '
                  'eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>')
    UNITS = {
        "default.target": "Wants=dbus.socket dbus.service\n",
        "dbus.socket": "[Socket]\nListenStream=%t/bus\n",
        "dbus.service": "Requires=dbus.socket\n[Service]\nType=notify\nExecStart=dbus-daemon --config-file=%t/bus.conf --address=systemd: "
                        "--nofork --nopidfile --systemd-activation\n",
    }
    BEFORE = ('umask 0 && mount --make-rshared / && mkdir -p /run/systemd/inaccessible && touch /run/systemd/inaccessible/reg && '
              'chmod 0 /run/systemd/inaccessible/reg && mkdir -m 0 /run/systemd/inaccessible/dir && exec "$0" "$@"')

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="br-systemd-", dir="/tmp"))
        for name in ("units", "run"):
            (self.folder / name).mkdir()
        for name, text in self.UNITS.items():
            self.unit(name, text)
        (self.folder / "run/bus.conf").write_text(self.BUS_CONFIG.format(self.folder / "run/bus"))
        environment = {"XDG_RUNTIME_DIR": str(self.folder / "run"), "SYSTEMD_UNIT_PATH": str(self.folder / "units"), "HOME": str(self.folder)}
        manager = next(path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if os.path.exists(path))
        self.chamber = Chamber(["sh", "-c", self.BEFORE, manager, "--user", "--log-target=console"], environment, self.folder / "log")
        self.bus = f"unix:path={self.folder}/run/bus"
        until("systemd answers", self.is_there)

    def is_there(self):
        if self.chamber.process.poll() is not None:
            raise RuntimeError(self.chamber.log.read_text(errors="replace")[-500:])
        try:
            return self.tell("Reload") or True
        except RuntimeError:
            return False

    def unit(self, name, text):
        (self.folder / "units" / name).write_text(f"[Unit]\nDefaultDependencies=no\n{text}")

    def tell(self, method, *arguments):
        return run("busctl", f"--address={self.bus}", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                   "org.freedesktop.systemd1.Manager", method, *arguments)

    def end(self):
        self.chamber.end()


class Systemd(Bot):
    manager = "systemd"

    def __init__(self, shared):
        self.shared = shared
        super().__init__()

    def name(self, script):
        return f"{self.folder.name}-{script.replace('_', '-')}.service"

    def prepare(self):
        for script in SCRIPTS:
            self.shared.unit(self.name(script), f"StartLimitIntervalSec=0\n[Service]\nExecStart={self.command(script)}\nTimeoutStopSec=1s\n")
        self.shared.tell("Reload")

    def start_all(self):
        for script in SCRIPTS:
            self.shared.tell("StartUnit", "ss", self.name(script), "replace")

    def rebuild(self):
        start = f"busctl --address={self.shared.bus} call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
        return "\n".join(f"{start} RestartUnit ss {self.name(script)} replace" for script in SCRIPTS)

    def restart_block(self):
        return f"systemd: {self.name('dashboard')}, bus: '{self.shared.bus}'"


class Dockerd:
    """A Docker daemon of its own, for all bots together. Its containers are in our network, and use our /usr."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="br-docker-", dir="/tmp"))
        (self.folder / "daemon.json").write_text("{}")
        self.socket = self.folder / "socket"
        command = ["dockerd", "--config-file", self.folder / "daemon.json", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
                   "--pidfile", self.folder / "pid", "--host", f"unix://{self.socket}", "--bridge=none", "--iptables=false",
                   "--ip-forward=false", "--storage-driver=vfs"]
        self.chamber = Chamber(command, {}, self.folder / "log")
        until("Docker answers", self.is_there, 60)
        image = self.folder / "image.tar"
        with tarfile.open(image, "w") as tar:
            for name in ("usr", "tmp", "proc", "dev", "sys", "etc"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            for name in ("bin", "lib", "lib64", "sbin"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tar.addfile(entry, io.BytesIO())
        self.docker("import", image, "bot")

    def is_there(self):
        if self.chamber.process.poll() is not None:
            raise RuntimeError(self.chamber.log.read_text(errors="replace")[-500:])
        try:
            return self.docker("version")
        except RuntimeError:
            return False

    def docker(self, *arguments):
        return run("docker", "-H", f"unix://{self.socket}", *arguments, env=dict(os.environ, DOCKER_CONFIG=str(self.folder)))

    def end(self):
        self.chamber.end()


class Docker(Bot):
    manager = "Docker"

    def __init__(self, shared):
        self.shared = shared
        super().__init__()

    def name(self, script):
        return f"{self.folder.name}-{script}"

    def prepare(self):
        pass

    def start_all(self):
        for script in SCRIPTS:
            self.shared.docker("run", "-d", "--name", self.name(script), "--network", "host", "--log-driver", "none", "-v", "/usr:/usr:ro",
                               "-v", f"{self.folder}:{self.folder}", "bot", *self.command(script).split())

    def rebuild(self):
        names = " ".join(self.name(script) for script in SCRIPTS)
        return f"export DOCKER_CONFIG={self.folder}\nexec docker -H unix://{self.shared.socket} restart -t 1 {names}"

    def restart_block(self):
        return f"container: {self.name('dashboard')}, socket: {self.shared.socket}, stop_within: 1s"
