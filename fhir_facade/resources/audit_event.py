"""AuditEvent: a row of the audit trail as a resource. Made when it is asked for, never stored.

It holds ids and fixed words, as its row does: the people behind the ids, and the values of a query,
are not in the trail (R4 auditevent.html; IHE Basic Audit Log Patterns).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_facade.audit.query import AuditRow
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import format_instant
from fhir_facade.fhir.ids import is_id
from fhir_facade.fhir.systems import (
    AUDIT_ENTITY_TYPE,
    AUDIT_EVENT_ACTION,
    AUDIT_EVENT_OUTCOME,
    BALP_ENTITY_TYPE,
    DICOM_DCM,
    OBJECT_ROLE,
    SECURITY_SOURCE_TYPE,
    V3_PARTICIPATION_TYPE,
    own_search_parameter,
    search_parameter,
    tenant_system,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.audit_acts import Code, act_of
from fhir_facade.resources.definition import ResourceDefinition, date, reference, token

_SEARCH = (
    token(
        "action",
        "action",
        definition=search_parameter("AuditEvent-action"),
        system=AUDIT_EVENT_ACTION,
    ),
    reference(
        "agent",
        "agent.who",
        targets=("Patient", "Practitioner"),
        definition=search_parameter("AuditEvent-agent"),
    ),
    token(
        "altid",
        "agent.altId",
        definition=search_parameter("AuditEvent-altid"),
        documentation="The id of an app (client_id) or of a user that acted.",
    ),
    token(
        "correlation-id",
        "entity.what.identifier",
        definition=own_search_parameter("AuditEvent-correlation-id"),
        documentation="The X-Correlation-Id of the request.",
    ),
    date("date", "recorded", definition=search_parameter("AuditEvent-date")),
    reference(
        "entity",
        "entity.what",
        targets=("AuditEvent",),  # and every other type: `about_all`
        definition=search_parameter("AuditEvent-entity"),
    ),
    token("entity-type", "entity.type", definition=search_parameter("AuditEvent-entity-type")),
    token(
        "outcome",
        "outcome",
        definition=search_parameter("AuditEvent-outcome"),
        system=AUDIT_EVENT_OUTCOME,
    ),
    reference(
        "patient",
        "entity.what",
        "agent.who",
        targets=("Patient",),
        definition=search_parameter("AuditEvent-patient"),
        narrowed=True,
    ),
    token("subtype", "subtype", definition=search_parameter("AuditEvent-subtype")),
    token("type", "type", definition=search_parameter("AuditEvent-type")),
)  # no site, source: one for a tenant; no address, agent-name, entity-name: not kept

DEFINITION = ResourceDefinition(
    type="AuditEvent",
    reach=ReachClass.OPERATOR,
    search=_SEARCH,
    exportable=False,
    stored=False,
    default_sort="-date",
    documentation="For operators: an administrator with user/AuditEvent.rs, or a backend service "
    "that has the whole tenant with system/AuditEvent.rs. Newest first; an event can be found "
    "within a second.",
)


def about_all(definitions: tuple[ResourceDefinition, ...]) -> tuple[ResourceDefinition, ...]:
    """The definitions, AuditEvent among them with an `entity` that leads to each of their types."""
    types = tuple(sorted(one.type for one in definitions))
    search = tuple(
        replace(one, targets=types) if one.name == "entity" else one for one in DEFINITION.search
    )
    return tuple(replace(one, search=search) if one is DEFINITION else one for one in definitions)


_APPLICATION = Code(DICOM_DCM, "110150", "Application")
_RECIPIENT = Code(V3_PARTICIPATION_TYPE, "IRCP", "information recipient")
_PERSON = Code(AUDIT_ENTITY_TYPE, "1", "Person")
_SYSTEM_OBJECT = Code(AUDIT_ENTITY_TYPE, "2", "System Object")
_OTHER = Code(AUDIT_ENTITY_TYPE, "4", "Other")
_REQUEST = Code(BALP_ENTITY_TYPE, "XrequestId")
_ROLES = {
    "1": "Patient",
    "4": "Domain Resource",
    "11": "Security User Entity",
    "20": "Job",
    "24": "Query",
}
ENTITY_TYPES = (_PERSON, _SYSTEM_OBJECT, _OTHER, _REQUEST)
"""What entities can be; `entity_types` says which a row has."""

_KEY = re.compile(r"[1-9a-f][0-9a-f]{0,15}", re.ASCII)


@dataclass(frozen=True)
class AuditSource:
    """The tenant as the observer: its canonical base and its name."""

    base: str
    name: str


def id_of(key: int) -> str:
    """The logical id of the row with this key."""
    return f"{key:x}"


def key_of(logical_id: str) -> int | None:
    """The key in a logical id; None when it can be none of ours."""
    return int(logical_id, 16) if _KEY.fullmatch(logical_id) else None


def outcome_of(outcome: str, status: int | None) -> str:
    """AuditEvent.outcome: 0 success, 4 refused or wrong, 8 our own fault (a status from 500)."""
    if outcome == "success":
        return "0"
    return "8" if outcome == "error" and status is not None and status >= 500 else "4"


def audit_event(row: AuditRow, source: AuditSource) -> FHIRResource:
    """The resource of a row, with its id and version."""
    act = act_of(row.action, row.interaction)
    recorded = format_instant(row.recorded_us)
    resource: FHIRResource = {
        "resourceType": "AuditEvent",
        "id": id_of(row.pk),
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "type": _coding(act.type),
    }
    if act.subtypes:
        resource["subtype"] = [_coding(code) for code in act.subtypes]
    resource |= {
        "action": act.action,
        "recorded": recorded,
        "outcome": outcome_of(row.outcome, row.status),
    }
    if said := row.text or row.reason:
        resource["outcomeDesc"] = said
    resource["agent"] = _agents(row, source)
    resource["source"] = {
        "observer": {
            "identifier": {"system": "urn:ietf:rfc:3986", "value": source.base},
            "display": source.name,
        },
        "type": [_coding(Code(SECURITY_SOURCE_TYPE, "4", "Application Server"))],
    }
    if entities := list(_entities(row, source)):
        resource["entity"] = entities
    return resource


def _coding(code: Code) -> dict[str, str]:
    coding = {"system": code.system, "code": code.code}
    return coding | {"display": code.display} if code.display else coding


def _known(source: AuditSource, kind: str, value: str) -> dict[str, Any]:
    return {"identifier": {"system": tenant_system(source.base, kind), "value": value}}


def _agents(row: AuditRow, source: AuditSource) -> list[dict[str, Any]]:
    """Who acted: the person is the requestor where there is one. Of an administrative act, client
    and user are what was acted on."""
    if row.actor is not None:
        return [_agent(_RECIPIENT, _known(source, "user", row.actor), row.actor, requestor=True)]
    agents = []
    if row.user_id is not None:
        who = _known(source, "user", row.user_id)
        if row.fhir_user is not None:
            who = {"reference": row.fhir_user, **who}
        agents.append(_agent(_RECIPIENT, who, row.user_id, requestor=True))
    if row.client_id is not None:
        who = _known(source, "client", row.client_id)
        agents.append(_agent(_APPLICATION, who, row.client_id, requestor=not agents))
    if not agents:
        agents.append({"type": {"coding": [_coding(_APPLICATION)]}, "requestor": True})
    return agents


def _agent(kind: Code, who: dict[str, Any], alt_id: str, *, requestor: bool) -> dict[str, Any]:
    return {
        "type": {"coding": [_coding(kind)]},
        "who": who,
        "altId": alt_id,
        "requestor": requestor,
    }


def _entities(row: AuditRow, source: AuditSource) -> Iterator[dict[str, Any]]:
    for patient in row.patient_ids:
        yield _entity(_PERSON, "1", what={"reference": f"Patient/{patient}"})
    if row.type is not None and row.resource_id is not None and is_id(row.resource_id):
        yield _entity(_SYSTEM_OBJECT, "4", what={"reference": f"{row.type}/{row.resource_id}"})
    if row.query is not None:
        asked = f"{row.type or ''}?{'&'.join(row.query.split())}"
        encoded = base64.b64encode(asked.encode()).decode()
        yield _entity(_SYSTEM_OBJECT, "24", query=encoded)
    if row.actor is not None:
        for kind, value in (("user", row.user_id), ("client", row.client_id)):
            if value is not None:
                yield _entity(_OTHER, "11", what=_known(source, kind, value))
    if row.job_id is not None:
        yield _entity(_OTHER, "20", what=_known(source, "export", row.job_id))
    request: dict[str, Any] = {"type": _coding(_REQUEST)}
    if row.correlation_id is not None:
        request["what"] = _known(source, "correlation-id", row.correlation_id)
    if details := list(_details(row)):
        request["detail"] = details
    if len(request) > 1:
        yield request


def _entity(kind: Code, role: str, **members: Any) -> dict[str, Any]:
    return {
        **members,
        "type": _coding(kind),
        "role": _coding(Code(OBJECT_ROLE, role, _ROLES[role])),
    }


def _details(row: AuditRow) -> Iterator[dict[str, str]]:
    """What else the row says of the request; for a refusal the step, what was expected and what was
    received."""
    searched = row.type if row.resource_id is None else None
    unnamed = row.resource_id if row.type is None else None
    said = (
        ("status", None if row.status is None else str(row.status)),
        ("resource-type", searched),
        ("file", unnamed),
        ("step", row.step),
        ("error", row.error),
        ("reason", row.reason if row.text else None),
        ("expected", row.expected),
        ("received", row.received),
    )
    for name, value in said:
        if value:
            yield {"type": name, "valueString": value}
