"""Rows of `export_job` and `export_part` ↔ the values of `model`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from fhir_facade.bulk.model import (
    Claim,
    ExportFile,
    Job,
    JobState,
    LeftOut,
    PartKind,
    PartState,
    PlannedPart,
)
from fhir_facade.bulk.reach_json import reach_from_json, reach_to_json


def job_to_row(job: Job) -> dict[str, Any]:
    """The columns of a new job."""
    return {
        "tenant": job.tenant,
        "id": job.id,
        "client_id": job.client_id,
        "level": job.level,
        "group_id": job.group_id,
        "request_url": job.request_url,
        "revision": job.revision,
        "since_revision": job.since_revision,
        "transaction_us": job.transaction_us,
        "types": json.dumps(job.types),
        "left_out": json.dumps([asdict(one) for one in job.left_out]),
        "reach": json.dumps(reach_to_json(job.reach)),
        "state": job.state,
        "created_us": job.created_us,
        "served_us": 0,
        "cleaned": False,
    }


def job_from_row(row: Row[Any]) -> Job:
    """A job as stored."""
    return Job(
        tenant=row.tenant,
        id=row.id,
        client_id=row.client_id,
        level=row.level,
        group_id=row.group_id,
        request_url=row.request_url,
        revision=row.revision,
        since_revision=row.since_revision,
        transaction_us=row.transaction_us,
        types=tuple(json.loads(row.types)),
        left_out=tuple(LeftOut(**one) for one in json.loads(row.left_out)),
        reach=reach_from_json(json.loads(row.reach)),
        state=JobState(row.state),
        created_us=row.created_us,
        finished_us=row.finished_us,
        expires_us=row.expires_us,
        failure=row.failure,
    )


def part_to_row(job_id: str, n: int, part: PlannedPart) -> dict[str, Any]:
    """The columns of a part that nobody has claimed."""
    return {
        "job_id": job_id,
        "n": n,
        "kind": part.kind,
        "type": part.type,
        "id_from": part.id_from,
        "id_to": part.id_to,
        "planned_rows": part.rows,
        "state": PartState.WAITING,
        "attempt": 0,
        "failures": 0,
        "lease_until_us": 0,
        "done_rows": 0,
    }


def claim_from_row(job: Job, row: Row[Any]) -> Claim:
    """A part just leased."""
    part = PlannedPart(PartKind(row.kind), row.type, row.id_from, row.id_to, row.planned_rows)
    return Claim(job=job, n=row.n, part=part, attempt=row.attempt, failures=row.failures)


def file_from_row(row: Row[Any]) -> ExportFile:
    """A numbered part of a complete job."""
    return ExportFile(
        number=row.number,
        kind=PartKind(row.kind),
        type=row.type,
        key=row.key,
        count=row.lines,
        size=row.size,
        sha256=row.sha256,
    )
