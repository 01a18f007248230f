"""Section `memory`: the peak of an export worker and of a web worker, by the size of the mirror."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import mirrors, processes, servers
from benchmarks import resources as made
from benchmarks.load import Generator, Order
from benchmarks.report import Table
from benchmarks.requests import cases
from benchmarks.sizes import Sizes

_POLL_SECONDS = 0.2


def section(sizes: Sizes) -> Table:
    """One export and a mix of requests on each size, each on a fresh server."""
    table = Table(
        "Peak memory of a process, MB: its own (and resident, with the pages of the database that"
        " SQLite maps)",
        ("resources", "exported", "export worker", "web worker", "export took, s"),
    )
    for size in (sizes.small, sizes.large):
        with tempfile.TemporaryDirectory(dir=mirrors.place()) as folder:
            mirrors.copy_of(size, Path(folder))
            table.add(f"{size:,}", *_run(Path(folder), size, sizes.requests))
    table.notes.append("Aim: the larger mirror takes no more of its own than the smaller one.")
    return table


def _run(folder: Path, size: int, requests: int) -> tuple[str, ...]:
    with servers.facade(folder) as facade, Generator() as generator:
        exporting, web = facade.export_workers(), facade.web_workers()
        with processes.MemoryWatch([*exporting, *web]) as watch:
            for case in cases(made.patients_for(size)):
                headers = facade.headers(case.kind)
                generator.send(Order(facade.port, case.paths, headers, requests=requests // 5))
            start = time.monotonic()
            job = facade.kick_off()
            while (manifest := facade.manifest(job)) is None:
                time.sleep(_POLL_SECONDS)
            took = time.monotonic() - start
        count = sum(item["count"] for item in manifest["output"])
        return (f"{count:,}", _peak(watch, exporting), _peak(watch, web), f"{took:.1f}")


def _peak(watch: processes.MemoryWatch, pids: list[int]) -> str:
    own = max(watch.peaks[pid] for pid in pids)
    return f"{own:.0f} ({max(map(processes.peak_mb, pids)):.0f})"
