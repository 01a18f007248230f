"""What runs below a process, read from /proc."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def command_line(pid: int) -> str:
    """The command line, '' when the process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def parent(pid: int) -> int:
    """The parent's id, 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """All processes below one, nearest first."""
    parents = {int(one.name): parent(int(one.name)) for one in Path("/proc").glob("[0-9]*")}
    found, level = [], {pid}
    while level:
        level = {child for child, above in parents.items() if above in level}
        found += sorted(level)
    return found


def alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    return command_line(pid) != ""


def wait_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait until none of them runs; those that still do when the time is up."""
    left, deadline = list(pids), time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if alive(pid)]
    return left


def wait_for(what: Callable[[], object], seconds: float, text: str) -> None:
    """Wait until something holds; AssertionError with `text` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def end_all(pids: Iterable[int]) -> None:
    """SIGKILL to each that still runs."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
