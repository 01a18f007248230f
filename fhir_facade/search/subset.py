"""Parts of a resource: `_elements` and `_summary` (R4 search.html#summary), marked SUBSETTED."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fhir_facade.fhir import json
from fhir_facade.fhir.systems import V3_OBSERVATION_VALUE
from fhir_facade.search.query import Summary

_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_MODIFIERS = frozenset({"active", "status", "deceasedBoolean", "deceasedDateTime"})
"""Elements that change the meaning of the rest, kept whatever is asked for."""
_SUBSETTED = {"system": V3_OBSERVATION_VALUE, "code": "SUBSETTED"}


def subset(body: bytes, summary: Summary, elements: Sequence[str]) -> bytes:
    """The asked parts of a resource, its mandatory elements always among them, tagged SUBSETTED.

    Both empty (`false`, no elements): the body as it is.
    """
    if not elements and summary in ("false", "count"):
        return body
    resource = json.loads(body)
    table = _elements_of(resource["resourceType"])
    kept = {name: value for name, value in resource.items() if name in _ALWAYS}
    wanted = _wanted(table, summary, elements)
    for name, value in resource.items():
        if name not in kept and (wanted is None or name.removeprefix("_") in wanted):
            kept[name] = value
    if summary == "data":
        kept.pop("text", None)
    kept["meta"] = _tagged(kept.get("meta", {}))
    return json.dumps(kept)


def _wanted(
    table: dict[str, list[str]], summary: Summary, elements: Sequence[str]
) -> frozenset[str] | None:
    """Names of top-level elements to keep; None for all."""
    required = _MODIFIERS.union(table["required"])
    if elements:
        return required.union(_spelled(table, elements))
    if summary == "text":
        return required | {"text"}
    if summary == "true":
        return required.union(table["summary"])
    return None


def _spelled(table: dict[str, list[str]], elements: Sequence[str]) -> set[str]:
    """The names asked for; a choice asked by its stem (`effective`) means all its spellings."""
    names = set(elements)
    for stem, spellings in table["choices"].items():  # type: ignore[attr-defined]
        if stem in names:
            names.update(spellings)
    return names


def _tagged(meta: dict[str, Any]) -> dict[str, Any]:
    return {**meta, "tag": [*meta.get("tag", []), _SUBSETTED]}


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = files(__package__).joinpath("element_table.json").read_bytes()
    table: dict[str, Any] = json.loads(text)
    return table


def _elements_of(resource_type: str) -> dict[str, Any]:
    found: dict[str, Any] = _table()[resource_type]
    return found
