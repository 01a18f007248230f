"""Section `sync`: what a pulled record costs the syncing process, against the mapping alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import mirrors, processes
from benchmarks.processes import Work, own_cpu
from benchmarks.report import Table, median, ratio
from benchmarks.sizes import Sizes
from fhir_facade.fhir import json
from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import open_database
from fhir_facade.resources.qubs import SubjectRecords, dependencies_of, map_subject
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from fhir_facade.settings import QubsSource, TenantSettings
from fhir_facade.sync.job import QubsJob, Stores, open_stores, qubs_job
from fhir_facade.sync.report import Report
from fhir_facade.sync.runner import remap, sync_once
from fhir_facade.telemetry import configure
from sandbox.qubs.settings import DEFAULT_CREDENTIAL

_APPOINTMENTS_OF_A_PATIENT = 7
_REPEAT = 5
_ALL = 10**9


def section(sizes: Sizes) -> Table:
    """Rounds of: a first sync into an empty mirror, the same again, mapping alone, a remap."""
    table = Table(
        f"Sync from the emulator, {sizes.appointments:,} appointments (CPU of the sync alone)",
        ("", "records", "upstream calls", "us per record", "x mapping alone"),
    )
    works: dict[str, list[Work]] = {"mapping": [], "changed": [], "unchanged": [], "remap": []}
    for _ in range(max(sizes.rounds // 2, 1)):
        with (
            tempfile.TemporaryDirectory(dir=mirrors.place()) as folder,
            emulator(sizes.appointments) as url,
        ):
            mirror = Path(folder) / "mirror.db"
            migrate.upgrade(f"sqlite:///{mirror}")
            works["changed"].append(processes.run(run_sync, url, mirror))
            works["unchanged"].append(processes.run(run_sync, url, mirror))
            works["mapping"].append(processes.run(map_alone, url, mirror))
            works["remap"].append(processes.run(run_remap, url, mirror))
    labels = {
        "mapping": "map_subject and JSON alone",
        "changed": "first sync: every record new",
        "unchanged": "full sync again: no record changed",
        "remap": "remap: no upstream call, nothing changed",
    }
    base = [work.cpu / work.result[0] for work in works["mapping"]]
    for name, label in labels.items():
        cpu = [work.cpu / work.result[0] for work in works[name]]
        records, calls = works[name][0].result
        pairs = list(zip(cpu, base, strict=True))
        table.add(label, f"{records:,}", f"{calls:,}", median(cpu, 1e6), ratio(pairs))
    table.notes.append(
        "A record is one stored upstream record; half the calls ask for the sub-list or the"
        " patient of one key."
    )
    return table


def run_sync(url: str, mirror: Path) -> Work:
    """One full sync; the records it took in (what is listed twice counts once), and the upstream
    calls it made."""
    with _opened(url, mirror) as (stores, job):
        before = own_cpu()
        report = sync_once(stores, job, full=True)
        cpu = own_cpu() - before
        _check(report)
        return Work((_records(stores, job), report.calls), cpu, 0.0)


def run_remap(url: str, mirror: Path) -> Work:
    """Every stored record mapped again and found as it was."""
    with _opened(url, mirror) as (stores, job):
        before = own_cpu()
        report = remap(stores, job)
        cpu = own_cpu() - before
        _check(report)
        return Work((_records(stores, job), 0), cpu, 0.0)


def map_alone(url: str, mirror: Path) -> Work:
    """Records, parsed and at hand, to finished JSON; the mean of some repetitions."""
    with _opened(url, mirror) as (stores, job):
        subjects = _subjects(stores, job)
        before = own_cpu()
        for _ in range(_REPEAT):
            for subject, records in subjects:
                for resource in map_subject(subject, records, job.context).resources:
                    json.dumps(resource)
        cpu = (own_cpu() - before) / _REPEAT
        return Work((_records(stores, job), 0), cpu, 0.0)


def _subjects(stores: Stores, job: QubsJob) -> list[tuple[Subject, SubjectRecords]]:
    """Every subject with its records and those it depends on."""
    where = (job.tenant, job.source)
    stores.records.mark_all_dirty(*where)
    names = [dirty.subject for dirty in stores.records.dirty(*where, _ALL)]
    with stores.database.read() as conn:
        stored = stores.records.stored(conn, *where, names)
    parsed = {
        subject: {key: json.loads(record.body) for key, record in records.items()}
        for subject, records in stored.items()
    }
    return [
        (
            subject,
            SubjectRecords(
                own, {other: parsed.get(other, {}) for other in dependencies_of(subject, own)}
            ),
        )
        for subject, own in parsed.items()
    ]


def _records(stores: Stores, job: QubsJob) -> int:
    return sum(stores.records.counts(job.tenant, job.source).values())


def _check(report: Report) -> None:
    if not report.ok or report.quarantined or report.faults:
        raise RuntimeError(f"the sync went wrong: {report.to_json()}")


@contextmanager
def _opened(url: str, mirror: Path) -> Iterator[tuple[Stores, QubsJob]]:
    configure("error")
    source = QubsSource.model_validate(
        {
            "domain": "acme",
            "client_id": "sandbox-all",
            "client_secret": DEFAULT_CREDENTIAL,
            "base_url": url,
            "token_url": f"{url}/oauth2/token",
            "calls_per_hour": 10_000_000,
            "history_days": 90,
            "future_days": 30,
        }
    )
    tenant = TenantSettings.model_validate(
        {"name": "Acme Imaging", "timezone": str(mirrors.ZONE), "qubs": source}
    )
    database = open_database(f"sqlite:///{mirror}")
    try:
        yield (
            open_stores(database, REGISTRY),
            qubs_job(mirrors.TENANT, tenant, f"http://127.0.0.1:8000/fhir/{mirrors.TENANT}"),
        )
    finally:
        database.close()


@contextmanager
def emulator(appointments: int) -> Iterator[str]:
    """The QUBS emulator in a process of its own; its address."""
    patients = max(appointments // _APPOINTMENTS_OF_A_PATIENT, 1)
    command = [
        *(sys.executable, "-m", "sandbox.qubs", "--port", "0", "--patient-ids", "demo"),
        *("--appointments", str(appointments), "--patients", str(patients)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=mirrors.ROOT) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("listening on ")
            if not url.startswith("http"):
                raise RuntimeError("the emulator did not start")
            yield url
        finally:
            process.terminate()
            process.wait(30)
