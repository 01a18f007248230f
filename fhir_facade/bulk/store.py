"""`export_job`: kick-off, look-up and end of jobs. `part_store` has the leases of their parts.

State changes are compare-and-set, and the count is checked. A store is stateless; each call is one
short transaction. Times are microseconds UTC, given by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from fhir_facade.bulk.model import (
    PLAN_PART,
    ExportFile,
    Job,
    JobState,
    PartKind,
    PartState,
    PlannedPart,
)
from fhir_facade.bulk.rows import file_from_row, job_from_row, job_to_row, part_to_row
from fhir_facade.bulk.tables import export_job as job_table
from fhir_facade.bulk.tables import export_part as part_table
from fhir_facade.mirror.database import Database

UNFINISHED = (JobState.PLANNING, JobState.RUNNING)
ENDED_WITHOUT_FILES = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)


class PartProgress(NamedTuple):
    """How far a part is: `rows` of `planned` read (an upper bound)."""

    type: str
    planned: int
    rows: int
    done: bool


class JobStore:
    """Jobs in the mirror database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, job: Job, running_limit: int) -> bool:
        """Store a new job with its planning part; False when its client has `running_limit`
        unfinished ones.
        """
        mine = (job_table.c.tenant == job.tenant) & (job_table.c.client_id == job.client_id)
        with self._db.write() as conn:
            unfinished = conn.execute(
                select(func.count())
                .select_from(job_table)
                .where(mine, job_table.c.state.in_(UNFINISHED))
            ).scalar_one()
            if unfinished >= running_limit:
                return False
            conn.execute(insert(job_table).values(job_to_row(job)))
            plan = part_to_row(job.id, PLAN_PART, PlannedPart(PartKind.PLAN, ""))
            conn.execute(insert(part_table).values(plan))
        return True

    def job(self, tenant: str, job_id: str) -> Job | None:
        """A job of this tenant, in whatever state."""
        chosen = (job_table.c.id == job_id) & (job_table.c.tenant == tenant)
        with self._db.read() as conn:
            row = conn.execute(select(job_table).where(chosen)).one_or_none()
        return None if row is None else job_from_row(row)

    def in_states(self, states: Sequence[JobState], tenant: str | None = None) -> list[Job]:
        """The jobs in any of these states, of one tenant or of all, oldest first."""
        query = select(job_table).where(job_table.c.state.in_(states))
        if tenant is not None:
            query = query.where(job_table.c.tenant == tenant)
        with self._db.read() as conn:
            return [
                job_from_row(row) for row in conn.execute(query.order_by(job_table.c.created_us))
            ]

    def oldest_revision(self, tenant: str) -> int | None:
        """The lowest revision that an unfinished job looks back to: its own, or that of its
        `_since`. Retention keeps what ended after it.
        """
        chosen = (job_table.c.tenant == tenant) & job_table.c.state.in_(UNFINISHED)
        back_to = func.coalesce(job_table.c.since_revision, job_table.c.revision)
        with self._db.read() as conn:
            lowest = conn.execute(select(func.min(back_to)).where(chosen)).scalar_one()
        return None if lowest is None else int(lowest)

    def end(
        self, job_id: str, expected: Sequence[JobState], state: JobState, *, now_us: int
    ) -> bool:
        """Make a job `cancelled` or `expired`; False when it is in none of the expected states."""
        with self._db.write() as conn:
            return end_job(conn, job_id, expected, state, now_us=now_us)

    def past_expiry(self, now_us: int) -> list[Job]:
        """Complete jobs whose files have had their time."""
        chosen = (job_table.c.state == JobState.COMPLETE) & (job_table.c.expires_us <= now_us)
        with self._db.read() as conn:
            return [job_from_row(row) for row in conn.execute(select(job_table).where(chosen))]

    def uncleaned(self) -> list[Job]:
        """Jobs that ended without files, or lost them, and still have some in the store."""
        query = select(job_table).where(job_table.c.state.in_(ENDED_WITHOUT_FILES))
        with self._db.read() as conn:
            rows = conn.execute(query.where(~job_table.c.cleaned))
            return [job_from_row(row) for row in rows]

    def mark_cleaned(self, job_id: str) -> None:
        """Remember that the files of an ended job are gone."""
        with self._db.write() as conn:
            conn.execute(update(job_table).where(job_table.c.id == job_id).values(cleaned=True))

    def ended_before(self, instant_us: int) -> list[Job]:
        """Jobs that ended without files, or lost them, before this instant."""
        chosen = job_table.c.state.in_(ENDED_WITHOUT_FILES)
        query = select(job_table).where(chosen, job_table.c.finished_us < instant_us)
        with self._db.read() as conn:
            return [job_from_row(row) for row in conn.execute(query)]

    def forget(self, job_id: str) -> None:
        """Delete the rows of a job. Its files must be gone."""
        with self._db.write() as conn:
            conn.execute(delete(part_table).where(part_table.c.job_id == job_id))
            conn.execute(delete(job_table).where(job_table.c.id == job_id))

    def files(self, job_id: str) -> list[ExportFile]:
        """The files of a complete job by number; none before it is complete."""
        numbered = (part_table.c.job_id == job_id) & part_table.c.number.is_not(None)
        with self._db.read() as conn:
            rows = conn.execute(select(part_table).where(numbered).order_by(part_table.c.number))
            return [file_from_row(row) for row in rows]

    def file(self, job_id: str, number: int) -> ExportFile | None:
        """One file of a complete job."""
        chosen = (part_table.c.job_id == job_id) & (part_table.c.number == number)
        with self._db.read() as conn:
            row = conn.execute(select(part_table).where(chosen)).one_or_none()
        return None if row is None else file_from_row(row)

    def progress(self, job_id: str) -> list[PartProgress]:
        """Every part of a job in order, the plan left out."""
        planned = (part_table.c.job_id == job_id) & (part_table.c.kind != PartKind.PLAN)
        with self._db.read() as conn:
            rows = conn.execute(select(part_table).where(planned).order_by(part_table.c.n)).all()
        return [
            PartProgress(row.type, row.planned_rows, row.done_rows, row.state == PartState.DONE)
            for row in rows
        ]


def end_job(
    conn: Connection,
    job_id: str,
    expected: Sequence[JobState],
    state: JobState,
    *,
    now_us: int,
    failure: str | None = None,
) -> bool:
    """Within the caller's transaction: end a job that is in one of the expected states."""
    changed = conn.execute(
        update(job_table)
        .where(job_table.c.id == job_id, job_table.c.state.in_(expected))
        .values(state=state, finished_us=now_us, failure=failure)
    )
    return changed.rowcount == 1
