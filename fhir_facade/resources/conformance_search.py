"""The search parameters that the types about conformance and terminology share."""

from __future__ import annotations

from fhir_facade.fhir.systems import PUBLICATION_STATUS, search_parameter
from fhir_facade.resources.definition import SearchParameter, date, string, token, uri


def _definition(name: str) -> str:
    return search_parameter(f"conformance-{name}")


_TITLE = string("title", "title", definition=_definition("title"))
_IDENTIFIER = token("identifier", "identifier", definition=_definition("identifier"))
_OPTIONAL = {"title": _TITLE, "identifier": _IDENTIFIER}


def conformance_parameters(*optional: str) -> tuple[SearchParameter, ...]:
    """Those of every such type, and of `title` and `identifier` the named ones.

    No context, jurisdiction and their kin: nothing that is published here has them.
    """
    return (
        date("date", "date", definition=_definition("date")),
        string("description", "description", definition=_definition("description")),
        string("name", "name", definition=_definition("name")),
        string("publisher", "publisher", definition=_definition("publisher")),
        token("status", "status", definition=_definition("status"), system=PUBLICATION_STATUS),
        uri("url", "url", definition=_definition("url")),
        token("version", "version", definition=_definition("version")),
        *(_OPTIONAL[name] for name in optional),
    )
