"""The rules of R4 that no JSON Schema can hold: comparisons, uniqueness, narratives, nested
resources.

A rule sees only resources whose schema holds, so it may rely on every shape. It yields problems and
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import InvalidDate, parse_interval, period_interval
from fhir_facade.fhir.references import iter_references
from fhir_facade.fhir.validation import definition_rules
from fhir_facade.fhir.validation.narrative import narrative_problem
from fhir_facade.fhir.validation.problems import Problem
from fhir_facade.fhir.validation.types import FAST_TYPES

Rule = Callable[[FHIRResource], Iterator[Problem]]

_UTC = ZoneInfo("UTC")
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_ABATEMENTS = (
    "abatementDateTime",
    "abatementAge",
    "abatementPeriod",
    "abatementRange",
    "abatementString",
)


def rules_of(type_name: str, definition: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules for one type; its own schema tells which elements are Periods."""
    rules: list[Rule] = list(_PER_TYPE.get(type_name, ()))
    properties = definition["properties"]
    if "text" in properties:
        rules.append(_narrative)
    if "contained" in properties:
        rules.append(_contained)
    period = {"$ref": "#/definitions/Period"}
    names = [name for name, schema in properties.items() if period in (schema, schema.get("items"))]
    if names:
        rules.append(_periods(type_name, names))
    return tuple(rules)


def period_problem(period: dict[str, Any], expression: str) -> Problem | None:
    """per-1: the start of a Period is not after its end, as far as their precision tells."""
    start, end = period.get("start"), period.get("end")
    if start is None or end is None:
        return None
    # Equal offsets compare as text, which spares nearly every period the parser.
    if start[:19] < end[:19] and start[-6:] == end[-6:] and len(start) == len(end) == 25:
        return None
    try:
        period_interval(start, end, _UTC)
    except InvalidDate:
        return Problem(expression, "invariant", "per-1: the start is after the end")
    return None


def _periods(type_name: str, names: list[str]) -> Rule:
    def check(resource: FHIRResource) -> Iterator[Problem]:
        for name in names:
            value = resource.get(name)
            if value is None:
                continue
            for period in value if isinstance(value, list) else (value,):
                problem = period_problem(period, f"{type_name}.{name}")
                if problem is not None:
                    yield problem

    return check


def _narrative(resource: FHIRResource) -> Iterator[Problem]:
    text = resource.get("text")
    if text is not None and "div" in text:
        message = narrative_problem(text["div"])
        if message is not None:
            yield Problem(f"{resource['resourceType']}.text.div", "invariant", message)


def _contained(resource: FHIRResource) -> Iterator[Problem]:
    contained = resource.get("contained")
    if contained is None:
        return
    type_name = resource["resourceType"]
    named = {text for text in iter_references(resource) if text.startswith("#")}
    for index, inner in enumerate(contained):
        expression = f"{type_name}.contained[{index}]"
        yield from _nested(inner, expression)
        meta = inner.get("meta", {})
        if "contained" in inner:
            yield Problem(expression, "invariant", "dom-2: contained resources do not nest")
        if "id" not in inner or ("#" + str(inner["id"]) not in named and "#" not in named):
            yield Problem(expression, "invariant", "dom-3: nothing refers to it")
        if isinstance(meta, dict) and {"versionId", "lastUpdated"} & set(meta):
            yield Problem(expression, "invariant", "dom-4: it has no version of its own")
        if isinstance(meta, dict) and "security" in meta:
            yield Problem(expression, "invariant", "dom-5: it has no security label of its own")
    known = {"#" + str(inner.get("id")) for inner in contained} | {"#"}
    if named - known:
        yield Problem(type_name, "invariant", "ref-1: a local reference leads to nothing")


def _nested(inner: FHIRResource, expression: str) -> Iterator[Problem]:
    """Any R4 type may be nested; those without a fast schema are rare and pay for the authority."""
    from fhir_facade.fhir.validation.deep import deep_check
    from fhir_facade.fhir.validation.fast import fast_check

    check = fast_check if inner["resourceType"] in FAST_TYPES else deep_check
    for problem in check(inner):
        yield problem._replace(expression=f"{expression}.{problem.expression}")


def _bundle(bundle: FHIRResource) -> Iterator[Problem]:
    kind, entries = bundle.get("type"), bundle.get("entry", [])
    asks = kind in ("batch", "transaction", "history")
    answers = kind in ("batch-response", "transaction-response", "history")
    seen: set[tuple[str, object]] = set()
    for index, entry in enumerate(entries):
        expression = f"Bundle.entry[{index}]"
        if ("request" in entry) != asks:
            yield Problem(expression, "invariant", "bdl-3: request does not fit the type")
        if ("response" in entry) != answers:
            yield Problem(expression, "invariant", "bdl-4: response does not fit the type")
        inner = entry.get("resource")
        if inner is not None:
            yield from _nested(inner, f"{expression}.resource")
        outcome = entry.get("response", {}).get("outcome")
        if outcome is not None:
            yield from _nested(outcome, f"{expression}.response.outcome")
        if kind != "history" and "fullUrl" in entry:
            meta = inner.get("meta", {}) if inner else {}
            key = (entry["fullUrl"], meta.get("versionId") if isinstance(meta, dict) else None)
            if key in seen:
                yield Problem(expression, "invariant", "bdl-7: fullUrl comes twice")
            seen.add(key)
    yield from _document(bundle, kind, entries)


