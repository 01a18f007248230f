"""What the consent page offers, in which words, and what the ticks make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_auth import admin
from smart_auth.consent_choices import Choice, granted, open_up
from smart_auth.ports import CategoryChoice
from smart_auth.records import Client, User
from smart_auth.scope_words import describe, name_of
from smart_auth.scopes import SPECIAL_SCOPES, Level, Scope, ScopeSet
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    CATEGORIES,
    DIAGNOSTIC_SERVICE,
    KNOWN_TYPES,
    REDIRECT,
    SETTINGS,
    TYPES,
    FakeFacade,
    Tab,
    code_form,
    make_app,
)
from tests.support.soak import examples

VITAL = CategoryChoice("http://terminology.hl7.org/x", "vital-signs", "Vital signs")
LAB = CategoryChoice("http://terminology.hl7.org/x", "laboratory", "Laboratory")
KNOWN = {**CATEGORIES, "Observation": (LAB, VITAL), "Condition": (LAB,)}
RAD = f"{DIAGNOSTIC_SERVICE}|RAD"
CT = f"{DIAGNOSTIC_SERVICE}|CT"


def types_of(level: Level) -> Sequence[str]:
    return (*TYPES, "Observation", "Condition")


def categories_of(resource_type: str) -> Sequence[CategoryChoice]:
    return KNOWN.get(resource_type, ())


def opened(text: str) -> list[Choice]:
    return open_up(ScopeSet.parse(text, KNOWN_TYPES), types_of, categories_of)


def after(text: str, unticked: set[str]) -> list[str]:
    """What is granted of a request when these boxes are unticked."""
    choices = opened(text)
    ticked = {value for choice in choices for value in choice.values} - unticked
    return str(granted(choices, ticked)).split()


LETTERS = ["r", "s", "rs", "cud", "cruds", "read", "write", "*"]
TOKENS = ["laboratory", f"{VITAL.system}|vital-signs", RAD, CT, "|x"]


@st.composite
def scope_texts(draw: st.DrawFn) -> str:
    level = draw(st.sampled_from(["patient", "user"]))
    name = draw(st.sampled_from(["*", "*", *sorted(KNOWN_TYPES)]))
    text = f"{level}/{name}.{draw(st.sampled_from(LETTERS))}"
    if name in ("Observation", "DiagnosticReport") and draw(st.booleans()):
        tokens = draw(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3))
        text += f"?category={','.join(tokens)}"
    return text


REQUESTS = st.lists(st.one_of(scope_texts(), st.sampled_from(SPECIAL_SCOPES)), max_size=6).map(
    " ".join
)


class TestTicks:
    @settings(max_examples=examples(150), deadline=None)
    @given(REQUESTS, st.data())
    def test_grant_the_ticked_boxes_and_nothing_else(self, text: str, data: st.DataObject) -> None:
        asked = ScopeSet.parse(text, KNOWN_TYPES)
        choices = opened(text)
        values = sorted({value for choice in choices for value in choice.values})
        ticked = {value for value in values if data.draw(st.booleans())}
        given_back = granted(choices, ticked)
        whole = [choice.item for choice in choices if ticked.issuperset(choice.values)]
        whole += [
            part.scope
            for choice in choices
            for part in choice.parts
            if part.leaves and ticked.issuperset(map(str, part.leaves))
        ]
        expected = ScopeSet.of([*ScopeSet.parse(" ".join(ticked), KNOWN_TYPES), *whole])
        assert asked.covers(given_back)
        assert given_back.covers(expected)
        assert expected.covers(given_back)
        assert ScopeSet.parse(str(given_back), KNOWN_TYPES) == given_back

    @settings(max_examples=examples(80), deadline=None)
    @given(REQUESTS)
    def test_all_of_them_grant_what_was_asked_in_its_words(self, text: str) -> None:
        asked = ScopeSet.parse(text, KNOWN_TYPES)
        choices = opened(text)
        every = {value for choice in choices for value in choice.values}
        assert granted(choices, every) == asked
        assert granted(choices, {str(item) for item in asked}) == asked
        assert not granted(choices, set())

    @settings(max_examples=examples(80), deadline=None)
    @given(REQUESTS, st.lists(scope_texts(), max_size=5))
    def test_values_without_a_box_add_nothing(self, text: str, made_up: list[str]) -> None:
        asked = ScopeSet.parse(text, KNOWN_TYPES)
        assert asked.covers(granted(opened(text), set(made_up)))

    def test_a_type_unticked_leaves_the_others(self) -> None:
        left = after("patient/*.rs", {"patient/Appointment.rs"})
        assert "patient/Appointment.rs" not in left
        assert {"patient/Patient.rs", "patient/DiagnosticReport.rs"} <= set(left)
        assert "patient/*.rs" not in left

    def test_types_keep_the_dialect(self) -> None:
        left = after("patient/*.read", {"patient/Appointment.read"})
        assert "patient/Patient.read" in left

    def test_a_category_unticked_narrows_its_type_in_v2_words(self) -> None:
        left = after(
            "patient/DiagnosticReport.read", {f"patient/DiagnosticReport.rs?category={CT}"}
        )
        assert left == [f"patient/DiagnosticReport.rs?category={RAD}"]

    def test_categories_that_stay_are_merged(self) -> None:
        token = f"{DIAGNOSTIC_SERVICE}|MR"
        asked = f"patient/DiagnosticReport.rs?category={CT},{token},{RAD}"
        left = after(asked, {f"patient/DiagnosticReport.rs?category={token}"})
        assert left == [f"patient/DiagnosticReport.rs?category={CT},{RAD}"]

    def test_codes_of_one_name_are_one_box(self) -> None:
        other = CategoryChoice("http://loinc.org", "LP29684-5", "Radiology")
        radiology = CATEGORIES["DiagnosticReport"][1]
        asked = ScopeSet.parse("patient/DiagnosticReport.rs", KNOWN_TYPES)
        assert not open_up(asked, types_of, lambda _: (radiology, other))[0].parts
        choices = open_up(asked, types_of, lambda _: (*CATEGORIES["DiagnosticReport"], other))
        assert list(choices[0].values) == [
            f"patient/DiagnosticReport.rs?category={CT}",
            f"patient/DiagnosticReport.rs?category={RAD},http://loinc.org|LP29684-5",
        ]

    def test_one_category_is_no_choice(self) -> None:
        assert [choice.parts for choice in opened("patient/Condition.rs")] == [()]


WORDS = [
    ("patient/*.rs", "patient", "See everything in your record."),
    ("patient/*.cruds", "practitioner",
     "See, add, change and delete everything in this patient's record."),
    ("patient/Appointment.rs", "patient", "See your appointments."),
    ("patient/Patient.rs", "practitioner", "See this patient's personal details."),
    ("patient/Appointment.s", "patient", "Search your appointments."),
    ("patient/Appointment.r", "patient", "Open your appointments."),
    ("patient/DiagnosticReport.cu", "patient", "Add and change your reports of examinations."),
    ("patient/Practitioner.rs", "patient", "See the clinic's staff."),
    ("user/*.rs", "practitioner", "See everything about every patient you may see."),
    ("user/*.rs", "patient", "See everything you may see yourself."),
    ("user/Appointment.rs", "practitioner", "See the appointments of every patient you may see."),
    ("user/Appointment.rs", "patient", "See the appointments you may see yourself."),
    ("system/Appointment.rs", "admin", "See the appointments of the patients it is assigned."),
    ("patient/BodyStructure.rs", "patient", "See your body structures."),
    (f"patient/DiagnosticReport.rs?category={RAD}", "patient",
     "See your reports of examinations, only Radiology."),
    ("patient/Observation.rs?category=social-history,x", "patient",
     "See your measurements and results, only social history or x."),
]  # fmt: skip


class TestWords:
    @pytest.mark.parametrize(("text", "role", "words"), WORDS)
    def test_sentences(self, text: str, role: Any, words: str) -> None:
        scope = Scope.parse(text, {*KNOWN_TYPES, "BodyStructure"})
        assert scope is not None
        assert describe(scope, role, categories_of(scope.type)) == words

    @pytest.mark.parametrize("special", SPECIAL_SCOPES)
    def test_every_special_scope_has_its_sentence(self, special: str) -> None:
        words = describe(special, "patient")
        assert words.endswith(".")
        assert "/" not in words

    def test_names_of_parts(self) -> None:
        leaf = Scope.parse(f"patient/DiagnosticReport.rs?category={CT}", KNOWN_TYPES)
        assert leaf is not None
        assert name_of(leaf, categories_of("DiagnosticReport")) == "CAT scan"
        assert name_of(replace(leaf, categories=())) == "Reports of examinations"


class TestPage:
    def test_each_type_and_category_has_a_box_that_is_ticked(self, tab: Tab) -> None:
        tab.authorize(scope="launch/patient patient/*.rs").login("ann")
        assert tab.offered == [
            "launch/patient",
            "patient/Patient.rs",
            "patient/Appointment.rs",
            f"patient/DiagnosticReport.rs?category={CT}",
            f"patient/DiagnosticReport.rs?category={RAD}",
            "patient/Organization.rs",
            "patient/Location.rs",
            "patient/Practitioner.rs",
        ]
        assert re.findall(r"<legend>(.*?)</legend>", tab.text) == [
            "The app asks to", "See everything in your record.", "Reports of examinations",
        ]  # fmt: skip
        assert "Choose among 7 kinds" in tab.text

    def test_a_value_that_two_scopes_have_is_shown_once(self, tab: Tab) -> None:
        tab.authorize(scope="patient/*.rs patient/Appointment.rs user/*.rs").login("ann")
        assert tab.offered.count("patient/Appointment.rs") == 1
        assert "user/Appointment.rs" in tab.offered

    def test_everything_left_ticked_grants_the_very_words(self, tab: Tab) -> None:
        scope = "launch/patient patient/*.read patient/DiagnosticReport.rs"
        tab.authorize(scope=scope).login("ann").allow()
        assert redeemed(tab)["scope"] == scope

    def test_unticked_boxes_are_not_granted(self, tab: Tab, store: AuthStore) -> None:
        tab.authorize(scope="patient/*.rs").login("ann")
        tab.allow(without={
            "patient/Appointment.rs", f"patient/DiagnosticReport.rs?category={CT}"
        })  # fmt: skip
        scope = redeemed(tab)["scope"].split()
        assert f"patient/DiagnosticReport.rs?category={RAD}" in scope
        assert {"patient/Appointment.rs", "patient/*.rs"}.isdisjoint(scope)
        user = store.users.by_username("acme", "ann")
        assert user is not None
        assert store.grants.consents("acme", user.user_id)[0].granted_scope == " ".join(scope)

    def test_boxes_that_the_page_did_not_have_add_nothing(self, tab: Tab) -> None:
        tab.authorize(scope="patient/Patient.rs").login("ann")
        tab.submit("consent", scope=["patient/Patient.cruds", "user/*.rs"], decision="allow")
        assert tab.sent_back["error"] == "access_denied"

    def test_says_whose_record_and_until_when(self, tab: Tab) -> None:
        tab.authorize(scope="offline_access patient/*.rs").login("ann")
        assert "<strong>your record</strong>, Adams, Ann" in tab.text
        assert "not used it for 90 days" in tab.text
        tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")
        tab.authorize(scope="patient/*.rs").login("doctor").pick("p2")
        assert "the patient <strong>Brown, Bob</strong>, born" in tab.text
        assert "by itself after 60 minutes" in tab.text

    def test_says_who_the_app_is(self, tab: Tab, store: AuthStore) -> None:
        owner = admin.create_user(
            store, "acme", "dev", "correct horse", role="developer", name="Dora <Dev>"
        )
        metadata = {
            "client_id": "mine",
            "redirect_uris": [REDIRECT],
            "client_uri": "https://app.example/about",
            "policy_uri": "https://app.example/privacy",
            "scope": "patient/*.rs",
        }
        made = admin.create_client(store, "acme", metadata, owner=owner.user_id)
        tab.authorize(client_id="mine", scope="patient/*.rs").login("ann")
        assert "made by Dora &lt;Dev&gt;" in tab.text
        assert "approved by Acme" in tab.text
        assert 'href="https://app.example/about"' in tab.text
        assert 'href="https://app.example/privacy"' in tab.text
        waiting(store, made.client, owner)
        tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")
        tab.authorize(client_id="mine", scope="patient/*.rs").login("dev").pick("p1")
        assert "not approved yet" in tab.text

    def test_somebody_else_may_answer(self, tab: Tab) -> None:
        tab.authorize().login("doctor").pick("p2")
        assert tab.submit("consent", decision="other").title == "Log in"
        tab.login("ann")
        assert "<strong>your record</strong>" in tab.text


class TestPicker:
    @pytest.mark.parametrize("text", ["brown", "1980-03-04", "p2"])
    def test_finds_a_patient(self, tab: Tab, text: str) -> None:
        tab.authorize().login("doctor")
        tab.submit("patient", q=text, action="search")
        assert re.findall(r'name="patient" value="(\w+)"', tab.text) == ["p2"]

    def test_says_when_there_are_more(
        self, store: AuthStore, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("smart_auth.web.launch_pages.PATIENTS_SHOWN", 2)
        server = AuthServer(store, FakeFacade(), SETTINGS)
        tab = Tab(make_app(server).test_client())
        tab.authorize().login("doctor")
        assert tab.text.count('name="patient"') == 2
        assert "There are more than these 2" in tab.text
        tab.submit("patient", q="a", action="search")
        tab.submit("patient", q="brown", action="search")
        assert "There are more" not in tab.text


def waiting(store: AuthStore, client: Client, owner: User) -> None:
    """Take the approval back, and give the developer a patient."""
    admin.change_client(store, client, approved_at=None, approved_by=None)
    admin.change_user(store, owner, patients=frozenset({"p1"}))


def redeemed(tab: Tab) -> dict[str, Any]:
    """The token response for the code the app got."""
    answer = tab.client.post("/fhir/acme/auth/token", data=code_form(tab.sent_back["code"]))
    body: dict[str, Any] = answer.get_json()
    return body
