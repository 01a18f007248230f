"""From decoded name-value pairs to a SearchQuery (R4 search.html).

Nothing is ever ignored in silence: what is not understood is an error, or, under
`Prefer: handling=lenient`, named in `SearchQuery.ignored`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.fhir.ids import is_id
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    CompartmentCriterion,
    Criterion,
    HasCriterion,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
)
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.search import result_parameters
from fhir_facade.search.chain import chain_criterion, is_chain
from fhir_facade.search.query import Pair, SearchContext, SearchQuery, Shape
from fhir_facade.search.result_parameters import ResultParameters
from fhir_facade.search.values.date import date_criterion
from fhir_facade.search.values.number import number_criterion, quantity_criterion
from fhir_facade.search.values.reference import reference_criterion
from fhir_facade.search.values.string import string_criterion
from fhir_facade.search.values.text import (
    UnknownParameter,
    alternatives,
    is_showable,
    malformed,
    showable,
    unescape,
    unsupported_modifier,
)
from fhir_facade.search.values.token import token_criterion, uri_criterion

NEGOTIATED = frozenset({"_format", "_pretty"})
"""Parameters about the form of the answer, read by the caller."""
_LEFT_OUT = frozenset(
    {
        *("_contained", "_containedType", "_content", "_filter", "_in", "_list", "_query"),
        *("_security", "_source", "_tag", "_text"),
    }
)
"""What R4 defines for every type, and no type is searched by here."""
MAX_PAIRS = 200
MAX_VALUES = 2000
"""Values of a whole query, each counted for every type that a chain leads to: all of them stand in
one statement of the database."""


def read_pairs(query: bytes) -> list[Pair]:
    """The decoded pairs of a query string or form body, in order, blank values kept.

    Raises InvalidRequest when it is not UTF-8, holds control characters, or over MAX_PAIRS pairs.
    """
    if not query:
        return []
    try:
        pairs = parse_qsl(
            query.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PAIRS,
        )
    except UnicodeDecodeError:
        raise InvalidRequest(
            "The parameters are not percent-encoded UTF-8.",
            diagnostics="Encode every character outside ASCII as UTF-8, then percent-encode it.",
        ) from None
    except ValueError:
        raise InvalidRequest(
            f"A request may carry at most {MAX_PAIRS} parameters.",
            diagnostics="Join values of a parameter with commas, or send several requests.",
        ) from None
    for name, value in pairs:
        if not (name + value).isprintable() and _has_control(name + value):
            raise InvalidRequest(
                "A parameter holds control characters.", diagnostics="Leave them out."
            )
    return pairs


def parse(
    definition: ResourceDefinition, pairs: Iterable[Pair], context: SearchContext
) -> SearchQuery:
    """Parse the parameters of a search on one type.

    Raises InvalidRequest (malformed) or UnsupportedParameter (not served); both name the parameter
    and never hold its value.
    """
    results = ResultParameters(definition, context)
    criteria: list[Criterion] = []
    used: list[Pair] = []
    ignored: list[str] = []
    for name, value in _in_order(definition, pairs):
        plain, _, modifier = name.partition(":")
        try:
            if not value:
                _check_known(definition, name)
                raise malformed(showable(name), "followed by a value; leave the parameter out")
            if plain in result_parameters.NAMES:
                value = results.take(plain, modifier, value)
            elif plain not in NEGOTIATED:
                criteria.append(_criterion(definition, name, value, context))
        except UnknownParameter:
            if not context.lenient:
                raise
            ignored.append(showable(name))
        else:
            used.append((name, value))
    if _values_in(criteria) > MAX_VALUES:
        raise InvalidRequest(
            f"A search may have {MAX_VALUES} values at most.",
            diagnostics="Search in several requests. In a chained parameter each value counts for "
            "every type that it may lead to: name the type, as in 'subject:Patient.name'.",
        )
    return SearchQuery(
        type=definition.type,
        criteria=tuple(criteria),
        count=results.count,
        summary=results.summary,
        total=results.total,
        includes=tuple(dict.fromkeys(results.includes)),
        sort=results.sort,
        elements=results.elements,
        used=tuple(used),
        ignored=tuple(dict.fromkeys(ignored)),
    )


def parse_shape(
    definition: ResourceDefinition, pairs: Iterable[Pair], context: SearchContext
) -> Shape:
    """The parameters of a read: `_summary` and `_elements`, nothing else but those about the form.

    Raises as `parse` does.
    """
    results = ResultParameters(definition, context)
    for name, value in pairs:
        if name in ("_summary", "_elements") and value != "count":
            results.take(name, "", value)
        elif name not in NEGOTIATED and not context.lenient:
            raise UnknownParameter(
                f"The parameter '{showable(name)}' does not apply to a read.",
                diagnostics="A read takes _elements, _summary (not count), _format and _pretty.",
                expression=(showable(name),),
            )
    return Shape(results.summary, results.elements)


def _in_order(definition: ResourceDefinition, pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs, and the order of the type where they name none."""
    given = list(pairs)
    if definition.default_sort and not any(name == "_sort" for name, _ in given):
        given.append(("_sort", definition.default_sort))
    return given


