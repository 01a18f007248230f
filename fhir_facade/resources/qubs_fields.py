"""The members of QUBS records, under every spelling that is known, and how their values are read.

Missing, null and blank text all mean absent (QUBS v1, open question 15). Numbers may come as text
and text as numbers. No other module of
this room spells a member of a QUBS record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from fhir_facade.upstream.qubs_words import ALIASES

Names = tuple[str, ...]

DOMAIN: Final[Names] = ("domain",)
APPOINTMENT_ID: Final[Names] = ("appointmentId",)
PATIENT_ID: Final[Names] = ("patientId",)
SCHEDULED_SITE: Final[Names] = ("scheduledSite",)
STATUS: Final[Names] = ("status",)
APPOINTMENT_DATE: Final[Names] = ("appointmentDate",)
START_TIME: Final[Names] = ("startTime",)
END_TIME: Final[Names] = ("endTime",)
MODALITY: Final[Names] = ("modality",)
STUDY_DESCRIPTION: Final[Names] = ("studyDescription",)
CLINICAL_INFO: Final[Names] = ("clinicalInfo",)
ROOM: Final[Names] = ("room",)
PRIORITY: Final[Names] = ("priority",)
SCAN_START: Final[Names] = ("scanStartDateTime",)
SCAN_END: Final[Names] = ("scanEndDateTime",)
EXAM_CODES: Final[Names] = ("examCodes",)
EXAM_KEY: Final[Names] = ("key", "examCodeId")
EXAM_DESCRIPTION: Final[Names] = ("description",)
EXAM_CATEGORY: Final[Names] = ("category",)
PATIENT_NAME: Final[Names] = ("patientName",)
FIRST_NAME: Final[Names] = ("firstName",)
LAST_NAME: Final[Names] = ("lastName",)
BIRTH_DATE: Final[Names] = ALIASES["dateOfBirth"]
GENDER: Final[Names] = ("gender",)
EMAIL: Final[Names] = ("email",)
COUNTRY: Final[Names] = ("country",)
TIME_ZONE: Final[Names] = ("timeZone",)
GUID: Final[Names] = ("guid",)
CATEGORY: Final[Names] = ("category",)
FILE_NAME: Final[Names] = ("fileName",)
ADDED: Final[Names] = ("addedDateTime",)
LAST_MODIFIED: Final[Names] = ("lastModifiedDateTime",)
EMPLOYEES: Final[Names] = ("employees",)
EMPLOYEE_ID: Final[Names] = ("employeeId",)
EMPLOYEE_NAME: Final[Names] = ("employeeName",)

# FHIR strings hold no control characters but tab and line ends (R4 datatypes.html#string).
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T.*)?", re.ASCII | re.DOTALL)
_PARTIAL_DAY = re.compile(r"[0-9]{4}(?:-(?:0[1-9]|1[0-2]))?", re.ASCII)
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)"
    r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?",
    re.ASCII,
)


def text(body: Mapping[str, Any], names: Names) -> str | None:
    """The first present value among `names` as text, trimmed; None when all are absent.

    Numbers become their decimal text. Booleans, lists and objects are no text: absent.
    """
    for name in names:
        value = body.get(name)
        if value.__class__ is str:
            cleaned = _cleaned(value)
            if cleaned:
                return cleaned
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return str(value)
    return None


def rows(body: Mapping[str, Any], names: Names) -> list[Mapping[str, Any]]:
    """The objects in the first list among `names`; members that are no objects are left out."""
    for name in names:
        value = body.get(name)
        if isinstance(value, list):
            return [row for row in value if isinstance(row, dict)]
    return []


def code(value: str) -> str:
    """`value` in the grammar of a FHIR code: single blanks only (R4 datatypes.html#code)."""
    return " ".join(value.split())


def day(value: str) -> date | None:
    """A calendar day from `yyyy-MM-dd`, with or without a time behind it; None for other text."""
    match = _DAY.fullmatch(value)
    if match is None:
        return None
    try:
        return date.fromisoformat(match[1])
    except ValueError:
        return None


def birth_date(value: str) -> str | None:
    """A FHIR date from `yyyy-MM-dd`, `yyyy-MM` or `yyyy`; None for other text."""
    whole = day(value)
    if whole is not None:
        return whole.isoformat()
    if _PARTIAL_DAY.fullmatch(value) and not value.startswith("0000"):
        return value
    return None


def instant(value: str) -> str | None:
    """A FHIR instant from an upstream date-time; without an offset it is UTC (QUBS date rules)."""
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return None
    try:
        datetime.fromisoformat(match[1])
    except ValueError:
        return None
    return match[1] + (match[2] or "Z")


def _cleaned(value: str) -> str:
    value = value.strip()
    if value.isprintable():
        return value
    return _CONTROL.sub(" ", value).strip()
