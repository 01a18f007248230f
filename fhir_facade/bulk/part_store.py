"""`export_part`: who works on which part. A claim's attempt number fences every later write about
the part.

Whoever changes a job's state, or finishes a part of it, locks the job's row first (by updating it):
on PostgreSQL two workers that finish the last two parts of a job then see each other, and one of
them completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, exists, func, insert, select, update

from fhir_facade.bulk.model import (
    PLAN_PART,
    Claim,
    Job,
    JobState,
    PartKey,
    PartState,
    PlannedPart,
    Written,
    nobody_told,
)
from fhir_facade.bulk.rows import claim_from_row, job_from_row, part_to_row
from fhir_facade.bulk.store import UNFINISHED, end_job
from fhir_facade.bulk.tables import export_job as job_table
from fhir_facade.bulk.tables import export_part as part_table
from fhir_facade.mirror.database import Database


class PartStore:
    """Parts in the mirror database; times are microseconds UTC, given by the caller. `ended` is
    called once a part has completed or failed its job."""

    def __init__(self, db: Database, ended: Callable[[Job, JobState], None] = nobody_told) -> None:
        self._db = db
        self._ended = ended

    def claimable(self, now_us: int) -> list[PartKey]:
        """The next part that may be claimed of each unfinished job, in fair order.

        The client that was served longest ago comes first, and of its jobs the one served longest
        ago.
        """
        columns = (job_table.c.tenant, job_table.c.client_id, job_table.c.served_us, job_table.c.id)
        query = (
            select(*columns, func.min(part_table.c.n).label("n"))
            .join(part_table, part_table.c.job_id == job_table.c.id)
            .where(job_table.c.state.in_(UNFINISHED), _may_be_claimed(now_us))
            .group_by(*columns)
        )
        with self._db.read() as conn:
            rows = conn.execute(query).all()
        served: dict[tuple[str, str], int] = {}
        for row in rows:
            client = (row.tenant, row.client_id)
            served[client] = max(served.get(client, 0), row.served_us)
        rows = sorted(
            rows, key=lambda row: (served[row.tenant, row.client_id], row.served_us, row.id)
        )
        return [PartKey(row.id, row.n) for row in rows]

    def claim(self, key: PartKey, *, now_us: int, lease_us: int) -> Claim | None:
        """Lease a part to the caller alone; None when it is taken or done, or its job has ended."""
        with self._db.write() as conn:
            job_row = conn.execute(
                update(job_table)
                .where(job_table.c.id == key.job_id, job_table.c.state.in_(UNFINISHED))
                .values(served_us=now_us)
                .returning(*job_table.c)
            ).one_or_none()
            if job_row is None:
                return None
            row = conn.execute(
                update(part_table)
                .where(part_table.c.job_id == key.job_id, part_table.c.n == key.n)
                .where(_may_be_claimed(now_us))
                .values(
                    state=PartState.RUNNING,
                    attempt=part_table.c.attempt + 1,
                    lease_until_us=now_us + lease_us,
                    done_rows=0,
                )
                .returning(*part_table.c)
            ).one_or_none()
        return None if row is None else claim_from_row(job_from_row(job_row), row)

    def renew(self, claim: Claim, done_rows: int, *, until_us: int) -> bool:
        """Prolong the lease; False when the part is another's by now or its job has ended."""
        with self._db.write() as conn:
            changed = conn.execute(
                update(part_table)
                .where(_held_by(claim))
                .values(lease_until_us=until_us, done_rows=done_rows)
            )
            return changed.rowcount == 1

    def release(self, claim: Claim) -> None:
        """Give a part back unharmed: whoever comes next may claim it at once."""
        with self._db.write() as conn:
            conn.execute(
                update(part_table)
                .where(_held_by(claim))
                .values(state=PartState.WAITING, lease_until_us=0, done_rows=0)
            )

    def fail(self, claim: Claim, error: str, *, retry_us: int | None, now_us: int) -> bool:
        """Count a failed attempt: try again at `retry_us`, or fail the whole job when that is None.

        False when the part was no longer the claimant's: nothing is counted then.
        """
        with self._db.write() as conn:
            _lock_job(conn, claim)
            changed = conn.execute(
                update(part_table)
                .where(_held_by(claim))
                .values(
                    state=PartState.WAITING,
                    failures=part_table.c.failures + 1,
                    lease_until_us=retry_us or 0,
                    done_rows=0,
                    error=error,
                )
            )
            counted = changed.rowcount == 1
            failed = (
                counted
                and retry_us is None
                and end_job(
                    conn, claim.job.id, UNFINISHED, JobState.FAILED, now_us=now_us, failure=error
                )
            )
        if failed:
            self._ended(claim.job, JobState.FAILED)
        return counted

    def finish_plan(
        self, claim: Claim, planned: Sequence[PlannedPart], *, now_us: int, expires_us: int
    ) -> bool:
        """Store the planned parts as 1…n; the job runs, or is complete when there is nothing to
        write.

        False when the plan is no longer the claimant's: nothing is stored then.
        """
        with self._db.write() as conn:
            _lock_job(conn, claim)
            if not _mark_done(conn, claim, Written(None, 0, 0, "")):
                return False
            rows = [
                part_to_row(claim.job.id, n, part) for n, part in enumerate(planned, PLAN_PART + 1)
            ]
            if rows:
                conn.execute(insert(part_table), rows)
            conn.execute(
                update(job_table)
                .where(job_table.c.id == claim.job.id, job_table.c.state == JobState.PLANNING)
                .values(state=JobState.RUNNING)
            )
            complete = _complete_if_done(conn, claim, now_us=now_us, expires_us=expires_us)
        self._tell(claim, complete)
        return True

    def finish(self, claim: Claim, written: Written, *, now_us: int, expires_us: int) -> bool:
        """Record what a part wrote, and complete the job with its last part.

        False when another attempt has the part or the job has ended: the file is then nobody's.
        """
        with self._db.write() as conn:
            _lock_job(conn, claim)
            if not _mark_done(conn, claim, written):
                return False
            complete = _complete_if_done(conn, claim, now_us=now_us, expires_us=expires_us)
        self._tell(claim, complete)
        return True

    def _tell(self, claim: Claim, complete: bool) -> None:
        if complete:
            self._ended(claim.job, JobState.COMPLETE)


