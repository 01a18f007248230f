"""How the facade runs under gunicorn: its settings, and the worker process that gunicorn's master
keeps alive.

Exports and syncs run in processes of their own, never in a thread of a web worker. The master
starts
`fhir-facade worker` once it listens (`when_ready`) and again whenever it has died; leases make
that safe on several hosts. The worker ends itself when its parent is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from fhir_facade import audit
from fhir_facade.errors import SettingsError
from fhir_facade.settings import load
from fhir_facade.telemetry import log

RESTART_SECONDS = 1.0


class WorkerKeeper:
    """Starts the worker command and starts it again when it ends, until stopped."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)
        self._owner = os.getpid()

    def start(self) -> None:
        """Start keeping; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the worker: SIGTERM, and SIGKILL after `timeout` seconds. Does nothing in a forked
        child.
        """
        if os.getpid() != self._owner:
            return
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.join(timeout=RESTART_SECONDS + 1)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(self._command)  # noqa: S603  our own command
            # gunicorn's master reaps every child; poll() then sees ECHILD and reports an end.
            while not self._stopping.is_set() and self._process.poll() is None:
                self._stopping.wait(RESTART_SECONDS)
            if not self._stopping.is_set():
                log("serving").warning("worker.ended", restart_seconds=RESTART_SECONDS)
                self._stopping.wait(RESTART_SECONDS)


def worker_command() -> list[str]:
    """The command line of the worker process."""
    return [sys.executable, "-m", "fhir_facade.cli", "worker", "--parent", str(os.getpid())]


def gunicorn_settings() -> dict[str, Any]:
    """Settings and hooks of gunicorn.conf.py; a bad setting ends the start with one sentence."""
    try:
        settings = load()
    except SettingsError as error:
        sys.exit(error.text)
    keepers: list[WorkerKeeper] = []

    def when_ready(_server: object) -> None:
        keeper = WorkerKeeper(worker_command())
        keepers.append(keeper)
        keeper.start()

    def on_exit(_server: object) -> None:
        for keeper in keepers:
            keeper.stop(settings.drain_seconds)

    def post_fork(_server: object, _worker: object) -> None:
        keepers.clear()

    def worker_exit(_server: object, _worker: object) -> None:
        audit.close_all()

    return {
        "bind": settings.bind,
        "workers": settings.web_workers,
        "threads": settings.web_threads,
        "worker_class": "fhir_facade.web_worker.WebWorker",
        "graceful_timeout": settings.drain_seconds,
        "timeout": 120,
        "keepalive": 75,
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108
        "control_socket_disable": True,
        "accesslog": None,  # request lines carry query values
        "loglevel": settings.log_level,
        "limit_request_line": 8190,
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "when_ready": when_ready,
        "on_exit": on_exit,
        "post_fork": post_fork,
        "worker_exit": worker_exit,
    }


def end_with_parent(parent: int, stop: threading.Event) -> threading.Thread:
    """Set `stop` when the process `parent` is no longer ours: a killed master must not leave
    workers behind.
    """

    def watch() -> None:
        while not stop.wait(1.0):
            if os.getppid() != parent:
                stop.set()
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
