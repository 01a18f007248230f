"""A scope limit and its table of ticks say the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.console.limits import (
    ACCESS,
    USER_LEVELS,
    LimitForm,
    UnknownScopes,
    form_of,
    levels_of,
    limit_of,
)
from smart_auth.records import Client
from smart_auth.scopes import LETTERS, Level, ScopeSet
from tests.support.soak import examples

TYPES = ("Patient", "Observation", "DiagnosticReport", "Group", "Basic")
ROWS = ("*", "Patient", "Observation", "DiagnosticReport", "Group")
ALL_LEVELS: tuple[Level, ...] = ("patient", "user", "system")


def client(*grant_types: str) -> Client:
    return Client("acme", "app", "App", "none", "", grant_types=grant_types)


def test_ticks_are_meant_for_every_level_the_holder_can_have() -> None:
    form = LimitForm(True, frozenset({"Patient.read", "Patient.search", "Group.write"}))
    assert limit_of(form, ROWS, USER_LEVELS, TYPES) == (
        "patient/Patient.rs user/Patient.rs patient/Group.cud user/Group.cud"
    )
    assert limit_of(form, ROWS, ("system",), TYPES) == "system/Patient.rs system/Group.cud"


@pytest.mark.parametrize(
    ("grant_types", "levels"),
    [
        (("client_credentials",), ("system",)),
        (("authorization_code", "refresh_token"), ("patient", "user")),
        (("authorization_code", "client_credentials"), ("patient", "user", "system")),
        ((), ("patient", "user")),
    ],
)
def test_levels_follow_the_kind_of_app(
    grant_types: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    assert levels_of(client(*grant_types)) == levels


def test_no_limit_is_not_an_empty_one() -> None:
    assert limit_of(LimitForm(), ROWS, USER_LEVELS, TYPES) is None
    assert limit_of(LimitForm(True), ROWS, USER_LEVELS, TYPES) == ""
    assert form_of(None, ROWS, USER_LEVELS, TYPES) == LimitForm()
    assert form_of("", ROWS, USER_LEVELS, TYPES) == LimitForm(True)


def test_what_the_table_cannot_say_stays_as_text() -> None:
    granular = "patient/Observation.rs?category=laboratory"
    limit = f"patient/Patient.rs user/Patient.rs {granular} user/Group.r patient/Basic.s"
    form = form_of(limit, ROWS, USER_LEVELS, TYPES)
    assert form.ticks == {"Patient.read", "Patient.search"}
    assert form.further.split() == [granular, "user/Group.r", "patient/Basic.s"]


def test_words_that_are_no_resource_scopes_are_named() -> None:
    form = LimitForm(True, frozenset(), "user/Patient.rs launch user/Nothing.rs x")
    with pytest.raises(UnknownScopes) as caught:
        limit_of(form, ROWS, USER_LEVELS, TYPES)
    assert caught.value.words == ("launch", "user/Nothing.rs", "x")


letters = st.sets(st.sampled_from(LETTERS), min_size=1).map(
    lambda some: "".join(one for one in LETTERS if one in some)
)
scope_words = st.builds(
    "{}/{}.{}".format, st.sampled_from(ALL_LEVELS), st.sampled_from((*TYPES, "*")), letters
)
granular = st.builds(
    "{}/{}.{}?category={}".format,
    st.sampled_from(ALL_LEVELS),
    st.sampled_from(("Observation", "DiagnosticReport")),
    letters,
    st.sampled_from(("laboratory", "urn:x|vital-signs")),
)
limits = st.lists(scope_words | granular, max_size=8).map(" ".join)
level_sets = st.sampled_from((USER_LEVELS, ("system",), ALL_LEVELS))


@settings(max_examples=examples(100), deadline=None)
@given(limit=limits, levels=level_sets)
def test_a_limit_shown_and_saved_is_the_same_limit(limit: str, levels: tuple[Level, ...]) -> None:
    form = form_of(limit, ROWS, levels, TYPES)
    again = limit_of(form, ROWS, levels, TYPES)
    assert again is not None
    before, after = ScopeSet.parse(limit, TYPES), ScopeSet.parse(again, TYPES)
    assert before.covers(after)
    assert after.covers(before)


@settings(max_examples=examples(80), deadline=None)
@given(
    ticks=st.sets(st.sampled_from([f"{row}.{access}" for row in ROWS for access in ACCESS])),
    levels=level_sets,
)
def test_ticks_saved_are_ticked_again(ticks: set[str], levels: tuple[Level, ...]) -> None:
    form = LimitForm(True, frozenset(ticks))
    limit = limit_of(form, ROWS, levels, TYPES)
    assert form_of(limit, ROWS, levels, TYPES) == form
