"""The list of FHIR types this server serves: one line a type, everything else derives from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fhir_facade.resources import (
    appointment,
    audit_event,
    binary,
    code_system,
    concept_map,
    diagnostic_report,
    document_reference,
    group,
    location,
    operation_definition,
    organization,
    patient,
    practitioner,
    provenance,
    search_parameter,
    structure_definition,
    value_set,
)
from fhir_facade.resources.definition import ResourceDefinition

_DEFINITIONS = (
    appointment.DEFINITION,
    audit_event.DEFINITION,
    binary.DEFINITION,
    code_system.DEFINITION,
    concept_map.DEFINITION,
    diagnostic_report.DEFINITION,
    document_reference.DEFINITION,
    group.DEFINITION,
    location.DEFINITION,
    operation_definition.DEFINITION,
    organization.DEFINITION,
    patient.DEFINITION,
    practitioner.DEFINITION,
    provenance.DEFINITION,
    search_parameter.DEFINITION,
    structure_definition.DEFINITION,
    value_set.DEFINITION,
)

REGISTRY: Mapping[str, ResourceDefinition] = MappingProxyType(
    {d.type: d for d in audit_event.about_all(_DEFINITIONS)}
)
"""Type name → definition, in alphabetical order."""