def _values_in(criteria: Iterable[Criterion]) -> int:
    return sum(map(_values_of, criteria))


def _values_of(criterion: Criterion) -> int:
    match criterion:
        case ChainCriterion(_, targets):
            return sum(_values_in(inner) for _, inner in targets)
        case HasCriterion(_, _, inner):
            return _values_in(inner)
        case MissingCriterion() | NothingCriterion() | CompartmentCriterion():
            return 1
        case _:
            return len(criterion.values)


def _has_control(text: str) -> bool:
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def _check_known(definition: ResourceDefinition, name: str) -> None:
    plain = name.partition(":")[0]
    if plain in result_parameters.NAMES or plain in NEGOTIATED or plain in ("_id", "_lastUpdated"):
        return
    if is_chain(name):
        return
    if definition.parameter(plain) is None:
        raise _unknown(definition, plain)


def _unknown(definition: ResourceDefinition, name: str) -> UnsupportedParameter:
    shown = showable(name)
    known = ", ".join(["_id", "_lastUpdated", *(p.name for p in definition.search)])
    text = f"Unknown search parameter '{shown}' for {definition.type}."
    if name in _LEFT_OUT:
        text = f"The search parameter '{shown}' of R4 is not supported here."
    return UnknownParameter(
        text,
        diagnostics=f"Use one of: {known}. Prefer: handling=lenient leaves unknown parameters out.",
        expression=(shown,),
    )


def _criterion(
    definition: ResourceDefinition,
    full_name: str,
    value: str,
    context: SearchContext,
    steps: int = 0,
) -> Criterion:
    """The criterion of one parameter, reached through so many other resources."""
    if is_chain(full_name):
        return chain_criterion(
            definition,
            full_name,
            steps + 1,
            context,
            lambda other, rest: _criterion(other, rest, value, context, steps + 1),
        )
    name, _, modifier = full_name.partition(":")
    if name == "_id":
        if modifier:
            raise unsupported_modifier(name, modifier, "")
        return _id_criterion(value)
    if name == "_lastUpdated":
        return date_criterion(name, modifier, value, context.zone)
    parameter = definition.parameter(name)
    if parameter is None:
        raise _unknown(definition, name)
    if modifier == "missing":
        return _missing_criterion(parameter, value)
    if modifier and not is_showable(modifier):
        raise unsupported_modifier(name, "(unreadable)", ":missing")
    return _typed_criterion(parameter, modifier, value, context)


def _typed_criterion(
    parameter: SearchParameter, modifier: str, value: str, context: SearchContext
) -> Criterion:
    match parameter.kind:
        case "token":
            return token_criterion(parameter, modifier, value)
        case "string":
            return string_criterion(parameter.name, modifier, value)
        case "uri":
            return uri_criterion(parameter.name, modifier, value)
        case "date":
            return date_criterion(
                parameter.name, modifier, value, context.zone, single=parameter.single
            )
        case "reference":
            return reference_criterion(parameter, modifier, value, context.base)
        case "number":
            return number_criterion(parameter, modifier, value)
        case "quantity":
            return quantity_criterion(parameter, modifier, value)


def _id_criterion(value: str) -> IdCriterion | NothingCriterion:
    ids = alternatives("_id", value, lambda _name, text: unescape(text))
    possible = tuple(text for text in ids if is_id(text))
    return IdCriterion(possible) if possible else NothingCriterion()


def _missing_criterion(parameter: SearchParameter, value: str) -> MissingCriterion:
    if value not in ("true", "false"):
        raise malformed(f"{parameter.name}:missing", "true or false")
    kind = "token" if parameter.kind == "uri" else parameter.kind
    return MissingCriterion(parameter.name, kind, missing=value == "true")