def _may_be_claimed(now_us: int) -> ColumnElement[bool]:
    return (part_table.c.state != PartState.DONE) & (part_table.c.lease_until_us <= now_us)


def _held_by(claim: Claim) -> ColumnElement[bool]:
    """The compare of every compare-and-set: this attempt runs, and its job has not ended."""
    return (
        (part_table.c.job_id == claim.job.id)
        & (part_table.c.n == claim.n)
        & (part_table.c.attempt == claim.attempt)
        & (part_table.c.state == PartState.RUNNING)
        & exists().where(job_table.c.id == claim.job.id, job_table.c.state.in_(UNFINISHED))
    )


def _lock_job(conn: Connection, claim: Claim) -> None:
    same = {"served_us": job_table.c.served_us}
    conn.execute(update(job_table).where(job_table.c.id == claim.job.id).values(same))


def _mark_done(conn: Connection, claim: Claim, written: Written) -> bool:
    changed = conn.execute(
        update(part_table)
        .where(_held_by(claim))
        .values(
            state=PartState.DONE,
            done_rows=part_table.c.planned_rows,
            key=written.key,
            lines=written.count,
            size=written.size,
            sha256=written.sha256,
            error=None,
        )
    )
    return changed.rowcount == 1


def _complete_if_done(conn: Connection, claim: Claim, *, now_us: int, expires_us: int) -> bool:
    """Number the files in the order of the plan and complete the job, if no part is left; whether
    that was so."""
    of_job = part_table.c.job_id == claim.job.id
    left = exists().where(of_job, part_table.c.state != PartState.DONE)
    changed = conn.execute(
        update(job_table)
        .where(job_table.c.id == claim.job.id, job_table.c.state == JobState.RUNNING, ~left)
        .values(state=JobState.COMPLETE, finished_us=now_us, expires_us=expires_us)
    )
    if changed.rowcount != 1:
        return False
    filled = select(part_table.c.n).where(of_job, part_table.c.lines > 0).order_by(part_table.c.n)
    for number, n in enumerate(conn.execute(filled).scalars().all(), start=1):
        conn.execute(update(part_table).where(of_job, part_table.c.n == n).values(number=number))
    return True
