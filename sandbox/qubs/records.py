"""Appointments and patients computed from their number: nothing is stored per record.

A record is a plain dict of every field any view may show, with None for "no value"; ``views.py``
decides what a view shows and which form an absent value takes. Instants are UTC texts, dates and
times local to the scheduled site.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sandbox.qubs import vocabulary as words_of
from sandbox.qubs.columns import ARRANGED, Columns
from sandbox.qubs.draws import chance, pick, words
from sandbox.qubs.settings import DomainSpec, SiteSpec

Record = dict[str, Any]

_MULTIPLIER = 48271
"""Prime, so coprime to every id space below: numbers run through it without repeating."""


def utc_text(instant: dt.datetime) -> str:
    """``yyyy-MM-ddTHH:mm:ssZ`` of an aware datetime."""
    return instant.astimezone(dt.UTC).isoformat(timespec="seconds")[:19] + "Z"


class AppointmentIds:
    """Appointment numbers to identifiers and back: unordered, so that no list is chronological.

    The space does not depend on the domain: identifiers of two domains overlap.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._first = 100_000
        while self._first * 9 < max(count, 1) * 9 // 8:
            self._first *= 10
        self._space = self._first * 9
        self._inverse = pow(_MULTIPLIER, -1, self._space)

    def identifier(self, index: int) -> str:
        """The identifier of one appointment, ``A`` and six digits or more."""
        return f"A{self._first + (index * _MULTIPLIER + 23456) % self._space}"

    def index(self, identifier: str) -> int | None:
        """The number behind an identifier, or None when it is none of ours."""
        if not (identifier[:1] == "A" and identifier[1:].isascii() and identifier[1:].isdigit()):
            return None
        if len(identifier) != len(str(self._first)) + 1:
            return None
        offset = int(identifier[1:]) - self._first
        if not 0 <= offset < self._space:
            return None
        index = (offset - 23456) * self._inverse % self._space
        return index if index < self._count else None


class _Slot(NamedTuple):
    date: dt.date | None
    start: dt.datetime | None
    end: dt.datetime | None


class AppointmentSource:
    """Computes the appointments of one domain."""

    def __init__(
        self, spec: DomainSpec, columns: Columns, exams: list[tuple[words_of.Exam, ...]], seed: int
    ) -> None:
        self.ids = AppointmentIds(len(columns))
        self._spec = spec
        self._columns = columns
        self._exams = exams
        self._prefix = f"{seed}/{spec.name}/appointment/"
        self._zones = [ZoneInfo(site.time_zone) for site in spec.sites]

    def record(self, index: int) -> Record:
        """The record of appointment ``index``, newly made at each call."""
        draw = words(f"{self._prefix}{index}")
        code = self._columns.site[index]
        site = self._spec.sites[code]
        status = words_of.STATUSES[self._columns.status[index]]
        exam = pick(self._exams[code], draw[0])
        slot = self._slot(index, draw, exam)
        arrival, scan_start, scan_end = self._times(status, slot, draw, self._zones[code])
        patient = (draw[1] << 16 | draw[2]) * self._spec.patients >> 32
        plain = index < ARRANGED
        return {
            "domain": self._spec.name,
            "appointmentId": self.ids.identifier(index),
            "scheduledSite": site.name,
            "status": status,
            "appointmentDate": slot.date.isoformat() if slot.date else None,
            "startTime": slot.start.strftime("%H:%M:%S") if slot.start else None,
            "endTime": slot.end.strftime("%H:%M:%S") if slot.end else None,
            "modality": None if chance(draw[3], 3) else exam.modality,
            "studyDescription": None if chance(draw[4], 4) else exam.description,
            "room": None if chance(draw[5], 12) else f"Room {1 + draw[5] % 6}",
            "priority": None if chance(draw[6], 10) else pick(words_of.PRIORITIES, draw[7]),
            "billingStatus": pick(words_of.BILLING_STATUSES, draw[8]),
            "billingType": None if chance(draw[8], 6) else pick(words_of.BILLING_TYPES, draw[9]),
            "arrivalDateTime": utc_text(arrival) if arrival else None,
            "scanStartDateTime": utc_text(scan_start) if scan_start else None,
            "scanEndDateTime": utc_text(scan_end) if scan_end else None,
            "patientId": None
            if not plain and chance(draw[10], 1.5)
            else str(self._spec.first_patient_id + patient),
            "lastModifiedDateTime": self._modified(index, draw),
            "clinicalInfo": None
            if chance(draw[11], 20)
            else pick(words_of.CLINICAL_INFO, draw[11]),
            "reportingDeadline": self._deadline(scan_end, draw),
            "radiologist": self._radiologist(site, draw),
            "examCodes": self._exam_codes(exam, code, draw),
            "providerNumber": words_of.PROVIDER_NUMBERS[self._columns.provider[index]],
        }

    def _slot(self, index: int, draw: tuple[int, ...], exam: words_of.Exam) -> _Slot:
        date = self._columns.date_of(index)
        if date is None:
            return _Slot(None, None, None)
        midnight = dt.datetime.combine(date, dt.time())
        changes = self._columns.changes
        if index < len(changes):
            start = midnight + dt.timedelta(minutes=changes[index].minute + 15)
        elif index >= ARRANGED and chance(draw[12], 2.5):
            return _Slot(date, None, None)
        elif index >= ARRANGED and chance(draw[12], 3.2):
            start = midnight + dt.timedelta(hours=23, minutes=50)
        else:
            start = midnight + dt.timedelta(minutes=450 + 15 * (draw[13] * 42 >> 16))
        if index >= ARRANGED and chance(draw[14], 2):
            return _Slot(date, start, None)
        return _Slot(date, start, start + dt.timedelta(minutes=exam.minutes))

    def _times(
        self, status: str, slot: _Slot, draw: tuple[int, ...], zone: ZoneInfo
    ) -> tuple[dt.datetime | None, dt.datetime | None, dt.datetime | None]:
        """Arrival, scan start and scan end in UTC, as far as the status has come."""
        if slot.start is None or status in words_of.NEVER_ARRIVED:
            return None, None, None
        start = slot.start.replace(tzinfo=zone).astimezone(dt.UTC)
        arrival = start - dt.timedelta(minutes=draw[15] % 25)
        if status == "ARRIVED":
            return arrival, None, None
        scan_start = start + dt.timedelta(minutes=draw[15] % 13, seconds=draw[14] % 60)
        if status == "STUDY INPROGRESS" or slot.end is None:
            return arrival, scan_start, None
        return arrival, scan_start, scan_start + dt.timedelta(minutes=5 + draw[13] % 40)

    def _modified(self, index: int, draw: tuple[int, ...]) -> str | None:
        if chance(draw[7], 8):
            return None
        date = self._columns.date_of(index) or self._columns.first_day
        return f"{date - dt.timedelta(days=draw[7] % 9)}T{draw[6] % 24:02}:{draw[5] % 60:02}:00Z"

    def _deadline(self, scan_end: dt.datetime | None, draw: tuple[int, ...]) -> str | None:
        if scan_end is None or chance(draw[9], 35):
            return None
        return utc_text(scan_end + dt.timedelta(hours=(4, 24, 48)[draw[9] % 3]))

    def _radiologist(self, site: SiteSpec, draw: tuple[int, ...]) -> Record | None:
        if chance(draw[3], 40):
            return None
        return user_summary(site.name, draw[4])

    def _exam_codes(self, exam: words_of.Exam, site: int, draw: tuple[int, ...]) -> list[Record]:
        if chance(draw[0], 4):
            return []
        found = [exam]
        if chance(draw[2], 12):
            other = pick(self._exams[site], draw[14])
            found += [other] if other is not exam else []
        codes: list[Record] = [
            {"examCodeId": exam_code_id(each), "key": each.key, "description": each.description}
            for each in found
        ]
        if chance(draw[9], 3):
            codes.append({})
        if chance(draw[11], 2):
            codes.append({"key": "RETIRED_KEY"})
        return codes


