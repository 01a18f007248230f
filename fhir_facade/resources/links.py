"""Which subjects a pulled QUBS record speaks of: a change of the record re-maps each of them."""

from __future__ import annotations

from typing import Any

from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.context import Records
from fhir_facade.resources.qubs_appointment import sites_of
from fhir_facade.resources.subject import Subject
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

_SITE_VIEWS = frozenset({SITES, SITE_SETTINGS, EXAM_CODES, STAFF_SKILLS})
_APPOINTMENT_VIEWS = frozenset({OPERATIONAL, TELE_REPORTING, ATTACHMENTS, COMMENTS})


def links_of(view: str, key: str, body: Any) -> tuple[Subject, ...]:
    """The subjects of one record, its own first, without doubles.

    A record of unexpected shape still belongs to its own subject, so that mapping can reject it.
    Raises ValueError for a view no subject has.
    """
    if view in _SITE_VIEWS:
        return (Subject("site", key), *_staff(view, body))
    if view == PATIENTS:
        return (Subject("patient", key),)
    if view in _APPOINTMENT_VIEWS:
        return (Subject("appointment", key), *_patients(body))
    raise ValueError(f"no subject has records of the view {view!r}")


def dependencies_of(subject: Subject, own: Records) -> tuple[Subject, ...]:
    """The other subjects whose records the mapping of `subject` reads: an appointment's site."""
    if subject.kind != "appointment":
        return ()
    return tuple(Subject("site", name) for name in dict.fromkeys(sites_of(own)))


def _staff(view: str, body: Any) -> tuple[Subject, ...]:
    if view != STAFF_SKILLS or not isinstance(body, dict):
        return ()
    ids = (fields.text(row, fields.EMPLOYEE_ID) for row in fields.rows(body, fields.EMPLOYEES))
    return tuple(Subject("staff", key) for key in dict.fromkeys(ids) if key)


def _patients(body: Any) -> tuple[Subject, ...]:
    bodies = body if isinstance(body, list) else [body]
    ids = (fields.text(b, fields.PATIENT_ID) for b in bodies if isinstance(b, dict))
    return tuple(Subject("patient", key) for key in dict.fromkeys(ids) if key)
