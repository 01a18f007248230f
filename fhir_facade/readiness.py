"""What `/readyz` asks: can this process serve, and which upstream fails. Answers hold no values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from fhir_facade import clock
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.state import StateStore
from fhir_facade.rest.parts import ReadinessCheck
from fhir_facade.sync.job import QubsJob
from fhir_facade.sync.report import LAST
from smart_auth.store import AuthStore

STALE_FACTOR = 10
"""A source is stale when its last run ended longer ago than this many intervals."""
STALE_FLOOR_SECONDS = 900


def readiness_checks(
    database: Database, auth_store: AuthStore, jobs: Iterable[QubsJob]
) -> tuple[ReadinessCheck, ...]:
    """The databases, which are required, and each source, which is not: the mirror answers
    meanwhile.
    """
    state = StateStore(database)
    required = (
        ReadinessCheck("mirror database", lambda: _database(database.read)),
        ReadinessCheck("auth database", lambda: _database(auth_store.database.read)),
    )
    sources = tuple(
        ReadinessCheck(
            f"source {job.source} of {job.tenant}",
            lambda job=job: source_trouble(state, job),  # type: ignore[misc]
            required=False,
        )
        for job in jobs
    )
    return required + sources


def _database(read: Callable[[], Any]) -> str | None:
    try:
        with read() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"The database does not answer ({type(error).__name__})."
    return None


def source_trouble(state: StateStore, job: QubsJob) -> str | None:
    """What is wrong with a source, in one sentence, or None."""
    report = state.get(job.tenant, job.source, LAST)
    if not isinstance(report, dict):
        return "It has not been synced yet."
    if not report.get("ok"):
        return str(report.get("error") or "Its last sync failed.")
    age = (clock.now_us() - int(report.get("finished_us") or 0)) / 1_000_000
    if age > max(STALE_FLOOR_SECONDS, STALE_FACTOR * job.settings.sync_interval_seconds):
        return f"Its last sync ended {int(age)} seconds ago."
    return None
