"""Polling and cancelling a job (Bulk Data Access 2.0, "Bulk Data Status Request", "Delete
Request").

A job answers its own client only; to any other it does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fhir_facade import clock
from fhir_facade.bulk.manifest import manifest_of
from fhir_facade.bulk.model import (
    BulkParts,
    Complete,
    ExportPrincipal,
    Failed,
    InProgress,
    Job,
    JobState,
)
from fhir_facade.bulk.scope import may_use_group
from fhir_facade.bulk.store import UNFINISHED, JobStore, PartProgress
from fhir_facade.errors import NotFound
from fhir_facade.fhir.dates import format_instant

CANCELLED_TEXT = "Export request has been cancelled."
_LONGEST_WAIT = 300
_ENOUGH_TO_MEASURE = 0.02


def status(
    parts: BulkParts, tenant: str, principal: ExportPrincipal, job_id: str
) -> InProgress | Complete | Failed:
    """How a job stands. Raises NotFound when it is not the client's, or has no files left."""
    store = JobStore(parts.db)
    job = find_job(store, tenant, principal, job_id)
    if job.state is JobState.FAILED:
        return Failed(
            "The export failed and will not complete.",
            f"Reason: {job.failure}. Delete this job and start a new export.",
        )
    if job.state is JobState.COMPLETE:
        manifest = manifest_of(job, store.files(job.id), parts.base(tenant))
        return Complete(manifest, job.expires_us or 0)
    return _in_progress(job, store.progress(job.id), clock.now_us())


def cancel(parts: BulkParts, tenant: str, principal: ExportPrincipal, job_id: str) -> str:
    """End a job, whatever its state, and give up its files; a worker removes them. Returns the text
    of the informational outcome. Raises NotFound as `status` does, so for a second time too.
    """
    store = JobStore(parts.db)
    job = find_job(store, tenant, principal, job_id)
    states = (*UNFINISHED, JobState.COMPLETE, JobState.FAILED)
    if not store.end(job.id, states, JobState.CANCELLED, now_us=clock.now_us()):
        raise _no_export("There is no such export any more.")
    return CANCELLED_TEXT


def find_job(store: JobStore, tenant: str, principal: ExportPrincipal, job_id: str) -> Job:
    """The client's job. Raises NotFound when it is another's, unknown, cancelled or expired, or its
    group is no longer assigned to the client.
    """
    job = store.job(tenant, job_id)
    if job is None or job.client_id != principal.client_id:
        raise _no_export("There is no such export.")
    if not may_use_group(principal, job.group_id):
        raise _no_export("There is no such export.")
    if job.state is JobState.CANCELLED:
        raise NotFound("The export was cancelled.", diagnostics="Start a new export.")
    if job.state is JobState.EXPIRED or _is_over(job):
        raise NotFound(
            f"The files of this export expired at {format_instant(job.expires_us or 0)}.",
            diagnostics="Start a new export.",
        )
    return job


def _no_export(text: str) -> NotFound:
    """The same for one that never was and for one of another client."""
    return NotFound(text, diagnostics="Exports end and expire; start a new one.")


def _is_over(job: Job) -> bool:
    """Past its expiry, though no worker has removed its files yet."""
    return (
        job.state is JobState.COMPLETE
        and job.expires_us is not None
        and job.expires_us <= clock.now_us()
    )


def _in_progress(job: Job, progress: Sequence[PartProgress], now_us: int) -> InProgress:
    elapsed = max(0.0, (now_us - job.created_us) / 1_000_000)
    if not progress:
        return InProgress("0% (planning)", _wait(elapsed / 2))
    planned = sum(part.planned for part in progress)
    read = sum(part.planned if part.done else min(part.rows, part.planned) for part in progress)
    done = sum(part.done for part in progress)
    fraction = read / planned if planned else done / len(progress)
    if fraction < _ENOUGH_TO_MEASURE:
        remaining = elapsed / 2
    else:
        remaining = elapsed * (1 - fraction) / fraction
    return InProgress(f"{int(fraction * 100)}% ({_where(progress)})", _wait(remaining))


def _where(progress: Sequence[PartProgress]) -> str:
    """The first type that is not done, and how many of its parts are."""
    current = next((part.type for part in progress if not part.done), progress[-1].type)
    of_type = [part.done for part in progress if part.type == current]
    return f"{current} {sum(of_type)}/{len(of_type)} parts"


def _wait(seconds: float) -> int:
    return max(1, min(_LONGEST_WAIT, math.ceil(seconds)))
