"""String parameters: a folded start by default, `:contains`, `:exact` (R4 search.html#string)."""

from __future__ import annotations

from typing import Literal

from fhir_facade.mirror.criteria import StringCriterion
from fhir_facade.resources.extract import fold
from fhir_facade.search.values.text import (
    alternatives,
    malformed,
    unescape,
    unsupported_modifier,
)

_MODES: dict[str, Literal["starts", "contains", "exact"]] = {
    "": "starts",
    "contains": "contains",
    "exact": "exact",
}


def string_criterion(
    name: str, modifier: str, value: str, shown: str | None = None
) -> StringCriterion:
    """The criterion of one string parameter; errors name it as `shown`."""
    shown = shown or name
    mode = _MODES.get(modifier)
    if mode is None:
        raise unsupported_modifier(shown, modifier, ":exact, :contains, :missing")
    return StringCriterion(
        name, mode, alternatives(shown, value, _exact if mode == "exact" else _folded)
    )


def _exact(name: str, text: str) -> str:
    return unescape(text)


def _folded(name: str, text: str) -> str:
    folded = fold(unescape(text))
    if not folded:
        raise malformed(name, "text with at least one letter or digit")
    return folded
