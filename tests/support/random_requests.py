"""Random requests of every kind, whose values come from a world that the asker may know a part of
only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from fhir_facade.fhir import json
from tests.support.random_world import (
    TYPES,
    Pair,
    Questions,
    Resource,
    links_of,
    referring_to,
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FHIR = {"Content-Type": "application/fhir+json"}
SHAPES = (
    "_count=1",
    "_count=2",
    "_count=0",
    "_total=none",
    "_total=accurate",
    "_total=estimate&_count=1",
    "_summary=count",
    "_summary=true",
    "_summary=text",
    "_elements=identifier",
)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Requests:
    """`instants`: FHIR instants around those at which the world changed."""

    def __init__(self, random: Random, resources: list[Resource], instants: list[str]) -> None:
        self._random = random
        self._questions = Questions(random, resources)
        self._keys = [f"{one['resourceType']}/{one['id']}" for one in resources]
        self._keys += ["Patient/nobody", "Appointment/nobody", "Group/g1", "Group/g2", "Group/g3"]
        self._instants = instants

    def any(self) -> Asked:
        """One request."""
        kinds: tuple[tuple[Callable[[], Asked], int], ...] = (
            (self._read, 3),
            (self._version, 2),
            (self._history, 3),
            (self._search, 8),
            (self._probe, 12),
            (self._all_types, 2),
            (self._everything, 2),
            (self._compartment, 2),
            (self._group, 1),
            (self._batch, 1),
        )
        weights = [weight for _, weight in kinds]
        [kind] = self._random.choices([make for make, _ in kinds], weights)
        return kind()

    def _key(self) -> str:
        return self._random.choice(self._keys)

    def _instant(self) -> str:
        return self._random.choice(self._instants)

    def _read(self) -> Asked:
        headers = self._random.choice(({}, {}, {"If-None-Match": "*"}, {"If-None-Match": 'W/"1"'}))
        return Asked(self._random.choice(("GET", "GET", "HEAD")), f"/{self._key()}", headers)

    def _version(self) -> Asked:
        return Asked("GET", f"/{self._key()}/_history/{self._random.choice('1234')}")

    def _history(self) -> Asked:
        key = self._random.choice((self._key(), self._random.choice(TYPES), "Group", ""))
        pairs = [
            (name, value())
            for name, value in (
                ("_since", self._instant),
                ("_at", self._instant),
                ("_count", lambda: self._random.choice("123")),
            )
            if self._random.random() < 0.4
        ]
        query = f"?{urlencode(pairs)}" if pairs else ""
        return Asked("GET", f"/{key}/_history{query}" if key else f"/_history{query}")

    def _pairs(self, kind: str) -> list[Pair]:
        random = self._random
        pairs = self._questions.questions(kind, 2) if random.random() < 0.75 else []
        if random.random() < 0.2:
            prefix = random.choice(("", "ge", "lt", "ne"))
            pairs.append(("_lastUpdated", prefix + self._instant()))
        if random.random() < 0.5:
            pairs += self._questions.includes(kind)
        if random.random() < 0.4:
            pairs.append(("_sort", self._questions.order(kind)))
        return pairs

    def _search(self) -> Asked:
        kind = self._random.choice(TYPES)
        query = urlencode(self._pairs(kind), quote_via=quote)
        if self._random.random() < 0.6:
            query = f"{query}&{self._random.choice(SHAPES)}".lstrip("&")
        if self._random.random() < 0.2:
            return Asked("POST", f"/{kind}/_search", FORM, query.encode())
        return Asked("GET", f"/{kind}?{query}")

    def _probe(self) -> Asked:
        """Whether one certain resource stands at the other end of a reference, or of two."""
        kind, _, one_id = self._key().partition("/")
        name = self._random.choice((f"_id={one_id}", f"_id={one_id}", "_lastUpdated=ge2020"))
        for _ in range(self._random.choice((1, 1, 2))):
            ways = [(other, f"{param}:{kind}.") for other, param in referring_to(kind)]
            ways += [(to, f"_has:{kind}:{param}:") for param, to in links_of(kind)]
            if ways:
                kind, link = self._random.choice(ways)
                name = f"{link}{name}"
        return Asked("GET", f"/{kind}?{name}&{self._random.choice(('', *SHAPES))}".rstrip("&"))

    def _all_types(self) -> Asked:
        types = self._random.sample(TYPES, self._random.randint(0, 3))
        pairs = [("_type", ",".join(types))] if types else []
        way = self._random.random()
        if way < 0.4:
            ids = [key.partition("/")[2] for key in self._random.choices(self._keys, k=4)]
            pairs.append(("_id", ",".join(ids)))
        elif way < 0.7:
            pairs.append(("_lastUpdated", "ge" + self._instant()))
        pairs += self._random.choice(
            ([], [("_sort", "-_lastUpdated")], [("_count", "3")], [("_total", "accurate")])
        )
        pairs += self._random.choice(([], [], [("_revinclude", "Provenance:target")]))
        return Asked("GET", f"?{urlencode(pairs)}")

    def _everything(self) -> Asked:
        patient = self._random.choice(("/p1", "/p2", "/p3", "/p4", "/nobody", ""))
        pairs = self._random.choice(
            (
                [],
                [("_count", "2")],
                [("_type", "Appointment,Provenance,DocumentReference")],
                [("_since", self._instant())],
                [("start", "2026-10"), ("end", "2026-12-31")],
            )
        )
        return Asked("GET", f"/Patient{patient}/$everything?{urlencode(pairs)}".rstrip("?"))

    def _compartment(self) -> Asked:
        patient = self._random.choice(("p1", "p2", "p3", "p4", "nobody"))
        kind = self._random.choice(
            ("Appointment", "DiagnosticReport", "Patient", "Provenance", "*")
        )
        query = self._random.choice(("", "_count=1", "_total=accurate&_count=0", *SHAPES))
        return Asked("GET", f"/Patient/{patient}/{kind}?{query}".rstrip("?"))

    def _group(self) -> Asked:
        return Asked(
            "GET",
            self._random.choice(
                (
                    "/Group",
                    "/Group?_summary=count",
                    "/Group?member=Patient/p3",
                    "/Group?member.name:missing=false",
                    "/Patient?_has:Group:member:actual=true",
                    "/Patient?_revinclude=Group:member",
                    "/Patient?_has:Group:member:_id=g2",
                    "/Binary",
                    "/Binary?_id=f1,f2,f3,f4",
                    "/Binary?_sort=-_lastUpdated&_count=1",
                    "/DocumentReference/$docref?patient=p1",
                    "/DocumentReference/$docref?patient=p2&start=2020",
                )
            ),
        )

    def _batch(self) -> Asked:
        entries: list[dict[str, Any]] = []
        while len(entries) < 3:
            one = self.any()
            if one.method == "GET":
                url = one.path.removeprefix("/")
                entries.append({"request": {"method": "GET", "url": url}})
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        return Asked("POST", "", FHIR, json.dumps(bundle))
