"""What a resource is found by: one kind of row for each kind of search parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class TokenRow(NamedTuple):
    """`system` is '' where there is none."""

    param: str
    system: str
    code: str


class StringRow(NamedTuple):
    """`folded` as `extract.fold` makes it, cut to FOLDED_LENGTH; `exact` as in the resource."""

    param: str
    folded: str
    exact: str


class DateRow(NamedTuple):
    """The instants `lo_us <= t < hi_us` in microseconds UTC."""

    param: str
    lo_us: int
    hi_us: int


class ReferenceRow(NamedTuple):
    """A reference to a resource of this server."""

    param: str
    target_type: str
    target_id: str


class NumberRow(NamedTuple):
    """The numbers from `lo` to `hi`, both included; one number is both."""

    param: str
    lo: float
    hi: float


class QuantityRow(NamedTuple):
    """As a NumberRow, with the unit: `system` and `code` are '' where there are none, `unit` is
    what people read."""

    param: str
    system: str
    code: str
    unit: str
    lo: float
    hi: float


@dataclass(frozen=True)
class IndexValues:
    """What one resource is found by. No row comes twice.

    Beside the parameters' own rows there are, under names of their own, what their modifiers ask:
    the texts of tokens (`text_of`), the identifiers of references (`identifier_of`).
    """

    tokens: tuple[TokenRow, ...] = ()
    strings: tuple[StringRow, ...] = ()
    dates: tuple[DateRow, ...] = ()
    references: tuple[ReferenceRow, ...] = ()
    numbers: tuple[NumberRow, ...] = ()
    quantities: tuple[QuantityRow, ...] = ()


def text_of(param: str) -> str:
    """The name under which the texts of a token parameter are indexed (`:text`)."""
    return f"{param}:text"


def identifier_of(param: str) -> str:
    """The name under which the identifiers of a reference parameter are indexed (`:identifier`)."""
    return f"{param}:identifier"
