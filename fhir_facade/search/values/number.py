"""Number and quantity parameters: a prefix and a number, whose digits say how exact it is meant
(R4 search.html#number, #quantity).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import cast

from fhir_facade.mirror.criteria import (
    NumberCriterion,
    NumberValue,
    Prefix,
    QuantityCriterion,
    QuantityValue,
)
from fhir_facade.resources.definition import SearchParameter
from fhir_facade.search.values.text import (
    alternatives,
    malformed,
    split_unescaped,
    unescape,
    unsupported_modifier,
)

_NUMBER = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?([+-]?(?:[0-9]{1,30}(?:\.[0-9]{1,30})?)(?:[eE][+-]?[0-9]{1,2})?)",
    re.ASCII,
)
_RULE = (
    "a number such as 5, 5.40 or 1e2, after one of the prefixes "
    "eq, ne, gt, lt, ge, le, sa, eb, ap or none"
)


def number_criterion(parameter: SearchParameter, modifier: str, value: str) -> NumberCriterion:
    """The criterion of one number parameter."""
    if modifier:
        raise unsupported_modifier(parameter.name, modifier, ":missing")
    return NumberCriterion(parameter.name, alternatives(parameter.name, value, _number))


def quantity_criterion(parameter: SearchParameter, modifier: str, value: str) -> QuantityCriterion:
    """The criterion of one quantity parameter: `number`, `number|system|code` or `number||unit`."""
    if modifier:
        raise unsupported_modifier(parameter.name, modifier, ":missing")
    return QuantityCriterion(parameter.name, alternatives(parameter.name, value, _quantity))


def _number(name: str, text: str) -> NumberValue:
    # A plus sign that was not percent-encoded arrives as a blank.
    match = _NUMBER.fullmatch(text.replace(" ", "+"))
    if match is None:
        raise malformed(name, _RULE)
    prefix, digits = match.groups()
    number = Decimal(digits)
    half = _half_of_last_digit(digits, number)
    return NumberValue(
        cast(Prefix, prefix or "eq"), float(number), float(number - half), float(number + half)
    )


def _quantity(name: str, text: str) -> QuantityValue:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) not in (1, 3):
        raise malformed(name, f"{_RULE}; then nothing, |system|code or ||unit")
    number = _number(name, parts[0])
    if len(parts) == 1:
        return QuantityValue(number)
    return QuantityValue(number, parts[1] or None, parts[2] or None)


def _half_of_last_digit(digits: str, number: Decimal) -> Decimal:
    """R4 reads 100 as 99.5 to 100.5, 100.00 as 99.995 to 100.005, and 1e2 as 95 to 105."""
    exponent = cast(int, number.as_tuple().exponent)
    if "e" in digits.lower() and "." not in digits:
        exponent -= 1
    return Decimal(5).scaleb(exponent - 1)
