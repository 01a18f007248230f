"""CPU time and memory of processes, and work done in a process of its own (Linux's /proc)."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


@dataclass(frozen=True)
class Work:
    """What a piece of work gave and took: CPU seconds of its process, its peak memory in MB."""

    result: Any
    cpu: float
    peak_mb: float


def own_cpu() -> float:
    """CPU seconds of this process so far, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid, fields in _all_stats():
        children.setdefault(int(fields[1]), []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_of(pids: list[int]) -> float:
    """CPU seconds of these processes' threads so far, user and system, to the nanosecond: what
    /proc/pid/stat tells in ticks of 10 ms is too coarse. Threads that ended are not counted."""
    total = 0
    for pid in pids:
        for thread in (_PROC / str(pid) / "task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def command_of(pid: int) -> str:
    """The command line, blanks between arguments; empty when the process is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def peak_mb(pid: int | str = "self") -> float:
    """The largest resident size of a process so far, in MB (10^6 bytes)."""
    return _status_mb(pid, "VmHWM")


class MemoryWatch:
    """The largest anonymous memory of processes while the block runs, in MB, looked at often.

    Anonymous memory is what a process has for itself: the pages of a database file that SQLite maps
    are resident too, but the kernel shares them and takes them back as it likes.
    """

    def __init__(self, pids: list[int], every: float = 0.02) -> None:
        self.peaks = dict.fromkeys(pids, 0.0)
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            for pid, peak in self.peaks.items():
                self.peaks[pid] = max(peak, _status_mb(pid, "RssAnon"))


def run(work: Callable[..., Any], *arguments: Any) -> Work:
    """Call `work(*arguments)` in a fresh process. Its CPU is counted from the call on, when
    everything is imported. Raises RuntimeError when the process fails.

    `work` may return a `Work` to say itself which part of its CPU counts.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        done: Work = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{work.__name__} ended with status {process.exitcode}") from None
    finally:
        ours.close()
        process.join()
        process.close()
    return done


def _run(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before = own_cpu()
    result = work(*arguments)
    cpu = own_cpu() - before
    if isinstance(result, Work):
        result, cpu = result.result, result.cpu
    pipe.send(Work(result, cpu, peak_mb()))
    pipe.close()


def _status_mb(pid: int | str, name: str) -> float:
    """A line of /proc/pid/status in MB; 0 when the process is gone."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            yield int(entry.name), fields


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/pid/stat behind the name: state, parent, …; None when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
