"""From dirty subjects to published resources, in batches that survive a kill at any point.

A subject stays on the dirty list until the transaction that publishes it, so nothing is lost and
nothing is done twice. What cannot be mapped or does not pass validation is quarantined; what was
served of it before stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.validation import fast_check
from fhir_facade.mirror.dirty import DirtySubject
from fhir_facade.mirror.publish import LARGEST_BATCH, Prepared, SubjectOutput
from fhir_facade.mirror.quarantine import QuarantineEntry
from fhir_facade.mirror.records import StoredRecord
from fhir_facade.resources.context import Records, ResourceKey, SubjectRecords
from fhir_facade.resources.provenance import Origin, provenance_for
from fhir_facade.resources.qubs import MappedSubject, RecordKey, dependencies_of, map_subject
from fhir_facade.resources.subject import Subject
from fhir_facade.sync.job import OnProgress, Progress, QubsJob, Stores
from fhir_facade.sync.linking import superseded, without_gone
from fhir_facade.sync.patients import gone_patients
from fhir_facade.sync.report import Report

_BATCH = LARGEST_BATCH // 2
"""Subjects a batch: most yield no more than two resources."""

Stored = dict[RecordKey, StoredRecord]


@dataclass
class _Loaded:
    """The records of a batch, read in one go."""

    stored: dict[Subject, Stored]
    parsed: dict[Subject, dict[RecordKey, Any]] = field(default_factory=dict)

    def bodies(self, subject: Subject) -> dict[RecordKey, Any]:
        """The parsed records of a subject, each parsed once."""
        known = self.parsed.get(subject)
        if known is None:
            known = {key: json.loads(r.body) for key, r in self.stored.get(subject, {}).items()}
            self.parsed[subject] = known
        return known


class Mapper:
    """Maps what is dirty of one job. Used by one thread."""

    def __init__(self, job: QubsJob, stores: Stores, report: Report) -> None:
        self._job = job
        self._stores = stores
        self._report = report
        self._where = (job.tenant, job.source)
        self._gone: frozenset[str] = frozenset()
        self._held = {
            (entry.kind, entry.key) for entry in stores.quarantine.list(*self._where, limit=100_000)
        }

    def drain(
        self,
        check: Callable[[], None],
        progress: OnProgress | None = None,
        stop: threading.Event | None = None,
    ) -> int:
        """Map until nothing is dirty or `stop` is set; how many subjects that were.

        `check` is called before each write.
        """
        done = 0
        self._gone = gone_patients(self._job, self._stores)
        total = self._stores.records.dirty_count(*self._where)
        while True:
            batch = self._stores.records.dirty(*self._where, _BATCH)
            if not batch or (stop is not None and stop.is_set()):
                return done
            check()
            self._map(batch, check)
            done += len(batch)
            if progress is not None:
                progress(Progress(self._job.tenant, "mapping", done, max(total, done)))

    def _map(self, batch: Sequence[DirtySubject], check: Callable[[], None]) -> None:
        loaded = self._load([dirty.subject for dirty in batch])
        outputs: list[SubjectOutput] = []
        entries: list[QuarantineEntry] = []
        for subject, mark in batch:
            stale = superseded(self._job, self._stores, subject, loaded.bodies(subject))
            if stale is not None:
                # Taking it away marks the subject again: it comes back without that record.
                self._stores.records.remove(*self._where, *stale)
                continue
            outputs.append(self._output(subject, mark, loaded, entries))
        if entries:
            self._stores.quarantine.put(*self._where, entries)
            self._report.quarantined += len(entries)
        for part in _parts(outputs):
            check()
            result = self._stores.publisher.publish(*self._where, part, self._job.zone)
            self._report.created += result.created
            self._report.updated += result.updated
            self._report.deleted += result.deleted
            self._report.kept_resources += result.unchanged
        self._release(outputs, entries)

    def _load(self, subjects: Sequence[Subject]) -> _Loaded:
        records = self._stores.records
        with self._stores.database.read() as conn:
            loaded = _Loaded(records.stored(conn, *self._where, subjects))
            wanted = {
                other
                for subject in subjects
                for other in dependencies_of(subject, loaded.bodies(subject))
            }
            missing = sorted(wanted - loaded.stored.keys())
            if missing:
                loaded.stored.update(records.stored(conn, *self._where, missing))
        return loaded

    def _output(
        self, subject: Subject, mark: int, loaded: _Loaded, entries: list[QuarantineEntry]
    ) -> SubjectOutput:
        own: Records = loaded.bodies(subject)
        if subject.kind == "patient" and subject.key in self._gone:
            return SubjectOutput(subject, mark, ())
        if subject.kind == "appointment":
            own = without_gone(own, self._gone)
        related: dict[Subject, Records] = {
            other: loaded.bodies(other) for other in dependencies_of(subject, own)
        }
        try:
            mapped = map_subject(subject, SubjectRecords(own, related), self._job.context)
        except Exception as error:
            # One subject that trips the mapping must not hold up all the others.
            reason = f"the mapping failed with {type(error).__name__}"
            entries.append(QuarantineEntry(subject.kind, subject.key, "", reason))
            return SubjectOutput(subject, mark, (), dependencies=tuple(related), keep_rest=True)
        for code, value in mapped.warnings:
            self._report.codes[code, value or ""] += 1
        if mapped.rejected:
            reason = "; ".join(f"{view}: {why}" for view, _, why in mapped.rejected)
            entries.append(QuarantineEntry(subject.kind, subject.key, "", reason))
        prepared, kept = self._prepare(subject, mapped, loaded, entries)
        return SubjectOutput(
            subject, mark, prepared, kept, mapped.dependencies, keep_rest=bool(mapped.rejected)
        )

    def _prepare(
        self,
        subject: Subject,
        mapped: MappedSubject,
        loaded: _Loaded,
        entries: list[QuarantineEntry],
    ) -> tuple[tuple[Prepared, ...], frozenset[ResourceKey]]:
        """What may be published, and what is to stay as it was: what is not valid, and what is
        reached as such."""
        stored: Stored = {}
        for told_by in (*mapped.dependencies, subject):
            stored.update(loaded.stored.get(told_by, {}))
        prepared: list[Prepared] = []
        kept: set[ResourceKey] = set()
        for resource, sources in zip(mapped.resources, mapped.sources, strict=True):
            key = resource["resourceType"], resource["id"]
            targets = mapped.inherits.get(key, ())
            problems = fast_check(resource)
            if problems:
                reason = f"{problems[0].expression}: {problems[0].message}"
                entries.append(QuarantineEntry(subject.kind, subject.key, key[0], reason))
            if problems or not kept.isdisjoint(targets):
                kept.add(key)
                continue
            provenance = self._provenance(resource, sources, stored)
            prepared.append(Prepared(resource, provenance, targets))
        return tuple(prepared), frozenset(kept)

    def _provenance(
        self, resource: FHIRResource, sources: Iterable[RecordKey], stored: Stored
    ) -> FHIRResource | None:
        origins = [
            Origin(r.view, r.key, r.pulled_us, r.hash.hex(), r.correlation_id)
            for key in sources
            if (r := stored.get(key)) is not None
        ]
        return provenance_for(resource, origins, self._job.context)

    def _release(
        self, outputs: Sequence[SubjectOutput], entries: Sequence[QuarantineEntry]
    ) -> None:
        """Forget what was held of subjects and records that passed now."""
        refused = {(entry.kind, entry.key) for entry in entries}
        passed = {tuple(output.subject) for output in outputs} - refused
        healed = [Subject(*key) for key in passed & self._held]
        if healed:
            self._stores.quarantine.release(*self._where, healed)
            self._held.difference_update(tuple(subject) for subject in healed)
        self._held |= refused


def _parts(outputs: Sequence[SubjectOutput]) -> Iterator[list[SubjectOutput]]:
    """Outputs in runs of at most LARGEST_BATCH resources."""
    part: list[SubjectOutput] = []
    size = 0
    for output in outputs:
        if part and size + len(output.resources) > LARGEST_BATCH:
            yield part
            part, size = [], 0
        part.append(output)
        size += len(output.resources)
    if part:
        yield part
