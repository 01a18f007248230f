"""Everything that a tenant publishes of the server itself: the types that are not stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fhir_facade.fhir import FHIRResource
from fhir_facade.resources.code_system import code_systems, value_sets
from fhir_facade.resources.operation_definition import operation_definitions
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.search_parameter import search_parameters
from fhir_facade.resources.structure_definition import structure_definitions
from fhir_facade.resources.terminology import BUILT_IN, CodeTables, concept_maps


def published(
    fhir_base: str, tables: CodeTables = BUILT_IN
) -> Mapping[str, Sequence[FHIRResource]]:
    """Type → resources, without `meta`. `fhir_base` and `tables` are those of the tenant."""
    return {
        "CodeSystem": code_systems(fhir_base),
        "ConceptMap": concept_maps(fhir_base, tables),
        "OperationDefinition": operation_definitions(),
        "SearchParameter": search_parameters(REGISTRY),
        "StructureDefinition": structure_definitions(),
        "ValueSet": value_sets(fhir_base),
    }
