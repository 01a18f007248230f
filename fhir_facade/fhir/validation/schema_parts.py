"""The pieces that invariants in JSON Schema are put together from."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def has(*names: str) -> Schema:
    """At least one of the elements exists, as a value or by extensions only."""
    return {"anyOf": [{"required": [n]} for name in names for n in (name, "_" + name)]}


def lacks(*names: str) -> Schema:
    """None of the elements exists."""
    return {"not": has(*names)}


def equals(name: str, *values: str | bool) -> Schema:
    """The element is there and has one of the values."""
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def any_of(text: str, *branches: Schema) -> Schema:
    """One of the branches holds; `text` begins with the key of the invariant."""
    return {"description": text, "anyOf": list(branches)}


def needs(text: str, name: str, *wanted: str) -> Schema:
    """If `name` exists, one of `wanted` does. Only instances that have `name` pay for it."""
    return {"description": text, "dependencies": {n: has(*wanted) for n in (name, "_" + name)}}