def _document(bundle: FHIRResource, kind: object, entries: list[Any]) -> Iterator[Problem]:
    first = entries[0].get("resource", {}).get("resourceType") if entries else None
    if kind == "message" and first != "MessageHeader":
        yield Problem("Bundle", "invariant", "bdl-12: a message begins with a MessageHeader")
    if kind != "document":
        return
    identifier = bundle.get("identifier", {})
    if not {"system", "value"} <= set(identifier):
        yield Problem("Bundle", "invariant", "bdl-9: a document has an identifier")
    if "timestamp" not in bundle:
        yield Problem("Bundle", "invariant", "bdl-10: a document has a date")
    if first != "Composition":
        yield Problem("Bundle", "invariant", "bdl-11: a document begins with a Composition")


def _parameters(parameters: FHIRResource) -> Iterator[Problem]:
    waiting = [("Parameters.parameter", p) for p in parameters.get("parameter", ())]
    while waiting:
        expression, parameter = waiting.pop()
        if "resource" in parameter:
            yield from _nested(parameter["resource"], f"{expression}.resource")
        waiting += [(f"{expression}.part", part) for part in parameter.get("part", ())]


def _task(task: FHIRResource) -> Iterator[Problem]:
    if "lastModified" in task and "authoredOn" in task:
        modified = parse_interval(task["lastModified"], _UTC)
        if modified.hi <= parse_interval(task["authoredOn"], _UTC).lo:
            yield Problem("Task", "invariant", "inv-1: lastModified is before authoredOn")


def _condition(condition: FHIRResource) -> Iterator[Problem]:
    clinical = _codes(condition.get("clinicalStatus"), _CLINICAL)
    if any(name in condition or "_" + name in condition for name in _ABATEMENTS):
        if not clinical & {"resolved", "remission", "inactive"}:
            yield Problem("Condition", "invariant", "con-4: an abated condition is not active")
    verification = _codes(condition.get("verificationStatus"), _VERIFICATION)
    if "entered-in-error" in verification and "clinicalStatus" in condition:
        text = "con-5: an entry in error has no clinicalStatus"
        yield Problem("Condition", "invariant", text)


def _codes(concept: dict[str, Any] | None, system: str) -> set[str]:
    codings = (concept or {}).get("coding", [])
    return {c["code"] for c in codings if c.get("system") == system and "code" in c}


def _observation(observation: FHIRResource) -> Iterator[Problem]:
    if not any(name.lstrip("_").startswith("value") for name in observation):
        return
    own = _pairs(observation.get("code"))
    if any(own & _pairs(part.get("code")) for part in observation.get("component", ())):
        text = "obs-7: a component repeats the code of a value"
        yield Problem("Observation", "invariant", text)


def _pairs(concept: dict[str, Any] | None) -> set[tuple[object, object]]:
    return {(c.get("system"), c.get("code")) for c in (concept or {}).get("coding", [])}


def _capability_statement(statement: FHIRResource) -> Iterator[Problem]:
    documents = [(d.get("profile"), d.get("mode")) for d in statement.get("document", ())]
    if len(set(documents)) < len(documents):
        yield Problem("CapabilityStatement", "invariant", "cpb-7: a document comes twice")
    for index, rest in enumerate(statement.get("rest", ())):
        expression = f"CapabilityStatement.rest[{index}]"
        resources = rest.get("resource", [])
        if _twice(resource.get("type") for resource in resources):
            yield Problem(expression, "invariant", "cpb-9: a resource type comes twice")
        for place, resource in enumerate(resources):
            if _twice(p.get("name") for p in resource.get("searchParam", ())):
                where = f"{expression}.resource[{place}]"
                yield Problem(where, "invariant", "cpb-12: a search parameter comes twice")


def _twice(values: Iterator[object]) -> bool:
    found = list(values)
    return len(set(found)) < len(found)


_PER_TYPE: dict[str, tuple[Rule, ...]] = {
    "Bundle": (_bundle,),
    "CapabilityStatement": (_capability_statement,),
    "CodeSystem": (definition_rules.code_system,),
    "Condition": (_condition,),
    "Observation": (_observation,),
    "Parameters": (_parameters,),
    "StructureDefinition": (definition_rules.structure_definition,),
    "Task": (_task,),
}
