from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.runner import sync_once
from fhir_facade.upstream.qubs import QubsClient
from tests.support.databases import BOTH_IN_SOAK, copied_url, database_url, no_rows
from tests.support.qubs import Running, emulator_process
from tests.support.syncing import content, fast_client, fresh_mirror, job_for, mirror_at

__all__ = ["database_url"]

WORLD = ("--appointments", "70", "--patients", "25", "--patient-ids", "demo")


@pytest.fixture(scope="session")
def emulator() -> Iterator[Running]:
    with emulator_process(*WORLD) as running:
        yield running


@pytest.fixture
def emu(emulator: Running) -> Running:
    """The emulator as at its start."""
    emulator.control.reset()
    return emulator


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with mirror_at(copied_url("sqlite", tmp_path, no_rows)) as opened:
        yield opened


@pytest.fixture
def job(emu: Running) -> QubsJob:
    return job_for(emu.url)


@pytest.fixture
def client(job: QubsJob) -> Iterator[QubsClient]:
    with fast_client(job) as opened:
        yield opened


@pytest.fixture(scope="session")
def undisturbed(
    emulator: Running, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], str]:
    """What a run without any fault ends in."""
    emulator.control.reset()
    path = tmp_path_factory.mktemp("undisturbed") / "mirror.sqlite"
    job = job_for(emulator.url)
    with fresh_mirror(f"sqlite:///{path}") as opened, fast_client(job) as client:
        report = sync_once(opened, job, full=True, client=client)
        assert report.ok
        assert report.sweep_complete
        return content(opened)


@pytest.fixture(params=BOTH_IN_SOAK)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """The stores on either database."""
    with mirror_at(copied_url(request.param, tmp_path, no_rows)) as opened:
        yield opened
