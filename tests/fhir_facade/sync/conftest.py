from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.runner import sync_once
from fhir_facade.upstream.qubs import QubsClient
from tests.support.databases import database_url
from tests.support.postgres import fresh_postgres_url
from tests.support.qubs import Running, emulator_process
from tests.support.syncing import content, fast_client, fresh_mirror, job_for

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
    with fresh_mirror(f"sqlite:///{tmp_path}/mirror.sqlite") as opened:
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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """The stores on either database."""
    sqlite = f"sqlite:///{tmp_path}/mirror.sqlite"
    with fresh_mirror(sqlite if request.param == "sqlite" else fresh_postgres_url()) as opened:
        yield opened
