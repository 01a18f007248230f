"""ConceptMap: the code tables of the mapping, published; `terminology` makes them."""

from __future__ import annotations

from fhir_facade.fhir.systems import PUBLICATION_STATUS, search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition, date, string, token, uri


def _definition(name: str) -> str:
    return search_parameter(f"ConceptMap-{name}")


def _conformance(name: str) -> str:
    return search_parameter(f"conformance-{name}")


_SEARCH = (
    date("date", "date", definition=_conformance("date")),
    string("description", "description", definition=_conformance("description")),
    token("identifier", "identifier", definition=_conformance("identifier")),
    string("name", "name", definition=_conformance("name")),
    string("publisher", "publisher", definition=_conformance("publisher")),
    token("source-code", "group.element.code", definition=_definition("source-code")),
    uri("source-system", "group.source", definition=_definition("source-system")),
    token(
        "status",
        "status",
        definition=_conformance("status"),
        system=PUBLICATION_STATUS,
    ),
    token("target-code", "group.element.target.code", definition=_definition("target-code")),
    uri("target-system", "group.target", definition=_definition("target-system")),
    string("title", "title", definition=_conformance("title")),
    uri("url", "url", definition=_conformance("url")),
    token("version", "version", definition=_conformance("version")),
)  # no source, target, other: ValueSets are not served; no context, dependson, product: not used

DEFINITION = ResourceDefinition(
    type="ConceptMap",
    reach=ReachClass.DIRECTORY,
    search=_SEARCH,
    exportable=False,
    stored=False,
)
