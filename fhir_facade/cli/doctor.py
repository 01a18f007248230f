"""`doctor`: what is wrong with this deployment, in sentences, without a value of any record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.engine import make_url

from fhir_facade.cli.wiring import facade
from fhir_facade.errors import FacadeError
from fhir_facade.readiness import source_trouble
from fhir_facade.sync.doctor import check_access, source_status
from fhir_facade.sync.job import QubsJob

if TYPE_CHECKING:
    from fhir_facade.app import Facade

NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "afs"}
MOST_QUARANTINED = 20


@click.command()
@click.option("--offline", is_flag=True, help="Ask no upstream.")
def doctor(offline: bool) -> None:
    """Look at settings, tables, disks, upstream access and the last syncs; non-zero when something
    is wrong.
    """
    with facade(check=False) as parts:
        found = list(_problems(parts, offline))
    for line in found:
        click.echo(line)
    click.echo("Nothing is wrong." if not found else f"{len(found)} finding(s).")
    raise SystemExit(1 if found else 0)


def _problems(parts: Facade, offline: bool) -> Iterator[str]:
    yield from _disks(parts)
    try:
        parts.check()
    except FacadeError as error:
        yield error.text
        return
    for job in parts.jobs:
        name = f"{job.tenant}: {job.source}"
        if not offline and (refused := check_access(job)):
            yield f"{name}: {refused}"
        if trouble := source_trouble(parts.sync.state, job):
            yield f"{name}: {trouble}"
        yield from (f"{name}: {line}" for line in _data(parts, job))


def _disks(parts: Facade) -> Iterator[str]:
    """SQLite and export files must be on a local disk: locks and fsync mean nothing on others."""
    settings = parts.settings
    for name in ("DATABASE_URL", "AUTH_DATABASE_URL"):
        url = make_url(getattr(settings, name.lower()))
        if url.get_backend_name() != "sqlite" or not url.database:
            continue
        kind = file_system(Path(url.database).resolve().parent)
        if kind in NETWORK_FILE_SYSTEMS:
            yield f"FACADE_{name} is on a network disk ({kind}): SQLite needs a local one."


def file_system(path: Path) -> str:
    """The type of the file system a path is on, '' when the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best = ("", "")
    for line in mounts:
        _, point, kind, *_ = line.split(" ")
        inside = os.path.commonpath([point, path]) == point if point.startswith("/") else False
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def _data(parts: Facade, job: QubsJob) -> Iterator[str]:
    """What the syncs left: access lost, unknown codes, quarantine, appointments without patient."""
    status = source_status(parts.sync, job)
    for what in sorted(status.lost_access):
        yield f"access is lost to {what}; what was pulled before is kept."
    for warning, codes in sorted(status.unknown_codes.items()):
        listed = ", ".join(f"{code!r} ({count})" for code, count in sorted(codes.items()))
        yield f"{warning}: {listed}"
    shown = 0
    for row in parts.sync.quarantine.list(job.tenant, job.source):
        if shown == MOST_QUARANTINED:
            yield f"in quarantine: {status.quarantined - shown} more"
            return
        yield f"in quarantine: {row.kind} {row.resource_type}: {row.reason}"
        shown += 1
