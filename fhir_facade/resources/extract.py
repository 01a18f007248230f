"""From a finished resource to the values it is searched by, as its definition declares them.

Pure and compiled once a definition: every resource that is published passes here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import InvalidDate, parse_interval, period_interval
from fhir_facade.fhir.references import parse_reference
from fhir_facade.resources.amounts import number_row, quantity_row
from fhir_facade.resources.definition import ResourceDefinition, SearchParameter
from fhir_facade.resources.element_path import Walk, compile_path
from fhir_facade.resources.index_rows import (
    DateRow,
    IndexValues,
    NumberRow,
    QuantityRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    identifier_of,
    text_of,
)

FOLDED_LENGTH = 400
"""Characters of a folded string that are indexed: what a B-tree page of any database takes."""
TOKEN_LENGTH = 200
"""Codes and systems longer than this are indexed by their hash."""

_HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
_NAME_OR_ADDRESS = tuple(dict.fromkeys(_HUMAN_NAME + _ADDRESS))


@lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """Text without case and accents, white space reduced to single blanks.

    R4 search.html#string.
    """
    if text.isascii():
        folded = text.casefold()
    else:
        apart = unicodedata.normalize("NFKD", text.casefold())
        bare = "".join(c for c in apart if not unicodedata.combining(c))
        folded = unicodedata.normalize("NFKC", bare).casefold()
    return " ".join(storable(folded).split())


def token_key(text: str) -> str:
    """A code or system as the index holds it: itself, or its hash when it is long."""
    text = storable(text)
    if len(text) <= TOKEN_LENGTH:
        return text
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def index_values(
    definition: ResourceDefinition, resource: FHIRResource, zone: ZoneInfo
) -> IndexValues:
    """The index values of a resource. Dates without a zone are read in `zone`, the tenant's.

    Elements whose value is not of the parameter's kind give no row: the validator, not the index,
    refuses resources.
    """
    rows = _Rows(zone)
    for param in _compiled(definition).params:
        collect = _COLLECT[param.parameter.kind]
        for walk in param.walks:
            for node in walk(resource):
                collect(rows, param.parameter, node)
    return IndexValues(
        tuple(dict.fromkeys(rows.tokens)),
        tuple(dict.fromkeys(rows.strings)),
        tuple(dict.fromkeys(rows.dates)),
        tuple(dict.fromkeys(rows.references)),
        tuple(dict.fromkeys(rows.numbers)),
        tuple(dict.fromkeys(rows.quantities)),
    )


def patients_of(definition: ResourceDefinition, resource: FHIRResource) -> tuple[str, ...]:
    """Ids of the patients in whose compartment the resource lies, sorted, without doubles."""
    found: set[str] = set()
    for walk in _compiled(definition).patients:
        if walk is None:
            found.add(resource["id"])
            continue
        for node in walk(resource):
            target = _local_target(node)
            if target is not None and target[0] == "Patient":
                found.add(target[1])
    return tuple(sorted(found))


def categories_of(definition: ResourceDefinition, resource: FHIRResource) -> tuple[str, ...]:
    """`system|code` of every category of the resource, sorted, without doubles."""
    walk = _compiled(definition).category
    if walk is None:
        return ()
    rows = _Rows(ZoneInfo("UTC"))
    parameter = SearchParameter("_category", "token", (), "")
    for node in walk(resource):
        _token(rows, parameter, node)
    return tuple(sorted({f"{row.system}|{row.code}" for row in rows.tokens}))


class _Param(NamedTuple):
    parameter: SearchParameter
    walks: tuple[Walk, ...]


class _Compiled(NamedTuple):
    params: tuple[_Param, ...]
    patients: tuple[Walk | None, ...]
    category: Walk | None


@dataclass
class _Rows:
    zone: ZoneInfo
    tokens: list[TokenRow] = field(default_factory=list)
    strings: list[StringRow] = field(default_factory=list)
    dates: list[DateRow] = field(default_factory=list)
    references: list[ReferenceRow] = field(default_factory=list)
    numbers: list[NumberRow] = field(default_factory=list)
    quantities: list[QuantityRow] = field(default_factory=list)


# By identity: hashing a definition means hashing all of its parameters, each time.
_programs: dict[int, tuple[ResourceDefinition, _Compiled]] = {}


def _compiled(definition: ResourceDefinition) -> _Compiled:
    program = _programs.get(id(definition))
    if program is None:
        # The entry keeps the definition alive, so its identity is not given to another.
        program = _programs[id(definition)] = (definition, _compile(definition))
    return program[1]


def _compile(definition: ResourceDefinition) -> _Compiled:
    return _Compiled(
        params=tuple(
            _Param(parameter, tuple(compile_path(path) for path in parameter.paths))
            for parameter in definition.search
        ),
        patients=tuple(compile_path(path) if path else None for path in definition.patient_paths),
        category=compile_path(definition.category_path) if definition.category_path else None,
    )


def _token(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    if isinstance(node, bool):
        rows.tokens.append(TokenRow(parameter.name, "", "true" if node else "false"))
    elif isinstance(node, str):
        rows.tokens.append(TokenRow(parameter.name, token_key(parameter.system), token_key(node)))
    elif isinstance(node, dict):
        codings = node.get("coding")
        _text(rows, parameter, node.get("text"))
        if isinstance(codings, list):
            for coding in codings:
                _coded(rows, parameter, coding, "code")
        elif "value" in node:
            _coded(rows, parameter, node, "value")
            kind = node.get("type")
            _text(rows, parameter, kind.get("text") if isinstance(kind, dict) else None)
        else:
            _coded(rows, parameter, node, "code")


def _text(rows: _Rows, parameter: SearchParameter, text: Any) -> None:
    """What people read of a token: CodeableConcept.text, Coding.display, Identifier.type.text."""
    if isinstance(text, str):
        folded = fold(text)[:FOLDED_LENGTH]
        rows.strings.append(StringRow(text_of(parameter.name), folded, storable(text)))


def _coded(rows: _Rows, parameter: SearchParameter, node: Any, code_name: str) -> None:
    """A Coding, Identifier or ContactPoint; the system of a ContactPoint is no namespace."""
    if not isinstance(node, dict):
        return
    _text(rows, parameter, node.get("display"))
    code, system = node.get(code_name), node.get("system")
    if not isinstance(code, str):
        return
    if not isinstance(system, str) or system in _CONTACT_SYSTEMS:
        system = ""
    rows.tokens.append(TokenRow(parameter.name, token_key(system), token_key(code)))


def _string(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    """A string, or each part of a HumanName or Address."""
    if isinstance(node, str):
        rows.strings.append(StringRow(parameter.name, fold(node)[:FOLDED_LENGTH], storable(node)))
    elif isinstance(node, dict):
        for part in _NAME_OR_ADDRESS:
            value = node.get(part)
            if isinstance(value, str):
                _string(rows, parameter, value)
            elif isinstance(value, list):
                for item in value:
                    if isinstance(item, str):
                        _string(rows, parameter, item)


def _date(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    """A date, dateTime or instant, or a Period whose missing side is open."""
    try:
        if isinstance(node, str):
            lo, hi = parse_interval(node, rows.zone)
        elif isinstance(node, dict) and ("start" in node or "end" in node):
            lo, hi = period_interval(node.get("start"), node.get("end"), rows.zone)
        else:
            return
    except InvalidDate:
        return
    rows.dates.append(DateRow(parameter.name, lo, hi))


def _reference(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    target = _local_target(node)
    if target is not None and (not parameter.targets or target[0] in parameter.targets):
        rows.references.append(ReferenceRow(parameter.name, *target))
    identifier = node.get("identifier") if isinstance(node, dict) else None
    if isinstance(identifier, dict) and _may_lead_to(parameter, node.get("type"), target):
        named = replace(parameter, name=identifier_of(parameter.name))
        _coded(rows, named, identifier, "value")


def _may_lead_to(parameter: SearchParameter, named: Any, target: tuple[str, str] | None) -> bool:
    """Whether a reference is to one of the parameter's types, as far as it says."""
    kind = target[0] if target is not None else named
    if kind is None:
        return not parameter.narrowed
    return not parameter.targets or kind in parameter.targets


def _number(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    row = number_row(parameter.name, node)
    if row is not None:
        rows.numbers.append(row)


def _quantity(rows: _Rows, parameter: SearchParameter, node: Any) -> None:
    row = quantity_row(parameter.name, node)
    if row is not None:
        rows.quantities.append(row)


@lru_cache(maxsize=16384)
def _parsed(text: str) -> tuple[str, str] | None:
    reference = parse_reference(text)
    if reference is None or reference.base is not None:
        return None
    return reference.type, reference.id


def _local_target(node: Any) -> tuple[str, str] | None:
    text = node.get("reference") if isinstance(node, dict) else node
    return _parsed(text) if isinstance(text, str) else None


def storable(text: str) -> str:
    """Without what PostgreSQL cannot hold in a text: NUL and lone surrogates."""
    if "\x00" not in text and (text.isascii() or _SURROGATE.search(text) is None):
        return text
    return _SURROGATE.sub("\ufffd", text.replace("\x00", "\ufffd"))


_CONTACT_SYSTEMS = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_COLLECT = {
    "token": _token,
    "uri": _token,
    "string": _string,
    "date": _date,
    "reference": _reference,
    "number": _number,
    "quantity": _quantity,
}
