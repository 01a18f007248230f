"""How a source is doing, from what the mirror knows: for `doctor` and `/readyz`. Counts, names of
sites and codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_facade import clock
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.report import CODES, LAST, LOST
from fhir_facade.sync.sweep import LAST_COMPLETE
from fhir_facade.upstream.errors import UpstreamError
from fhir_facade.upstream.qubs import open_qubs


@dataclass(frozen=True)
class SourceStatus:
    """One source. Instants are microseconds UTC."""

    tenant: str
    source: str
    last_report: dict[str, Any] | None
    """`report.Report.to_json` of the last run, None before the first."""
    last_complete_us: int | None
    """When the last complete sweep ended; None while the first is not complete."""
    lost_access: dict[str, int]
    """What is not granted (`site <name>`, `status <name>`, `patients`, …), and since when."""
    unknown_codes: dict[str, dict[str, int]]
    """Warning → upstream code → how often it was served under a default."""
    quarantined: int
    backlog: int
    """Subjects that wait to be mapped."""
    records: dict[str, int]
    """Stored records by view."""

    @property
    def failing(self) -> str | None:
        """One sentence on why the source is not in order, or None."""
        if self.last_report is None:
            return "The source was never synced."
        error = self.last_report.get("error")
        return str(error) if error else None


def source_status(stores: Stores, job: QubsJob) -> SourceStatus:
    """The state of a source as stored; no upstream call."""
    where = (job.tenant, job.source)
    state = stores.state.all(*where)
    complete = state.get(LAST_COMPLETE) or {}
    return SourceStatus(
        *where,
        last_report=state.get(LAST),
        last_complete_us=complete.get("finished_us"),
        lost_access=state.get(LOST) or {},
        unknown_codes=state.get(CODES) or {},
        quarantined=stores.quarantine.count(*where),
        backlog=stores.records.dirty_count(*where),
        records=stores.records.counts(*where),
    )


def check_access(job: QubsJob) -> str | None:
    """Ask for a token and look at its claims; a sentence on what is wrong, None when nothing is."""
    client = open_qubs(job.settings)
    try:
        client.check_access()
    except UpstreamError as error:
        return f"{error}."
    finally:
        client.close()
    return None


def seconds_since_run(status: SourceStatus) -> float | None:
    """Seconds since the last run ended, None before the first."""
    finished = (status.last_report or {}).get("finished_us")
    return None if finished is None else (clock.now_us() - finished) / 1e6
