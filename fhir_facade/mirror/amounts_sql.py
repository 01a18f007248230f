"""Numbers and quantities as conditions on an index row `t` (R4 search.html#prefix)."""

from __future__ import annotations

from fhir_facade.mirror.criteria import NumberValue, QuantityValue
from fhir_facade.mirror.sql import Sql, join

NEARBY = 0.1
"""`ap` takes what is within a tenth of the number."""


def number_is(value: NumberValue) -> Sql:
    """The condition on `t.lo` and `t.hi`, the closed interval of a stored number. Only `eq`, `ne`
    mind how exact the number was given; `ap` takes a tenth of it, or that if it is wider."""
    number, first, end = value.number, value.first, value.end
    match value.prefix:
        case "eq":
            return Sql("(t.lo >= ? AND t.lo < ? AND t.hi < ?)", (first, end, end))
        case "ne":
            return Sql("(t.lo < ? OR t.hi >= ?)", (first, end))
        case "gt":
            return Sql("t.hi > ?", (number,))
        case "lt":
            return Sql("t.lo < ?", (number,))
        case "ge":
            return Sql("t.hi >= ?", (number,))
        case "le":
            return Sql("t.lo <= ?", (number,))
        case "sa":
            return Sql("t.lo > ?", (number,))
        case "eb":
            return Sql("t.hi < ?", (number,))
        case "ap":
            slack = max(abs(number) * NEARBY, number - first)
            return Sql("(t.lo <= ? AND t.hi >= ?)", (number + slack, number - slack))


def quantity_is(value: QuantityValue) -> Sql:
    """As `number_is`, of this unit: a code of the system, or without one a code or what people
    read."""
    parts = [number_is(value.number)]
    if value.system is not None:
        parts.append(Sql("t.system = ?", (value.system,)))
        if value.code is not None:
            parts.append(Sql("t.code = ?", (value.code,)))
    elif value.code is not None:
        parts.append(Sql("(t.code = ? OR t.unit = ?)", (value.code, value.code)))
    return Sql(f"({(both := join(' AND ', parts)).text})", both.values)
