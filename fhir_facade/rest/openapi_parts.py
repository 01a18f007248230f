"""What many operations of the OpenAPI document share: parameters, answers, scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ParameterType, ResourceDefinition, SearchParameter
from fhir_facade.rest.capability import COMMON, includes_of, reverse_includes_of
from fhir_facade.rest.openapi_examples import example_of
from fhir_facade.rest.openapi_schemas import Schema, ref
from fhir_facade.rest.respond import FHIR_JSON, JSON
from fhir_facade.search.cursor import PARAMETER
from fhir_facade.search.query import DEFAULT_COUNT, MAX_COUNT, Summary, TotalMode
from fhir_facade.search.sort import MAX_KEYS

Parameter = dict[str, Any]
Responses = dict[str, Any]

SCHEME = "smart"
"""The name of the security scheme."""
_VALUES: dict[ParameterType, tuple[str, str]] = {
    "token": ("Token: code, system|code, |code or system|.", ":not, :text"),
    "string": ("String: begins with it, whatever the case and accents.", ":exact, :contains"),
    "date": (
        "Date or instant, maybe partial, after an optional prefix eq ne gt lt ge le sa eb ap.",
        "",
    ),
    "reference": ("Reference: id, Type/id or an absolute URL.", ":Type, :identifier"),
    "uri": ("URI: equal, character for character.", ":above, :below"),
    "number": ("Number after an optional prefix.", ""),
    "quantity": ("Quantity after an optional prefix: number|system|code.", ""),
}
"""Kind of parameter → what a value is, its modifiers besides :missing."""
_FAILURES = {
    "400": "Malformed, or something that is not served; the outcome names it.",
    "401": "No token, or one that is not valid.",
    "403": "Outside the token's scopes, or another patient was named.",
    "404": "No such thing, or none within reach.",
    "405": "The path does not take this method.",
    "406": "No JSON is acceptable.",
    "409": "The state of the thing forbids it.",
    "410": "Deleted, or an expired cursor.",
    "412": "Another version than the one that If-Match or If-Unmodified-Since wants.",
    "413": "The body or the search is too large.",
    "414": "The URL is too long: search by POST.",
    "415": "The body is in a format that is not read.",
    "416": "There is no such range.",
    "429": "Too many at once.",
    "431": "The headers are too long.",
    "500": "A fault of the server.",
    "502": "The upstream did not answer as it should.",
    "503": "The server's store is busy, or the upstream is.",
    "504": "The upstream did not answer in time.",
}
_ANYWHERE = ("400", "401", "403", "404", "405", "406", "414", "431", "500", "503")
_PUBLIC = ("400", "404", "405", "406", "414", "431", "500")
PRINTABLE: Schema = {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]+$"}
DATE: Schema = {
    "type": "string",
    "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    "(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?$",
}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 10**9}
_DATE = DATE["pattern"].strip("^$")
_PREFIXED = f"(eq|ne|gt|lt|ge|le|sa|eb|ap)?{_DATE}"
_DATES = f"^{_PREFIXED}(,{_PREFIXED})*$"
_FHIR_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}


def failures() -> dict[str, Any]:
    """`components.responses`: every failure is an OperationOutcome."""
    found: dict[str, Any] = {}
    for status, text in _FAILURES.items():
        answer: dict[str, Any] = {
            "description": text,
            "content": {FHIR_JSON: {"schema": ref("OperationOutcome")}},
        }
        headers = {}
        if status in ("401", "403"):
            headers["WWW-Authenticate"] = "What is wrong with the token, or which scope is missing."
        if status == "405":
            headers["Allow"] = "The methods that the path takes."
        if status == "416":
            headers["Content-Range"] = "How many bytes there are."
        if status in ("429", "502", "503", "504"):
            headers["Retry-After"] = "Seconds."
        if headers:
            answer["headers"] = {
                name: header(text, required=True) for name, text in headers.items()
            }
        found[f"Failure{status}"] = answer
    return found


def header(text: str, *, required: bool = False) -> dict[str, Any]:
    """A header of an answer."""
    made: dict[str, Any] = {"description": text, "schema": {"type": "string"}}
    return made | {"required": True} if required else made


def answers(
    good: dict[str, Any], *more: str, public: bool = False, status: str = "200"
) -> Responses:
    """The good answer and the failures: those of every request, and `more`."""
    common = _PUBLIC if public else _ANYWHERE
    named = sorted({*common, *more})
    return {
        status: good,
        **{one: {"$ref": f"#/components/responses/Failure{one}"} for one in named},
    }


def fhir(schema: Schema, text: str, **headers: str) -> dict[str, Any]:
    """A good answer in FHIR JSON, which is also given as plain JSON."""
    answer: dict[str, Any] = {
        "description": text,
        "content": {kind: {"schema": schema} for kind in (FHIR_JSON, JSON)},
    }
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): header(said, required=True) for name, said in headers.items()
        }
    return answer


NOT_MODIFIED = {"description": "The client's copy is this version."}


def path_parameter(name: str, text: str, schema: Schema | None = None) -> Parameter:
    """A variable of the path; by default a FHIR id."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": schema or _FHIR_ID,
    }


