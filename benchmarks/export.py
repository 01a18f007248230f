"""Section `export`: CPU of a resource in a worker, against a bare loop that copies and hashes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import threading
from pathlib import Path

from benchmarks import mirrors, processes
from benchmarks.processes import Work, own_cpu
from benchmarks.report import Table, median, ratio
from benchmarks.sizes import Sizes
from fhir_facade import clock
from fhir_facade.bulk.files import open_files
from fhir_facade.bulk.kickoff import exportable_types, kickoff
from fhir_facade.bulk.model import BulkParts, Complete, ExportPrincipal, KickoffRequest
from fhir_facade.bulk.part import run_part
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.bulk.status import status
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.policy import Grant, GroupMembers, Letter, Reach
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.telemetry import configure

_BASE = "https://example.org/fhir/acme"
_LETTERS: frozenset[Letter] = frozenset({"r", "s"})
_PAGE_ROWS = 1_000


def section(sizes: Sizes) -> Table:
    """Interleaved rounds of both, on the large mirror; each a fresh process."""
    table = Table(
        f"Export of a group of all patients, {sizes.large:,} resources (CPU of the worker)",
        ("", "us per resource", "resources/s per core", "MB/s", "x bare loop"),
    )
    bare: list[Work] = []
    export: list[Work] = []
    with tempfile.TemporaryDirectory(dir=mirrors.place()) as name:
        folder = Path(name)
        mirror = mirrors.copy_of(sizes.large, folder)
        for number in range(sizes.export_rounds):
            bare.append(processes.run(copy_and_hash, mirror, folder / f"bare-{number}"))
            export.append(processes.run(run_export, mirror, folder / f"files-{number}"))
    if {work.result for work in bare} != {work.result for work in export}:
        raise RuntimeError("the export and the bare loop did not write the same number of bytes")
    for label, works in (("bare loop: select, hash, write", bare), ("export", export)):
        count, size = works[0].result
        cpu = [work.cpu / count for work in works]
        table.add(
            label,
            median(cpu, 1e6, 1),
            median([1 / one for one in cpu]),
            median([size / count / one for one in cpu], 1e-6),
            ratio([(e.cpu, b.cpu) for e, b in zip(works, bare, strict=True)]),
        )
    table.notes.append("Aim: at most 2.0 x the bare loop. Planning and the second check included.")
    return table


def copy_and_hash(mirror: Path, folder: Path) -> tuple[int, int]:
    """The bare loop: every current row's bytes, by type and id, to one file a type. Returns lines
    and bytes."""
    folder.mkdir()
    connection = sqlite3.connect(mirror)
    connection.execute("PRAGMA mmap_size = 268435456").close()
    count = size = 0
    for name in exportable_types(_parts(None, folder)):
        rows = connection.execute(
            "SELECT body FROM resource_version WHERE tenant = ? AND type = ?"
            f" AND to_revision = {2**62} AND deleted = 0 ORDER BY id",
            (mirrors.TENANT, name),
        )
        digest = hashlib.sha256()
        with (folder / f"{name}.ndjson").open("wb", buffering=0) as file:
            while page := rows.fetchmany(_PAGE_ROWS):
                data = b"\n".join([*(row[0] for row in page), b""])
                file.write(data)
                digest.update(data)
                count += len(page)
                size += len(data)
            os.fsync(file.fileno())
    connection.close()
    return count, size


def run_export(mirror: Path, folder: Path) -> Work:
    """An export from its kick-off on, planned and written by this process as by a worker."""
    configure("error")
    database = open_database(f"sqlite:///{mirror}")
    try:
        parts = _parts(database, folder)
        group = frozenset({mirrors.GROUP})
        grants = (Grant("system", "*", _LETTERS, GroupMembers(group)),)
        classes = {name: one.reach for name, one in REGISTRY.items()}
        principal = ExportPrincipal("benchmark", Reach(grants, classes, group))
        url = f"{_BASE}/Group/{mirrors.GROUP}/$export"
        request = KickoffRequest("Group", mirrors.GROUP, (), url, None, "respond-async")
        before = own_cpu()
        job_id = kickoff(parts, mirrors.TENANT, principal, request).job_id
        _run_all(parts)
        cpu = own_cpu() - before
        found = status(parts, mirrors.TENANT, principal, job_id)
        if not isinstance(found, Complete):
            raise RuntimeError("the export did not complete")
        count = sum(item["count"] for item in found.manifest["output"])
        size = sum(path.stat().st_size for path in folder.rglob("*.ndjson"))
        return Work((count, size), cpu, 0.0)
    finally:
        database.close()


def _run_all(parts: BulkParts) -> None:
    store, stop = PartStore(parts.db), threading.Event()
    while keys := store.claimable(clock.now_us()):
        for key in keys:
            run_part(parts, key, stop)


def _parts(database: Database | None, folder: Path) -> BulkParts:
    return BulkParts(
        db=database,  # type: ignore[arg-type]
        registry=REGISTRY,
        files=open_files(f"file:{folder}"),
        base=lambda _tenant: _BASE,
        zone=lambda _tenant: mirrors.ZONE,
    )
