"""From scope texts to rows: what holds for every set of scopes, whoever has them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fhir_facade.fhir.r4_types import R4_TYPES
from fhir_facade.mirror import find
from fhir_facade.mirror.versions import Row
from smart_auth.scopes import ScopeSet
from tests.support.databases import shared_database
from tests.support.reach_house import (
    GROUPS,
    House,
    Person,
    Service,
    Wish,
    about,
    codes_of,
    draw_house,
    people,
    person_levels,
    principals,
    services,
    text,
    tokens_of_categories,
    wish_lists,
    wishes,
)
from tests.support.soak import examples
from tests.support.tokens import backend_token, user_token

SEEDS = {"sqlite": (1, 2), "postgresql": (3,)}

BUDGET = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


PARAMS = [pytest.param(("sqlite", seed), id=f"sqlite {seed}") for seed in SEEDS["sqlite"]] + [
    pytest.param(("postgresql", seed), id=f"postgresql {seed}", marks=pytest.mark.postgres)
    for seed in SEEDS["postgresql"]
]


@pytest.fixture(scope="module", params=PARAMS)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    kind, seed = request.param
    with shared_database(kind, tmp_path_factory.mktemp("house")) as database:
        draw_house(database, seed)
        yield House(database)


# --- wider and narrower ---------------------------------------------------------------------------


@BUDGET
@given(principals, wish_lists, wish_lists)
def test_more_scopes_never_see_less(
    house: House, principal: tuple[Person | Service, str], some: list[Wish], more: list[Wish]
) -> None:
    who, level = principal
    narrow, wide = who.token(text(some, level)), who.token(text([*some, *more], level))
    assert house.searched(narrow) <= house.searched(wide)
    assert house.read(narrow) <= house.read(wide)


@BUDGET
@given(principals, wishes)
def test_a_wider_scope_never_sees_less(
    house: House, principal: tuple[Person | Service, str], wish: Wish
) -> None:
    """Without its categories, with all letters, of all types."""
    who, level = principal
    steps = [wish, wish.whole(), replace(wish.whole(), access="cruds")]
    steps.append(replace(steps[-1], type="*"))
    seen = [house.searched(who.token(one.at(level))) for one in steps]
    read = [house.read(who.token(one.at(level))) for one in steps]
    assert seen == sorted(seen, key=len)
    for narrow, wide in (*pairwise(seen), *pairwise(read)):
        assert narrow <= wide


@BUDGET
@given(principals, wish_lists, st.randoms(use_true_random=False))
def test_order_and_repeats_mean_nothing(
    house: House, principal: tuple[Person | Service, str], some: list[Wish], order: random.Random
) -> None:
    who, level = principal
    other = [*some, *some]
    order.shuffle(other)
    first, second = who.token(text(some, level)), who.token(text(other, level))
    assert house.searched(first) == house.searched(second)
    assert house.read(first) == house.read(second)


@BUDGET
@given(
    principals,
    st.lists(
        st.one_of(
            wishes.map(lambda wish: wish.at("patient")),
            wishes.map(lambda wish: wish.at("user")),
            wishes.map(lambda wish: wish.at("system")),
            st.sampled_from(("openid", "launch", "launch/patient", "fhirUser", "nonsense", "*")),
            st.sampled_from(("user/Nothing.rs", "system/*.", "patient/*", "user/patient.rs")),
        ),
        max_size=4,
    ),
)
def test_a_scope_of_another_level_sees_nothing(
    house: House, principal: tuple[Person | Service, str], words: list[str]
) -> None:
    """And no scope, nor one without reading letters, sees anything."""
    who, level = principal
    levels = {"system"} if level == "system" else {"patient", "user"}
    others = [word for word in words if word.partition("/")[0] not in levels]
    blind = [f"{one}/*.cud" for one in levels]
    token = who.token(" ".join([*others, *blind]))
    assert house.searched(token) == set()
    assert house.read(token) == set()
    assert house.exported(token) == set()


@BUDGET
@given(people, wish_lists)
def test_a_patients_scope_lies_within_the_users(
    house: House, person: Person, wanted: list[Wish]
) -> None:
    narrow, wide = person.token(text(wanted, "patient")), person.token(text(wanted, "user"))
    assert house.searched(narrow) <= house.searched(wide)
    assert house.read(narrow) <= house.read(wide)


@BUDGET
@given(principals, wishes)
def test_letters_do_what_they_say(
    house: House, principal: tuple[Person | Service, str], wish: Wish
) -> None:
    """`s` finds what `r` reads; both dialects and split letters mean the same."""
    who, level = principal
    alone = {
        letter: who.token(replace(wish, access=letter).at(level)) for letter in ("r", "s", "rs")
    }
    assert house.read(alone["s"]) == set()
    assert house.searched(alone["r"]) == set()
    reading = house.read(alone["r"])
    assert reading == house.searched(alone["s"])
    split = who.token(" ".join(replace(wish, access=one).at(level) for one in "rs"))
    for token in (alone["rs"], split, who.token(replace(wish.whole(), access="read").at(level))):
        within = house.searched(token)
        assert within == house.read(token)
        assert within == reading or wish.categories


# --- categories, patients, groups -----------------------------------------------------------------


@BUDGET
@given(principals, tokens_of_categories)
def test_a_granular_scope_is_the_filter_of_the_whole(
    house: House, principal: tuple[Person | Service, str], categories: list[str]
) -> None:
    who, level = principal
    whole = who.token(f"{level}/DiagnosticReport.rs")
    granular = who.token(f"{level}/DiagnosticReport.rs?category={','.join(categories)}")

    def matches(row: Row) -> bool:
        found = codes_of(row)
        spelt = {code for _, code in found} | {f"{system}|{code}" for system, code in found}
        return bool(spelt & set(categories))

    expected = {(row.type, row.id) for row in house.rows(whole) if matches(row)}
    assert house.searched(granular) == expected
    assert house.read(granular) == expected
    full, shown = house.past(whole), house.past(granular)
    for key, rows in full.items():
        kept = [row for row in rows if matches(row)] if key in expected else []
        assert shown.get(key, []) == kept


@BUDGET
@given(people, wish_lists)
def test_nobody_sees_patients_of_others(house: House, person: Person, wanted: list[Wish]) -> None:
    """Whatever is about patients is about one this person may see through this app, and under
    `patient/` about the one in context; what is about nobody is for those who see all.
    """
    for level in ("patient", "user"):
        may_see = person.may_see
        if level == "patient":
            may_see = may_see & {person.patient or ""}
        all_of_them = level == "user" and person.token("").user_whole_tenant
        for row in house.rows(person.token(text(wanted, level))):
            if row.type in ("Patient", "Appointment", "DiagnosticReport"):
                named = about(row)
                assert named & may_see or (all_of_them and person.app is None and not named)


@BUDGET
@given(people, wish_lists, person_levels)
def test_an_apps_list_of_patients_only_narrows(
    house: House, person: Person, wanted: list[Wish], level: str
) -> None:
    assume(person.app is not None)
    scope = text(wanted, level)
    with_list = house.searched(person.token(scope))
    without = house.searched(replace(person, app=None).token(scope))
    assert with_list <= without
    # A patient scope reaches no further than the patient of the launch.
    left = person.may_see if level == "user" else person.may_see & {person.patient}
    for key in without - with_list:
        named = about(house.everything[key])
        assert key[0] in ("Group", "Provenance") or not (named & left)


@BUDGET
@given(services, wish_lists)
def test_a_services_groups_and_patients_add_up(
    house: House, service: Service, wanted: list[Wish]
) -> None:
    """Members of its groups, the patients named to it, and nobody else."""
    assume(not service.whole_tenant)
    scope = text(wanted, "system")
    seen = house.searched(service.token(scope))
    of_groups = house.searched(replace(service, patients=None).token(scope))
    of_names = house.searched(replace(service, groups=frozenset()).token(scope))
    heirs = {key for key in seen if key[0] == "Provenance"}
    assert of_groups | of_names <= seen
    assert seen - heirs == (of_groups | of_names) - heirs
    named = service.patients or frozenset()
    for key in house.searched(user_token(text(wanted, "user"))):
        if key[0] in ("Patient", "Appointment", "DiagnosticReport"):
            assert (key in of_names) == bool(about(house.everything[key]) & named)
    assert {key[1] for key in seen if key[0] == "Group"} <= service.groups


@BUDGET
@given(wish_lists, st.frozensets(st.sampled_from(GROUPS), max_size=3))
def test_a_group_reaches_its_members(
    house: House, wanted: list[Wish], groups: frozenset[str]
) -> None:
    """As the members are written in the Group resources themselves."""
    members = {
        one["entity"]["reference"].partition("/")[2]
        for group_id in groups
        for one in json.loads(house.everything["Group", group_id].body or b"").get("member", [])
    }
    token = backend_token(text(wanted, "system"), groups=groups)
    every = user_token(text(wanted, "user"))
    for row in house.rows(token):
        if row.type in ("Patient", "Appointment", "DiagnosticReport"):
            assert about(row) & members
    missed = house.searched(every) - house.searched(token)
    for key in missed:
        if key[0] in ("Patient", "Appointment", "DiagnosticReport"):
            assert not about(house.everything[key]) & members


# --- one decision, every way in -------------------------------------------------------------------


@BUDGET
@given(principals, wish_lists)
def test_reads_and_history_agree(
    house: House, principal: tuple[Person | Service, str], wanted: list[Wish]
) -> None:
    """A history shows the newest version when a read gives it, and none when it does not."""
    who, level = principal
    token = who.token(text(wanted, level))
    shown = house.past(token)
    assert shown.keys() == house.read(token)
    for key, rows in shown.items():
        assert rows[0].version_id == house.everything[key].version_id


REFERENCES = (
    ("Appointment", "patient", "Patient"),
    ("Appointment", "location", "Location"),
    ("DiagnosticReport", "subject", "Patient"),
    ("Provenance", "target", "DiagnosticReport"),
)


@BUDGET
@given(principals, wish_lists, st.sampled_from(REFERENCES))
def test_includes_agree_with_reads_and_searches(
    house: House,
    principal: tuple[Person | Service, str],
    wanted: list[Wish],
    reference: tuple[str, str, str],
) -> None:
    who, level = principal
    source, param, target = reference
    token = who.token(text(wanted, level))
    reach, revision = house.reach(token), house.revision
    open_to = house.searched(token) | house.read(token)
    sources = [row for key, row in house.everything.items() if key[0] == source]
    targets = [row for key, row in house.everything.items() if key[0] == target]
    whole = house.reach(user_token("user/*.rs"))
    with house.database.read() as conn:
        forward = find.included(conn, "acme", sources, param, [target], reach, revision, 1000)
        every = find.included(conn, "acme", sources, param, [target], whole, revision, 1000)
        back = find.reverse_included(conn, "acme", source, param, targets, reach, revision, 1000)
        all_back = find.reverse_included(
            conn, "acme", source, param, targets, whole, revision, 1000
        )
    assert {(r.type, r.id) for r in forward} == {(r.type, r.id) for r in every} & open_to
    assert {(r.type, r.id) for r in back} == {(r.type, r.id) for r in all_back} & open_to


@BUDGET
@given(services, wish_lists, st.sampled_from((None, *GROUPS)))
def test_exports_agree_with_searches(
    house: House, service: Service, wanted: list[Wish], group_id: str | None
) -> None:
    """An export enumerates and reads; of a group it holds what is about its members, the group, and
    what is about nobody.
    """
    token = service.token(text([replace(one, access="rs") for one in wanted], "system"))
    seen = house.searched(token)
    assert house.exported(token) == seen
    if group_id is None:
        return
    members = {
        one["entity"]["reference"].partition("/")[2]
        for one in json.loads(house.everything["Group", group_id].body or b"").get("member", [])
    }
    exported = house.exported(token, group_id)
    assert exported <= seen
    for key in seen:
        if key[0] in ("Patient", "Appointment", "DiagnosticReport"):
            assert (key in exported) == bool(about(house.everything[key]) & members)
        elif key[0] == "Group":
            assert (key in exported) == (key[1] == group_id)
        elif key[0] == "Location":
            assert key in exported


# --- the algebra of scopes and what is seen -------------------------------------------------------


@BUDGET
@given(principals, wish_lists, wish_lists)
def test_what_is_cut_down_lies_within_both(
    house: House, principal: tuple[Person | Service, str], asked: list[Wish], allowed: list[Wish]
) -> None:
    """A limit never opens anything, and takes nothing from what it allows whole."""
    who, level = principal
    first = ScopeSet.parse(text(asked, level), R4_TYPES)
    second = ScopeSet.parse(text(allowed, level), R4_TYPES)
    cut = house.searched(who.token(str(first.intersect(second))))
    both = house.searched(who.token(str(first))) & house.searched(who.token(str(second)))
    assert cut <= both
    heirs = {key for key in both if key[0] == "Provenance"}
    if not any(one.categories for one in (*first.resources, *second.resources)):
        assert cut - heirs == both - heirs


@BUDGET
@given(principals, wish_lists, wish_lists)
def test_what_is_covered_sees_no_more(
    house: House, principal: tuple[Person | Service, str], wide: list[Wish], narrow: list[Wish]
) -> None:
    """The check a narrowed refresh goes through is one of what is seen."""
    who, level = principal
    first = ScopeSet.parse(text(wide, level), R4_TYPES)
    second = ScopeSet.parse(text(narrow, level), R4_TYPES)
    cut = second.intersect(first)
    assert first.covers(cut)
    for asked in (second, cut):
        if first.covers(asked):
            assert house.searched(who.token(str(asked))) <= house.searched(who.token(str(first)))
            assert house.read(who.token(str(asked))) <= house.read(who.token(str(first)))
