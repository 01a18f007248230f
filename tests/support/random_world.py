"""Random resources that refer to each other, and searches that find some of them.

Everything follows from one `random.Random`, so a seed tells a whole case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from tests.support import search_oracle as oracle
from tests.support.search_paths import KINDS, PATHS

Resource = dict[str, Any]
Pair = tuple[str, str]

PREFIX = {
    "Appointment": "a",
    "DiagnosticReport": "d",
    "DocumentReference": "f",
    "Location": "l",
    "Organization": "o",
    "Patient": "p",
    "Practitioner": "p",
}
TYPES = (*PREFIX, "Provenance")
PROFILES = ("http://example.org/p", "http://example.org/p/long", "http://example.org/")
CODES = ("a", "b", "A", "a,b", "α")
SYSTEMS = ("urn:s:1", "urn:s:2")
WORDS = ("Anna", "ANNA", "Änna", "an", "O'Neill", "Straße", "van der Berg", "a, b", "100%", "_x")
DAYS = ("1980", "1980-05", "1980-05-31", "1999-12-31", "2000-01-01", "2000", "2000-02-29")
MOMENTS = (
    "2026-03-29T01:30:00Z",
    "2026-03-29T12:30:00+11:00",
    "2026-04-05T02:30:00+11:00",
    "2026-04-05T02:30:00+10:00",
    "2026-10-03T16:00:00.5Z",
    "2026-10-04T01:59:59+10:00",
    "2026-10-04T03:00:00+11:00",
    "2026-12-31T23:59:59.999-05:00",
    "2027-01-01T00:00:00+14:00",
)
DATES = (*DAYS, "2026", "2026-10", "2026-10-04", "2026-12-31", "2026-10-04T03:00", *MOMENTS)
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
STATUSES = {
    "Appointment": ("booked", "cancelled", "noshow"),
    "DiagnosticReport": ("final", "partial"),
    "DocumentReference": ("current", "superseded"),
    "Location": ("active", "inactive"),
}
TARGETS = {
    ("Appointment", "actor"): ("Patient", "Location", "Practitioner"),
    ("Appointment", "location"): ("Location",),
    ("Appointment", "patient"): ("Patient",),
    ("Appointment", "practitioner"): ("Practitioner",),
    ("DiagnosticReport", "patient"): ("Patient",),
    ("DiagnosticReport", "performer"): ("Organization", "Practitioner"),
    ("DiagnosticReport", "subject"): ("Patient", "Location"),
    ("DocumentReference", "author"): ("Organization", "Practitioner", "Patient"),
    ("DocumentReference", "patient"): ("Patient",),
    ("DocumentReference", "related"): ("Appointment",),
    ("DocumentReference", "relatesto"): ("DocumentReference",),
    ("DocumentReference", "subject"): ("Patient", "Practitioner"),
    ("Location", "organization"): ("Organization",),
    ("Location", "partof"): ("Location",),
    ("Organization", "partof"): ("Organization",),
    ("Patient", "general-practitioner"): ("Practitioner", "Organization"),
    ("Patient", "link"): ("Patient",),
    ("Patient", "organization"): ("Organization",),
    ("Provenance", "agent"): ("Organization",),
    ("Provenance", "patient"): ("Patient",),
    ("Provenance", "target"): tuple(PREFIX),
}
"""Where references lead: type and parameter → types."""
WITH_TEXTS = {"category", "code", "identifier", "service-type", "format"}


class Elements:
    """Values of elements. Each resource number may be missing, so references may lead nowhere."""

    def __init__(self, random: Random, numbers: int = 3) -> None:
        self.random = random
        self._numbers = numbers

    def number(self) -> int:
        return self.random.randint(1, self._numbers + 1)

    def some(self, make: Callable[[], Any], most: int = 2) -> list[Any]:
        """None, one or more."""
        return [make() for _ in range(self.random.randint(0, most))]

    def maybe(self, **elements: Callable[[], Any]) -> Resource:
        """Most of the elements."""
        return {name: make() for name, make in elements.items() if self.random.random() < 0.75}

    def one_of(self, values: Iterable[Any]) -> Callable[[], Any]:
        listed = list(values)
        return lambda: self.random.choice(listed)

    def reference(self, *types: str) -> Callable[[], Resource]:
        """Most are literal, some logical, some only a display."""

        def make() -> Resource:
            kind, way = self.random.choice(types), self.random.random()
            if way < 0.75:
                return {"reference": f"{kind}/{PREFIX[kind]}{self.number()}"}
            if way < 0.9:
                return {"type": kind, "identifier": self.identifier()}
            return {"display": "somebody"}

        return make

    def coding(self) -> Resource:
        return {"code": self.random.choice(CODES)} | self.maybe(
            system=self.one_of(SYSTEMS), display=self.one_of(WORDS)
        )

    def concept(self) -> Resource:
        return self.maybe(coding=lambda: self.some(self.coding), text=self.one_of(WORDS))

    def identifier(self) -> Resource:
        return {"value": self.random.choice(CODES)} | self.maybe(
            system=self.one_of(SYSTEMS), type=lambda: {"text": self.random.choice(WORDS)}
        )

    def name(self) -> Resource:
        word = self.one_of(WORDS)
        return self.maybe(text=word, family=word, given=lambda: self.some(word))

    def meta(self) -> Resource:
        return {"profile": self.some(self.one_of(PROFILES))}

    def effective(self) -> Resource:
        if self.random.random() < 0.5:
            return {"effectiveDateTime": self.random.choice((*DAYS, *MOMENTS))}
        period = self.maybe(start=self.one_of(MOMENTS[:4]), end=self.one_of(MOMENTS[4:]))
        return {"effectivePeriod": period} if period else {}

    def content(self) -> Resource:
        url = self.one_of(("Binary/f1", "https://x.example/f", "https://x.example/f/2"))
        attachment = self.maybe(contentType=self.one_of(("text/plain", "image/png")), url=url)
        return {"attachment": attachment} | self.maybe(format=self.coding)

    def person(self) -> Resource:
        pick = self.one_of
        return self.maybe(
            meta=self.meta,
            name=lambda: self.some(self.name),
            gender=pick(("male", "female")),
            birthDate=pick(DAYS),
            active=pick((True, False)),
            identifier=lambda: self.some(self.identifier),
            telecom=lambda: self.some(
                lambda: {
                    "system": self.random.choice(("phone", "email")),
                    "value": self.random.choice(CODES),
                }
            ),
            address=lambda: self.some(
                lambda: self.maybe(city=pick(WORDS), use=pick(("home", "work")))
            ),
        )

    def of(self, kind: str) -> Resource:
        """The elements of one resource of a type."""
        pick, some, refer = self.one_of, self.some, self.reference
        match kind:
            case "Appointment":
                actor = refer("Patient", "Patient", "Location", "Practitioner")
                return self.maybe(
                    status=pick(STATUSES[kind]),
                    start=pick(MOMENTS),
                    serviceType=lambda: some(self.concept),
                    identifier=lambda: some(self.identifier),
                    participant=lambda: some(
                        lambda: {"actor": actor(), "status": "accepted"}, most=4
                    ),
                )
            case "DiagnosticReport":
                return self.effective() | self.maybe(
                    meta=self.meta,
                    status=pick(STATUSES[kind]),
                    category=lambda: some(self.concept),
                    code=self.concept,
                    issued=pick(MOMENTS),
                    subject=refer("Patient", "Patient", "Location"),
                    performer=lambda: some(refer("Organization", "Practitioner")),
                )
            case "DocumentReference":
                related = refer("Appointment")
                return self.maybe(
                    meta=self.meta,
                    status=pick(STATUSES[kind]),
                    type=self.concept,
                    category=lambda: some(self.concept),
                    date=pick(MOMENTS),
                    description=pick(WORDS),
                    subject=refer("Patient", "Patient", "Practitioner"),
                    author=lambda: some(refer("Organization", "Practitioner", "Patient")),
                    relatesTo=lambda: some(
                        lambda: {"code": "replaces", "target": refer("DocumentReference")()}
                    ),
                    content=lambda: some(self.content),
                    context=lambda: self.maybe(
                        related=lambda: some(related), period=lambda: {"start": MOMENTS[0]}
                    ),
                )
            case "Location":
                return self.maybe(
                    meta=self.meta,
                    status=pick(STATUSES[kind]),
                    name=pick(WORDS),
                    alias=lambda: some(pick(WORDS)),
                    partOf=refer("Location"),
                    managingOrganization=refer("Organization"),
                )
            case "Organization":
                return self.maybe(
                    name=pick(WORDS),
                    alias=lambda: some(pick(WORDS)),
                    active=pick((True, False)),
                    partOf=refer("Organization"),
                )
            case "Patient":
                return self.person() | self.maybe(
                    deceasedBoolean=pick((True, False)),
                    managingOrganization=refer("Organization"),
                    generalPractitioner=lambda: some(refer("Practitioner", "Organization")),
                    link=lambda: some(lambda: {"other": refer("Patient")()}, most=1),
                )
            case "Practitioner":
                return self.person()
            case _:
                agent = refer("Organization")
                return self.maybe(
                    recorded=pick(MOMENTS), agent=lambda: some(lambda: {"who": agent()})
                )


def world(random: Random, numbers: int = 4) -> list[Resource]:
    """At most so many resources of each type; behind them a Provenance of half of them, and a
    Binary for each document."""
    make = Elements(random, numbers)
    found = [
        {"resourceType": kind, "id": f"{prefix}{number}"} | make.of(kind)
        for kind, prefix in PREFIX.items()
        for number in range(1, numbers + 1)
        if random.random() < 0.85
    ]
    about = [
        {
            "resourceType": "Provenance",
            "id": f"{one['resourceType']}-{one['id']}",
            "target": [{"reference": f"{one['resourceType']}/{one['id']}"}],
        }
        | make.of("Provenance")
        for one in found
        if random.random() < 0.5
    ]
    contents = [
        {
            "resourceType": "Binary",
            "id": one["id"],
            "contentType": "text/plain",
            "securityContext": {"reference": f"DocumentReference/{one['id']}"},
        }
        for one in found
        if one["resourceType"] == "DocumentReference"
    ]
    return [*found, *about, *contents]


def escaped(text: str) -> str:
    """A value with its separators escaped."""
    return "".join(f"\\{char}" if char in "\\,|$" else char for char in text)


class Questions:
    """Searches whose values come from the resources, most of them."""

    def __init__(self, random: Random, resources: list[Resource]) -> None:
        self.random = random
        self._by_type = {
            kind: [one for one in resources if one["resourceType"] == kind] for kind in TYPES
        }
        self._ids = sorted({one["id"] for one in resources})

    def question(self, kind: str, steps: int = 2) -> Pair:
        """One parameter with one or two values, through so many other types at most."""
        random = self.random
        way = random.random() if steps else 1.0
        if way < 0.25 and (links := links_of(kind)):
            param, target = random.choice(links)
            name, value = self.question(target, steps - 1)
            return f"{param}{random.choice(('', f':{target}'))}.{name}", value
        if way < 0.5 and (links := referring_to(kind)):
            source, param = random.choice(links)
            name, value = self.question(source, steps - 1)
            return f"_has:{source}:{param}:{name}", value
        if random.random() < 0.1:
            return "_id", ",".join(random.sample(self._ids, min(3, len(self._ids))) or ["x"])
        told = [param for param in sorted(PATHS[kind]) if self._values(kind, param)]
        param = random.choice(told if told and random.random() < 0.9 else sorted(PATHS[kind]))
        if random.random() < 0.12:
            return f"{param}:missing", random.choice(("true", "false"))
        modifier = random.choice(self._modifiers(kind, param))
        values = [self._value(kind, param, modifier) for _ in range(random.choice((1, 1, 2)))]
        return f"{param}:{modifier}".removesuffix(":"), ",".join(values)

    def questions(self, kind: str, most: int, steps: int = 2) -> list[Pair]:
        """One to `most`, all of which must hold."""
        number = self.random.choice((1, 1, *range(1, most + 1)))
        return [self.question(kind, steps) for _ in range(number)]

    def order(self, kind: str) -> str:
        """A `_sort` of one to three keys, most by what the resources have."""
        told = [param for param in sorted(PATHS[kind]) if self._values(kind, param)]
        names = ["_id", "_lastUpdated", *told * 2, *sorted(PATHS[kind])]
        keys = self.random.sample(names, self.random.randint(1, 3))
        return ",".join(self.random.choice(("", "-")) + key for key in keys)

    def includes(self, kind: str) -> list[Pair]:
        """One to three includes; some iterate, some are wildcards."""
        found: list[Pair] = []
        while len(found) < self.random.choice((1, 2, 3)):
            iterate = self.random.choice(("", ":iterate")) if found else ""
            kinds = TYPES if iterate else (kind,)
            forward = [(one, *link) for one in kinds for link in links_of(one)]
            backward = [(one, *link) for one in kinds for link in referring_to(one)]
            if forward and (not backward or self.random.random() < 0.5):
                source, param, target = self.random.choice(forward)
                narrowed = self.random.choice(("", f":{target}"))
                value = self.random.choice((f"{source}:{param}{narrowed}",) * 3 + (f"{source}:*",))
                found.append((f"_include{iterate}", value))
            else:
                _, source, param = self.random.choice(backward)
                value = self.random.choice((f"{source}:{param}",) * 3 + (f"{source}:*",))
                found.append((f"_revinclude{iterate}", value))
        return found

    def _modifiers(self, kind: str, param: str) -> tuple[str, ...]:
        match KINDS[(kind, param)]:
            case "token":
                return ("", "", "not", "text") if param in WITH_TEXTS else ("", "", "not")
            case "string":
                return ("", "exact", "contains")
            case "uri":
                return ("", "below", "above")
            case "reference":
                return ("", "", "identifier", *TARGETS.get((kind, param), ()))
            case _:
                return ("",)

    def _values(self, kind: str, param: str) -> list[Any]:
        return [node for one in self._by_type[kind] for node in oracle.nodes(one, param)]

    def _value(self, kind: str, param: str, modifier: str) -> str:
        random, there = self.random, self._by_type[kind]
        what = KINDS[(kind, param)]
        if what == "date":
            return random.choice(PREFIXES) + random.choice(DATES)
        if what == "string" or modifier == "text":
            read = oracle.texts if modifier == "text" else oracle.strings
            word = random.choice([t for one in there for t in read(one, param)] or ["Anna"])
            if modifier != "exact" and random.random() < 0.5:
                word = word[: random.randint(1, len(word))].strip().upper()
            return escaped(word if word.strip() else "an")
        if what == "uri":
            return random.choice((*PROFILES, "http://example.org/p/long/er", "http://example"))
        if what == "token" or modifier == "identifier":
            read_tokens = oracle.identifiers if modifier == "identifier" else oracle.tokens
            found = sorted({pair for one in there for pair in read_tokens(one, param)})
            system, code = random.choice(found or [("urn:s:1", "a")])
            shown = (escaped(code), f"{system}|{escaped(code)}", f"{system}|" if system else "|a")
            return random.choice(shown)
        named = sorted({key for one in there for key in oracle.references(one, param)})
        key = random.choice(named or ["Patient/p1"])
        return key.partition("/")[2] if modifier or random.random() < 0.5 else key


def links_of(kind: str) -> list[Pair]:
    """(parameter, target type) of each reference of a type."""
    return [(param, to) for (one, param), all_of in TARGETS.items() for to in all_of if one == kind]


def referring_to(kind: str) -> list[Pair]:
    """(type, parameter) of each reference to a type."""
    return [place for place, targets in TARGETS.items() if kind in targets]
