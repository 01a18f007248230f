"""SearchParameter: the parameters of this server that neither R4 nor US Core defines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.systems import (
    CANONICAL_BASE,
    RESOURCE_TYPES,
    SEARCH_PARAM_TYPE,
    search_parameter,
)
from fhir_facade.policy import ReachClass
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter, token
from fhir_facade.resources.version import head

_SELECTED = re.compile(r"\((\w+)=(\w+)\)", re.ASCII)


def _definition(name: str) -> str:
    return search_parameter(f"SearchParameter-{name}")


DEFINITION = ResourceDefinition(
    type="SearchParameter",
    reach=ReachClass.DIRECTORY,
    search=(
        token("base", "base", definition=_definition("base"), system=RESOURCE_TYPES),
        token("code", "code", definition=_definition("code")),
        *conformance_parameters(),
        token("target", "target", definition=_definition("target"), system=RESOURCE_TYPES),
        token("type", "type", definition=_definition("type"), system=SEARCH_PARAM_TYPE),
    ),  # no component, derived-from: they lead to what is not served
    exportable=False,
    stored=False,
    documentation="The search parameters that are this server's own.",
)


def search_parameters(registry: Mapping[str, ResourceDefinition]) -> tuple[FHIRResource, ...]:
    """Every parameter of the registry whose definition is ours (R4 searchparameter.html)."""
    return tuple(
        _search_parameter(definition.type, parameter)
        for definition in registry.values()
        for parameter in definition.search
        if parameter.definition.startswith(f"{CANONICAL_BASE}/")
    )


def _search_parameter(resource_type: str, parameter: SearchParameter) -> FHIRResource:
    words = "".join(word.title() for word in parameter.name.split("-"))
    resource = head(
        "SearchParameter",
        parameter.definition.rpartition("/")[2],
        parameter.definition,
        f"{resource_type}{words}",
        "",
    )
    resource |= {
        "description": parameter.documentation,
        "code": parameter.name,
        "base": [resource_type],
        "type": parameter.type,
        "expression": " | ".join(fhirpath(resource_type, path) for path in parameter.paths),
        "multipleOr": True,
        "multipleAnd": True,
    }
    if parameter.targets:
        resource["target"] = list(parameter.targets)
    return resource


def fhirpath(resource_type: str, path: str) -> str:
    """One of `SearchParameter.paths` as FHIRPath: `telecom(system=phone)` is a `where`."""
    selected = _SELECTED.sub(r".where(\1='\2')", path.replace("[x]", ""))
    return f"{resource_type}.{selected}"