def query(name: str, text: str, schema: Schema, example: Any = None) -> Parameter:
    """A parameter that is given at most once."""
    made = {"name": name, "in": "query", "description": text, "schema": schema}
    return made if example is None else made | {"example": example}


def conditions() -> list[Parameter]:
    """Headers of a conditional read."""
    text: Schema = {"type": "string"}
    return [
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of the client's copy.",
            "schema": text,
            "example": 'W/"1"',
        },
        {
            "name": "If-Modified-Since",
            "in": "header",
            "description": "An HTTP date.",
            "schema": text,
            "example": "Sat, 21 Nov 2026 09:30:00 GMT",
        },
    ]


def form() -> list[Parameter]:
    """Parameters about the form of an answer."""
    formats = ["json", "application/json", FHIR_JSON]
    return [
        query("_format", "The form of the answer, before Accept.", _one_of(formats)),
        query("_pretty", "Indented.", _one_of(["true", "false"])),
    ]


def shape(*, of_search: bool) -> list[Parameter]:
    """Which parts of a resource are asked for."""
    modes = [mode for mode in get_args(Summary) if of_search or mode != "count"]
    return [
        query("_summary", "A part of each resource; not with _elements.", _one_of(modes)),
        query(
            "_elements",
            "Names of top-level elements, separated by commas.",
            {"type": "string", "pattern": "^[a-z][A-Za-z0-9]{0,63}(,[a-z][A-Za-z0-9]{0,63})*$"},
            "identifier,status",
        ),
    ]


def _one_of(values: list[str]) -> Schema:
    return {"type": "string", "enum": values}


def count() -> Parameter:
    """The size of a page."""
    return query(
        "_count",
        f"Entries of a page: {DEFAULT_COUNT} unless given, at most {MAX_COUNT}.",
        COUNT,
        20,
    )


def cursor() -> Parameter:
    """How the next page is asked for."""
    text = "Only in the link `next`, and then alone: follow the link as it is."
    return query(PARAMETER, text, PRINTABLE)


def search_parameters(
    definition: ResourceDefinition, registry: Mapping[str, ResourceDefinition]
) -> list[Parameter]:
    """Every parameter of a search on one type."""
    found = [_searched(one, definition.type) for one in (*COMMON, *definition.search)]
    sorts = [one.name for one in (*COMMON, *definition.search)]
    text = f"Up to {MAX_KEYS} of: {', '.join(sorts)}; a minus before one descends."
    found.append(query("_sort", text, PRINTABLE, definition.default_sort or "-_lastUpdated"))
    if includes := includes_of(definition):
        found.append(_repeated("_include", _named("What they refer to", includes), includes[0]))
    if reverse := reverse_includes_of(definition.type, registry):
        found.append(_repeated("_revinclude", _named("What refers to them", reverse), reverse[0]))
    return [*found, *page()]


def _named(text: str, values: list[str]) -> str:
    return f"{text}: {', '.join(values)}; also with a type behind it, or *."


def page() -> list[Parameter]:
    """Parameters about the answer of any search."""
    totals = [mode for mode in get_args(TotalMode) if mode != "default"]
    return [
        count(),
        query("_total", "Whether Bundle.total is there.", _one_of(totals)),
        *shape(of_search=True),
        *form(),
        cursor(),
    ]


def common_parameters() -> list[Parameter]:
    """The search parameters that every type has."""
    return [_searched(one) for one in COMMON]


def _searched(one: SearchParameter, resource_type: str = "") -> Parameter:
    text, modifiers = _VALUES[one.kind]
    if one.targets:
        text = f"{text} To {' or '.join(one.targets)}."
    if one.type == "token" and one.system:
        modifiers = ":not"
    named = ", ".join(part for part in (modifiers, ":missing") if part)
    if one in COMMON:
        named = "none"
        text = "" if one.type == "token" else text
    said = f"{one.documentation} {text}".strip()
    made = _repeated(one.name, f"{said} Modifiers: {named}.", example_of(resource_type, one))
    if one.type == "date":
        made["schema"]["items"] = {"type": "string", "pattern": _DATES}
    return made | {"x-definition": one.definition} if one.definition else made


def _repeated(name: str, text: str, example: str) -> Parameter:
    """A parameter that may be repeated (AND), whose values may have alternatives (comma: OR)."""
    return {
        "name": name,
        "in": "query",
        "description": text,
        "schema": {"type": "array", "items": dict(PRINTABLE)},
        "style": "form",
        "explode": True,
        "example": [example],
    }


def security(definition: ResourceDefinition, letter: str) -> list[dict[str, list[str]]]:
    """The scopes any of which opens an interaction on a type."""
    return [{SCHEME: [scope]} for scope in scopes_of(definition, letter)]


def scopes_of(definition: ResourceDefinition, letter: str) -> list[str]:
    """`patient/`, `user/` and `system/` scopes, as far as they can open the type."""
    own = definition.reach not in (ReachClass.STAFF, ReachClass.OPERATOR)
    levels = ("patient", "user", "system") if own else ("user", "system")
    return [f"{level}/{definition.type}.{letter}" for level in levels]


ANY_TOKEN: list[dict[str, list[str]]] = [{SCHEME: []}]
