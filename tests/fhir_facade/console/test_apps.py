"""Approving apps, what they may do, and which patients they may be used for."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.audit.query import Among, AuditQuery
from smart_auth import admin
from tests.support.console import Browser, House, backend_token, launched
from tests.support.smart_auth import Tab

ODD = "/apps/-b2RkL2lkPyY"


def refused(house: House, username: str, client_id: str) -> bool:
    """Whether a launch of the app ends without a code."""
    tab = Tab(house.app.test_client())
    tab.authorize(client_id=client_id, scope="user/*.rs")
    if tab.title == "Log in":
        tab.login(username, "correct horse battery")
    if tab.title.startswith("Allow"):
        tab.allow()
    return "code=" not in tab.answer.headers.get("Location", "")


def test_those_that_wait_come_first(house: House, chief: Browser) -> None:
    text = chief.open("/apps").text
    assert text.index("Odd &lt;one&gt;") < text.index("Viewer")
    assert "waits for approval" in text
    assert "Exporter" in text
    assert ">dev<" in text or "dev</td>" in text
    assert 'href="/fhir/acme/auth/console/apps/-b2RkL2lkPyY"' in chief.open("").text


def test_approve_and_withdraw(house: House, chief: Browser) -> None:
    assert refused(house, "doctor", "odd/id?&")
    chief.open(ODD)
    assert chief.page.title == "Odd <one>"
    assert "The app is approved." in chief.send(f"{ODD}/approval").text
    app = house.client("odd/id?&")
    assert (app.approved_by, app.approved_at is None) == (house.user("chief").user_id, False)
    token = launched(house, "doctor", client_id="odd/id?&")["access_token"]
    assert house.fhir("Patient/p1", token).status_code == 200
    chief.open(ODD)
    chief.send(f"{ODD}/approval")
    assert house.fhir("Patient/p1", token).status_code == 401
    assert refused(house, "doctor", "odd/id?&")
    assert [row.reason for row in house.acts()] == ["app approval withdrawn", "app approved"]


def test_an_inactive_app_gets_nothing(house: House, chief: Browser) -> None:
    token = launched(house, "doctor")["access_token"]
    chief.open("/apps/app")
    chief.send("/apps/app/state")
    assert house.fhir("Patient/p1", token).status_code == 401
    chief.send("/apps/app/state")
    assert house.fhir("Patient/p1", token).status_code == 200
    assert [row.reason for row in house.acts()] == ["app made active", "app made inactive"]


def test_the_window_is_in_the_tenants_days(house: House, chief: Browser) -> None:
    chief.open("/apps/app")
    chief.send("/apps/app", valid_from="2026-01-01", valid_to="2026-01-31")
    app = house.client("app")
    assert (app.valid_from, app.valid_to) == (1767186000, 1769864400)
    assert 'value="2026-01-31"' in chief.page.text
    chief.send("/apps/app", valid_to="2026-02-01T08:30")
    assert house.client("app").valid_to == 1769895000
    chief.send("/apps/app", valid_from="", valid_to="")
    assert (house.client("app").valid_from, house.client("app").valid_to) == (None, None)
    assert {row.reason for row in house.acts()} == {"app changed"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"valid_from": "soon"}, "Write a day as"),
        ({"valid_from": "2026-02-01", "valid_to": "2026-01-01"}, "must be after the start"),
        ({"may_launch": "yes"}, "cannot make launches"),
    ],
)
def test_what_cannot_be_is_refused(
    house: House, chief: Browser, changes: dict[str, str], problem: str
) -> None:
    before = house.client("app")
    chief.open("/apps/app")
    page = chief.send("/apps/app", **changes)
    assert page.status == 422
    assert problem in page.text
    assert house.client("app") == before


def test_a_backend_is_given_groups_and_the_whole_tenant(house: House, chief: Browser) -> None:
    chief.open("/groups/new")
    chief.send("/groups/new", name="Some", group_id="some")
    token = backend_token(house)["access_token"]
    assert house.fhir("Group/some", token).status_code == 404
    chief.open("/apps/backend")
    chief.send("/apps/backend", group=["some"], may_introspect="yes", may_launch="yes")
    app = house.client("backend")
    assert (app.groups, app.may_introspect, app.may_launch) == ({"some"}, True, True)
    assert house.fhir("Group/some", token).status_code == 200
    assert house.fhir("Patient/p1", token).status_code == 404
    chief.send("/apps/backend", whole_tenant="yes")
    assert house.fhir("Patient/p1", token).status_code == 200
    assert [row.reason for row in house.acts()][:3] == [
        "app changed",
        "app changed",
        "groups of an app changed",
    ]


def test_a_launch_app_takes_no_groups(house: House, chief: Browser) -> None:
    chief.open("/apps/app")
    chief.send("/apps/app", group=["some"], whole_tenant="yes")
    assert (house.client("app").groups, house.client("app").whole_tenant) == (frozenset(), False)


def test_an_unknown_group_is_refused(house: House, chief: Browser) -> None:
    chief.open("/apps/backend")
    assert chief.send("/apps/backend", group=["nothing"]).status == 422
    assert house.client("backend").groups == frozenset()


@pytest.mark.parametrize("page", ["", "/state", "/approval"])
def test_a_stale_form_changes_nothing(house: House, chief: Browser, page: str) -> None:
    other = house.browser("deputy")
    other.open("/apps/app")
    chief.open("/apps/app")
    chief.send("/apps/app", may_introspect="yes")
    before = house.client("app")
    answer = other.send(f"/apps/app{page}")
    assert answer.status == 409
    assert "changed meanwhile" in answer.text
    assert house.client("app") == before


def test_refusals_of_the_app_are_shown_with_their_step(house: House, chief: Browser) -> None:
    Tab(house.app.test_client()).authorize(client_id="app", aud="https://elsewhere.example")
    text = chief.open("/apps/app").text
    assert "Requests of the app that were refused" in text
    assert ">aud<" in text
    found = text.split("audit?correlation_id=")[1].split('"')[0]
    assert found in chief.open(f"/audit?correlation_id={found}").text


class TestPatients:
    def search(self, browser: Browser, path: str, text: str) -> Any:
        browser.open(path)
        return browser.send(path, action="search", q=text)

    @pytest.mark.parametrize("text", ["Brown", "p2", "2", "1980-05-01 brown"])
    def test_found_by_name_birth_date_or_account(
        self, chief: Browser, text: str, house: House
    ) -> None:
        page = self.search(chief, "/apps/app/patients", text)
        assert 'value="p2"' in page.text
        assert 'value="p3"' not in page.text
        assert "Brown" not in page.location
        assert house.client("app").patients is None
        asked = AuditQuery("acme", (Among("action", ("patient-search",)),))
        (look,) = house.facade.audit.trail.find(asked)
        assert (look.user_id, look.patients) == (house.user("chief").user_id, "")

    @pytest.mark.parametrize("text", ["x" * 10_000, "bro\0wn", "\u202ebrown", "😀", "<b>'\"%_"])
    def test_whatever_is_typed_finds_somebody_or_nobody(self, chief: Browser, text: str) -> None:
        assert self.search(chief, "/apps/app/patients", text).status == 200

    def test_a_list_narrows_live_tokens_and_ends(self, house: House, chief: Browser) -> None:
        one, two = (launched(house, "doctor", p)["access_token"] for p in ("p1", "p2"))
        path = "/apps/app/patients"
        self.search(chief, path, "Brown")
        page = chief.send(path, action="add", patient="p2")
        assert page.said == ["The change is in force."]
        assert house.client("app").patients == {"p2"}
        assert house.fhir("Patient/p2", two).status_code == 200
        assert house.fhir("Patient/p1", one).status_code == 401
        chief.send(path, action="remove", patient="p2")
        assert house.client("app").patients == frozenset()
        assert house.fhir("Patient/p2", two).status_code == 401
        chief.send(path, action="end")
        assert house.client("app").patients is None
        assert house.fhir("Patient/p1", one).status_code == 200
        acts = [(row.reason, row.patients) for row in reversed(house.acts())]
        assert acts == [
            ("list of patients begun", ""),
            ("patient given to an app", "p2"),
            ("patient taken from an app", "p2"),
            ("list of patients ended", ""),
        ]

    def test_patients_of_a_user(self, house: House, chief: Browser) -> None:
        path = f"/users/{house.user('nurse').user_id}/patients"
        assert "Adams" in chief.open(path).text
        page = self.search(chief, path, "a")
        assert 'value="p1"><' not in page.text.split("Found")[1]
        chief.send(path, action="add", patient=["p2", "p3", "nobody"])
        assert house.user("nurse").patients == {"p1", "p2", "p3"}
        token = launched(house, "nurse", "p2")["access_token"]
        chief.open(path)
        chief.send(path, action="remove", patient="p2")
        assert house.user("nurse").patients == {"p1", "p3"}
        assert house.fhir("Patient/p2", token).status_code == 401
        acts = [(row.reason, row.patients) for row in house.acts()]
        assert acts == [
            ("patient taken from a user", "p2"),
            ("patient assigned to a user", "p3"),
            ("patient assigned to a user", "p2"),
        ]

    def test_a_patient_has_exactly_one(self, house: House, chief: Browser) -> None:
        path = f"/users/{house.user('ann').user_id}/patients"
        self.search(chief, path, "")
        page = chief.send(path, action="add", patient=["p2", "p3"])
        assert page.status == 422
        self.search(chief, path, "")
        chief.send(path, action="add", patient="p2")
        user = house.user("ann")
        assert (user.patients, user.fhir_user) == ({"p2"}, "Patient/p2")
        version = str(user.version)
        csrf = next(f["fields"]["csrf"] for f in chief.page.forms() if "q" in f["fields"])
        page = chief.post(path, csrf=csrf, once=version, action="remove", patient="p2")
        assert page.status == 422
        assert house.user("ann").patients == {"p2"}

    def test_a_developer_for_patients_gets_one(self, house: House, chief: Browser) -> None:
        path = f"/users/{house.user('kin').user_id}/patients"
        assert "kin" in chief.open("").text
        self.search(chief, path, "")
        chief.send(path, action="add", patient="p3")
        self.search(chief, path, "")
        chief.send(path, action="add", patient="p4")
        assert house.user("kin").patients == {"p4"}
        assert f"{house.user('kin').user_id}/patients" not in chief.open("").text
        chief.open(path)
        chief.send(path, action="remove", patient="p4")
        assert house.user("kin").patients == frozenset()

    def test_nothing_ticked_and_stale_forms(self, house: House, chief: Browser) -> None:
        path, other = "/apps/app/patients", house.browser("deputy")
        self.search(chief, path, "Brown")
        assert chief.send(path, action="add", patient=None).status == 422
        self.search(other, path, "Clark")
        self.search(chief, path, "Brown")
        chief.send(path, action="add", patient="p2")
        page = other.send(path, action="add", patient="p3")
        assert page.status == 409
        assert house.client("app").patients == {"p2"}

    def test_those_on_the_list_are_not_found_again(
        self, house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fhir_facade.console.patient_views.MOST_LOOKED_AT", 2)
        admin.change_client(
            house.facade.auth_store, house.client("app"), patients=frozenset({"p1"})
        )
        page = self.search(chief, "/apps/app/patients", "ad")
        found = page.text.partition("<legend>Found")[2]
        assert ('value="p1"' in found, 'value="p2"' in found) == (False, True)
        assert "There are more: narrow the list" in page.text

    def test_page_by_page(
        self, house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fhir_facade.console.patient_views.PAGE", 2)
        four = frozenset({"p1", "p2", "p3", "p4"})
        admin.change_client(house.facade.auth_store, house.client("app"), patients=four)
        text = chief.open("/apps/app/patients").text
        assert ("Adams" in text, "Clark" in text, "4 on the list" in text) == (True, False, True)
        assert "Clark" in chief.open("/apps/app/patients?after=p2").text
