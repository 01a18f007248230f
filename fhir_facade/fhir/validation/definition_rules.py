"""The rules on definitions (CodeSystem, StructureDefinition, …) that no JSON Schema can hold.

As in `rules`: the schema holds already, a rule yields problems and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.validation.problems import Problem


def code_system(resource: FHIRResource) -> Iterator[Problem]:
    """csd-1: codes are unique, at every depth."""
    seen: set[str] = set()
    waiting = list(resource.get("concept", ()))
    while waiting:
        concept = waiting.pop()
        if (code := concept.get("code")) in seen:
            yield Problem("CodeSystem.concept", "invariant", "csd-1: a code comes twice")
        seen.add(code)
        waiting += concept.get("concept", ())


def structure_definition(resource: FHIRResource) -> Iterator[Problem]:
    """The invariants between elements, and on each (sdf-…, eld-…)."""
    logical = resource["kind"] == "logical"
    for place in ("snapshot", "differential"):
        if place not in resource:
            continue
        expression = f"StructureDefinition.{place}"
        elements = resource[place]["element"]
        yield from _between(expression, elements, resource["type"], logical)
        for index, element in enumerate(elements):
            yield from _element(f"{expression}.element[{index}]", element)
    yield from _snapshot(resource.get("snapshot", {}).get("element", ()))


def _between(
    expression: str, elements: list[dict[str, Any]], type_name: str, logical: bool
) -> Iterator[Problem]:
    ids = [element.get("id") for element in elements]
    paths = [element.get("path", "") for element in elements]
    if None in ids:
        yield Problem(expression, "invariant", "sdf-14: every element has an id")
    elif len(set(ids)) < len(ids):
        yield Problem(expression, "invariant", "sdf-16, sdf-17: an id comes twice")
    root = paths[0].partition(".")[0]
    if any(not path.startswith(f"{root}.") for path in paths[1:]) or (
        not logical and root != type_name
    ):
        text = "sdf-8: every path begins with the type"
        yield Problem(expression, "invariant", text)
    for index, element in enumerate(elements):
        if "." not in paths[index]:
            place = f"{expression}.element[{index}]"
            if {"label", "code", "requirements"} & set(element):
                yield Problem(place, "invariant", "sdf-9: no label, code or requirements here")
            if "type" in element and not logical:
                yield Problem(place, "invariant", "sdf-15: the first element has no type")
            if {"sliceName", "slicing"} & set(element):
                yield Problem(place, "invariant", "sdf-20, sdf-23: no slicing here")


def _snapshot(elements: list[dict[str, Any]]) -> Iterator[Problem]:
    for index, element in enumerate(elements):
        place = f"StructureDefinition.snapshot.element[{index}]"
        if not {"definition", "min", "max"} <= set(element):
            yield Problem(place, "invariant", "sdf-3: definition and cardinality are needed")
        if "base" not in element:
            yield Problem(place, "invariant", "sdf-8b: a base is needed")


def _element(expression: str, element: dict[str, Any]) -> Iterator[Problem]:
    low, high = element.get("min"), element.get("max", "*")
    if low is not None and high != "*" and low > int(high):
        yield Problem(expression, "invariant", "eld-2: min is more than max")
    kinds = [one.get("code") for one in element.get("type", ())]
    if len(set(kinds)) < len(kinds):
        yield Problem(expression, "invariant", "eld-13: a type comes twice")
    fixed = any(name.startswith("fixed") for name in element)
    pattern = any(name.startswith("pattern") for name in element)
    if (fixed or pattern) and len(kinds) > 1:
        yield Problem(expression, "invariant", "eld-6, eld-7: a fixed value has one type")
    if fixed and pattern:
        yield Problem(expression, "invariant", "eld-8: fixed and pattern exclude each other")
    keys = [one.get("key") for one in element.get("constraint", ())]
    if len(set(keys)) < len(keys):
        yield Problem(expression, "invariant", "eld-14: a constraint comes twice")
    coded = {"code", "Coding", "CodeableConcept", "Quantity", "string", "uri"}
    if "binding" in element and kinds and not coded & set(kinds):
        yield Problem(expression, "invariant", "eld-11: only coded elements have a binding")
