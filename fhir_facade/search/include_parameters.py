"""`_include` and `_revinclude`: `Type:parameter`, `Type:parameter:TargetType`, `Type:*`, `*`, each
also with `:iterate` (R4 search.html#revinclude).
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.search.query import Include, SearchContext
from fhir_facade.search.values.text import UnknownParameter, malformed, unsupported_modifier

ITERATE = frozenset({"iterate", "recurse"})
"""`recurse` is what STU3 called it."""


def read_includes(
    searched: ResourceDefinition, name: str, modifier: str, value: str, context: SearchContext
) -> list[Include]:
    """What one `_include` or `_revinclude` names; a wildcard is every one of its kind.

    Raises InvalidRequest when malformed, UnknownParameter when it names nothing that is served.
    """
    if modifier and modifier not in ITERATE:
        raise unsupported_modifier(name, modifier, ":iterate")
    reading = _Reading(searched, name, bool(modifier), context)
    parts = value.split(":")
    if not 1 <= len(parts) <= 3 or not all(parts) or (len(parts) == 1 and value != "*"):
        raise malformed(name, "Type:parameter, Type:parameter:TargetType, Type:* or *")
    source, param, target = (*parts, "")[:3] if value != "*" else ("", "*", "")
    if param == "*" and target:
        raise malformed(name, "Type:* without a target type")
    found = list(
        reading.reverse(source, param, target)
        if name == "_revinclude"
        else reading.forward(source, param, target)
    )
    if not found:
        raise UnknownParameter(
            f"This '{name}' is not supported.",
            diagnostics="The CapabilityStatement lists the includes of each type "
            "(searchInclude, searchRevInclude).",
            expression=(name,),
        )
    return found


class _Reading:
    def __init__(
        self, searched: ResourceDefinition, name: str, iterate: bool, context: SearchContext
    ) -> None:
        self._searched = searched.type
        self._name = name
        self._iterate = iterate
        self._context = context

    def forward(self, source: str, param: str, target: str) -> Iterator[Include]:
        """Includes from `source`: the searched type, or with `:iterate` any."""
        source = source or self._searched
        if source != self._searched and not self._iterate:
            raise malformed(self._name, f"a parameter of the searched type {self._searched}")
        for parameter in self._references(source, param):
            targets = self._served(parameter)
            if target:
                targets = tuple(name for name in targets if name == target)
            if targets:
                yield Include(source, parameter.name, targets, (source,), False, self._iterate)

    def reverse(self, source: str, param: str, target: str) -> Iterator[Include]:
        """Includes of what refers to the searched type, or with `:iterate` to anything."""
        for referring in (source,) if source else tuple(self._context.registry):
            for parameter in self._references(referring, param):
                targets = self._served(parameter)
                if target:
                    targets = tuple(name for name in targets if name == target)
                if not self._iterate:
                    targets = tuple(name for name in targets if name == self._searched)
                if targets:
                    yield Include(referring, parameter.name, targets, targets, True, self._iterate)

    def _references(self, source: str, param: str) -> Iterator[SearchParameter]:
        if not is_r4_type(source):
            raise malformed(self._name, "Type:parameter with an R4 resource type")
        definition = self._context.registry.get(source)
        if definition is None or not definition.stored:
            return
        for parameter in definition.search:
            if parameter.type == "reference" and param in ("*", parameter.name):
                yield parameter

    def _served(self, parameter: SearchParameter) -> tuple[str, ...]:
        """The served types that a reference parameter leads to."""
        return tuple(name for name in parameter.targets if name in self._context.registry)
