"""Servers that a proof starts on free ports of the loopback address, and what it asks of them."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

PATIENCE = 120.0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ends_with_us():
    """Called in a process that is started: it is killed when this program is, even by a signal that nobody can catch."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def get(url, data=None, method=None, timeout=30):
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def eventually(what, condition, patience=PATIENCE):
    """Asks again and again until the condition gives something true."""
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            if answer := condition():
                return answer
        if time.monotonic() > until:
            raise TimeoutError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.2)


def tool(name):
    """A program of PATH, or of the newest PostgreSQL, which Debian keeps outside of it."""
    candidates = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(candidates[-1]) if candidates else shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if not found:
        raise FileNotFoundError(f"{name} is not installed: apt-get install prometheus postgresql-15 redis-server dnsmasq-base")
    return found


class Empty:
    """A Prometheus that scrapes nobody."""

    def __init__(self):
        self.folder, self.port = tempfile.mkdtemp(prefix="banken-empty-"), free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        config = pathlib.Path(self.folder) / "prometheus.yml"
        config.write_text("global: { scrape_interval: 1h }\n")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={self.folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=ends_with_us)
        eventually("Prometheus is ready", lambda: get(f"{self.url}/-/ready"))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)
