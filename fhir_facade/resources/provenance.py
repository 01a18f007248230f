"""Provenance: which upstream records a resource was made from, and by which mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import format_instant
from fhir_facade.fhir.ids import provenance_id
from fhir_facade.fhir.systems import (
    PROVENANCE_PARTICIPANT_TYPE,
    SOURCE_RECORD,
    US_CORE_PROVENANCE,
    search_parameter,
    tenant_system,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.context import SOURCE, QubsContext
from fhir_facade.resources.definition import (
    PROFILE,
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)
from fhir_facade.resources.version import MAPPING_VERSION

_TARGETS = (
    "Appointment",
    "DiagnosticReport",
    "DocumentReference",
    "Group",
    "Location",
    "Organization",
    "Patient",
    "Practitioner",
)


def _definition(name: str) -> str:
    return search_parameter(f"Provenance-{name}")


_SEARCH = (
    PROFILE,
    reference(
        "agent",
        "agent.who",
        targets=("Organization", "Patient", "Practitioner"),
        definition=_definition("agent"),
    ),
    token("agent-role", "agent.role", definition=_definition("agent-role")),
    token("agent-type", "agent.type", definition=_definition("agent-type")),
    reference("entity", "entity.what", targets=_TARGETS, definition=_definition("entity")),
    reference("location", "location", targets=("Location",), definition=_definition("location")),
    reference(
        "patient", "target", targets=("Patient",), definition=_definition("patient"), narrowed=True
    ),
    date("recorded", "recorded", definition=_definition("recorded"), single=True),
    token("signature-type", "signature.type", definition=_definition("signature-type")),
    reference("target", "target", targets=_TARGETS, definition=_definition("target")),
    date("when", "occurredDateTime", definition=_definition("when"), single=True),
)

DEFINITION = ResourceDefinition(
    type="Provenance",
    reach=ReachClass.INHERITED,
    search=_SEARCH,
    profiles=(US_CORE_PROVENANCE,),
    includes=include_names("Provenance", _SEARCH),
)


@dataclass(frozen=True)
class Origin:
    """One stored upstream record; `pulled_us` in microseconds UTC, `hash` its SHA-256 in hex."""

    view: str
    key: str
    pulled_us: int
    hash: str
    correlation_id: str | None = None


def provenance_for(
    resource: FHIRResource, origins: Sequence[Origin], context: QubsContext
) -> FHIRResource | None:
    """The Provenance (R4 provenance.html) of a resource made from these records.

    `recorded` is the latest instant one of them was pulled. None without origins: what comes from
    the tenant's settings, not from a record, has no upstream to name.
    """
    if not origins:
        return None
    target_type, target_id = resource["resourceType"], resource["id"]
    organization = {"reference": context.organization_reference}
    return {
        "resourceType": "Provenance",
        "id": provenance_id(target_type, target_id),
        "meta": {"profile": [US_CORE_PROVENANCE]},
        "target": [{"reference": f"{target_type}/{target_id}"}],
        "recorded": format_instant(max(origin.pulled_us for origin in origins)),
        "agent": [
            _agent("author", "Author", {"who": organization}),
            _agent(
                "assembler",
                "Assembler",
                {"who": {"display": "FHIR Facade"}, "onBehalfOf": organization},
            ),
        ],
        "entity": [_entity(origin, context) for origin in origins],
    }


def _agent(code: str, display: str, parties: dict[str, Any]) -> dict[str, Any]:
    coding = {"system": PROVENANCE_PARTICIPANT_TYPE, "code": code, "display": display}
    return {"type": {"coding": [coding]}, **parties}


def _entity(origin: Origin, context: QubsContext) -> dict[str, Any]:
    parts = {
        "system": SOURCE,
        "view": origin.view,
        "key": origin.key,
        "correlationId": origin.correlation_id,
        "mappingVersion": MAPPING_VERSION,
        "hash": origin.hash,
    }
    system = tenant_system(context.fhir_base, f"{SOURCE}-{origin.view}")
    return {
        "extension": [
            {
                "url": SOURCE_RECORD,
                "extension": [{"url": u, "valueString": v} for u, v in parts.items() if v],
            }
        ],
        "role": "source",
        "what": {"identifier": {"system": system, "value": origin.key}, "display": origin.view},
    }
