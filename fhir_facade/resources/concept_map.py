"""ConceptMap: the code tables of the mapping, published; `terminology` makes them."""

from __future__ import annotations

from fhir_facade.fhir.systems import search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, canonical, token, uri


def _definition(name: str) -> str:
    return search_parameter(f"ConceptMap-{name}")


DEFINITION = ResourceDefinition(
    type="ConceptMap",
    reach=ReachClass.DIRECTORY,
    search=(
        *conformance_parameters("identifier", "title"),
        canonical("source", "sourceCanonical", definition=_definition("source")),
        token("source-code", "group.element.code", definition=_definition("source-code")),
        uri("source-system", "group.source", definition=_definition("source-system")),
        canonical("target", "targetCanonical", definition=_definition("target")),
        token("target-code", "group.element.target.code", definition=_definition("target-code")),
        uri("target-system", "group.target", definition=_definition("target-system")),
    ),  # no source-uri, target-uri, other, dependson, product: not used
    exportable=False,
    stored=False,
    documentation="The code tables of the mapping, with what the tenant has overridden.",
)
