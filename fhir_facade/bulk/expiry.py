"""What has had its time: files of expired, cancelled and failed jobs, and at last their rows."""

from __future__ import annotations

from fhir_facade import clock
from fhir_facade.bulk.files import StorageError
from fhir_facade.bulk.model import BulkParts, Job, JobState
from fhir_facade.bulk.store import UNFINISHED, JobStore
from fhir_facade.telemetry import log

_log = log("bulk")
_DAY_US = 86_400_000_000


def clean(parts: BulkParts) -> None:
    """Expire jobs whose time is over, remove the files of ended ones, forget old ones. May be run
    by several processes at once and stopped anywhere; the next run goes on.
    """
    store = JobStore(parts.db)
    now_us = clock.now_us()
    for job in store.past_expiry(now_us):
        if store.end(job.id, (JobState.COMPLETE,), JobState.EXPIRED, now_us=now_us):
            parts.ended(job, JobState.EXPIRED)
    for job in store.uncleaned():
        if _remove_files(parts, job):
            store.mark_cleaned(job.id)
    for job in store.ended_before(now_us - parts.settings.keep_days * _DAY_US):
        # Once more: a worker that woke up late may have left an empty folder behind.
        if _remove_files(parts, job):
            store.forget(job.id)


def withdraw(parts: BulkParts, tenant: str) -> int:
    """End every export of a tenant and remove its files, as the purge of a patient asks; returns
    how many. Raises StorageError when files cannot be removed.
    """
    store = JobStore(parts.db)
    states = (*UNFINISHED, JobState.COMPLETE, JobState.FAILED)
    now_us = clock.now_us()
    for job in store.in_states(states, tenant):
        if store.end(job.id, states, JobState.CANCELLED, now_us=now_us):
            parts.ended(job, JobState.CANCELLED)
    jobs = [job for job in store.uncleaned() if job.tenant == tenant]
    for job in jobs:
        parts.files.delete_all(folder_of(job))
        store.mark_cleaned(job.id)
    return len(jobs)


def folder_of(job: Job) -> str:
    """Where the files of a job lie."""
    return f"{job.tenant}/{job.id}"


def _remove_files(parts: BulkParts, job: Job) -> bool:
    try:
        parts.files.delete_all(folder_of(job))
    except StorageError as error:
        _log.error("files_not_removed", job=job.id, reason=str(error))
        return False
    return True
