"""A worker process for tests: `python -m tests.support.export_worker '{…}'`.

It runs the real worker with the engine named, over files whose writes can be slowed down so that a
kill lands in the middle of a part.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from fhir_facade.bulk.engines import EmbeddedEngine, Engine
from fhir_facade.bulk.files import FileStore, FileWriter, LocalFiles
from fhir_facade.bulk.model import BulkSettings
from fhir_facade.bulk.worker import run_worker, stop_on_signals
from fhir_facade.mirror.database import Database, open_database
from tests.support.exports import bulk_parts

ENGINES: Mapping[str, Callable[[Database], Engine]] = {
    "embedded": lambda db: EmbeddedEngine(db, poll_seconds=0.05)
}
"""A further engine adds itself here, and all of `tests/contract/test_engines.py` holds for it."""


class SlowWriter:
    """Takes its time with every piece."""

    def __init__(self, writer: FileWriter, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds

    def write(self, data: bytes) -> None:
        time.sleep(self._seconds)
        self._writer.write(data)

    def commit(self) -> None:
        time.sleep(self._seconds)
        self._writer.commit()
        time.sleep(self._seconds)

    def discard(self) -> None:
        self._writer.discard()


class SlowFiles:
    """A file store with slow writers."""

    def __init__(self, files: FileStore, seconds: float) -> None:
        self._files = files
        self._seconds = seconds

    def create(self, key: str) -> FileWriter:
        return SlowWriter(self._files.create(key), self._seconds)

    def open(self, key: str) -> BinaryIO:
        return self._files.open(key)

    def size(self, key: str) -> int | None:
        return self._files.size(key)

    def path(self, key: str) -> Path | None:
        return self._files.path(key)

    def delete(self, key: str) -> None:
        self._files.delete(key)

    def delete_all(self, prefix: str) -> None:
        self._files.delete_all(prefix)


def main(text: str) -> None:
    """Say `ready` on standard output, then work until SIGTERM."""
    given: dict[str, Any] = json.loads(text)
    db = open_database(given["database_url"])
    files = SlowFiles(LocalFiles(Path(given["root"])), given["write_seconds"])
    parts = bulk_parts(db, Path(given["root"]), BulkSettings(**given["settings"]), files)
    stop = threading.Event()
    stop_on_signals(stop)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run_worker(parts, stop, ENGINES[given["engine"]](db))
    db.close()


@contextmanager
def worker(
    database_url: str,
    root: Path,
    settings: BulkSettings,
    *,
    engine: str = "embedded",
    write_seconds: float = 0.0,
) -> Iterator[subprocess.Popen[str]]:
    """A running worker process, ready to take parts; killed when the block ends."""
    given = {
        "database_url": database_url,
        "root": str(root),
        "settings": asdict(settings),
        "engine": engine,
        "write_seconds": write_seconds,
    }
    command = [sys.executable, "-m", "tests.support.export_worker", json.dumps(given)]
    log = (root.parent / "worker.log").open("a")
    with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill_at_random(process: subprocess.Popen[str], chance: random.Random, most: float) -> None:
    """SIGKILL it at a moment of the generator's choice."""
    time.sleep(chance.uniform(0, most))
    process.kill()
    process.wait()


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main(sys.argv[1])
