"""One run's pulling: what every step needs, and how a failed call is taken.

A failed view keeps its last records. 403 is loss of access, reported and never a deletion. Wrong
credentials, a spent budget, a lost lease and an upstream that is down end the pulling; what was
stored is mapped all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Generic, Literal, TypeVar

from fhir_facade import clock
from fhir_facade.sync.budget import HourlyBudget
from fhir_facade.sync.errors import UpstreamDown
from fhir_facade.sync.ingest import Ingest
from fhir_facade.sync.job import OnProgress, Progress, QubsJob, Stage, Stores
from fhir_facade.sync.report import Report
from fhir_facade.sync.sweep import Sweep
from fhir_facade.upstream.errors import (
    AccessDenied,
    BudgetSpent,
    Malformed,
    NarrowerQueryNeeded,
    NotFoundUpstream,
    RateLimited,
    Stopped,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from fhir_facade.upstream.pulled import MalformedRow
from fhir_facade.upstream.qubs import QubsClient

T = TypeVar("T")
Outcome = Literal["done", "denied", "missing", "failed"]
_MALFORMED = "the answer is not such a record"
_FAILURES_IN_A_ROW = 6
_ENDS_THE_RUN = (BudgetSpent, Stopped, Unauthorized)


@dataclass(frozen=True)
class Fetched(Generic[T]):
    """What became of one call: a value when `outcome` is `done`."""

    key: str
    outcome: Outcome
    value: T | None = None


@dataclass
class Run:
    """Everything one run works with. `check` raises when the run must not write any more."""

    job: QubsJob
    stores: Stores
    client: QubsClient
    budget: HourlyBudget
    report: Report
    sweep: Sweep
    ingest: Ingest
    pool: ThreadPoolExecutor
    check: Callable[[], None]
    progress: OnProgress | None = None
    failures: int = 0

    @property
    def where(self) -> tuple[str, str]:
        """Tenant and source, as every store asks for them."""
        return (self.job.tenant, self.job.source)

    def today(self) -> date:
        """The day it is in the tenant's zone."""
        return clock.now().astimezone(self.job.zone).date()

    def tell(self, stage: Stage, done: int, total: int | None = None) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(Progress(self.job.tenant, stage, done, total))

    def flush(self) -> None:
        """Store what was taken and note the calls made."""
        self.check()
        self.ingest.flush()
        self.budget.save()
        self.report.calls = self.budget.calls

    def attempt(self, label: str, step: Callable[[], T]) -> Fetched[T]:
        """Take a step that may fail. `label` names what is lost on a 403.

        Raises what ends the run, UpstreamDown after many failures in a row, and
        NarrowerQueryNeeded.
        """
        try:
            value = step()
        except UpstreamError as error:
            outcome = self.taken(label, error)
            if outcome == "missing":
                self.report.fault(error.operation)
            return Fetched("", outcome)
        self.failures = 0
        self.report.reached.add(label)
        return Fetched("", "done", value)

    def taken(self, label: str, error: UpstreamError) -> Outcome:
        """Judge a failed call."""
        if isinstance(error, (*_ENDS_THE_RUN, NarrowerQueryNeeded)):
            raise error
        if isinstance(error, AccessDenied):
            self.failures = 0
            self.report.denied[label] += 1
            return "denied"
        if isinstance(error, NotFoundUpstream):
            self.failures = 0
            return "missing"
        self.report.fault(error.operation)
        if isinstance(error, Unavailable | RateLimited):
            self.failures += 1
            if self.failures >= _FAILURES_IN_A_ROW:
                raise UpstreamDown
        return "failed"

    def fetch_all(
        self, label: str, view: str, keys: Iterable[str], fetch: Callable[[str], T]
    ) -> Iterator[list[Fetched[T]]]:
        """Make one call a key, several at once; results in order, a chunk at a time.

        An answer that is no record of `view` is quarantined under its key.

        When the run has to end in the middle of a chunk, what came before is yielded first.
        """
        waiting = iter(keys)
        size = self.job.options.threads * 8
        while chunk := list(islice(waiting, size)):
            self.check()
            futures = [self.pool.submit(_quietly, fetch, key) for key in chunk]
            results = [future.result() for future in futures]
            found: list[Fetched[T]] = []
            ending: Exception | None = None
            for key, result in zip(chunk, results, strict=True):
                try:
                    found.append(self._judged(label, view, key, result))
                except (*_ENDS_THE_RUN, UpstreamDown) as error:
                    ending = ending or error
            yield found
            if ending is not None:
                raise ending

    def _judged(self, label: str, view: str, key: str, result: T | UpstreamError) -> Fetched[T]:
        if isinstance(result, Malformed):
            correlation = result.correlation_id or ""
            self.ingest.malformed((MalformedRow(view, key, _MALFORMED, correlation),))
        if isinstance(result, UpstreamError):
            return Fetched(key, self.taken(label, result))
        self.failures = 0
        self.report.reached.add(label)
        return Fetched(key, "done", result)


def _quietly(fetch: Callable[[str], T], key: str) -> T | UpstreamError:
    try:
        return fetch(key)
    except UpstreamError as error:
        return error
