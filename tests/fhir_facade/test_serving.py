"""The keeper of the worker, in the loop of a master that reaps its children itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fhir_facade import serving
from fhir_facade.serving import WorkerKeeper, keep_worker, worker_command
from tests.support.processes import alive, descendants, wait_for


def sleeper(folder: Path) -> list[str]:
    code = f"import os, time; open(r'{folder}/' + str(os.getpid()), 'w').close(); time.sleep(60)"
    return [sys.executable, "-c", code]


def started(folder: Path, count: int) -> list[int]:
    """Ids of the processes once so many have started."""
    wait_for(lambda: len(list(folder.iterdir())) >= count, 20, f"{count} did not start")
    return sorted((int(one.name) for one in folder.iterdir()), key=lambda pid: -alive(pid))


def reap() -> None:
    """As gunicorn's master does."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


def look_until(keeper: WorkerKeeper, done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        keeper.look()
        time.sleep(0.02)


def test_a_worker_that_ended_is_started_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(serving, "RESTART_SECONDS", 0.2)
    keeper = WorkerKeeper(sleeper(tmp_path))
    try:
        keeper.look()
        [first] = started(tmp_path, 1)
        keeper.look()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not alive(first), 5, "it lives")
        reap()
        look_until(keeper, lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        keeper.stop(5)
    keeper.look()
    assert not [pid for pid in started(tmp_path, 2) if alive(pid)]


def test_a_restart_ends_the_one_that_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(serving, "RESTART_SECONDS", 0.2)
    keeper = WorkerKeeper(sleeper(tmp_path))
    try:
        keeper.look()
        [first] = started(tmp_path, 1)
        keeper.restart()
        look_until(keeper, lambda: len(list(tmp_path.iterdir())) == 2)
        assert not alive(first)
    finally:
        keeper.stop(5)


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open(r'{tmp_path}/' + str(os.getpid()), 'w').close(); time.sleep(60)"
    )
    keeper = WorkerKeeper([sys.executable, "-c", code])
    keeper.look()
    [pid] = started(tmp_path, 1)
    keeper.stop(0.2)
    assert not alive(pid)


def test_a_worker_that_ends_at_once_is_not_started_in_a_hurry(tmp_path: Path) -> None:
    keeper = WorkerKeeper([sys.executable, "-c", "raise SystemExit(1)"])
    others = set(descendants(os.getpid()))
    try:
        for _ in range(20):
            keeper.look()
            time.sleep(0.02)
        ours = set(descendants(os.getpid())) - others
        assert len([pid for pid in ours if alive(pid)]) <= 1
    finally:
        keeper.stop(5)


def test_the_masters_loop_looks_and_its_stop_tells() -> None:
    told: list[str] = []

    class Master:
        def manage_workers(self) -> None:
            told.append("manage")

        def stop(self, graceful: bool = True) -> None:
            told.append(f"stop {graceful}")

    class Keeper:
        def look(self) -> None:
            told.append("look")

        def begin_stop(self) -> None:
            told.append("begin")

    master = Master()
    keep_worker(master, Keeper())  # type: ignore[arg-type]
    master.manage_workers()
    master.stop(False)
    assert told == ["manage", "look", "begin", "stop False"]


def test_the_worker_is_told_its_parent() -> None:
    assert worker_command()[-1] == str(os.getpid())
