"""ValueSet: of each code system of ours all its codes; `code_system` makes them."""

from __future__ import annotations

from fhir_facade.fhir.systems import search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.conformance_search import conformance_parameters
from fhir_facade.resources.definition import ResourceDefinition, token, uri


def _definition(name: str) -> str:
    return search_parameter(f"ValueSet-{name}")


DEFINITION = ResourceDefinition(
    type="ValueSet",
    reach=ReachClass.DIRECTORY,
    search=(
        token(
            "code",
            "expansion.contains.code",
            "compose.include.concept.code",
            definition=_definition("code"),
        ),
        *conformance_parameters("identifier", "title"),
        uri("expansion", "expansion.identifier", definition=_definition("expansion")),
        uri("reference", "compose.include.system", definition=_definition("reference")),
    ),
    exportable=False,
    stored=False,
    documentation="All codes of each code system of ours.",
)
