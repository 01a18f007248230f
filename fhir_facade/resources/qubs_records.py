"""Which QUBS records may be mapped at all: right shape, right domain, right key."""

from __future__ import annotations

from typing import Any

from fhir_facade.resources import qubs_fields as fields
from fhir_facade.resources.context import RecordKey, Records, Rejection
from fhir_facade.upstream.qubs_words import (
    ATTACHMENTS,
    COMMENTS,
    EXAM_CODES,
    OPERATIONAL,
    PATIENTS,
    TELE_REPORTING,
)

_ARRAYS = frozenset({ATTACHMENTS, COMMENTS, EXAM_CODES})
"""Views whose record is the whole list."""

_KEY_NAMES: dict[str, fields.Names] = {
    OPERATIONAL: fields.APPOINTMENT_ID,
    TELE_REPORTING: fields.APPOINTMENT_ID,
    PATIENTS: fields.PATIENT_ID,
}
"""Views whose body repeats its key, and where."""


def readable(records: Records, domain: str) -> tuple[dict[RecordKey, Any], tuple[Rejection, ...]]:
    """The records that can be mapped, and why the others cannot.

    A body that says it is of another domain, or of another key than it was read by, is never
    mapped: it would show one customer's or patient's data as another's.
    """
    rejected = [
        Rejection(view, key, reason)
        for (view, key), body in records.items()
        if (reason := _fault(view, key, body, domain))
    ]
    if not rejected:
        return dict(records), ()
    refused = {(view, key) for view, key, _ in rejected}
    return {k: body for k, body in records.items() if k not in refused}, tuple(rejected)


def _fault(view: str, key: str, body: Any, domain: str) -> str | None:
    if view in _ARRAYS:
        return None if isinstance(body, list) else "the record is not a list"
    if not isinstance(body, dict):
        return "the record is not an object"
    said = fields.text(body, fields.DOMAIN)
    if said is not None and said != domain.strip():
        return "the record is of another domain"
    names = _KEY_NAMES.get(view)
    if names is not None and (fields.text(body, names) or key.strip()) != key.strip():
        return "the record says it has another key"
    return None
