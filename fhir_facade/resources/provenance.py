"""Provenance: which upstream records a resource was made from, and by which mapping."""

from __future__ import annotations

from fhir_facade.fhir.systems import US_CORE_PROVENANCE, search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import (
    ResourceDefinition,
    date,
    include_names,
    reference,
    token,
)

_TARGETS = (
    "Appointment",
    "DiagnosticReport",
    "Group",
    "Location",
    "Organization",
    "Patient",
    "Practitioner",
)


def _definition(name: str) -> str:
    return search_parameter(f"Provenance-{name}")


_SEARCH = (
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
    reference("patient", "target", targets=("Patient",), definition=_definition("patient")),
    date("recorded", "recorded", definition=_definition("recorded")),
    token("signature-type", "signature.type", definition=_definition("signature-type")),
    reference("target", "target", targets=_TARGETS, definition=_definition("target")),
    date("when", "occurredDateTime", definition=_definition("when")),
)

DEFINITION = ResourceDefinition(
    type="Provenance",
    reach=ReachClass.INHERITED,
    search=_SEARCH,
    profiles=(US_CORE_PROVENANCE,),
    includes=include_names("Provenance", _SEARCH),
)
