"""One emulator for the tests of this folder, put back to its start before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.qubs import QubsCaller, Running, emulator_thread


@pytest.fixture(scope="session")
def _emulator() -> Iterator[Running]:
    with emulator_thread() as running:
        yield running


@pytest.fixture
def emulator(_emulator: Running) -> Running:
    """The emulator as it starts: the demo world, no edits, no faults, real time."""
    _emulator.control.reset()
    return _emulator


@pytest.fixture
def caller(emulator: Running) -> Iterator[QubsCaller]:
    """A session that may do everything in both domains."""
    with QubsCaller(emulator.url) as session:
        yield session


@pytest.fixture
def pending(caller: QubsCaller) -> str:
    """An appointment that waits for a report and has a patient."""
    rows = caller.api("acme", "/reporting/appointments/pending").json()["items"]
    return next(row["appointmentId"] for row in rows if row.get("patientId"))
