"""Numbers and quantities of a resource as intervals (R4 search.html#number, #quantity)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_facade.resources.index_rows import NumberRow, QuantityRow

FAR = 1e300
"""Stands for an open end: no number in a clinical record is larger."""
CURRENCIES = "urn:iso:std:iso:4217"


def number_row(param: str, node: Any) -> NumberRow | None:
    """A number, or a Range whose missing side is open; None for anything else."""
    interval = _interval(node)
    return None if interval is None else NumberRow(param, *interval)


def quantity_row(param: str, node: Any) -> QuantityRow | None:
    """A Quantity, with its comparator, a Money or a Range of quantities; None for anything else."""
    if not isinstance(node, dict):
        return None
    interval = _interval(node)
    if interval is None:
        return None
    named = node if "value" in node else node.get("low") or node.get("high") or {}
    if "currency" in named:
        return QuantityRow(param, CURRENCIES, str(named["currency"]), "", *interval)
    system, code, unit = (str(named.get(name, "")) for name in ("system", "code", "unit"))
    return QuantityRow(param, system, code, unit, *interval)


def _interval(node: Any) -> tuple[float, float] | None:
    if isinstance(node, bool):
        return None
    if isinstance(node, int | Decimal):
        return float(node), float(node)
    if not isinstance(node, dict):
        return None
    if "low" in node or "high" in node:
        low, high = _interval(node.get("low")), _interval(node.get("high"))
        return (-FAR if low is None else low[0]), (FAR if high is None else high[1])
    value = node.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = float(value)
    match node.get("comparator"):
        case "<" | "<=":
            return -FAR, number
        case ">" | ">=":
            return number, FAR
        case _:
            return number, number
