"""Whole searches by looking at every resource: chains, `_has`, orders, includes.

The rules are those of R4 search.html, on the values that `search_oracle` reads. What a principal
may not see is simply not in the world.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cmp_to_key
from typing import Any
from zoneinfo import ZoneInfo

from tests.support import search_oracle as oracle
from tests.support.search_oracle import Resource
from tests.support.search_paths import KINDS, PATHS

Pair = tuple[str, str]


class World:
    """All resources that there are. `zone` reads dates that carry none."""

    def __init__(self, resources: Iterable[Resource], zone: ZoneInfo) -> None:
        self.zone = zone
        self.by_key = {(one["resourceType"], one["id"]): one for one in resources}
        self._named: dict[tuple[str, str, str], set[str]] = {}
        self._from: dict[tuple[str, str], dict[str, list[Resource]]] = {}

    def of_type(self, name: str) -> list[Resource]:
        """By id."""
        return [one for key, one in sorted(self.by_key.items()) if key[0] == name]

    def search(self, name: str, pairs: Sequence[Pair]) -> list[str]:
        """Ids of what matches every pair: in the order of `_sort`, else by the first date that is
        asked for, then of ids."""
        found = [
            one
            for one in self.of_type(name)
            if all(self.holds(one, param, value) for param, value in pairs if param != "_sort")
        ]
        orders = [value for param, value in pairs if param == "_sort"]
        dates = [param for param, _ in pairs if KINDS.get((name, param)) == "date"]
        for order in orders[-1:] or dates[:1]:
            found = self._sorted(found, order.split(","))
        return [one["id"] for one in found]

    def holds(self, resource: Resource, name: str, value: str) -> bool:
        """Whether one parameter as a client sends it holds; alternatives stand between commas."""
        if name.startswith("_has:"):
            _, source, param, rest = name.split(":", 3)
            here = f"{resource['resourceType']}/{resource['id']}"
            return any(self.holds(one, rest, value) for one in self._referring(here, source, param))
        first, dot, rest = name.partition(".")
        if dot:
            param, _, narrowed = first.partition(":")
            return any(
                self._knows(one["resourceType"], rest) and self.holds(one, rest, value)
                for one in self._referred(resource, param)
                if narrowed in ("", one["resourceType"])
            )
        return self._own(resource, name, value)

    def included(
        self, name: str, matches: Sequence[str], asked: Sequence[Pair]
    ) -> set[tuple[str, str]]:
        """(type, id) of what `_include` and `_revinclude` bring along beside the matches."""
        start = {(name, one) for one in matches}
        seen = set(start)
        fresh = self._step(start, asked) - seen
        again = [pair for pair in asked if pair[0].endswith(":iterate")]
        while fresh:
            seen |= fresh
            fresh = self._step(fresh, again) - seen
        return seen - start

    def _step(self, sources: Iterable[tuple[str, str]], asked: Sequence[Pair]) -> set[Any]:
        found = set()
        for key in sources:
            for name, value in asked:
                forward = name.startswith("_include")
                found |= set(self._forward(key, value) if forward else self._reverse(key, value))
        return found

    def _forward(self, key: tuple[str, str], value: str) -> Iterator[tuple[str, str]]:
        source, param, target = (*value.split(":"), "", "")[:3]
        if source in ("*", key[0]):
            for one in _references(key[0]) if param in ("*", "") else [param]:
                for referred in self._referred(self.by_key[key], one):
                    if target in ("", referred["resourceType"]):
                        yield referred["resourceType"], referred["id"]

    def _reverse(self, key: tuple[str, str], value: str) -> Iterator[tuple[str, str]]:
        source, param, target = (*value.split(":"), "", "")[:3]
        if target not in ("", key[0]):
            return
        for name in sorted({name for name, _ in self.by_key}) if source == "*" else [source]:
            for each in _references(name) if param in ("*", "") else [param]:
                for one in self._referring("/".join(key), name, each):
                    yield name, one["id"]

    def _referred(self, resource: Resource, param: str) -> list[Resource]:
        keys = sorted(text.split("/") for text in self._names(resource, param))
        return [one for a, b in keys if (one := self.by_key.get((a, b))) is not None]

    def _names(self, resource: Resource, param: str) -> set[str]:
        """The references of a resource, read once."""
        key = (resource["resourceType"], resource["id"], param)
        if key not in self._named:
            self._named[key] = oracle.references(resource, param)
        return self._named[key]

    def _referring(self, here: str, source: str, param: str) -> list[Resource]:
        """What of a type refers to `Type/id` by a parameter."""
        if (source, param) not in self._from:
            found: dict[str, list[Resource]] = {}
            for one in self.of_type(source):
                for text in self._names(one, param):
                    found.setdefault(text, []).append(one)
            self._from[(source, param)] = found
        return self._from[(source, param)].get(here, [])

    def _knows(self, kind: str, name: str) -> bool:
        """Whether a parameter, or the first link of a chain, is one of a type."""
        plain = re.split(r"[.:]", name)[0]
        return plain in ("_id", "_lastUpdated", "_has") or plain in PATHS[kind]

    def _own(self, resource: Resource, name: str, value: str) -> bool:
        param, _, modifier = name.partition(":")
        values = _alternatives(value)
        if param == "_id":
            return resource["id"] in values
        if param == "_lastUpdated":
            here = oracle.span(resource["meta"]["lastUpdated"], self.zone)
            return any(self._dated(here, one) for one in values)
        kind = KINDS[(resource["resourceType"], param)]
        if modifier == "not":
            return not any(oracle.matches(resource, param, kind, v, self.zone) for v in values)
        return any(oracle.matches(resource, param, kind, v, self.zone, modifier) for v in values)

    def _dated(self, here: oracle.Span, value: str) -> bool:
        prefix, moment = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
        return oracle.date_matches(here, prefix, oracle.span(moment, self.zone))

    def _sorted(self, found: list[Resource], keys: Sequence[str]) -> list[Resource]:
        def compare(one: Resource, other: Resource) -> int:
            for key in keys:
                down = key.startswith("-")
                a, b = (self._place(each, key.removeprefix("-"), down) for each in (one, other))
                if a != b:
                    if a is None or b is None:
                        return 1 if a is None else -1
                    return (1 if a > b else -1) * (-1 if down else 1)
            return 1 if one["id"] > other["id"] else -1

        return sorted(found, key=cmp_to_key(compare))

    def _place(self, resource: Resource, param: str, last: bool) -> Any:
        if param == "_id":
            return resource["id"]
        if param == "_lastUpdated":
            return oracle.span(resource["meta"]["lastUpdated"], self.zone)
        kind = KINDS[(resource["resourceType"], param)]
        return oracle.sort_value(resource, param, kind, self.zone, last)


def _references(kind: str) -> list[str]:
    """The reference parameters of a type."""
    return [param for (name, param), what in KINDS.items() if (name, what) == (kind, "reference")]


def _alternatives(value: str) -> list[str]:
    """Values between commas that no backslash precedes, without their escapes."""
    parts = re.findall(r"((?:\\.|[^\\,])*)(?:,|$)", value)
    return [re.sub(r"\\([\\,|$])", r"\1", part) for part in parts[: len(parts) - 1] or parts]
