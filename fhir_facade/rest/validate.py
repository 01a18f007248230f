"""`$validate`: what is wrong with a resource, without storing it
(https://hl7.org/fhir/R4/resource-operation-validate.html).

The rules are those of R4 itself: structure, bindings that are required, ids, references and
invariants. Profiles are not checked, and asking for one says so.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from fhir_facade.errors import InvalidRequest
from fhir_facade.fhir import json
from fhir_facade.fhir.outcome import Issue, outcome_of
from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.fhir.validation import deep_check
from fhir_facade.rest.accesses import Access, record
from fhir_facade.rest.authorize import Authorizer, known_type
from fhir_facade.rest.bodies import json_body, read_body
from fhir_facade.rest.negotiate import negotiate
from fhir_facade.rest.parts import RestParts
from fhir_facade.rest.respond import respond
from fhir_facade.search.parse import NEGOTIATED, read_pairs
from fhir_facade.search.values.text import showable

BASE_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
MODES = ("create", "update")
MOST_ISSUES = 100


class ValidateViews:
    """`POST [base]/Type/$validate` and `POST [base]/Type/{id}/$validate`."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def validate(self, tenant: str, resource_type: str, resource_id: str | None = None) -> Response:
        """200 with an OperationOutcome, whatever it says of the resource.

        Raises InvalidRequest when the body is no JSON object, or its parameters are malformed.
        """
        access = self._authorizer.access(tenant, "operation-validate")
        known_type(access, resource_type)
        pairs = read_pairs(request.environ.get("QUERY_STRING", "").encode("latin-1"))
        form = negotiate(request.environ.get("HTTP_ACCEPT"), pairs)
        resource, given = _read(dict(pair for pair in pairs if pair[0] not in NEGOTIATED))
        issues = [*_asked(given), *_found(resource, resource_type, resource_id)]
        if not any(issue.severity == "error" for issue in issues):
            issues.append(Issue("information", "informational", "No problem was found."))
        body = outcome_of(issues[:MOST_ISSUES])
        _record(self._parts, access)
        made = json.dumps_pretty(body) if form.pretty else json.dumps(body)
        return respond(made, 200, form.media_type)


def _record(parts: RestParts, access: Access) -> None:
    record(parts, access, 200)


def _read(given: dict[str, str]) -> tuple[Any, dict[str, str]]:
    """The resource of the body, bare or as the parameter `resource`, and the other parameters."""
    document = json_body(read_body(), "a resource")
    if not isinstance(document, dict):
        raise InvalidRequest(
            "The body is not a resource.", diagnostics="Send the resource, or Parameters with it."
        )
    if document.get("resourceType") != "Parameters":
        return document, given
    resource: Any = None
    parameters = document.get("parameter", [])
    if not isinstance(parameters, list):
        raise _malformed("Parameters.parameter is not a list.")
    for parameter in parameters:
        if not isinstance(parameter, dict):
            raise _malformed("A parameter is not an object.")
        if parameter.get("name") == "resource":
            resource = parameter.get("resource")
        for kind in ("valueCode", "valueUri", "valueCanonical", "valueString"):
            if isinstance(value := parameter.get(kind), str):
                given = {**given, str(parameter.get("name")): value}
    if not isinstance(resource, dict):
        raise _malformed("The parameter 'resource' is missing.")
    return resource, given


def _malformed(text: str) -> InvalidRequest:
    return InvalidRequest(
        text,
        diagnostics="Give a list of parameters, one named 'resource' with the resource.",
        expression=("Parameters.parameter",),
    )


def _asked(given: dict[str, str]) -> list[Issue]:
    """What the parameters ask that is not done. Raises InvalidRequest for an unknown one."""
    issues: list[Issue] = []
    for name, value in given.items():
        if name == "mode":
            if value not in MODES:
                raise InvalidRequest(
                    "This mode is not supported.",
                    diagnostics=f"Use one of: {', '.join(MODES)}; or leave it out.",
                    expression=("mode",),
                )
        elif name == "profile":
            if not value.startswith(BASE_PROFILE):
                issues.append(
                    Issue(
                        "warning",
                        "not-supported",
                        "Profiles are not checked: the resource was held to R4 itself.",
                        expression=("profile",),
                    )
                )
        else:
            raise InvalidRequest(
                "$validate takes no such parameter.",
                diagnostics="It takes resource, mode and profile.",
                expression=(showable(name),),
            )
    return issues


def _found(resource: dict[str, Any], resource_type: str, resource_id: str | None) -> list[Issue]:
    named = resource.get("resourceType")
    if isinstance(named, str) and is_r4_type(named) and named != resource_type:
        text = f"The resource is of type {named}, and the path names {resource_type}."
        return [Issue("error", "invalid", text, None, ("resourceType",))]
    issues = [
        Issue("error", problem.code, problem.message, None, (problem.expression,))
        for problem in deep_check(resource)
    ]
    if resource_id is not None and resource.get("id") != resource_id:
        text = "The id of the resource is not that of the path."
        issues.append(Issue("error", "invalid", text, None, (f"{resource_type}.id",)))
    return issues
