"""The world: what the generated domains hold, with every edit and submission laid over it.

Generated records are never stored; ``DomainWorld`` keeps only those that were edited, added or
removed. Callers hold ``World.lock`` while they read or change it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from sandbox.qubs.columns import NO_DATE, build_columns
from sandbox.qubs.directory import Site, build_site, site_exams
from sandbox.qubs.documents import (
    appointment_attachments,
    appointment_comments,
    patient_comments,
)
from sandbox.qubs.records import AppointmentSource, Record, patient_record
from sandbox.qubs.selection import Selection
from sandbox.qubs.settings import DomainSpec, WorldSettings
from sandbox.qubs.vocabulary import PROVIDER_NUMBERS, STATUS_CODE

_OVERLAY = (
    "sites",
    "edited",
    "order",
    "removed",
    "touched",
    "edited_patients",
    "added_comments",
    "added_patient_comments",
    "edited_comments",
    "added_attachments",
    "edited_attachments",
)


@dataclass(slots=True)
class Upload:
    """The bytes of one uploaded file."""

    content: bytes
    content_type: str


class DomainWorld:
    """One domain. Appointment and patient ids are unique inside it only."""

    def __init__(self, spec: DomainSpec, settings: WorldSettings) -> None:
        self.spec = spec
        self.reference = settings.reference_date
        self.seed = settings.seed
        self.columns = build_columns(spec, self.reference, self.seed)
        exams = [site_exams(spec, site, self.seed) for site in spec.sites]
        self._source = AppointmentSource(spec, self.columns, exams, self.seed)
        self.clear()

    def clear(self) -> None:
        """Forget every edit and submission."""
        self.sites: dict[str, Site] = {
            site.name: build_site(self.spec, site, self.reference, self.seed)
            for site in self.spec.sites
        }
        self.edited: dict[str, Record] = {}
        self.order: list[str] = []
        self.removed: set[str] = set()
        self.touched: set[int] = set()
        self.edited_patients: dict[str, Record | None] = {}
        self.added_comments: dict[str, list[Record]] = {}
        self.added_patient_comments: dict[str, list[Record]] = {}
        self.edited_comments: dict[str, Record | None] = {}
        self.added_attachments: dict[str, list[Record]] = {}
        self.edited_attachments: dict[str, Record | None] = {}
        self.uploads: dict[str, Upload] = {}
        self.reports: dict[str, Record] = {}

    def overlay(self) -> dict[str, Any]:
        """A copy of every edit and submission, for ``restore``."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _OVERLAY}

    def restore(self, saved: dict[str, Any]) -> None:
        """Put back what ``overlay`` copied."""
        for name, value in saved.items():
            setattr(self, name, value)

    # appointments

    def generated(self, appointment_id: str) -> Record | None:
        """The generated record, as if nothing had been edited; removed ones too."""
        index = self._source.ids.index(appointment_id)
        return None if index is None else self._source.record(index)

    def appointment(self, appointment_id: str) -> Record | None:
        """The record as it stands now, or None when there is none."""
        if appointment_id in self.removed:
            return None
        edited = self.edited.get(appointment_id)
        return edited if edited is not None else self.generated(appointment_id)

    def put_appointment(self, record: Record) -> None:
        """Store an edited or added record."""
        key = record["appointmentId"]
        self._touch(key)
        self.removed.discard(key)
        if key not in self.edited:
            self.order.append(key)
        self.edited[key] = record

    def remove_appointment(self, appointment_id: str) -> None:
        """Take a record away."""
        self._touch(appointment_id)
        self.edited.pop(appointment_id, None)
        if appointment_id in self.order:
            self.order.remove(appointment_id)
        self.removed.add(appointment_id)

    def _touch(self, appointment_id: str) -> None:
        index = self._source.ids.index(appointment_id)
        if index is not None:
            self.touched.add(index)

    def hidden(self, site: Any) -> bool:
        """Whether a site was withdrawn."""
        found = self.sites.get(site) if isinstance(site, str) else None
        return found is not None and found.withdrawn is not None

    def lean(self, site: Any) -> bool:
        """Whether the operational view of a site leaves ``patientId`` out."""
        found = self.sites.get(site) if isinstance(site, str) else None
        return found is None or not found.patient_ids

    def page(
        self, selection: Selection, position: int, size: int, skip: int = 0
    ) -> tuple[list[Record], int | None]:
        """Up to ``size`` records from ``position`` after passing over ``skip``, and where to go on
        (None at the end)."""
        records: list[Record] = []
        for place, found in islice(self._matches(selection, position), skip, None):
            if len(records) == size:
                return records, place
            records.append(self._source.record(found) if isinstance(found, int) else found)
        return records, None

    def _matches(self, selection: Selection, position: int) -> Iterator[tuple[int, int | Record]]:
        """Places and what stands there: the number of a generated record, or an edited one."""
        base = self._base(selection)
        plain = not self.touched and not selection.narrow and not self._any_hidden()
        for place in range(position, len(base)):
            index = base[place]
            if plain or self._base_match(index, selection):
                yield place, index
                continue
            record = self._edited_base(index)
            if record is not None and self._match(record, selection):
                yield place, record
        for place, key in enumerate(self.order):
            if len(base) + place < position:
                continue
            record = self.edited[key]
            if self._match(record, selection) and not self._listed(key, selection):
                yield len(base) + place, record

    def _base(self, selection: Selection) -> Sequence[int]:
        columns = self.columns
        if selection.status is not None:
            return columns.by_status[STATUS_CODE[selection.status]]
        if selection.date is not None:
            day = columns.day_of(selection.date)
            return columns.by_day.get(day, ()) if 0 <= day < NO_DATE else ()
        names = [site.name for site in self.spec.sites]
        if selection.site is not None:
            return columns.by_site[names.index(selection.site)] if selection.site in names else ()
        return range(len(columns))

    def _any_hidden(self) -> bool:
        return any(site.withdrawn is not None for site in self.sites.values())

    def _base_match(self, index: int, selection: Selection) -> bool:
        """Whether an untouched generated record matches, judged by its columns alone."""
        if index in self.touched:
            return False
        site = self.spec.sites[self.columns.site[index]].name
        return self._site_match(site, selection) and (
            selection.providers is None
            or PROVIDER_NUMBERS[self.columns.provider[index]] in selection.providers
        )

    def _site_match(self, site: Any, selection: Selection) -> bool:
        if selection.site is not None and site != selection.site:
            return False
        if selection.allowed is not None and not _among(site, selection.allowed):
            return False
        return not self.hidden(site)

    def _edited_base(self, index: int) -> Record | None:
        return (
            self.edited.get(self._source.ids.identifier(index)) if index in self.touched else None
        )

    def _match(self, record: Record, selection: Selection) -> bool:
        if selection.status is not None and record["status"] != selection.status:
            return False
        if selection.date and record["appointmentDate"] != selection.date.isoformat():
            return False
        if selection.providers is not None and not _among(
            record["providerNumber"], selection.providers
        ):
            return False
        return self._site_match(record["scheduledSite"], selection)

    def _listed(self, appointment_id: str, selection: Selection) -> bool:
        """Whether an edited record already came at its generated place."""
        index = self._source.ids.index(appointment_id)
        if index is None:
            return False
        columns, names = self.columns, [site.name for site in self.spec.sites]
        if selection.status is not None:
            return columns.status[index] == STATUS_CODE[selection.status]
        if selection.date is not None:
            return columns.day[index] == columns.day_of(selection.date)
        return selection.site is None or names[columns.site[index]] == selection.site

    # patients

    def patient(self, patient_id: str) -> Record | None:
        """The patient as it stands now, or None."""
        if patient_id in self.edited_patients:
            return self.edited_patients[patient_id]
        if not self._generated_patient(patient_id):
            return None
        number = int(patient_id) - self.spec.first_patient_id
        return patient_record(self.spec, number, self.reference, self.seed)

    def patients(self, skip: int, take: int) -> list[Record]:
        """A window of all patients, in the order of their numbers, added ones last."""
        first, count = self.spec.first_patient_id, self.spec.patients
        generated = (str(first + number) for number in range(count))
        added = (key for key in self.edited_patients if not self._generated_patient(key))
        found = (self.patient(patient_id) for patient_id in chain(generated, added))
        return list(islice((record for record in found if record), skip, skip + take))

    def _generated_patient(self, patient_id: str) -> bool:
        if not (patient_id.isascii() and patient_id.isdecimal()) or len(patient_id) > 18:
            return False
        if patient_id[0] == "0":
            return False
        return 0 <= int(patient_id) - self.spec.first_patient_id < self.spec.patients

    # comments and attachments

    def comments(self, record: Record) -> list[Record]:
        """Comments of an appointment and of its patient, as they stand now."""
        key, patient_id = record["appointmentId"], record["patientId"]
        generated = self.generated(key)
        found: list[Record] = []
        if generated is not None:
            base = generated | {"patientId": patient_id}
            lean = self.lean(generated["scheduledSite"])
            found += appointment_comments(base, lean=lean, reference=self.reference, seed=self.seed)
        found += self.added_comments.get(key, [])
        if isinstance(patient_id, str):
            found += self.patient_comments(patient_id)
        return _overlaid(found, self.edited_comments)

    def patient_comments(self, patient_id: str) -> list[Record]:
        """The patient-level comments before single edits are laid over them."""
        name = self.spec.name
        found = patient_comments(name, patient_id, self.reference, self.seed)
        return found + self.added_patient_comments.get(patient_id, [])

    def attachments(self, record: Record) -> list[Record]:
        """Attachments of an appointment, as they stand now."""
        key = record["appointmentId"]
        generated = self.generated(key)
        found: list[Record] = []
        if generated is not None:
            base = generated | {"status": record["status"]}
            found += appointment_attachments(base, self.reference, self.seed)
        found += self.added_attachments.get(key, [])
        return _overlaid(found, self.edited_attachments)


def _among(value: Any, options: frozenset[str]) -> bool:
    return isinstance(value, str) and value in options


def _overlaid(found: list[Record], edits: dict[str, Record | None]) -> list[Record]:
    result = []
    for item in found:
        edit = edits.get(item["guid"], item)
        if edit is not None:
            result.append(item if edit is item else item | edit)
    return result


class World:
    """All domains, and the lock that makes reads and changes of them consistent."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.domains = {spec.name: DomainWorld(spec, settings) for spec in settings.domains}

    def clear(self) -> None:
        """Forget every edit and submission in every domain."""
        with self.lock:
            for domain in self.domains.values():
                domain.clear()
