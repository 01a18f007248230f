"""The contract of an engine, held with real worker processes that are killed, stopped and doubled.

An engine may deliver a part twice, late, or to several workers at once: whatever happens, the job
completes, and its files equal those of an undisturbed run to the byte.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fhir_facade.bulk.model import BulkParts, BulkSettings, Complete, InProgress, PartKey
from fhir_facade.bulk.part import run_part
from fhir_facade.bulk.status import cancel, status
from fhir_facade.errors import NotFound
from fhir_facade.mirror.database import Database
from tests.support.export_worker import ENGINES, kill_at_random, wait_until, worker
from tests.support.exports import (
    bulk_parts,
    export,
    exported,
    principal,
    run_all,
    seeded,
    seeded_url,
    start,
)
from tests.support.soak import SOAK

__all__ = ["seeded", "seeded_url"]

SETTINGS = BulkSettings(
    part_rows=30, page_rows=3, lease_seconds=1.0, renew_seconds=0.1, retry_seconds=0.1
)
SEED = 20261121
KILLS = 100 if SOAK else 3


@dataclass(frozen=True)
class Site:
    """A seeded tenant and what an undisturbed export of it looks like."""

    parts: BulkParts
    url: str
    root: Path
    engine: str
    calm: dict[str, str]

    def worker(
        self, write_seconds: float = 0.0, settings: BulkSettings = SETTINGS
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        """A worker process on the same database and files."""
        return worker(
            self.url, self.root, settings, engine=self.engine, write_seconds=write_seconds
        )

    def is_complete(self, job: str) -> bool:
        return isinstance(status(self.parts, "acme", principal(), job), Complete)

    def in_part(self, job: str) -> bool:
        """Whether a worker is in the middle of writing a file of the job."""
        return any(self.root.glob(f"acme/{job}/*.unfinished-*"))

    def assert_calm(self, job: str) -> None:
        """The files are those of an undisturbed run, and none is left beside them."""
        found = exported(self.parts, job)
        assert found.digests() == self.calm
        assert len(list((self.root / "acme" / job).iterdir())) == len(found.files)


@pytest.fixture(params=sorted(ENGINES))
def site(request: pytest.FixtureRequest, seeded: Database, seeded_url: str, tmp_path: Path) -> Site:
    root = tmp_path / "files"
    parts = bulk_parts(seeded, root, SETTINGS)
    return Site(parts, seeded_url, root, request.param, export(parts).digests())


def test_a_worker_runs_a_job_to_its_end(site: Site) -> None:
    job = start(site.parts)
    with site.worker() as process:
        wait_until(lambda: site.is_complete(job))
        process.terminate()
        assert process.wait(20) == 0
    site.assert_calm(job)


def test_two_workers_share_a_job(site: Site) -> None:
    jobs = [start(site.parts) for _ in range(2)]
    with site.worker(0.005), site.worker(0.005):
        wait_until(lambda: all(site.is_complete(job) for job in jobs))
    for job in jobs:
        site.assert_calm(job)


def test_killed_at_random_moments_it_completes_with_the_same_bytes(site: Site) -> None:
    """`KILLS` workers are killed, one after the other, wherever they happen to be."""
    chance = random.Random(SEED)
    job = start(site.parts)
    kills = 0
    while kills < KILLS:
        with site.worker(0.03) as process:
            kill_at_random(process, chance, 1.0)
        kills += 1
        if site.is_complete(job):
            job = start(site.parts)
    with site.worker():
        wait_until(lambda: site.is_complete(job))
    site.assert_calm(job)


def test_killed_while_it_writes_a_file(site: Site) -> None:
    job = start(site.parts)
    with site.worker(0.05) as process:
        wait_until(lambda: site.in_part(job))
        process.kill()
        process.wait()
    assert isinstance(status(site.parts, "acme", principal(), job), InProgress)
    assert site.in_part(job)
    with site.worker():
        wait_until(lambda: site.is_complete(job))
    site.assert_calm(job)


def test_a_worker_that_wakes_up_late_changes_nothing(site: Site) -> None:
    """Stopped in the middle of a part, overtaken, then woken up again."""
    job = start(site.parts)
    with site.worker(0.05) as late:
        wait_until(lambda: site.in_part(job))
        late.send_signal(signal.SIGSTOP)
        with site.worker():
            wait_until(lambda: site.is_complete(job))
            before = exported(site.parts, job).files
            late.send_signal(signal.SIGCONT)
            other = start(site.parts)
            wait_until(lambda: site.is_complete(other))
        late.terminate()
        assert late.wait(20) == 0
    assert exported(site.parts, job).files == before
    site.assert_calm(job)
    site.assert_calm(other)


def test_asked_to_stop_it_gives_its_part_back(site: Site) -> None:
    """The next worker has it at once, long before the lease would have lapsed."""
    patient_settings = replace(SETTINGS, lease_seconds=600.0)
    parts = replace(site.parts, settings=patient_settings)
    job = start(parts)
    with site.worker(0.05, patient_settings) as process:
        wait_until(lambda: site.in_part(job))
        process.terminate()
        assert process.wait(20) == 0
    assert not site.in_part(job)
    with site.worker(0.0, patient_settings):
        wait_until(lambda: site.is_complete(job))
    site.assert_calm(job)


def test_a_cancelled_job_stops_and_its_files_go(site: Site) -> None:
    job = start(site.parts)
    with site.worker(0.05) as process:
        wait_until(lambda: site.in_part(job))
        cancel(site.parts, "acme", principal(), job)
        with pytest.raises(NotFound):
            status(site.parts, "acme", principal(), job)
        wait_until(lambda: not any(site.root.glob(f"acme/{job}/*")))
        other = start(site.parts)
        wait_until(lambda: site.is_complete(other))
        assert process.poll() is None
    assert not any(site.root.glob(f"acme/{job}/*"))
    site.assert_calm(other)


def test_a_part_delivered_to_many_at_once_is_run_by_one(site: Site) -> None:
    job = start(site.parts)
    stop = threading.Event()
    n = 0
    with ThreadPoolExecutor(4) as pool:
        while not site.is_complete(job):
            key = PartKey(job, n)
            ran = list(pool.map(lambda key: run_part(site.parts, key, stop), [key] * 4))
            assert ran.count(True) == 1
            n += 1
    site.assert_calm(job)


def test_a_part_delivered_after_all_is_done_is_left_alone(site: Site) -> None:
    job = start(site.parts)
    run_all(site.parts)
    before = exported(site.parts, job).files
    for n in range(-1, 30):
        assert not run_part(site.parts, PartKey(job, n), threading.Event())
        assert not run_part(site.parts, PartKey("f" * 32, n), threading.Event())
    assert exported(site.parts, job).files == before
