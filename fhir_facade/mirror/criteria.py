"""What a search asks of the mirror, after parsing: plain values, no query text, no SQL.

`search` makes these from a query string; `mirror.find` turns them into SQL over the index tables.
All criteria of a query must hold (AND); the values of one criterion are alternatives (OR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclass(frozen=True)
class TokenValue:
    """`system` None: any system. '' : no system. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True)
class TokenCriterion:
    param: str
    values: tuple[TokenValue, ...]
    negated: bool = False
    """`:not`: resources that have none of the values, those without the element included."""


@dataclass(frozen=True)
class StringCriterion:
    param: str
    mode: Literal["starts", "contains", "exact"]
    values: tuple[str, ...]
    """Folded (`extract.fold`) for `starts` and `contains`, as given for `exact`."""


@dataclass(frozen=True)
class DateValue:
    """A half-open interval in microseconds UTC, with its prefix (R4 search section 3.1.1.5.4)."""

    prefix: Prefix
    lo_us: int
    hi_us: int


@dataclass(frozen=True)
class DateCriterion:
    """`param` `_lastUpdated` compares the version's own instant. `single`: no resource has several
    values of the parameter, so that criteria on it are about the same one."""

    param: str
    values: tuple[DateValue, ...]
    single: bool = False


@dataclass(frozen=True)
class UriCriterion:
    """`below`: URIs that begin with one of the values; `above`: those one of the values begins
    with."""

    param: str
    mode: Literal["below", "above"]
    values: tuple[str, ...]


@dataclass(frozen=True)
class NumberValue:
    """`first` and `end` bound the half-open range that the number's digits mean."""

    prefix: Prefix
    number: float
    first: float
    end: float


@dataclass(frozen=True)
class NumberCriterion:
    param: str
    values: tuple[NumberValue, ...]


@dataclass(frozen=True)
class QuantityValue:
    """`code` without a `system` may be the code or what people read."""

    number: NumberValue
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class QuantityCriterion:
    param: str
    values: tuple[QuantityValue, ...]


@dataclass(frozen=True)
class ReferenceCriterion:
    """`target_type` '' means any of the parameter's targets."""

    param: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class IdCriterion:
    values: tuple[str, ...]


@dataclass(frozen=True)
class MissingCriterion:
    param: str
    type: Literal["token", "string", "date", "reference", "number", "quantity"]
    missing: bool


@dataclass(frozen=True)
class CompartmentCriterion:
    """Resources of one patient's compartment, the Patient included."""

    patient_id: str


@dataclass(frozen=True)
class ChainCriterion:
    """Resources that refer by `param` to one that meets the criteria of its type; `targets` are
    alternatives, a type each."""

    param: str
    targets: tuple[tuple[str, tuple[Criterion, ...]], ...]


@dataclass(frozen=True)
class HasCriterion:
    """Resources to which one of `type` refers by `param` that meets the criteria."""

    type: str
    param: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True)
class NothingCriterion:
    """Matches nothing: a reference to another server, an id that cannot be."""


OwnCriterion = (
    TokenCriterion
    | StringCriterion
    | DateCriterion
    | UriCriterion
    | NumberCriterion
    | QuantityCriterion
    | ReferenceCriterion
    | IdCriterion
    | MissingCriterion
    | CompartmentCriterion
    | NothingCriterion
)
"""What can be decided on the resource's own values."""
Criterion = OwnCriterion | ChainCriterion | HasCriterion


@dataclass(frozen=True)
class SortKey:
    """One key of an order. `kind` names the index, or `id` and `revision` (`_lastUpdated`).

    A resource with several values is placed by its first when ascending, by its last when
    descending; one without comes last either way (R4 search.html#sort).
    """

    param: str
    kind: Literal["token", "string", "date", "reference", "number", "quantity", "id", "revision"]
    descending: bool = False


Place = tuple[str | int | float | None, ...]
"""Where a page ended: the last row's value of each sort key, then its id."""