def exam_code_id(exam: words_of.Exam) -> str:
    """The identifier of a catalogue entry, the same at every site."""
    return f"EC{100 + words_of.EXAMS.index(exam)}"


def staff_numbers(site: str) -> tuple[int, ...]:
    """Which of the staff list work at a site; some work at several."""
    start = words(f"staff/{site}")[0] % len(words_of.STAFF_NAMES)
    return tuple((start + step) % len(words_of.STAFF_NAMES) for step in range(6))


def user_summary(site: str, word: int) -> Record:
    """A UserSummaryResponse: quite often the empty object, as the published samples show."""
    if chance(word, 30):
        return {}
    number = pick(staff_numbers(site), word)
    if chance(word, 42):
        return {"displayName": words_of.STAFF_NAMES[number]}
    return {"userId": str(120 + number), "displayName": words_of.STAFF_NAMES[number]}


def patient_record(spec: DomainSpec, number: int, reference: dt.date, seed: int) -> Record:
    """The record of patient ``number`` (0 .. patients - 1) of a domain."""
    draw = words(f"{seed}/{spec.name}/patient/{number}")
    first, sex = pick(words_of.FIRST_NAMES, draw[0])
    last = pick(words_of.LAST_NAMES, draw[1])
    born = reference - dt.timedelta(days=draw[2] * 34_000 >> 16)
    one_name = chance(draw[3], 2)
    return {
        "domain": spec.name,
        "patientId": str(spec.first_patient_id + number),
        "patientName": first if one_name else f"{first} {last}",
        "firstName": first,
        "lastName": None if one_name else last,
        "dateOfBirth": None if chance(draw[4], 3) else born.isoformat(),
        "gender": None if chance(draw[5], 5) else pick(words_of.GENDER_WORDS[sex], draw[6]),
        "email": None if chance(draw[7], 35) else f"patient{number}@example.org",
        "country": None if chance(draw[8], 20) else pick(words_of.COUNTRIES, draw[9]),
        "lastModifiedDateTime": None
        if chance(draw[10], 10)
        else f"{reference - dt.timedelta(days=1 + draw[10] % 700)}T{draw[11] % 24:02}:15:00Z",
    }
