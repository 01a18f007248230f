"""What a part writes, page by page: finished NDJSON lines. No read transaction outlives a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fhir_facade.bulk.model import BulkParts, Claim, Job, PartKind
from fhir_facade.bulk.recheck import second_check
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.json import dumps
from fhir_facade.fhir.outcome import outcome
from fhir_facade.mirror.export import ExportSlice, SliceReader, export_deleted

_DELETIONS_PER_BUNDLE = 100
_PAGE_BYTES = 2 * 1024 * 1024
_SMALLEST_PAGE = 20
_FIRST_PAGE = 100
"""Rows before it is known how large they are."""


class Page(NamedTuple):
    """`lines` NDJSON lines, from `rows` rows read; `refused` of them failed the second check."""

    data: bytes
    lines: int
    rows: int
    refused: int = 0


def pages_of(parts: BulkParts, claim: Claim) -> Iterator[Page]:
    """The lines of a part, the same at each call: they depend on the job's revision alone."""
    if claim.part.kind is PartKind.OUTPUT:
        return _resources(parts, claim)
    if claim.part.kind is PartKind.DELETED:
        return _deletions(parts, claim.job)
    return iter([_left_out(claim.job)])


def _resources(parts: BulkParts, claim: Claim) -> Iterator[Page]:
    """Stored bytes as they are, each checked a second time against the reach by its columns."""
    job, most = claim.job, parts.settings.page_rows
    slice_ = _slice(job, claim.part.type, claim.part.id_from, claim.part.id_to)
    check = second_check(parts.db, job, claim.part.type)
    with parts.db.read() as conn:
        reader = SliceReader(conn, slice_)
    after: str | None = None
    limit = min(most, _FIRST_PAGE)
    while True:
        with parts.db.read() as conn:
            rows = reader.page(conn, after, limit)
            bodies = check(conn, rows)
        data = b"\n".join([*bodies, b""])
        if rows:
            yield Page(data, len(bodies), len(rows), len(rows) - len(bodies))
        if len(rows) < limit:
            return
        after = rows[-1][0]
        limit = _next_limit(most, len(data), len(rows))


def _next_limit(most: int, size: int, rows: int) -> int:
    """Large resources come in smaller pages, so that memory stays flat."""
    fitting = _PAGE_BYTES * rows // max(size, 1)
    return max(min(most, fitting), min(most, _SMALLEST_PAGE))


def _deletions(parts: BulkParts, job: Job) -> Iterator[Page]:
    """Bundles of type transaction with DELETE entries (Bulk Data Access 2.0, `deleted`)."""
    for name in job.types:
        slice_ = _slice(job, name, None, None)
        after: str | None = None
        while True:
            with parts.db.read() as conn:
                limit = parts.settings.page_rows
                rows = export_deleted(conn, slice_, after, limit)
            bundles = [
                dumps(_deletion_bundle(rows[start : start + _DELETIONS_PER_BUNDLE]))
                for start in range(0, len(rows), _DELETIONS_PER_BUNDLE)
            ]
            if rows:
                yield Page(b"\n".join([*bundles, b""]), len(bundles), 0)
            if len(rows) < limit:
                break
            after = rows[-1][1]


def _deletion_bundle(deleted: Sequence[tuple[str, str]]) -> FHIRResource:
    requests = [{"method": "DELETE", "url": f"{name}/{id_}"} for name, id_ in deleted]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": request} for request in requests],
    }


def _left_out(job: Job) -> Page:
    """One OperationOutcome for each thing that was asked for and is not in the export."""
    outcomes = [
        dumps(outcome("warning", one.code, one.text, expression=(one.expression,)))
        for one in job.left_out
    ]
    return Page(b"\n".join([*outcomes, b""]), len(outcomes), len(outcomes))


def _slice(job: Job, resource_type: str, id_from: str | None, id_to: str | None) -> ExportSlice:
    """The job's reach is that of its group (`scope.group_reach`): naming the group as well says the
    same twice, but for those who joined it after `_since`."""
    return ExportSlice(
        tenant=job.tenant,
        type=resource_type,
        revision=job.revision,
        reach=job.reach,
        since_revision=job.since_revision,
        group_id=None if job.since_revision is None else job.group_id,
        id_from=id_from,
        id_to=id_to,
    )
