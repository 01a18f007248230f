"""Into the record store: what was pulled, in batches; malformed rows go into quarantine."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fhir_facade import clock
from fhir_facade.mirror.quarantine import QuarantineEntry
from fhir_facade.mirror.records import PulledRecord
from fhir_facade.resources.qubs import links_of
from fhir_facade.resources.subject import Subject
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.sync.report import Report
from fhir_facade.sync.sweep import Sweep
from fhir_facade.upstream.pulled import MalformedRow, Page, Pulled, canonical_bytes, key_text
from fhir_facade.upstream.qubs_rows import ArrayRecord, without_addresses
from fhir_facade.upstream.qubs_words import (
    ATTACHMENTS,
    COMMENTS,
    EXAM_CODES,
    OPERATIONAL,
    PATIENTS,
    SITE_SETTINGS,
    SITES,
    STAFF_SKILLS,
    TELE_REPORTING,
)

_MOST_HELD = 100_000
_ROW_VIEWS = frozenset(
    {
        OPERATIONAL,
        TELE_REPORTING,
        ATTACHMENTS,
        COMMENTS,
        PATIENTS,
        SITES,
        SITE_SETTINGS,
        EXAM_CODES,
        STAFF_SKILLS,
    }
)
"""Views as kinds of quarantine entries: rows and records that could not be stored."""
_BILLING_MEMBERS = frozenset({"billingStatus", "billingType"})


class Ingest:
    """A buffer in front of the record store. Used by one thread; `flush` at the end of a unit."""

    def __init__(self, job: QubsJob, stores: Stores, report: Report, sweep: Sweep) -> None:
        self._job = job
        self._stores = stores
        self._report = report
        self._sweep = sweep
        self._records: list[PulledRecord] = []
        self._malformed: list[MalformedRow] = []
        self.counts: Counter[str] = Counter()
        """Records taken, by view."""
        self._held = {
            (entry.kind, entry.key)
            for entry in stores.quarantine.list(job.tenant, job.source, limit=_MOST_HELD)
        }

    def page(self, page: Page) -> None:
        """Take a page of a list."""
        for record in page.records:
            self.record(record)
        self.malformed(page.malformed)

    def array(self, array: ArrayRecord) -> None:
        """Take a list that is one record. Of attachments, one that has malformed rows does not
        replace what is stored: documents would go that only cannot be read now.
        """
        self.malformed(array.malformed)
        record = array.record
        if array.malformed and record.view == ATTACHMENTS and self._is_stored(record):
            return
        self.record(record)

    def _is_stored(self, pulled: Pulled) -> bool:
        where = (self._job.tenant, self._job.source)
        return self._stores.records.body(*where, pulled.view, pulled.key) is not None

    def record(self, pulled: Pulled) -> None:
        """Take one record."""
        self.counts[pulled.view] += 1
        body: Any = pulled.body
        scope = ""
        if pulled.view == OPERATIONAL and isinstance(body, dict):
            scope = key_text(body.get("scheduledSite")) or ""
            if not self._job.settings.billing and not _BILLING_MEMBERS.isdisjoint(body):
                body = {k: v for k, v in body.items() if k not in _BILLING_MEMBERS}
        elif pulled.view == ATTACHMENTS and isinstance(body, list):
            body = without_addresses(body)
        self._records.append(
            PulledRecord(
                pulled.view,
                pulled.key,
                canonical_bytes(body),
                links_of(pulled.view, pulled.key, body),
                pulled.correlation_id or None,
                scope,
            )
        )
        if len(self._records) >= self._job.options.batch:
            self.flush()

    def malformed(self, rows: tuple[MalformedRow, ...]) -> None:
        """Take rows that cannot be stored; what was stored of them before stays."""
        self._malformed.extend(rows)

    def flush(self) -> None:
        """Store all that was taken: when this returns it survives a crash."""
        where = (self._job.tenant, self._job.source)
        if self._malformed:
            entries = [
                QuarantineEntry(row.view, row.key, "", row.reason) for row in self._malformed
            ]
            self._stores.quarantine.put(*where, entries)
            self._report.quarantined += len(entries)
            self._held.update((entry.kind, entry.key) for entry in entries)
        refused = {(row.view, row.key) for row in self._malformed}
        self._malformed = []
        if not self._records:
            return
        result = self._stores.records.store(
            *where, self._records, pulled_us=clock.now_us(), sweep=self._sweep.number
        )
        self._report.changed += result.changed
        self._report.unchanged += result.unchanged
        healed = {(r.view, r.key) for r in self._records} & self._held - refused
        if healed:
            self._stores.quarantine.release(*where, [Subject(*key) for key in healed])
            self._held -= healed
        self._records = []

    def forget_rows(self, before_us: int) -> None:
        """Forget malformed rows not met since: a complete sweep has found them well or gone."""
        where = (self._job.tenant, self._job.source)
        held = self._stores.quarantine.list(*where, limit=_MOST_HELD)
        old = [
            Subject(entry.kind, entry.key)
            for entry in held
            if entry.kind in _ROW_VIEWS and entry.last_us < before_us
        ]
        self._stores.quarantine.release(*where, old)
        self._held.difference_update(tuple(subject) for subject in old)
