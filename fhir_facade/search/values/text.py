"""Escapes and separators inside a parameter's value (R4 search.html#escaping)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from fhir_facade.errors import InvalidRequest, UnsupportedParameter

MAX_ALTERNATIVES = 1000

T = TypeVar("T")


_SHOWABLE = re.compile(r"[A-Za-z0-9_:.\-]{1,64}", re.ASCII)


def is_showable(name: str) -> bool:
    """Whether a name a client sent may be repeated in an answer."""
    return _SHOWABLE.fullmatch(name) is not None


def showable(name: str) -> str:
    """A parameter's name as it may be repeated in an answer."""
    return name if is_showable(name) else "(unreadable name)"


class UnknownParameter(UnsupportedParameter):
    """A parameter that is not served; lenient handling may leave it out."""


def malformed(name: str, rule: str) -> InvalidRequest:
    """The error for a value that breaks `rule` (what it must be). Never holds the value."""
    return InvalidRequest(
        f"The value of '{name}' is not valid.",
        diagnostics=f"'{name}' must be {rule}.",
        expression=(name,),
    )


def unsupported_modifier(name: str, modifier: str, allowed: str) -> UnsupportedParameter:
    """The error for a modifier that is not served: always 400, lenient or not (R4
    search.html#modifiers).
    """
    return UnsupportedParameter(
        f"The modifier ':{modifier}' is not supported on '{name}'.",
        diagnostics=f"Leave it out, or use one of: {allowed}."
        if allowed
        else f"'{name}' takes no modifier.",
        expression=(f"{name}:{modifier}",),
    )


def split_unescaped(text: str, separator: str) -> list[str]:
    """Split at separators that no backslash precedes; escapes stay as they are."""
    if "\\" not in text:
        return text.split(separator)
    parts: list[str] = [""]
    escaped = False
    for char in text:
        if char == separator and not escaped:
            parts.append("")
            continue
        parts[-1] += char
        escaped = char == "\\" and not escaped
    return parts


def unescape(text: str) -> str:
    """Resolve escaped commas, bars, dollars and backslashes; other backslashes stay."""
    if "\\" not in text:
        return text
    result: list[str] = []
    chars = iter(text)
    for char in chars:
        if char != "\\":
            result.append(char)
            continue
        following = next(chars, "")
        result.append(following if following and following in ",|$\\" else char + following)
    return "".join(result)


def alternatives(name: str, value: str, read: Callable[[str, str], T]) -> tuple[T, ...]:
    """Read each comma-separated alternative of a value with `read(name, text)`.

    Raises InvalidRequest when one is empty or there are over MAX_ALTERNATIVES.
    """
    texts = split_unescaped(value, ",")
    if len(texts) > MAX_ALTERNATIVES:
        raise malformed(name, f"at most {MAX_ALTERNATIVES} values")
    if not all(texts):
        raise malformed(name, "one or more values between commas, none of them empty")
    return tuple(read(name, text) for text in texts)
