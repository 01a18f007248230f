"""Running a sync: once, in a loop, or only mapping again. One process at a time does per source.

Whatever stops the pulling, what is stored is mapped and published before a run ends, and the report
says what happened. Nothing raised here holds data of a record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from fhir_facade import clock
from fhir_facade.mirror.statistics import refresh_statistics
from fhir_facade.mirror.versions import current_revision
from fhir_facade.resources.subject import Subject
from fhir_facade.resources.version import MAPPING_VERSION
from fhir_facade.sync.budget import HourlyBudget
from fhir_facade.sync.errors import LeaseLost, SyncBusy, UpstreamDown
from fhir_facade.sync.ingest import Ingest
from fhir_facade.sync.job import OnProgress, QubsJob, Stores
from fhir_facade.sync.lease import HeldLease
from fhir_facade.sync.mapping import Mapper
from fhir_facade.sync.plan_qubs import QubsPlan
from fhir_facade.sync.pull import Run
from fhir_facade.sync.report import LAST, Report
from fhir_facade.sync.sweep import Sweep
from fhir_facade.upstream.errors import BudgetSpent, CallFacts, Stopped, UpstreamError
from fhir_facade.upstream.qubs import QubsClient, open_qubs

_MAPPED_BY = "mapping-version"
_GROUPS_AT = "groups-at"
_MANY = 1000
"""Changes in one run after which the planner should look at the tables again."""
_log = structlog.get_logger(__name__)


def sync_once(
    stores: Stores,
    job: QubsJob,
    *,
    full: bool = False,
    client: QubsClient | None = None,
    stop: threading.Event | None = None,
    progress: OnProgress | None = None,
) -> Report:
    """One run. `full` reads everything and completes a sweep; a first run always does.

    Upstream failures are in the report, not raised. Raises SyncBusy when another process syncs this
    source, LeaseLost when one has taken over.
    """
    with _held(stores, job) as lease:
        run = _Round(stores, job, Report(job.tenant, job.source, full), lease, progress, stop)
        _mark_settings(stores, job)
        opened = client or open_qubs(job.settings, stop=stop)
        try:
            _pull(run, opened)
        finally:
            if client is None:
                opened.close()
        _finish(run)
        return run.report


def remap(stores: Stores, job: QubsJob, *, progress: OnProgress | None = None) -> Report:
    """Map every stored record again, without an upstream call. Raises SyncBusy."""
    with _held(stores, job) as lease:
        run = _Round(stores, job, Report(job.tenant, job.source), lease, progress, None)
        stores.records.mark_all_dirty(job.tenant, job.source)
        _mark_settings(stores, job)
        run.map_all()
        _refresh_groups(stores, job, always=True)
        return run.report


def sync_loop(
    stores: Stores,
    job: QubsJob,
    stop: threading.Event,
    *,
    progress: OnProgress | None = None,
) -> None:
    """Run rounds until `stop` is set. Stretches the interval so that an hour's calls last an hour.

    A failing round is reported and the next one tries again; when another process holds the source,
    this one waits.
    """
    client = open_qubs(job.settings, stop=stop)
    try:
        while not stop.is_set():
            pause = float(job.settings.sync_interval_seconds)
            try:
                report = sync_once(stores, job, client=client, stop=stop, progress=progress)
                if not report.full:
                    pause = max(pause, report.calls * 3600 / job.settings.calls_per_hour)
            except (SyncBusy, LeaseLost):
                pause = max(1.0, job.options.lease_seconds / 2)
            except Exception as error:
                # The database may be away for a while; the loop must outlive that.
                _log.error("sync round failed", tenant=job.tenant, error=type(error).__name__)
            stop.wait(pause)
    finally:
        client.close()


def run_all(
    stores: Stores,
    jobs: Sequence[QubsJob],
    stop: threading.Event,
    *,
    progress: OnProgress | None = None,
) -> None:
    """A loop for each job, in threads; returns when `stop` is set and all have ended."""
    threads = [
        threading.Thread(
            target=sync_loop,
            args=(stores, job, stop),
            kwargs={"progress": progress},
            name=f"sync-{job.tenant}",
        )
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class _Round:
    """What a run works with besides the upstream."""

    stores: Stores
    job: QubsJob
    report: Report
    lease: HeldLease
    progress: OnProgress | None
    stop: threading.Event | None

    def __post_init__(self) -> None:
        self._mapper = Mapper(self.job, self.stores, self.report)

    def check(self) -> None:
        """Raise LeaseLost when another process may have taken over."""
        self.lease.check()

    def go_on(self) -> None:
        """As `check`, and raise Stopped when told to stop."""
        self.lease.check()
        if self.stop is not None and self.stop.is_set():
            raise Stopped(CallFacts("sync"))

    def map_all(self) -> None:
        """Map and publish what is dirty; after a stop the rest is left to the next run."""
        self._mapper.drain(self.check, self.progress, self.stop)


@contextmanager
def _held(stores: Stores, job: QubsJob) -> Iterator[HeldLease]:
    with (
        HeldLease(stores.leases, job.lease, job.options.lease_seconds) as lease,
        structlog.contextvars.bound_contextvars(tenant=job.tenant, source=job.source),
    ):
        yield lease


def _mark_settings(stores: Stores, job: QubsJob) -> None:
    """Have mapped again what comes from settings; everything, when the mapping is a new one."""
    where = (job.tenant, job.source)
    if stores.state.get(*where, _MAPPED_BY) not in (None, MAPPING_VERSION):
        stores.records.mark_all_dirty(*where)
    stores.state.set(*where, _MAPPED_BY, MAPPING_VERSION)
    stores.records.mark_dirty(*where, [Subject("domain", job.settings.domain)])


def _pull(run: _Round, client: QubsClient) -> None:
    """Pull as far as it goes; what stopped it is in the report."""
    stores, job, report = run.stores, run.job, run.report
    where = (job.tenant, job.source)
    budget = HourlyBudget(stores.state, *where, job.settings.calls_per_hour)
    client.http.budget = budget

    def backlog() -> None:
        if stores.records.dirty_count(*where) > job.options.backlog:
            run.map_all()

    with ThreadPoolExecutor(job.options.threads, "sync-pull") as pool:
        sweep = Sweep(stores.state, *where, clock.now().astimezone(job.zone).date())
        ingest = Ingest(job, stores, report, sweep)
        plan = QubsPlan(
            Run(job, stores, client, budget, report, sweep, ingest, pool, run.go_on, run.progress),
            backlog,
        )
        try:
            if report.full or sweep.never_completed:
                report.full = True
                plan.full()
            else:
                plan.round(budget.fair_share(job.settings.sync_interval_seconds))
        except BudgetSpent:
            report.budget_spent = True
        except Stopped:
            report.error = "The sync was told to stop."
        except UpstreamDown:
            report.error = "The upstream does not answer."
        except UpstreamError as error:
            report.error = f"{error}."
        finally:
            report.calls = budget.calls
        run.check()
        ingest.flush()
        budget.save()


def _finish(run: _Round) -> None:
    """Map and publish what is stored, and write the report."""
    stores, job, report = run.stores, run.job, run.report
    where = (job.tenant, job.source)
    if report.changed >= _MANY:
        refresh_statistics(stores.database)
    run.map_all()
    run.check()
    if report.created + report.updated >= _MANY:
        refresh_statistics(stores.database)
    _refresh_groups(stores, job, always=report.full)
    report.held = stores.quarantine.count(*where)
    report.unlinked = _unlinked(stores, job, report)
    report.save(stores.state)
    tell = _log.info if report.ok else _log.warning
    tell(
        "sync run ended",
        ok=report.ok,
        error=report.error,
        full=report.full,
        calls=report.calls,
        changed=report.changed,
        unchanged=report.unchanged,
        quarantined=report.quarantined,
        faults=report.faults.total(),
        sweep_complete=report.sweep_complete,
    )


def _refresh_groups(stores: Stores, job: QubsJob, *, always: bool) -> None:
    """Let group members follow the patients; the revision tells, so a kill is made good."""
    with stores.database.read() as conn:
        revision, _ = current_revision(conn, job.tenant)
    if not always and stores.state.get(job.tenant, job.source, _GROUPS_AT) == revision:
        return
    followed = stores.groups.refresh(job.tenant) or revision
    stores.state.set(job.tenant, job.source, _GROUPS_AT, max(revision, followed))


def _unlinked(stores: Stores, job: QubsJob, report: Report) -> int | None:
    """Counted after full runs and complete sweeps; in between the last count stands."""
    where = (job.tenant, job.source)
    if report.full or report.sweep_complete:
        return stores.worklist.unlinked(*where, "appointment", "patient")
    last = stores.state.get(*where, LAST)
    return last.get("unlinked") if isinstance(last, dict) else None
