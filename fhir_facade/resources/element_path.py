"""Element paths of search parameters, compiled to functions from a resource to the values there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Walk = Callable[[Any], list[Any]]
"""From a resource to every value at a path, lists walked."""

_EXISTS = ".exists()"
_STEP = re.compile(r"(\w+)(\[x\])?(?:\((\w+)=(\w+)\))?", re.ASCII)


def compile_path(path: str) -> Walk:
    """Compile one of `SearchParameter.paths`: dotted names, `value[x]`, `telecom(system=phone)`.

    A path that ends in `.exists()` finds one boolean: whether anything but false is there.
    Raises ValueError when the path is malformed.
    """
    if path.endswith(_EXISTS):
        found = compile_path(path.removesuffix(_EXISTS))
        return lambda resource: [any(node is not False for node in found(resource))]
    steps = [_step(segment) for segment in path.split(".")]

    if len(steps) == 1:
        [only] = steps
        return lambda resource: only([resource])

    def walk(resource: Any) -> list[Any]:
        nodes = [resource]
        for step in steps:
            nodes = step(nodes)
            if not nodes:
                break
        return nodes

    return walk


def _step(segment: str) -> Callable[[list[Any]], list[Any]]:
    match = _STEP.fullmatch(segment)
    if match is None:
        raise ValueError(f"malformed element path at {segment!r}")
    name, choice, key, wanted = match.groups()

    def members(nodes: list[Any]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            value = node.get(name) if isinstance(node, dict) else None
            if isinstance(value, list):
                found.extend(value)
            elif value is not None:
                found.append(value)
        return found

    def choices(nodes: list[Any]) -> list[Any]:
        start = len(name)
        return [
            value
            for node in nodes
            if isinstance(node, dict)
            for field_name, value in node.items()
            if field_name.startswith(name) and field_name[start : start + 1].isupper()
        ]

    step = choices if choice else members
    if key is None:
        return step
    return lambda nodes: [
        node for node in step(nodes) if isinstance(node, dict) and node.get(key) == wanted
    ]
