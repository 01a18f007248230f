"""A parsed search: what a query string asks for, in values that need no text any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.mirror.criteria import Criterion, SortKey
from fhir_facade.resources.definition import ResourceDefinition

DEFAULT_COUNT = 50
MAX_COUNT = 1000

Summary = Literal["false", "true", "text", "data", "count"]
TotalMode = Literal["default", "none", "estimate", "accurate"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class SearchContext:
    """What parsing needs to know of the tenant and the request.

    `zone` reads dates that carry no zone; `base` is the tenant's FHIR base without trailing slash;
    `lenient` is `Prefer: handling=lenient`.
    """

    registry: Mapping[str, ResourceDefinition]
    zone: ZoneInfo
    base: str
    lenient: bool = False


@dataclass(frozen=True)
class Include:
    """References to follow from a page: from resources of the types `sources`, forwards by their
    own `param` (`type` is the source) or, `reverse`, backwards to what of `type` refers to them.

    `targets` are the types the reference leads to; `iterate` follows from included resources, too.
    """

    type: str
    param: str
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    reverse: bool
    iterate: bool = False


class Shape(NamedTuple):
    """Which parts of a resource a read asks for: `_summary` and `_elements`."""

    summary: Summary = "false"
    elements: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchQuery:
    """One search of one type.

    `count` is the page size, at most MAX_COUNT. `used` are the parameters as they were applied,
    for the self link; `ignored` names those that lenient handling left out.
    """

    type: str
    criteria: tuple[Criterion, ...]
    count: int = DEFAULT_COUNT
    summary: Summary = "false"
    total: TotalMode = "default"
    includes: tuple[Include, ...] = ()
    sort: tuple[SortKey, ...] = ()
    elements: tuple[str, ...] = ()
    used: tuple[Pair, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def count_only(self) -> bool:
        """`_summary=count` and `_count=0` ask for the total and no entries."""
        return self.summary == "count" or self.count == 0
