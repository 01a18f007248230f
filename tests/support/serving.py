"""gunicorn as in production, on a free port and with `FACADE_` settings alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from fhir_facade.app import Facade, build
from fhir_facade.settings import load
from tests.support.demo import ROOT, free_port
from tests.support.processes import command_line, descendants, end_all, wait_gone

START_SECONDS = 60.0
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz-a-test-of-serving"


def facade_environment(folder: Path, port: int, **settings: str) -> dict[str, str]:
    """Settings of a server whose state is in `folder`; `settings` without the prefix."""
    given = {
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "BIND": f"127.0.0.1:{port}",
        "DATABASE_URL": f"sqlite:///{folder}/mirror.db",
        "AUTH_DATABASE_URL": f"sqlite:///{folder}/auth.db",
        "FILES_URL": f"file:{folder}/files",
        "SECRET_KEYS": SECRET,
        "TENANTS__ACME__NAME": "Acme Imaging",
        "TENANTS__ACME__TIMEZONE": "Australia/Sydney",
        "DRAIN_SECONDS": "20",
        **settings,
    }
    return {f"FACADE_{name}": value for name, value in given.items()}


@dataclass
class Server:
    """One gunicorn with its worker; started as often as asked, on the same state."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = facade_environment(self.folder, self.port, **self.settings)
        self.log = self.folder / "server.log"
        self.http = requests.Session()
        self.http.trust_env = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def master(self) -> int:
        assert self.process is not None
        return self.process.pid

    def facade(self) -> Facade:
        """The parts, in this process, to fill the tables with."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith("FACADE_")}
        return build(load({**plain, **self.environment}), check=False)

    def spawn(self, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command with these settings; its output goes to the log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command with these settings to its end."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, **more: str) -> None:
        """Start gunicorn and wait until it answers."""
        command = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application")
        self.process = self.spawn(*command, **more)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.http.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-3000:]}")

    def web_workers(self) -> list[int]:
        """The processes that answer requests."""
        return [pid for pid in descendants(self.master) if "gunicorn" in command_line(pid)]

    def worker(self) -> int | None:
        """The process that keeps exports and syncs running."""
        found = [p for p in descendants(self.master) if "fhir_facade.cli worker" in command_line(p)]
        return found[0] if found else None

    def worker_children(self) -> list[int]:
        """The processes that run exports and syncs."""
        worker = self.worker()
        below = [] if worker is None else descendants(worker)
        return [pid for pid in below if "multiprocessing-fork" in command_line(pid)]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and whatever did not stop with it."""
        self.http.close()
        if self.process is None:
            return
        below = descendants(self.master)
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            end_all(wait_gone(below, 5))
