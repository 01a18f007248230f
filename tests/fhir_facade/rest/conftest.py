"""One small hospital in a mirror, and the REST room on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.publish import Publisher
from fhir_facade.resources.registry import REGISTRY
from tests.support.databases import copied_url
from tests.support.published import appointment, location, output, patient, publish, report
from tests.support.rest_app import SYDNEY, RestApp, rest_app


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[RestApp]:
    """The room on a mirror of the test's own."""
    with _hospital(tmp_path) as built:
        yield built


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestApp]:
    """The room on a mirror that no test of the module changes."""
    with _hospital(tmp_path_factory.mktemp("calm")) as built:
        yield built


@contextmanager
def _hospital(folder: Path) -> Iterator[RestApp]:
    database = open_database(copied_url("sqlite", folder, _fill))
    built = rest_app(database, folder)
    yield built
    built.close()
    database.close()


def _fill(database: Database) -> None:
    """Five patients, their appointments and reports, two sites; one deleted appointment."""
    people = [patient(n, family=f"Family{n}") for n in range(1, 6)]
    visits = [
        appointment(n, of_patient=(n - 1) % 5 + 1, start=f"2026-11-{n:02d}T09:00:00+11:00")
        for n in range(1, 11)
    ]
    publish(database, location("l1"), location("l2"), *people)
    publish(database, *visits, with_provenance=True)
    publish(database, report(1, 1), report(2, 2, category="CT"))
    publish(database, appointment("gone", of_patient=1, end="2026-11-21T09:20:00+11:00"))
    nothing = output("Appointment/agone")
    Publisher(database, REGISTRY).publish("acme", "qubs", [nothing], SYDNEY)
