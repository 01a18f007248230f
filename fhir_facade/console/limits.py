"""Scope limits as a table of ticks and back: which types, to read, to search or to write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from smart_auth.records import Client
from smart_auth.scopes import Letter, Level, Scope, ScopeSet

ACCESS: Mapping[str, frozenset[Letter]] = {
    "read": frozenset({"r"}),
    "search": frozenset({"s"}),
    "write": frozenset({"c", "u", "d"}),
}
"""Columns of the table, by the letters each stands for."""
USER_LEVELS: tuple[Level, ...] = ("patient", "user")
EVERY_TYPE = "*"


class UnknownScopes(ValueError):
    """Words that are no resource scopes of this server: `words`."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__("These are no resource scopes")
        self.words = tuple(words)


@dataclass(frozen=True)
class LimitForm:
    """A limit as the page shows it. `ticks` are `Patient.read`; `further` holds scopes that the
    table cannot say: of one level only, of single letters, of categories."""

    limited: bool = False
    ticks: frozenset[str] = frozenset()
    further: str = ""


def levels_of(client: Client) -> tuple[Level, ...]:
    """The levels of scopes that an app can be granted: those of a tick."""
    launch = USER_LEVELS if client.check_grant_type("authorization_code") else ()
    backend: tuple[Level, ...] = (
        ("system",) if client.check_grant_type("client_credentials") else ()
    )
    return (*launch, *backend) or USER_LEVELS


def limit_of(
    form: LimitForm, rows: Iterable[str], levels: Sequence[Level], types: Collection[str]
) -> str | None:
    """The limit a form asks for, as a scope string; None for no limit.

    `rows`: the types of the table, `*` among them; `types`: those a scope may name. Raises
    UnknownScopes.
    """
    if not form.limited:
        return None
    ticked: list[Scope | str] = [
        Scope(level, row, letters)
        for row in rows
        if (letters := _ticked(form, row))
        for level in levels
    ]
    words = form.further.split()
    read = [Scope.parse(word, types) for word in words]
    unknown = [word for word, scope in zip(words, read, strict=True) if scope is None]
    if unknown:
        raise UnknownScopes(unknown)
    return str(ScopeSet.of([*ticked, *(scope for scope in read if scope is not None)]))


def form_of(
    limit: str | None, rows: Iterable[str], levels: Sequence[Level], types: Collection[str]
) -> LimitForm:
    """The form that gives this limit again: what the table can say is ticked."""
    if limit is None:
        return LimitForm()
    scopes = ScopeSet.parse(limit, types).resources
    granted: dict[tuple[Level, str], frozenset[Letter]] = {}
    for scope in scopes:
        if not scope.categories:
            place = (scope.level, scope.type)
            granted[place] = granted.get(place, frozenset()) | scope.letters
    ticks = {
        f"{row}.{access}"
        for row in rows
        for access, letters in ACCESS.items()
        if all(letters <= granted.get((level, row), frozenset()) for level in levels)
    }
    form = LimitForm(True, frozenset(ticks))
    return replace(form, further="\n".join(map(str, _not_said(form, scopes, levels))))


def _ticked(form: LimitForm, row: str) -> frozenset[Letter]:
    found: frozenset[Letter] = frozenset()
    for access, letters in ACCESS.items():
        if f"{row}.{access}" in form.ticks:
            found |= letters
    return found


def _not_said(form: LimitForm, scopes: Iterable[Scope], levels: Sequence[Level]) -> Iterator[Scope]:
    """What of the scopes the ticks leave out."""
    for scope in scopes:
        said = _ticked(form, scope.type) if scope.level in levels else frozenset()
        left = scope.letters - said
        if left:
            yield replace(scope, letters=left, dialect="v2")
