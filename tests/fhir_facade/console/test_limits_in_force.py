"""A limit narrows what is asked for, says so in the answer, and holds for what was given before."""

from __future__ import annotations

import pytest

from tests.support.console import Browser, House, backend_token, launched


def limit(browser: Browser, path: str, *ticks: str, further: str = "") -> None:
    browser.open(f"{path}/limit")
    page = browser.send(f"{path}/limit", limited="yes", tick=list(ticks), further=further)
    assert page.status == 200
    assert "The limit is in force" in page.text


def of_user(house: House, username: str) -> str:
    return f"/users/{house.user(username).user_id}"


def test_a_wider_request_of_a_user_is_narrowed_and_the_answer_says_so(
    house: House, chief: Browser
) -> None:
    limit(chief, of_user(house, "doctor"), "Patient.read", "Patient.search")
    answer = launched(house, "doctor", scope="user/Patient.cruds user/DiagnosticReport.rs")
    assert answer["scope"] == "user/Patient.rs"
    token = answer["access_token"]
    assert house.fhir("Patient", token).status_code == 200
    assert house.fhir("DiagnosticReport", token).status_code == 403
    act = house.acts()[0]
    assert (act.reason, act.user_id) == ("user scopes limited", house.user("doctor").user_id)


def test_what_a_user_gave_before_is_narrowed_at_once(house: House, chief: Browser) -> None:
    token = launched(house, "doctor", scope="user/*.rs")["access_token"]
    assert house.fhir("DiagnosticReport", token).status_code == 200
    limit(chief, of_user(house, "doctor"), "Patient.read")
    assert house.fhir("Patient/p1", token).status_code == 200
    assert house.fhir("Patient", token).status_code == 403
    assert house.fhir("DiagnosticReport", token).status_code == 403
    chief.open(f"{of_user(house, 'doctor')}/limit")
    chief.send(f"{of_user(house, 'doctor')}/limit", limited="no")
    assert house.user("doctor").scope is None
    assert house.fhir("DiagnosticReport", token).status_code == 200


def test_an_app_is_limited_for_all_its_users(house: House, chief: Browser) -> None:
    before = launched(house, "doctor", scope="user/*.rs")["access_token"]
    limit(chief, "/apps/app", "Patient.read", "Patient.search")
    assert house.client("app").scope_limit == "patient/Patient.rs user/Patient.rs"
    answer = launched(house, "doctor", "p2", scope="launch/patient patient/*.rs")
    assert answer["scope"] == "launch/patient patient/Patient.rs"
    assert house.fhir("DiagnosticReport", before).status_code == 403
    assert house.acts()[0].client_id == "app"


def test_a_backend_exports_the_types_ticked(house: House, chief: Browser) -> None:
    chief.open("/groups/new")
    chief.send("/groups/new", name="Everybody", rule="tenant", group_id="all")
    chief.open("/apps/backend")
    chief.send("/apps/backend", group=["all"])
    before = backend_token(house)["access_token"]
    limit(chief, "/apps/backend", "Patient.read", "Patient.search", "Group.read", "Group.search")
    assert house.client("backend").scope_limit == "system/Group.rs system/Patient.rs"
    answer = backend_token(house, "system/*.rs")
    assert set(answer["scope"].split()) == {"system/Group.rs", "system/Patient.rs"}
    for token in (before, answer["access_token"]):
        assert house.fhir("Patient/p1", token).status_code == 200
        assert house.fhir("DiagnosticReport/r1", token).status_code == 403


def test_a_category_stays_a_category(house: House, chief: Browser) -> None:
    word = "user/DiagnosticReport.rs?category=http://terminology.hl7.org/CodeSystem/v2-0074|RAD"
    limit(chief, of_user(house, "doctor"), further=word)
    answer = launched(house, "doctor", scope="user/DiagnosticReport.rs")
    assert answer["scope"] == word
    found = house.fhir("DiagnosticReport", answer["access_token"]).get_json()
    assert len(found["entry"]) == 4
    chief.open(f"{of_user(house, 'doctor')}/limit")
    assert word in chief.page.text


def test_nothing_ticked_is_no_limit_by_mistake(house: House, chief: Browser) -> None:
    path = f"{of_user(house, 'doctor')}/limit"
    chief.open(path)
    page = chief.send(path, limited="yes", tick=[], further=" ")
    assert page.status == 422
    assert "Tick what may be granted" in page.text
    assert house.user("doctor").scope is None


@pytest.mark.parametrize("path", ["/apps/app", "users/doctor"])
def test_words_that_are_no_scopes_are_refused(house: House, chief: Browser, path: str) -> None:
    path = of_user(house, "doctor") if path.startswith("users") else path
    chief.open(f"{path}/limit")
    page = chief.send(f"{path}/limit", limited="yes", further="launch <b>x</b> user/Nothing.rs")
    assert page.status == 422
    assert "no resource scopes of this server: launch, &lt;b&gt;x&lt;/b&gt;, user/Nothing.rs." in (
        page.text
    )
    assert "launch &lt;b&gt;x" in page.text
    assert (house.user("doctor").scope, house.client("app").scope_limit) == (None, None)


def test_a_stale_limit_is_refused(house: House, chief: Browser) -> None:
    other = house.browser("deputy")
    other.open("/apps/app/limit")
    limit(chief, "/apps/app", "Patient.read")
    page = other.send("/apps/app/limit", limited="no")
    assert page.status == 409
    assert "changed meanwhile" in page.text
    assert house.client("app").scope_limit == "patient/Patient.r user/Patient.r"
