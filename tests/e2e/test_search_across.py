"""Searches across resources over plain HTTP, held to a full scan: chains, `_has`, orders, includes,
several types at once.

What leads where is read from the CapabilityStatement; what is found there, from the resources
alone (`search_world`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from fhir_facade.resources.registry import REGISTRY
from tests.support import search_oracle as oracle
from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, api_of, entries, issue, link
from tests.support.random_world import escaped
from tests.support.search_paths import KINDS
from tests.support.search_world import World

WHO = "backend"
ALL = ("_count", "1000")
STORED = sorted(name for name, definition in REGISTRY.items() if definition.stored)
LINKS = [
    (name, parameter.name, target)
    for name in STORED
    for parameter in REGISTRY[name].search
    if parameter.type == "reference"
    for target in parameter.targets
]
"""Type, reference parameter, type that it may lead to."""
SORTED = [(name, p.name) for name in STORED for p in REGISTRY[name].search]


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def world(api: Api, demo: RunningDemo) -> World:
    found = [
        one
        for name in STORED
        for page in api.pages(api.search(name, [ALL], WHO), WHO)
        for one in entries(page)
    ]
    return World(found, ZoneInfo(demo.demo["timezone"]))


def value_of(world: World, kind: str, param: str, place: float = 0.5) -> str | None:
    """A value that some resource of the type is found by; `place` says which of them."""
    what = KINDS[(kind, param)]
    there = world.of_type(kind)
    if what == "string":
        values = sorted({text for one in there for text in oracle.strings(one, param)})
    elif what == "date":
        spans = {span for one in there for span in oracle.spans(one, param, world.zone)}
        values = sorted(
            f"ge{span[0].astimezone(world.zone).date()}" for span in spans if span[0].year > 1
        )
    elif what == "reference":
        values = sorted({text for one in there for text in oracle.references(one, param)})
    else:
        values = sorted({code for one in there for _, code in oracle.tokens(one, param)})
    return escaped(values[int(place * (len(values) - 1))]) if values else None


def parameters_with_values(world: World, kind: str) -> Iterator[tuple[str, str]]:
    for name, param in sorted(KINDS):
        if name == kind and REGISTRY[kind].parameter(param):
            value = value_of(world, kind, param)
            if value is not None:
                yield param, value


@pytest.mark.parametrize(("kind", "param", "target"), LINKS)
def test_chains_and_has_find_what_a_full_scan_finds(
    api: Api, world: World, kind: str, param: str, target: str
) -> None:
    referred = {
        text.partition("/")[2]
        for one in world.of_type(kind)
        for text in oracle.references(one, param)
        if text.startswith(f"{target}/")
    }
    for one_id in sorted(referred)[:2]:
        asked = [(f"{param}:{target}._id", one_id)]
        right = world.search(kind, asked)
        assert right or (target, one_id) not in world.by_key
        assert api.ids(kind, [*asked, ALL], WHO) == right
    for inner, value in parameters_with_values(world, target):
        asked = [(f"{param}:{target}.{inner}", value)]
        assert api.ids(kind, [*asked, ALL], WHO) == world.search(kind, asked), asked
    for inner, value in list(parameters_with_values(world, kind))[
        :: 3 if kind == "Provenance" else 1
    ]:
        asked = [(f"_has:{kind}:{param}:{inner}", value)]
        assert api.ids(target, [*asked, ALL], WHO) == world.search(target, asked), asked


TWO_STEPS = [
    ("Appointment", "patient.organization.name"),
    ("Appointment", "patient:Patient._has:DiagnosticReport:patient:status"),
    ("Appointment", "actor.name"),
    ("Appointment", "location.organization.identifier"),
    ("DiagnosticReport", "subject:Patient._has:Appointment:patient:status"),
    ("DiagnosticReport", "patient._has:Provenance:target:recorded"),
    ("Location", "_has:Appointment:location:patient.gender"),
    ("Location", "_has:Appointment:location:_has:Provenance:target:recorded"),
    ("Organization", "_has:Patient:organization:_has:Appointment:patient:status"),
    ("Organization", "_has:Location:organization:_has:Appointment:actor:date"),
    ("Patient", "_has:Appointment:patient:location.name"),
    ("Patient", "_has:Appointment:actor:status:not"),
    ("Patient", "_has:DiagnosticReport:subject:performer.name"),
    ("Patient", "_has:Group:member:actual"),
    ("Provenance", "target:Appointment.patient.birthdate"),
    ("Provenance", "target.status"),
    ("Provenance", "patient.name"),
]
VALUES = {
    "actual": ("true", "false"),
    "birthdate": ("ge1970", "lt1950"),
    "date": ("ge2020", "ge2100"),
    "gender": ("female", "male"),
    "identifier": ("x",),
    "not": ("booked", "cancelled,booked"),
    "recorded": ("ge2020", "lt2000"),
    "status": ("booked", "final", "cancelled,partial", "nonsense"),
}


@pytest.mark.parametrize(("kind", "name"), TWO_STEPS)
def test_two_steps(api: Api, world: World, kind: str, name: str) -> None:
    last = name.replace(":", ".").rpartition(".")[2]
    values = VALUES.get(last)
    if values is None:
        places = (
            world.of_type("Location") + world.of_type("Organization") + world.of_type("Patient")
        )
        named = sorted({text for one in places for text in oracle.strings(one, "name")})
        values = (named[0][:3], named[-1], escaped(named[len(named) // 2].upper()))
    found = 0
    for value in values:
        asked = [(name, value)]
        right = world.search(kind, asked)
        assert api.ids(kind, [*asked, ALL], WHO) == right, asked
        found += len(right)
    assert found or name.endswith("identifier")


def test_chains_stand_beside_other_parameters(api: Api, world: World) -> None:
    asked = [
        ("patient.gender", "female"),
        ("status:not", "cancelled"),
        ("location:Location.name:contains", "a"),
        ("_has:Provenance:target:recorded", "ge2000"),
        ("_sort", "-patient,date"),
    ]
    right = world.search("Appointment", asked)
    assert right
    assert api.ids("Appointment", [*asked, ("_count", "13")], WHO) == right
    assert api.search("Appointment", [*asked, ("_summary", "count")], WHO)["total"] == len(right)
    body = "&".join(f"{name}={value}" for name, value in asked)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = api.call("POST", "/Appointment/_search?_count=1000", WHO, headers=form, body=body)
    assert [one["id"] for one in entries(posted.json())] == right


# --- orders


@pytest.mark.parametrize(("kind", "param"), SORTED)
def test_every_parameter_orders_both_ways(api: Api, world: World, kind: str, param: str) -> None:
    there = len(world.of_type(kind))
    for key in (param, f"-{param}"):
        asked = [("_sort", key)]
        right = world.search(kind, asked)
        size = str(max(1, there // 3))
        assert api.ids(kind, [*asked, ("_count", size)], WHO) == right, key


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("Patient", "family,given,birthdate"),
        ("Patient", "-gender,birthdate,-_id"),
        ("Patient", "organization,-name"),
        ("Appointment", "status,-date"),
        ("Appointment", "-patient,date,_id"),
        ("Appointment", "service-type,location,-status"),
        ("DiagnosticReport", "-date,status"),
        ("DiagnosticReport", "category,code,-issued"),
        ("Location", "-name"),
        ("Provenance", "-recorded,target"),
    ],
)
def test_several_keys(api: Api, world: World, kind: str, order: str) -> None:
    right = world.search(kind, [("_sort", order)])
    assert len(right) > 1
    for size in (7, 100) if kind != "Provenance" else (500,):
        assert api.ids(kind, [("_sort", order), ("_count", str(size))], WHO) == right


@pytest.mark.parametrize("down", ["", "-"])
def test_by_the_time_of_the_last_change(api: Api, world: World, down: str) -> None:
    for kind in ("Appointment", "Patient", "Group"):
        found = api.ids(kind, [("_sort", f"{down}_lastUpdated"), ("_count", "50")], WHO)
        instants = [world.by_key[(kind, one)]["meta"]["lastUpdated"] for one in found]
        assert instants == sorted(instants, reverse=bool(down))
        assert sorted(found) == [one["id"] for one in world.of_type(kind)]


# --- includes


def included(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["resourceType"], one["id"]) for one in entries(bundle, "include")]


def hold_includes(api: Api, world: World, kind: str, asked: list[tuple[str, str]]) -> int:
    bundle = api.search(kind, [*asked, ("_count", "12")], WHO)
    got = included(bundle)
    assert len(got) == len(set(got))
    matches = [one["id"] for one in entries(bundle)]
    assert set(got) == world.included(kind, matches, asked), asked
    return len(got)


@pytest.mark.parametrize("kind", STORED)
def test_every_declared_include_brings_what_it_names(api: Api, world: World, kind: str) -> None:
    rest = api.get("/metadata", None).json()["rest"][0]
    declared = next(one for one in rest["resource"] if one["type"] == kind)
    asked = [("_include", one) for one in declared.get("searchInclude", [])]
    asked += [("_revinclude", one) for one in declared.get("searchRevInclude", [])]
    for pair in asked:
        hold_includes(api, world, kind, [pair])
    if asked:
        hold_includes(api, world, kind, asked[:8])


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("Appointment", ["_include=*"]),
        ("Appointment", ["_include=Appointment:*"]),
        ("Appointment", ["_revinclude=Provenance:*"]),
        ("Patient", ["_revinclude=*"]),
        ("Patient", ["_revinclude=Appointment:*", "_include=Patient:*"]),
        (
            "Appointment",
            ["_include=Appointment:patient", "_include:iterate=Patient:organization"],
        ),
        (
            "DiagnosticReport",
            ["_include=DiagnosticReport:patient", "_revinclude:iterate=Appointment:patient"],
        ),
        (
            "DiagnosticReport",
            [
                "_include=DiagnosticReport:patient",
                "_revinclude:iterate=Appointment:patient",
                "_include:iterate=Appointment:location",
                "_include:iterate=Location:organization",
            ],
        ),
        ("Provenance", ["_include:iterate=Provenance:target", "_include:iterate=Appointment:*"]),
        ("Group", ["_include=Group:member", "_revinclude:iterate=DiagnosticReport:patient"]),
        ("Patient", ["_include:iterate=Patient:link", "_revinclude:iterate=Provenance:target"]),
        # Without :iterate only the matches are followed.
        ("Appointment", ["_include=Appointment:patient", "_revinclude=Provenance:target"]),
    ],
)
def test_includes_that_go_on(api: Api, world: World, kind: str, asked: list[str]) -> None:
    pairs = [(name, value) for name, _, value in (one.partition("=") for one in asked)]
    assert hold_includes(api, world, kind, pairs) > 0


def test_includes_follow_the_order_and_the_page(api: Api, world: World) -> None:
    asked = [("_sort", "-date"), ("_include", "Appointment:patient"), ("_count", "5")]
    right = world.search("Appointment", asked[:1])
    walked = []
    for number, page in enumerate(api.pages(api.search("Appointment", asked, WHO), WHO)):
        matches = [one["id"] for one in entries(page)]
        walked += matches
        assert set(included(page)) == world.included("Appointment", matches, asked[1:2])
        if number == 4:
            break
    assert walked == right[: len(walked)]


# --- several types at once


@pytest.mark.parametrize(
    "types",
    ["Patient,Location", "Appointment,DiagnosticReport", "Organization", ",".join(STORED)],
)
def test_several_types_come_one_after_the_other(api: Api, world: World, types: str) -> None:
    right = [(name, one["id"]) for name in sorted(types.split(",")) for one in world.of_type(name)]
    first = api.get("", WHO, params=[("_type", types), ("_count", "400")])
    assert first.status_code == 200, first.text
    pages = list(api.pages(first.json(), WHO))
    assert [(o["resourceType"], o["id"]) for page in pages for o in entries(page)] == right
    assert pages[0]["total"] == len(right)
    assert str(link(pages[0], "self")).startswith(f"{api.base}?_type=")


def test_common_parameters_over_all_types(api: Api, world: World) -> None:
    chosen = [world.of_type(name)[0] for name in STORED if world.of_type(name)]
    ids = ",".join(sorted({one["id"] for one in chosen}))
    found = api.get("", WHO, params=[("_id", ids), ("_count", "1000")]).json()
    right = {key for key in world.by_key if key[1] in ids.split(",")}
    assert {(one["resourceType"], one["id"]) for one in entries(found)} == right
    posted = api.call(
        "POST",
        "/_search",
        WHO,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=f"_id={ids}&_count=1000",
    )
    assert entries(posted.json()) == entries(found)
    own = str(link(posted.json(), "self"))
    assert {name for name, _ in parse_qsl(urlsplit(own).query)} == {"_cursor"}
    both = [("_type", "Patient,Practitioner"), ("name:contains", "a"), ("_sort", "-name")]
    merged = api.get("", WHO, params=[*both, ("_count", "1000")]).json()
    kinds = ("Patient", "Practitioner")
    named = {(kind, one) for kind in kinds for one in world.search(kind, both[1:2])}
    assert {(one["resourceType"], one["id"]) for one in entries(merged)} == named
    shown = [oracle.sort_value(one, "name", "string", world.zone, True) for one in entries(merged)]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_type=Patient,Nothing", 404),
        ("_type=Observation", 404),
        ("_type=", 404),
        ("_type=ConceptMap", 400),
        ("_type=Patient,Appointment&gender=male", 400),
        ("gender=male", 400),
        ("_type=Patient,Appointment&_sort=gender", 400),
        ("_type=Patient,Appointment&_include=Patient:nope", 400),
        ("_type=Patient,Appointment&_cursor=x", 400),
    ],
)
def test_what_not_every_type_has_is_refused(api: Api, query: str, status: int) -> None:
    issue(api.get("", params=query), status)
