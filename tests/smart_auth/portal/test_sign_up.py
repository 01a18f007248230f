"""How a developer's account begins, and what cannot begin one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from smart_auth.passwords import check_password
from smart_auth.server import AuthServer
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.portal import SIGN_UP, PortalBrowser
from tests.support.smart_auth import SETTINGS, FakeFacade, make_app


def sign_up(browser: PortalBrowser, **changes: str) -> PortalBrowser:
    browser.visit("signup")
    browser.submit(browser.form("username", "password2"), SIGN_UP | changes)
    return browser


def test_the_account_is_a_developers_without_any_patient(
    browser: PortalBrowser, store: AuthStore, facade: FakeFacade
) -> None:
    sign_up(browser)
    assert (browser.status, browser.title) == (200, "Your account is made")
    assert "approves the app" in browser.shown
    user = store.users.by_username("acme", "dana.dev")
    assert user is not None
    assert (user.role, user.service, user.active) == ("developer", "provider", True)
    assert (user.name, user.patients, user.whole_tenant) == ("Dana Developer", frozenset(), False)
    assert user.profile == {
        "first_name": "Dana",
        "last_name": "Developer",
        "birth_date": "1985-02-28",
        "email": "dana@example.org",
        "phone": "+1 (555) 010-9999",
        "city": "Springfield",
        "state": "IL",
        "facility": "General Hospital",
    }
    assert check_password(user.password_hash, SIGN_UP["password"])
    event = facade.events[-1]
    assert (event.action, event.reason) == ("admin", "developer signed up")
    assert (event.actor, event.user_id) == (user.user_id, user.user_id)
    browser.log_in("dana.dev", SIGN_UP["password"])
    assert browser.title == "Developer portal"


REFUSED: list[tuple[str, str, str]] = [
    ("service", "", "Choose"),
    ("service", "admin", "Choose"),
    ("first_name", "", "Write your first name"),
    ("first_name", "x" * 101, "at most 100"),
    ("first_name", "Da\u202ena", "cannot be seen"),
    ("middle_name", "x" * 101, "at most 100"),
    ("last_name", "   ", "Write your last name"),
    ("birth_date", "", "year-month-day"),
    ("birth_date", "28.02.1985", "year-month-day"),
    ("birth_date", "1985-02-30", "exists"),
    ("birth_date", "1985-2-3", "exists"),
    ("birth_date", "0085-02-28", "120 years"),
    ("birth_date", "2031-01-01", "still to come"),
    ("email", "", "name@example.org"),
    ("email", "dana", "name@example.org"),
    ("email", "dana@example", "name@example.org"),
    ("email", "da na@example.org", "name@example.org"),
    ("email", "da\x00na@example.org", "name@example.org"),
    ("email", "x" * 250 + "@a.org", "name@example.org"),
    ("phone", "call me", "digits"),
    ("phone", "()()()", "digits"),
    ("city", "x" * 101, "at most 100"),
    ("state", "I\x00L", "cannot be seen"),
    ("facility", "", "facility you work for"),
    ("username", "ab", "3 to 64"),
    ("username", "dana dev", "3 to 64"),
    ("username", "dána", "3 to 64"),
    ("username", "x" * 65, "3 to 64"),
    ("username", "doctor", "taken"),
    ("password", "short", "at least 8"),
    ("password", "dana.dev", "user name"),
    ("password2", "another password", "not the same"),
]


@pytest.mark.parametrize(("field", "value", "says"), REFUSED)
def test_each_field_is_checked_at_entry(
    browser: PortalBrowser,
    store: AuthStore,
    facade: FakeFacade,
    field: str,
    value: str,
    says: str,
) -> None:
    changes = {field: value}
    if field == "password":
        changes["password2"] = value
    before = len(store.users.list("acme"))
    with time_machine.travel(datetime(2030, 6, 1, tzinfo=UTC), tick=False):
        sign_up(browser, **changes)
    assert browser.status == 422
    assert says in browser.error(field)
    found = re.search(rf'<a href="#{field}">(.*?)</a>', browser.text)
    assert found is not None, "the summary leads to the field"
    label = re.search(rf'<label for="{field}">([^<]*)', browser.text)
    assert label is None or found[1].startswith(f"{label[1].strip()}: "), "and names it"
    assert len(store.users.list("acme")) == before
    assert not facade.events


def test_what_was_written_is_kept_but_never_a_password(browser: PortalBrowser) -> None:
    sign_up(browser, city="<b>Springfield</b>", username="doctor")
    form = browser.form("username", "password2")
    values = {one.name: one.value for one in form.fields if one.kind != "radio"}
    for name, written in (SIGN_UP | {"city": "<b>Springfield</b>", "username": "doctor"}).items():
        if name not in ("service", "password", "password2"):
            assert values[name] == written
    assert [one.value for one in form.fields if one.kind == "radio" and one.checked] == ["provider"]
    assert values["password"] == values["password2"] == ""
    assert SIGN_UP["password"] not in browser.text
    assert "<b>Springfield" not in browser.text


def test_a_developer_for_patients_needs_no_facility(
    browser: PortalBrowser, store: AuthStore
) -> None:
    sign_up(browser, service="patient", facility="", phone="", city="", state="")
    user = store.users.by_username("acme", "dana.dev")
    assert user is not None
    assert user.service == "patient"
    assert "facility" not in user.profile


@pytest.mark.parametrize("csrf", ["", "0" * 64])
def test_a_form_from_elsewhere_makes_no_account(
    browser: PortalBrowser, store: AuthStore, csrf: str
) -> None:
    sign_up(browser, csrf=csrf)
    assert browser.status == 400
    assert store.users.by_username("acme", "dana.dev") is None


def test_sign_ups_of_an_address_are_limited(store: AuthStore, facade: FakeFacade) -> None:
    limits = Limits(sign_ups_per_minute=2)
    settings = replace(SETTINGS, limits=limits)
    workers = [
        PortalBrowser(make_app(AuthServer(store, facade, settings)).test_client()) for _ in range(2)
    ]
    with time_machine.travel(datetime(2030, 6, 1, tzinfo=UTC), tick=False):
        for number, worker in enumerate(workers):
            sign_up(worker, username=f"dana{number}")
            assert worker.status == 200
        sign_up(workers[0], username="dana9")
    assert workers[0].status == 429
    assert workers[0].headers["Retry-After"] == "60"
    assert store.users.by_username("acme", "dana9") is None
    with time_machine.travel(datetime(2030, 6, 1, 0, 1, tzinfo=UTC), tick=False):
        sign_up(workers[1], username="dana9")
    assert workers[1].status == 200


def test_sign_up_can_be_switched_off(store: AuthStore, facade: FakeFacade) -> None:
    server = AuthServer(store, facade, replace(SETTINGS, sign_up=False))
    closed = PortalBrowser(make_app(server).test_client()).visit("signup")
    assert closed.status == 403
    assert "ask the provider" in closed.shown
    answer: Any = closed.client.post("/fhir/acme/auth/signup", data=SIGN_UP)
    assert answer.status_code == 403
    assert store.users.by_username("acme", "dana.dev") is None


def test_where_apps_are_approved_at_once_the_next_steps_say_so(
    store: AuthStore, facade: FakeFacade
) -> None:
    server = AuthServer(store, facade, replace(SETTINGS, approve_apps="automatic"))
    page = PortalBrowser(make_app(server).test_client()).visit("signup/done")
    assert "approved at once" in page.shown
