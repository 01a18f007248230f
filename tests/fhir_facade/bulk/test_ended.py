"""Whoever waits for the end of an export is told once, by whichever worker ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_facade import clock
from fhir_facade.bulk import expiry, part
from fhir_facade.bulk.model import BulkParts, Job, JobState
from fhir_facade.bulk.status import cancel
from fhir_facade.fhir.dates import format_instant
from fhir_facade.mirror.database import Database
from tests.support.exports import (
    bulk_parts,
    principal,
    run_all,
    seeded,
    seeded_url,
    start,
    with_settings,
)

__all__ = ["seeded", "seeded_url"]

Told = list[tuple[str, JobState]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def parts(seeded: Database, tmp_path: Path, told: Told) -> BulkParts:
    def ended(job: Job, state: JobState) -> None:
        told.append((job.id, state))

    return replace(bulk_parts(seeded, tmp_path / "files"), ended=ended)


def test_a_complete_export_is_told_once(parts: BulkParts, told: Told) -> None:
    job_id = start(parts)
    assert told == []
    run_all(parts)
    run_all(parts)
    assert told == [(job_id, JobState.COMPLETE)]


def test_an_export_without_files_is_complete_too(parts: BulkParts, told: Told) -> None:
    job_id = start(parts, None, ("_since", format_instant(clock.now_us())))
    run_all(parts)
    assert told == [(job_id, JobState.COMPLETE)]


def test_a_failed_export_is_told_when_nobody_tries_again(
    parts: BulkParts, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(part, "plan", broken)
    job_id = start(parts)
    run_all(with_settings(parts, max_failures=2))
    assert told == [(job_id, JobState.FAILED)]


def test_an_expired_and_a_withdrawn_export_are_told(
    parts: BulkParts, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = start(parts), start(parts, principal(client="other"))
    assert expiry.withdraw(parts, "acme") == 2
    assert set(told) == {(first, JobState.CANCELLED), (second, JobState.CANCELLED)}
    told.clear()
    third = start(parts)
    run_all(parts)
    later: Callable[[], int] = clock.now_us
    then = later() + 25 * 3_600_000_000
    monkeypatch.setattr(clock, "now_us", lambda: then)
    expiry.clean(parts)
    expiry.clean(parts)
    assert told == [(third, JobState.COMPLETE), (third, JobState.EXPIRED)]


def test_the_client_that_cancels_knows(parts: BulkParts, told: Told) -> None:
    job_id = start(parts)
    cancel(parts, "acme", principal(), job_id)
    run_all(parts)
    assert told == []
