"""`_sort`: any indexed parameter, each ascending or, with a minus, descending
(R4 search.html#sort).
"""

from __future__ import annotations

from fhir_facade.mirror.criteria import SortKey
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.search.values.text import UnknownParameter, malformed

MAX_KEYS = 5


def read_sort(definition: ResourceDefinition, value: str) -> tuple[SortKey, ...]:
    """The keys of one `_sort`, the first the weightiest.

    Raises InvalidRequest when malformed, UnknownParameter for a key that is no parameter here.
    """
    names = value.split(",")
    if len(names) > MAX_KEYS or not all(name.removeprefix("-") for name in names):
        raise malformed("_sort", f"at most {MAX_KEYS} parameter names between commas")
    return tuple(_key(definition, name.removeprefix("-"), name[0] == "-") for name in names)


def _key(definition: ResourceDefinition, name: str, descending: bool) -> SortKey:
    if name == "_id":
        return SortKey(name, "id", descending)
    if name == "_lastUpdated":
        return SortKey(name, "revision", descending)
    parameter = definition.parameter(name)
    if parameter is None:
        known = ", ".join(["_id", "_lastUpdated", *(p.name for p in definition.search)])
        raise UnknownParameter(
            "This '_sort' is not supported.",
            diagnostics=f"Results can be ordered by: {known}.",
            expression=("_sort",),
        )
    return SortKey(name, "token" if parameter.kind == "uri" else parameter.kind, descending)
