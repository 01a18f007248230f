"""Date parameters: a prefix and a date that may be partial (R4 search.html#date)."""

from __future__ import annotations

import re
from typing import cast
from zoneinfo import ZoneInfo

from fhir_facade.fhir.dates import InvalidDate, parse_interval
from fhir_facade.mirror.criteria import DateCriterion, DateValue, Prefix
from fhir_facade.search.values.text import alternatives, malformed, unsupported_modifier

_VALUE = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?([0-9].*)", re.ASCII)
_RULE = (
    "a date or dateTime such as 2026, 2026-11, 2026-11-21 or 2026-11-21T09:30:00+10:00, "
    "after one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap or none"
)
# A plus sign that was not percent-encoded arrives as a blank.
_LOST_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:[0-9]{2})", re.ASCII)


def date_criterion(
    name: str, modifier: str, value: str, zone: ZoneInfo, *, single: bool = False
) -> DateCriterion:
    """The criterion of one date parameter; a value without a zone is an interval in `zone`."""
    if modifier:
        raise unsupported_modifier(name, modifier, "" if name == "_lastUpdated" else ":missing")
    values = alternatives(name, value, lambda n, text: _date(n, text, zone))
    return DateCriterion(name, values, single)


def _date(name: str, text: str, zone: ZoneInfo) -> DateValue:
    match = _VALUE.fullmatch(text)
    if match is None:
        raise malformed(name, _RULE)
    prefix, moment = match.groups()
    try:
        interval = parse_interval(_LOST_PLUS.sub(r"\1+\2", moment), zone)
    except InvalidDate:
        raise malformed(name, _RULE) from None
    return DateValue(cast(Prefix, prefix or "eq"), interval.lo, interval.hi)
