"""Parameters that shape the answer rather than filter it: `_count`, `_total`, `_include`, …
(R4 search.html#return).
"""

from __future__ import annotations

import re
from typing import cast

from fhir_facade.mirror.criteria import SortKey
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.include_parameters import read_includes
from fhir_facade.search.query import (
    DEFAULT_COUNT,
    MAX_COUNT,
    Include,
    SearchContext,
    Summary,
    TotalMode,
)
from fhir_facade.search.sort import read_sort
from fhir_facade.search.values.text import malformed, unsupported_modifier

NAMES = frozenset(
    {
        "_count",
        "_elements",
        "_include",
        "_revinclude",
        "_sort",
        "_summary",
        "_total",
        "_totalMethod",
    }
)
_REPEATABLE = frozenset({"_include", "_revinclude"})
_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_ELEMENT = re.compile(r"[a-z][A-Za-z0-9]{0,63}", re.ASCII)
_SUMMARIES = ("false", "true", "text", "data", "count")
_TOTALS = ("none", "estimate", "accurate")
_TOTAL_METHODS = ("count",)
"""What fhirpy sends where R4 has `_total=accurate`."""


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
        self.sort: tuple[SortKey, ...] = ()
        self.elements: tuple[str, ...] = ()

    def take(self, name: str, modifier: str, value: str) -> str:
        """Read one parameter.

        Raises InvalidRequest for a malformed or repeated one, UnknownParameter for a value that is
        not served.
        """
        if name in _REPEATABLE:
            self.includes += read_includes(self._definition, name, modifier, value, self._context)
            return value
        if modifier:
            raise unsupported_modifier(name, modifier, "")
        if name in self._seen:
            raise malformed(name, "given once")
        self._seen.add(name)
        if name == "_count":
            self.count = _count(value)
            return str(self.count)
        if name == "_summary":
            self.summary = cast(Summary, _one_of(name, value, _SUMMARIES))
        elif name == "_total":
            self.total = cast(TotalMode, _one_of(name, value, _TOTALS))
        elif name == "_totalMethod":
            _one_of(name, value, _TOTAL_METHODS)
            self.total = "accurate"
        elif name == "_elements":
            self.elements = _elements(value)
        elif name == "_sort":
            self.sort = read_sort(self._definition, value)
        if self.elements and self.summary not in ("false", "count"):
            raise malformed("_elements", "given without _summary")
        return value


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
