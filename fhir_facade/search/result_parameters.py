"""Parameters that shape the answer rather than filter it: `_count`, `_total`, `_include`, …
(R4 search.html#return).
"""

from __future__ import annotations

import re
from typing import cast

from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.query import (
    DEFAULT_COUNT,
    MAX_COUNT,
    Include,
    SearchContext,
    Summary,
    TotalMode,
)
from fhir_facade.search.values.text import UnknownParameter, malformed, unsupported_modifier

NAMES = frozenset({"_count", "_summary", "_total", "_include", "_revinclude", "_elements", "_sort"})
_REPEATABLE = frozenset({"_include", "_revinclude"})
_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_ELEMENT = re.compile(r"[a-z][A-Za-z0-9]{0,63}", re.ASCII)
_SUMMARIES = ("false", "true", "text", "data", "count")
_TOTALS = ("none", "estimate", "accurate")


class ResultParameters:
    """Collects the result parameters of one query; `take` returns the value as it is applied."""

    def __init__(self, definition: ResourceDefinition, context: SearchContext) -> None:
        self._definition = definition
        self._context = context
        self._seen: set[str] = set()
        self.count = DEFAULT_COUNT
        self.summary: Summary = "false"
        self.total: TotalMode = "default"
        self.includes: list[Include] = []
        self.elements: tuple[str, ...] = ()

    def take(self, name: str, modifier: str, value: str) -> str:
        """Read one parameter.

        Raises InvalidRequest for a malformed or repeated one, UnknownParameter for a value that is
        not served.
        """
        if modifier:
            raise unsupported_modifier(name, modifier, "")
        if name in self._seen and name not in _REPEATABLE:
            raise malformed(name, "given once")
        self._seen.add(name)
        if name == "_count":
            self.count = _count(value)
            return str(self.count)
        if name == "_summary":
            self.summary = cast(Summary, _one_of(name, value, _SUMMARIES))
        elif name == "_total":
            self.total = cast(TotalMode, _one_of(name, value, _TOTALS))
        elif name == "_elements":
            self.elements = _elements(value)
        elif name == "_sort":
            _refuse_other_order(value)
        else:
            self.includes.append(self._include(name, value))
        if self.elements and self.summary not in ("false", "count"):
            raise malformed("_elements", "given without _summary")
        return value

    def _include(self, name: str, value: str) -> Include:
        parts = value.split(":")
        if len(parts) not in (2, 3) or not all(parts):
            if value == "*":
                raise UnknownParameter(
                    f"'{name}=*' is not supported.",
                    diagnostics=f"Name each one: {name}=Type:parameter.",
                    expression=(name,),
                )
            raise malformed(name, "Type:parameter or Type:parameter:TargetType")
        source, param, target = (*parts, "")[:3]
        if name == "_include":
            return self._forward(source, param, target)
        return self._reverse(source, param, target)

    def _forward(self, source: str, param: str, target: str) -> Include:
        if source != self._definition.type:
            raise malformed("_include", f"a parameter of the searched type {self._definition.type}")
        targets = self._targets("_include", source, param)
        if target and target not in targets:
            raise _unknown_include("_include")
        return Include(source, param, (target,) if target else targets, reverse=False)

    def _reverse(self, source: str, param: str, target: str) -> Include:
        targets = self._targets("_revinclude", source, param)
        searched = self._definition.type
        if searched not in targets or target not in ("", searched):
            raise _unknown_include("_revinclude")
        return Include(source, param, (searched,), reverse=True)

    def _targets(self, name: str, source: str, param: str) -> tuple[str, ...]:
        """The served types that a reference parameter leads to."""
        if not is_r4_type(source):
            raise malformed(name, "Type:parameter with an R4 resource type")
        definition = self._context.registry.get(source)
        parameter = definition.parameter(param) if definition and definition.stored else None
        if parameter is None or parameter.type != "reference":
            raise _unknown_include(name)
        return tuple(t for t in parameter.targets if t in self._context.registry)


def _unknown_include(name: str) -> UnknownParameter:
    return UnknownParameter(
        f"This '{name}' is not supported.",
        diagnostics="The CapabilityStatement lists the includes of each type "
        "(searchInclude, searchRevInclude).",
        expression=(name,),
    )


def _count(value: str) -> int:
    if _COUNT.fullmatch(value) is None:
        raise malformed("_count", "a whole number, 0 or more")
    return min(int(value), MAX_COUNT)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise malformed(name, "one of " + ", ".join(known))
    return value


def _elements(value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    if not all(_ELEMENT.fullmatch(name) for name in names):
        raise malformed("_elements", "names of top-level elements between commas")
    return names


def _refuse_other_order(value: str) -> None:
    if value != "_id":
        raise UnknownParameter(
            "This '_sort' is not supported.",
            diagnostics="Results are ordered by id: use _sort=_id or leave it out.",
            expression=("_sort",),
        )
