"""Grants and sessions, tokens, keys, the trail and the overview."""

from __future__ import annotations

import pytest

from tests.support.console import Browser, House, backend_token, launched, query_of
from tests.support.smart_auth import Tab


class TestGrants:
    def test_found_by_user_app_or_patient(self, house: House, chief: Browser) -> None:
        launched(house, "doctor", "p2")
        launched(house, "nurse", "p1")
        backend_token(house)
        text = chief.open("/grants").text
        assert text.count(">End</button>") == 3
        assert text.count('class="second" aria-describedby="s') == 3
        for field, value, count in (
            ("username", "nurse", 1),
            ("client_id", "app", 2),
            ("patient", "p2", 1),
            ("patient", "p3", 0),
        ):
            chief.open("/grants")
            page = chief.send("/grants", **{field: value})
            assert page.text.count(">End</button>") == count, (field, value)
        assert "nurse" not in chief.send("/grants", username="nurse").location

    @pytest.mark.parametrize(
        ("field", "problem"),
        [
            ("username", "no user of this name"),
            ("client_id", "no app of this id"),
            ("patient", "no patient of this account"),
        ],
    )
    def test_unknown_names_are_said(self, chief: Browser, field: str, problem: str) -> None:
        chief.open("/grants")
        page = chief.send("/grants", **{field: "nothing"})
        assert page.status == 422
        assert problem in page.text
        assert "nothing" not in page.location

    def test_one_ends_at_once_and_the_others_stay(self, house: House, chief: Browser) -> None:
        one, two = (launched(house, "doctor", p)["access_token"] for p in ("p1", "p2"))
        chief.open("/grants")
        chief.send("/grants", patient="p1")
        page = chief.send("/grants/end")
        assert page.said == ["It has ended."]
        assert query_of(page.location)["patient"] == "p1"
        assert house.fhir("Patient/p1", one).status_code == 401
        assert house.fhir("Patient/p2", two).status_code == 200
        act = house.acts()[0]
        assert (act.reason, act.client_id, act.patients) == ("grant ended", "app", "p1")
        assert act.user_id == house.user("doctor").user_id

    def test_a_grant_ends_once(self, house: House, chief: Browser) -> None:
        launched(house, "doctor", "p1")
        other = house.browser("deputy")
        chief.open("/grants")
        other.open("/grants")
        chief.send("/grants/end")
        assert other.send("/grants/end").said == ["It had ended before."]
        assert [row.reason for row in house.acts()] == ["grant ended"]

    def test_all_of_a_user_with_an_app(self, house: House, chief: Browser) -> None:
        tokens = [launched(house, name, "p1")["access_token"] for name in ("doctor", "nurse")]
        chief.open("/grants")
        chief.send("/grants", username="doctor", client_id="app")
        chief.send("/grants/end-all")
        assert [house.fhir("Patient/p1", one).status_code for one in tokens] == [401, 200]
        chief.open("/apps/app")
        assert "No access that this app was given is left." in chief.send("/apps/app/end").text
        assert house.fhir("Patient/p1", tokens[1]).status_code == 401

    def test_all_of_nobody_is_refused(self, house: House, chief: Browser) -> None:
        token = launched(house, "doctor", "p1")["access_token"]
        chief.open("/grants")
        chief.send("/grants", username="doctor")
        page = chief.send("/grants/end-all", user="", app="")
        assert page.status == 400
        assert house.fhir("Patient/p1", token).status_code == 200

    def test_a_session_ends(self, house: House, chief: Browser) -> None:
        nurse = house.browser("nurse")
        chief.open("/grants")
        chief.send("/grants", username="nurse")
        chief.send("/grants/end")
        assert nurse.open("/fhir/acme/auth/account").title == "Log in"
        act = house.acts()[0]
        assert (act.reason, act.user_id) == ("sessions ended", house.user("nurse").user_id)

    def test_page_by_page(
        self, house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fhir_facade.console.grant_views.PAGE", 2)
        for _ in range(3):
            backend_token(house)
        page = chief.open("/grants?app=backend")
        assert page.text.count(">End</button>") == 2
        onward = page.text.split('" rel="next"')[0].rpartition('href="')[2].replace("&amp;", "&")
        assert "app=backend" in onward
        assert chief.open(onward).text.count(">End</button>") == 1


class TestTokens:
    def test_made_shown_once_used_and_revoked(self, house: House, chief: Browser) -> None:
        chief.open("/tokens")
        page = chief.send("/tokens", name="Partner", days="3", uses="2")
        value = page.text.split('readonly value="')[1].split('"')[0]
        assert value not in chief.open("/tokens").text
        register = "/fhir/acme/auth/register"
        metadata = {"redirect_uris": ["https://app.example/cb"]}
        headers = {"Authorization": f"Bearer {value}"}
        made = house.app.test_client().post(register, json=metadata, headers=headers)
        assert made.status_code == 201
        assert ">1<" in chief.open("/tokens").text
        chief.send("/tokens/revoke")
        again = house.app.test_client().post(register, json=metadata, headers=headers)
        assert again.status_code == 401
        reasons = [row.reason for row in house.acts() if row.reason and "token" in row.reason]
        assert reasons == ["initial access token revoked", "initial access token made"]

    @pytest.mark.parametrize(
        "changes",
        [{"name": ""}, {"days": "0"}, {"days": "many"}, {"days": "367"}, {"uses": "0"}],
    )
    def test_what_cannot_be_is_refused(
        self, house: House, chief: Browser, changes: dict[str, str]
    ) -> None:
        chief.open("/tokens")
        page = chief.send("/tokens", **{"name": "Partner", **changes})
        assert page.status == 422
        assert page.said
        assert "readonly" not in page.text
        assert house.acts() == []


def test_keys_are_rotated_and_old_tokens_stay_good(house: House, chief: Browser) -> None:
    token = launched(house, "doctor", "p1")["access_token"]
    before = chief.open("/keys").text
    assert before.count(">signs<") == 2
    page = chief.send("/keys")
    assert page.said == ["New keys sign from now on."]
    assert (page.text.count(">signs<"), page.text.count(">verifies<")) == (2, 2)
    assert house.fhir("Patient/p1", token).status_code == 200
    assert house.acts()[0].reason == "signing keys rotated"


class TestAudit:
    def search(self, browser: Browser, **fields: str) -> str:
        browser.open("/audit")
        return browser.send("/audit", **fields).text.partition("<caption>")[2]

    def test_every_filter(self, house: House, chief: Browser) -> None:
        token = launched(house, "doctor", "p2")["access_token"]
        house.fhir("Patient/p2", token)
        answer = house.fhir("Patient/p1", token)
        house.facade.audit.close()
        correlation = answer.headers["X-Correlation-Id"]
        assert "Patient/p2" in self.search(chief, patient="p2", action="read", outcome="success")
        assert "<td" not in self.search(chief, patient="p3")
        assert "refused<" in self.search(chief, outcome="refused")
        assert "success<" not in self.search(chief, outcome="refused")
        assert self.search(chief, correlation_id=correlation).count('data-label="When"') == 1
        assert "consent" in self.search(chief, client_id="app", action="consent")
        assert "<td" not in self.search(chief, client_id="backend")
        assert "<td" not in self.search(chief, end="2001-01-01")
        assert "<td" in self.search(chief, start="2001-01-01", user="doctor")

    def test_acts_upon_and_by_a_user(self, house: House, chief: Browser) -> None:
        path = f"/users/{house.user('nurse').user_id}"
        chief.open(path)
        chief.send(path, name="New")
        assert "user changed" in self.search(chief, user="nurse", action="admin")
        assert "user changed" in self.search(chief, user="chief", action="admin")
        assert "user changed" not in self.search(chief, user="deputy")
        assert "nurse" not in chief.page.location

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"start": "soon"}, "Write a day as"),
            ({"start": "2026-02-01", "end": "2026-01-01"}, "must be after the start"),
            ({"user": "nobody-known"}, "no user of this name"),
            ({"patient": "Adams"}, "no patient of this account"),
        ],
    )
    def test_what_is_not_understood_is_said(
        self, chief: Browser, fields: dict[str, str], problem: str
    ) -> None:
        chief.open("/audit")
        page = chief.send("/audit", **fields)
        assert page.status == 422
        assert problem in page.text

    def test_page_by_page(
        self, house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fhir_facade.console.audit_views.PAGE", 3)
        for _ in range(5):
            backend_token(house)
        page = chief.open("/audit?client_id=backend&action=token")
        assert page.text.count('data-label="When"') == 3
        onward = page.text.split('" rel="next"')[0].rpartition('href="')[2].replace("&amp;", "&")
        assert chief.open(onward).text.count('data-label="When"') == 2

    def test_looking_is_kept_as_well(self, house: House, chief: Browser) -> None:
        chief.open("/audit?patient=p1")
        assert "audit trail read" in self.search(chief, patient="p1", user="chief")
        chief.open("/audit?patient=Adams")
        assert "Adams" not in chief.open("/audit").text


def test_the_overview_counts_and_names_what_waits(house: House, chief: Browser) -> None:
    launched(house, "doctor", "p1")
    Tab(house.app.test_client()).authorize(client_id="app", aud="https://elsewhere.example")
    text = chief.open("").text

    def count(term: str) -> str:
        return text.split(f"<dt>{term}</dt><dd>")[1].split("<")[0]

    assert "Odd &lt;one&gt;" in text
    assert f"/users/{house.user('dev').user_id}/patients" in text
    assert (count("Active users"), count("Active apps"), count("Access in force")) == (
        "7", "3", "1",
    )  # fmt: skip
    assert count("Requests refused in the last hour") == "1"
    assert "No source is set up" in text
