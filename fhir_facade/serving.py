"""How the facade runs under gunicorn: its settings, and the worker process that gunicorn's master
keeps alive.

Exports and syncs run in processes of their own, never in a thread of a web worker. The master
starts `fhir-facade worker` once it listens, and again whenever it has died; leases make that safe
on several hosts. The worker ends itself when its parent is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from fhir_facade import audit, telemetry
from fhir_facade.errors import FacadeError, SettingsError
from fhir_facade.settings import Settings, load
from fhir_facade.telemetry import log

RESTART_SECONDS = 1.0


class WorkerKeeper:
    """Starts the worker command, and starts it again when it ends, until stopped.

    `look` must be called every second or so by the thread that forks web workers: one forked while
    another thread starts a process would inherit its pipes and block it.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -RESTART_SECONDS
        self._stopping = False

    def look(self) -> None:
        """Start the worker when it does not run, but once in RESTART_SECONDS at most."""
        if self._stopping or os.getpid() != self._owner:
            return
        # gunicorn's master reaps every child; poll() then sees ECHILD and reports an end.
        if self._process is not None and self._process.poll() is None:
            return
        if time.monotonic() - self._started < RESTART_SECONDS:
            return
        if self._process is not None:
            log("serving").warning("worker.ended")
        self._process = subprocess.Popen(self._command)  # noqa: S603  our own command
        self._started = time.monotonic()

    def restart(self) -> None:
        """End the worker, so that the next look starts one that reads the settings anew."""
        self._terminate()

    def begin_stop(self) -> None:
        """Tell the worker to end and start none any more; returns at once."""
        self._stopping = True
        self._terminate()

    def stop(self, timeout: float) -> None:
        """As `begin_stop`, and wait: SIGKILL after `timeout` seconds."""
        self.begin_stop()
        if self._process is None or os.getpid() != self._owner:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _terminate(self) -> None:
        mine = os.getpid() == self._owner
        if mine and self._process is not None and self._process.poll() is None:
            self._process.terminate()


def keep_worker(server: Any, keeper: WorkerKeeper) -> None:
    """Have gunicorn's master look after the worker.

    There is no hook for every turn of its loop nor for the start of a shutdown, so two of its
    methods are wrapped: exports and web requests then drain at the same time.
    """
    manage_workers, stop = server.manage_workers, server.stop

    def manage_and_look() -> None:
        manage_workers()
        keeper.look()

    def stop_both(graceful: bool = True) -> None:
        keeper.begin_stop()
        stop(graceful)

    server.manage_workers = manage_and_look
    server.stop = stop_both
    server.worker_keeper = keeper


def worker_command() -> list[str]:
    """The command line of the worker process."""
    return [sys.executable, "-m", "fhir_facade.cli", "worker", "--parent", str(os.getpid())]


def gunicorn_settings() -> dict[str, Any]:
    """Settings and hooks of gunicorn.conf.py; a bad setting ends the start with one sentence."""
    try:
        settings = load()
    except SettingsError as error:
        sys.exit(error.text)
    telemetry.configure(settings.log_level)

    def on_starting(_server: object) -> None:
        _check(settings)

    def when_ready(server: Any) -> None:
        keep_worker(server, WorkerKeeper(worker_command()))

    def on_reload(server: Any) -> None:
        server.worker_keeper.restart()

    def on_exit(server: Any) -> None:
        keeper: WorkerKeeper | None = getattr(server, "worker_keeper", None)
        if keeper is not None:
            keeper.stop(settings.drain_seconds)

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
        "umask": 0o077,  # databases and export files hold patients' data
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "on_starting": on_starting,
        "when_ready": when_ready,
        "on_reload": on_reload,
        "on_exit": on_exit,
        "worker_exit": worker_exit,
    }


def _check(settings: Settings) -> None:
    """End the start with one sentence when the parts cannot be put together or the tables are not
    current. In a web worker that would be too late: gunicorn would start another, for ever.
    """
    from fhir_facade.app import build

    try:
        build(settings).close()
    except FacadeError as error:
        sys.exit(error.text)


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
