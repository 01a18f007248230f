"""`DocumentReference/$docref`: the documents of a patient
(http://hl7.org/fhir/us/core/OperationDefinition/docref).

A search by another name: documents that are current, of the care dates and the type asked for. None
is made on demand.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import Response

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.rest.authorize import Authorizer, served_type
from fhir_facade.rest.parameters_body import given_once, parameter_pairs
from fhir_facade.rest.search import SearchViews, query_pairs
from fhir_facade.search.parse import NEGOTIATED
from fhir_facade.search.query import Pair
from fhir_facade.search.values.date import date_criterion

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
        given = [*query_pairs(), *parameter_pairs()]
        return self._searches.of_type(access, definition, _search(given, access.tenant.zone))


def _search(given: list[Pair], zone: ZoneInfo) -> list[Pair]:
    """The search that the operation stands for."""
    asked = given_once("$docref", NAMES, (pair for pair in given if pair[0] not in NEGOTIATED))
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
