"""One QUBS appointment, merged from its views; the Appointment and the report are made of it.

For each field the operational view comes first, then the tele-reporting view: the pending list is
left when reporting ends, so its record may be the older one. docs/mapping/qubs.md, "Precedence".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade.fhir.ids import resource_id
from fhir_facade.fhir.zones import resolve_zone
from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.context import (
    SOURCE,
    MappingWarning,
    QubsContext,
    RecordKey,
    Records,
    unknown,
)
from fhir_facade.resources.schedule import LocalTimes, Schedule, resolve
from fhir_facade.upstream.qubs_words import (
    COMMENTS,
    EXAM_CODES,
    OPERATIONAL,
    SITE_SETTINGS,
    TELE_REPORTING,
)

VIEWS = (OPERATIONAL, TELE_REPORTING)
"""The views that tell an appointment, in order of precedence."""


@dataclass(frozen=True, slots=True)
class Exam:
    """An exam code of an appointment; `category` is what the site's exam codes say of it."""

    code: str
    description: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class QubsAppointment:
    """The merged fields, None where no view has them.

    `site_reference` is None when the site is not known (then no Location exists).
    `appointment_status` and `report_status` are FHIR codes; no report status: no report.
    `scan_start` and `scan_end` are FHIR instants.
    """

    key: str
    id: str
    status: str | None
    appointment_status: str
    report_status: str | None
    schedule: Schedule
    site: str | None
    site_reference: str | None
    patient_reference: str | None
    description: str | None
    modality: str | None
    room: str | None
    priority: str | None
    clinical_info: str | None
    exams: tuple[Exam, ...]
    scan_start: str | None
    scan_end: str | None


class _Reader:
    """Reads fields by precedence and collects warnings."""

    def __init__(self, bodies: list[Mapping[str, Any]]) -> None:
        self.bodies = bodies
        self.warnings: list[MappingWarning] = []

    def text(self, names: fields.Names) -> str | None:
        for body in self.bodies:
            value = fields.text(body, names)
            if value is not None:
                return value
        return None

    def rows(self, names: fields.Names) -> list[Mapping[str, Any]]:
        for body in self.bodies:
            found = fields.rows(body, names)
            if found:
                return found
        return []

    def instant(self, names: fields.Names) -> str | None:
        value = self.text(names)
        if value is None:
            return None
        moment = fields.instant(value)
        if moment is None:
            self.warnings.append(MappingWarning("unreadable-date-time"))
        return moment


def sites_of(records: Records) -> tuple[str, ...]:
    """The names of the scheduled site, the one that counts first; works on records as stored."""
    named: dict[str, str] = {}
    for (view, _), body in records.items():
        if view in VIEWS and isinstance(body, dict):
            name = fields.text(body, fields.SCHEDULED_SITE)
            if name is not None:
                named[view] = name
    return tuple(named[view] for view in VIEWS if view in named)


def read_appointment(
    key: str, own: Records, site_records: Records, context: QubsContext
) -> tuple[QubsAppointment | None, tuple[RecordKey, ...], list[MappingWarning]]:
    """Merge the views of one appointment; None when neither view is there.

    `own` holds checked records (`qubs_records.readable`), `site_records` those of its site.
    Also gives the records that were used, and what was served under a default.
    """
    used = [(view, key) for view in VIEWS if (view, key) in own]
    if not used:
        return None, (), []
    reader = _Reader([own[record] for record in used])
    patient, patient_records = _patient_of(key, own, reader)
    site = reader.text(fields.SCHEDULED_SITE)
    zone, zone_records = _zone_of(site, site_records, reader)
    status = reader.text(fields.STATUS)
    scan_end = reader.instant(fields.SCAN_END)
    appointment_status, report_status = _statuses(status, scan_end, context, reader)
    times = LocalTimes(
        reader.text(fields.APPOINTMENT_DATE),
        reader.text(fields.START_TIME),
        reader.text(fields.END_TIME),
    )
    schedule, time_warnings = resolve(times, zone, site)
    appointment = QubsAppointment(
        key=key,
        id=resource_id(SOURCE, key),
        status=status,
        appointment_status=appointment_status,
        report_status=report_status,
        schedule=schedule,
        site=site,
        site_reference=f"Location/{resource_id(SOURCE, site)}" if site and site_records else None,
        patient_reference=f"Patient/{resource_id(SOURCE, patient)}" if patient else None,
        description=reader.text(fields.STUDY_DESCRIPTION),
        modality=reader.text(fields.MODALITY),
        room=reader.text(fields.ROOM),
        priority=reader.text(fields.PRIORITY),
        clinical_info=reader.text(fields.CLINICAL_INFO),
        exams=_exams(reader, site, site_records),
        scan_start=reader.instant(fields.SCAN_START),
        scan_end=scan_end,
    )
    return appointment, (*used, *patient_records, *zone_records), reader.warnings + time_warnings


def _patient_of(
    key: str, own: Records, reader: _Reader
) -> tuple[str | None, tuple[RecordKey, ...]]:
    """The patient the views name; comments are asked when no view names one.

    Sources that name different patients name none: a wrong link would show one patient's
    appointment to another.
    """
    named = {fields.text(body, fields.PATIENT_ID) for body in reader.bodies} - {None}
    used: tuple[RecordKey, ...] = ()
    if not named and (COMMENTS, key) in own:
        comments = [c for c in own[COMMENTS, key] if isinstance(c, dict)]
        named = {fields.text(comment, fields.PATIENT_ID) for comment in comments} - {None}
        used = ((COMMENTS, key),) if named else ()
    if len(named) > 1:
        reader.warnings.append(MappingWarning("patient-conflict"))
        return None, ()
    return next(iter(named), None), used


def _zone_of(
    site: str | None, site_records: Records, reader: _Reader
) -> tuple[ZoneInfo | None, tuple[RecordKey, ...]]:
    if site is None:
        return None, ()
    if not site_records:
        reader.warnings.append(unknown("unknown-site", site))
        return None, ()
    settings = site_records.get((SITE_SETTINGS, site))
    if not isinstance(settings, dict):
        return None, ()
    # An unknown zone is counted where the site is mapped, not again for each appointment.
    return resolve_zone(fields.text(settings, fields.TIME_ZONE)), ((SITE_SETTINGS, site),)


def _statuses(
    status: str | None, scan_end: str | None, context: QubsContext, reader: _Reader
) -> tuple[str, str | None]:
    table = context.tables.appointment_status
    if status is None:
        reader.warnings.append(MappingWarning("missing-status"))
        return table.default or "pending", "unknown" if scan_end else None
    code, known = table.lookup(status)
    report, report_known = context.tables.report_status.lookup(status)
    if not known or not report_known:
        reader.warnings.append(unknown("unknown-status", status))
    if not report_known and scan_end:
        report = "unknown"
    return code or "pending", report


def _exams(reader: _Reader, site: str | None, site_records: Records) -> tuple[Exam, ...]:
    found: list[Exam] = []
    for row in reader.rows(fields.EXAM_CODES):
        code = fields.text(row, fields.EXAM_KEY)
        if code is not None:
            category = _category_of(code, site_records.get((EXAM_CODES, site or "")))
            found.append(Exam(code, fields.text(row, fields.EXAM_DESCRIPTION), category))
    return tuple(found)


def _category_of(code: str, exam_codes: Any) -> str | None:
    if not isinstance(exam_codes, list):
        return None
    for row in exam_codes:
        if isinstance(row, dict) and fields.text(row, fields.EXAM_KEY) == code:
            return fields.text(row, fields.EXAM_CATEGORY)
    return None
