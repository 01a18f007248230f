"""Which patient an appointment belongs to, where the upstream says it in more than one place.

The links themselves follow from the records (`resources.links`): the operational view, the
tele-reporting view and the comments each may name the patient, and a new or changed record re-maps
both sides. What needs care is time: the pending view ends, its last record stays (in lean mode
nothing else may name the patient), and must not contradict what the operational view says later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_facade.resources.context import RecordKey
from fhir_facade.resources.subject import Subject
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.upstream.pulled import absent
from fhir_facade.upstream.qubs_words import OPERATIONAL, TELE_REPORTING


def superseded(
    job: QubsJob, stores: Stores, subject: Subject, bodies: Mapping[RecordKey, Any]
) -> RecordKey | None:
    """The (view, key) of an ended pending record that names another patient than the operational
    view does now.

    None when there is none: two live views that disagree are left to the mapping, which links to
    neither.
    """
    if subject.kind != "appointment":
        return None
    told = _patient(bodies.get((OPERATIONAL, subject.key)))
    old = _patient(bodies.get((TELE_REPORTING, subject.key)))
    if told is None or old is None or told == old:
        return None
    ended = stores.worklist.missing_sweeps(job.tenant, job.source, TELE_REPORTING, subject.key)
    return (TELE_REPORTING, subject.key) if ended else None


def without_gone(bodies: Mapping[RecordKey, Any], gone: frozenset[str]) -> Mapping[RecordKey, Any]:
    """The records of an appointment as if they did not name the patients that are gone."""
    if not gone:
        return bodies
    return {key: _unnamed(body, gone) for key, body in bodies.items()}


def _unnamed(body: Any, gone: frozenset[str]) -> Any:
    if isinstance(body, list):
        return [_unnamed(item, gone) for item in body]
    return {**body, "patientId": None} if _patient(body) in gone else body


def _patient(body: Any) -> str | None:
    value = body.get("patientId") if isinstance(body, dict) else None
    return None if absent(value) else str(value).strip()
