"""Hold criteria against one resource in memory, by the rules the mirror's index follows: for types
that are served from code and never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade import clock
from fhir_facade.fhir import FHIRResource
from fhir_facade.mirror.amounts_sql import NEARBY
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    CompartmentCriterion,
    Criterion,
    DateCriterion,
    DateValue,
    HasCriterion,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
    NumberCriterion,
    NumberValue,
    QuantityCriterion,
    QuantityValue,
    ReferenceCriterion,
    SortKey,
    StringCriterion,
    TokenCriterion,
    TokenValue,
    UriCriterion,
)
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.extract import FOLDED_LENGTH, index_values, token_key
from fhir_facade.resources.index_rows import (
    DateRow,
    IndexValues,
    NumberRow,
    QuantityRow,
    StringRow,
    TokenRow,
    identifier_of,
)

_INSTANT_WIDTH_US = 1_000
"""Instants are shown in whole milliseconds, so `_lastUpdated` names a millisecond."""


class Found(NamedTuple):
    """A resource with its instant, microseconds UTC."""

    resource: FHIRResource
    last_updated_us: int


def matches(
    definition: ResourceDefinition,
    criteria: tuple[Criterion, ...],
    resource: FHIRResource,
    zone: ZoneInfo,
    last_updated_us: int,
) -> bool:
    """Whether every criterion holds. Dates without a zone are read in `zone`."""
    values = index_values(definition, resource, zone)
    updated = DateRow("_lastUpdated", last_updated_us, last_updated_us + _INSTANT_WIDTH_US)
    return all(_holds(criterion, resource["id"], values, updated) for criterion in criteria)


def in_order(
    definition: ResourceDefinition,
    keys: Sequence[SortKey],
    found: Sequence[Found],
    zone: ZoneInfo,
) -> list[Found]:
    """What was found, in the order of the keys, then of ids (see `mirror.criteria.SortKey`)."""
    ordered = sorted(found, key=lambda one: str(one.resource["id"]))
    for key in reversed(keys):
        with_values = [(one, _sort_values(definition, key, one, zone)) for one in ordered]
        pick = max if key.descending else min
        # A reversed sort keeps the order of equals, so ids stay ascending.
        there = [(one, pick(values)) for one, values in with_values if values]
        there.sort(key=lambda pair: pair[1], reverse=key.descending)
        ordered = [one for one, _ in there] + [one for one, values in with_values if not values]
    return ordered


def _sort_values(
    definition: ResourceDefinition, key: SortKey, found: Found, zone: ZoneInfo
) -> list[Any]:
    values = index_values(definition, found.resource, zone)
    match key.kind:
        case "id":
            return [found.resource["id"]]
        case "revision":
            return [found.last_updated_us]
        case "token":
            return [row.code for row in values.tokens if row.param == key.param]
        case "string":
            return [row.folded for row in values.strings if row.param == key.param]
        case "date":
            return [row.lo_us for row in values.dates if row.param == key.param]
        case "reference":
            return [row.target_id for row in values.references if row.param == key.param]
        case "number":
            return [row.lo for row in values.numbers if row.param == key.param]
        case "quantity":
            return [row.lo for row in values.quantities if row.param == key.param]


def _holds(criterion: Criterion, resource_id: str, values: IndexValues, updated: DateRow) -> bool:
    match criterion:
        case NothingCriterion() | ChainCriterion() | HasCriterion() | CompartmentCriterion():
            return False  # what is not stored refers to nothing and is of nobody
        case IdCriterion():
            return resource_id in criterion.values
        case TokenCriterion():
            tokens = [row for row in values.tokens if row.param == criterion.param]
            found = any(_is_token(row, value) for row in tokens for value in criterion.values)
            return found != criterion.negated
        case StringCriterion():
            strings = [row for row in values.strings if row.param == criterion.param]
            return any(
                _is_string(row, criterion, text) for row in strings for text in criterion.values
            )
        case DateCriterion():
            indexed: list[DateRow] = [*values.dates, updated]
            dates = [row for row in indexed if row.param == criterion.param]
            return any(_is_date(row, value) for row in dates for value in criterion.values)
        case ReferenceCriterion():
            references = [row for row in values.references if row.param == criterion.param]
            return any(
                row.target_id == target_id and target_type in ("", row.target_type)
                for row in references
                for target_type, target_id in criterion.values
            )
        case UriCriterion():
            uris = [row.code for row in values.tokens if row.param == criterion.param]
            return any(
                _is_uri(uri, criterion.mode, text) for uri in uris for text in criterion.values
            )
        case NumberCriterion():
            numbers = [row for row in values.numbers if row.param == criterion.param]
            return any(_is_number(row, one) for row in numbers for one in criterion.values)
        case QuantityCriterion():
            quantities = [row for row in values.quantities if row.param == criterion.param]
            return any(_is_quantity(row, one) for row in quantities for one in criterion.values)
        case MissingCriterion():
            return criterion.missing != _is_present(criterion, values)


def _is_present(criterion: MissingCriterion, values: IndexValues) -> bool:
    kinds = (
        values.tokens,
        values.strings,
        values.dates,
        values.references,
        values.numbers,
        values.quantities,
    )
    names = (criterion.param, identifier_of(criterion.param))
    return any(row.param in names for rows in kinds for row in rows)


def _is_uri(uri: str, mode: str, text: str) -> bool:
    return text.startswith(uri) if mode == "above" else uri.startswith(text)


def _is_number(row: NumberRow | QuantityRow, value: NumberValue) -> bool:
    """See `mirror.amounts_sql`."""
    number = value.number
    within = value.first <= row.lo and row.lo < value.end and row.hi < value.end
    slack = max(abs(number) * NEARBY, number - value.first)
    return {
        "eq": within,
        "ne": not within,
        "gt": row.hi > number,
        "lt": row.lo < number,
        "ge": row.hi >= number,
        "le": row.lo <= number,
        "sa": row.lo > number,
        "eb": row.hi < number,
        "ap": row.lo <= number + slack and row.hi >= number - slack,
    }[value.prefix]


def _is_quantity(row: QuantityRow, value: QuantityValue) -> bool:
    if not _is_number(row, value.number):
        return False
    if value.system is None:
        return value.code in (None, row.code, row.unit)
    return row.system == value.system and value.code in (None, row.code)


def _is_token(row: TokenRow, value: TokenValue) -> bool:
    if value.system is not None and token_key(value.system) != row.system:
        return False
    return value.code is None or token_key(value.code) == row.code


def _is_string(row: StringRow, criterion: StringCriterion, text: str) -> bool:
    if criterion.mode == "exact":
        return row.exact == text
    wanted = text[:FOLDED_LENGTH]
    if criterion.mode == "contains":
        return wanted in row.folded
    return row.folded.startswith(wanted)


def _is_date(row: DateRow, value: DateValue) -> bool:
    """R4 search.html#prefix, on half-open intervals."""
    lo, hi = value.lo_us, value.hi_us
    within = lo <= row.lo_us and row.hi_us <= hi
    match value.prefix:
        case "eq":
            return within
        case "ne":
            return not within
        case "gt":
            return row.hi_us > hi
        case "lt":
            return row.lo_us < lo
        case "ge":
            return row.hi_us > lo and (row.hi_us > hi or within)
        case "le":
            return row.lo_us < hi and (row.lo_us < lo or within)
        case "sa":
            return row.lo_us >= hi
        case "eb":
            return row.hi_us <= lo
        case "ap":
            # R4: a tenth of the distance between now and the date.
            slack = abs(clock.now_us() - (lo + hi) // 2) // 10
            return row.lo_us < hi + slack and row.hi_us > lo - slack
