"""Token parameters: `code`, `system|code`, `|code`, `system|` (R4 search.html#token)."""

from __future__ import annotations

from fhir_facade.mirror.criteria import TokenCriterion, TokenValue
from fhir_facade.search.values.text import (
    alternatives,
    malformed,
    split_unescaped,
    unescape,
    unsupported_modifier,
)


def token_criterion(name: str, modifier: str, value: str) -> TokenCriterion:
    """The criterion of one token parameter; `:not` is the only modifier besides `:missing`."""
    if modifier not in ("", "not"):
        raise unsupported_modifier(name, modifier, ":not, :missing")
    return TokenCriterion(name, alternatives(name, value, _token), negated=modifier == "not")


def uri_criterion(name: str, modifier: str, value: str) -> TokenCriterion:
    """The criterion of one uri parameter: equal character for character (R4 search.html#uri)."""
    if modifier:
        raise unsupported_modifier(name, modifier, ":missing")
    return TokenCriterion(name, alternatives(name, value, _uri))


def _uri(name: str, text: str) -> TokenValue:
    return TokenValue(None, unescape(text))


def _token(name: str, text: str) -> TokenValue:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0])
    if len(parts) == 2 and any(parts):
        system, code = parts
        return TokenValue(system, code or None)
    raise malformed(name, "code, system|code, |code or system|")
