"""What an operation object of the OpenAPI document is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.operation_definition import OPERATIONS, Operation
from fhir_facade.rest import openapi_parts as parts
from fhir_facade.rest.openapi_schemas import Schema, ref
from fhir_facade.rest.respond import FHIR_JSON, JSON

FORM = "application/x-www-form-urlencoded"
TEXT: Schema = {"type": "string"}
_KINDS = {"date": parts.DATE, "instant": parts.DATE, "integer": parts.COUNT}
"""Type of an operation's parameter → schema; all others are text."""


@dataclass(frozen=True)
class Scene:
    """What is described: a method of a route, for one type where the route is of types."""

    registry: Mapping[str, ResourceDefinition]
    method: str
    definition: ResourceDefinition | None = None

    @property
    def of(self) -> ResourceDefinition:
        """The type of the route, or the one whose name the route spells."""
        if self.definition is None:
            raise LookupError("this route is of no type")
        return self.definition


Described = dict[str, Any] | None
"""An operation object; None where the type does not have it."""


def described(tag: str, name: str, summary: str, **members: Any) -> dict[str, Any]:
    """An operation object; `name` is its id."""
    return {"tags": [tag], "operationId": name, "summary": summary, **members}


def history_parameters() -> list[parts.Parameter]:
    """The parameters of every history."""
    return [
        parts.query("_since", "Versions made at or after this instant.", parts.DATE, "2026-11-21"),
        parts.query(
            "_at", "Versions that were current at some time in it.", parts.DATE, "2026-11-21"
        ),
        parts.count() | {"schema": {**parts.COUNT, "minimum": 1}},
        *parts.form(),
        parts.cursor(),
    ]


def searchset(*more: str) -> dict[str, Any]:
    """The answers of a search; `more` as in `parts.answers`."""
    return parts.answers(parts.fhir(ref("Bundle"), "A searchset Bundle."), *more)


def form_body(parameters: list[parts.Parameter]) -> dict[str, Any]:
    """Parameters of a query string as a form."""
    properties = {one["name"]: one["schema"] for one in parameters}
    return {"content": {FORM: {"schema": {"type": "object", "properties": properties}}}}


def body(schema: Schema, text: str, example: Any = None, *, required: bool = True) -> Any:
    """A body in FHIR JSON."""
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {
        "description": text,
        "required": required,
        "content": {kind: content for kind in (FHIR_JSON, JSON)},
    }


def parameters_body() -> Any:
    """The body of an operation that takes its parameters in the query string, too."""
    text = "The same parameters as a Parameters resource."
    return body(ref("Parameters"), text, {"resourceType": "Parameters"}, required=False)


def taken(operation: Operation, method: str) -> list[parts.Parameter]:
    """The parameters of an operation in a query string; a POST may have them in its body."""
    return [
        parts.query(one.name, one.documentation, _KINDS.get(one.type, parts.PRINTABLE))
        | ({"required": True} if one.min and method == "GET" else {})
        for one in operation.parameters
        if one.use == "in"
    ]


def named(code: str) -> Operation:
    """The operation `$code`."""
    return next(one for one in OPERATIONS if one.code == code)
