"""Token parameters: `code`, `system|code`, `|code`, `system|` (R4 search.html#token)."""

from __future__ import annotations

from typing import Literal

from fhir_facade.mirror.criteria import StringCriterion, TokenCriterion, TokenValue, UriCriterion
from fhir_facade.resources.definition import SearchParameter
from fhir_facade.resources.index_rows import text_of
from fhir_facade.search.values.string import string_criterion
from fhir_facade.search.values.text import (
    alternatives,
    malformed,
    split_unescaped,
    unescape,
    unsupported_modifier,
)


def token_criterion(
    parameter: SearchParameter, modifier: str, value: str
) -> TokenCriterion | StringCriterion:
    """The criterion of one token parameter: `:not` excludes its values, `:text` reads what people
    read of them (where there is such text: a bare code has none)."""
    name = parameter.name
    if modifier == "text" and not parameter.system:
        return string_criterion(text_of(name), "", value, name)
    if modifier not in ("", "not"):
        allowed = ":not, :missing" if parameter.system else ":not, :text, :missing"
        raise unsupported_modifier(name, modifier, allowed)
    return TokenCriterion(name, alternatives(name, value, token_value), negated=modifier == "not")


def uri_criterion(name: str, modifier: str, value: str) -> TokenCriterion | UriCriterion:
    """The criterion of one uri parameter: equal character for character, or with `:below` and
    `:above` in part (R4 search.html#uri)."""
    if modifier in ("below", "above"):
        mode: Literal["below", "above"] = "below" if modifier == "below" else "above"
        return UriCriterion(name, mode, alternatives(name, value, lambda _, text: unescape(text)))
    if modifier:
        raise unsupported_modifier(name, modifier, ":below, :above, :missing")
    return TokenCriterion(name, alternatives(name, value, _uri))


def _uri(name: str, text: str) -> TokenValue:
    return TokenValue(None, unescape(text))


def token_value(name: str, text: str) -> TokenValue:
    """One token. Raises InvalidRequest when it is malformed."""
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0])
    if len(parts) == 2 and any(parts):
        system, code = parts
        return TokenValue(system, code or None)
    raise malformed(name, "code, system|code, |code or system|")
