"""`DocumentReference/$docref`: the documents of a patient
(http://hl7.org/fhir/us/core/OperationDefinition/docref).

A search by another name: documents that are current, of the care dates and the type asked for. None
is made on demand.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import Response, request

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.parameters_body import parameter_pairs
from fhir_facade.rest.search import SearchViews
from fhir_facade.search.parse import NEGOTIATED, read_pairs
from fhir_facade.search.query import Pair
from fhir_facade.search.values.date import date_criterion
from fhir_facade.search.values.text import malformed, showable

NAMES = ("patient", "start", "end", "type", "on-demand", "_count")


class DocrefViews:
    """The route of the operation, by GET and by POST with Parameters."""

    def __init__(self, authorizer: Authorizer, searches: SearchViews) -> None:
        self._authorizer = authorizer
        self._searches = searches

    def documents(self, tenant: str) -> Response:
        """A searchset; its links lead to the search on DocumentReference that it is."""
        access = self._authorizer.access(tenant, "operation-docref")
        definition = served_type(access, "DocumentReference", "s")
        query: str = request.environ.get("QUERY_STRING", "")
        given = [*read_pairs(query.encode("latin-1")), *parameter_pairs()]
        return self._searches.of_type(access, definition, _search(given, access.tenant.zone))


def _search(given: list[Pair], zone: ZoneInfo) -> list[Pair]:
    """The search that the operation stands for."""
    asked = _once([pair for pair in given if pair[0] not in NEGOTIATED])
    if "patient" not in asked:
        raise InvalidRequest(
            "$docref needs a patient.",
            diagnostics="Give patient=<id of the Patient>.",
            expression=("patient",),
        )
    if asked.get("on-demand", "false") != "false":
        raise UnsupportedParameter(
            "No document is made on demand.",
            diagnostics="Leave 'on-demand' out.",
            expression=("on-demand",),
        )
    pairs = [("patient", asked["patient"]), ("status", "current")]
    for name, prefix in (("start", "ge"), ("end", "le")):
        if name in asked:
            value = f"{prefix}{asked[name]}"
            date_criterion(name, "", value, zone)  # a refusal names the operation's parameter
            pairs.append(("period", value))
    pairs += [(name, asked[name]) for name in ("type", "_count") if name in asked]
    return pairs + [pair for pair in given if pair[0] in NEGOTIATED]


def _once(pairs: list[Pair]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in NAMES:
            raise UnsupportedParameter(
                "$docref takes no such parameter.",
                diagnostics=f"Use one of: {', '.join(NAMES)}.",
                expression=(showable(name),),
            )
        if name in given:
            raise malformed(name, "given once")
        if not value:
            raise malformed(name, "followed by a value; leave the parameter out")
        given[name] = value
    return given
