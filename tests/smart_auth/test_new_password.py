"""A password that somebody else gave is changed before the login is whole."""

from __future__ import annotations

import time

import pytest
import time_machine

from smart_auth import admin, keyring, logins
from smart_auth.logins import FirstStep, LoginOutcome
from smart_auth.ports import TenantInfo
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from tests.support.smart_auth import PASSWORD, FakeFacade, Tab

OWN = "a password of my own"
PIN = "274951"


@pytest.fixture
def given(store: AuthStore, people: dict[str, User]) -> User:
    """A patient whose password was given by an administrator."""
    admin.set_password(store, people["ann"], PASSWORD, temporary=True)
    user = store.users.by_username("acme", "ann")
    assert user is not None
    return user


def choose(tab: Tab, new: str = OWN, again: str | None = None) -> Tab:
    return tab.submit("new-password", new=new, again=new if again is None else again)


def cookies(tab: Tab) -> dict[str, str]:
    return {cookie.key: cookie.value for cookie in tab.client._cookies.values()}


def test_a_launch_waits_until_it_is_done(
    tab: Tab, given: User, store: AuthStore, facade: FakeFacade
) -> None:
    tab.authorize().login("ann")
    assert (tab.title, "smart_session" in cookies(tab)) == ("Choose a password", False)
    assert not [event for event in facade.events if event.action == "login"]
    choose(tab)
    assert tab.title.startswith("Allow")
    after = store.users.get("acme", given.user_id)
    assert after is not None
    assert not after.password_temporary
    session = store.sessions.get("acme", hash_of(cookies(tab)), int(time.time()))
    assert session is not None
    assert session.methods == "pwd"
    acts = [(event.action, event.outcome, event.reason) for event in facade.events]
    assert acts[-2:] == [
        ("account", "success", "password changed at login"),
        ("login", "success", None),
    ]
    assert OWN not in repr(facade.events)
    tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")
    assert tab.authorize().login("ann").answer.status_code == 403
    assert tab.login("ann", OWN).title.startswith("Allow")


def hash_of(jar: dict[str, str]) -> str:
    return keyring.hash_token(jar["smart_session"])


@pytest.mark.parametrize(
    ("new", "again", "problem"),
    [
        (OWN, "another one", "The two new passwords differ."),
        ("short", None, "at least 8 characters"),
        (PASSWORD, None, "another password than the one you were given"),
    ],
)
def test_what_cannot_be_is_said_and_asked_again(
    tab: Tab, given: User, store: AuthStore, new: str, again: str | None, problem: str
) -> None:
    tab.answer = tab.client.get("/fhir/acme/auth/account")
    choose(tab.login("ann"), new, again)
    assert tab.answer.status_code == 422
    assert problem in tab.text
    assert f'value="{new}"' not in tab.text
    assert store.users.get("acme", given.user_id) == store.users.by_username("acme", "ann")
    assert "smart_session" not in cookies(tab)
    assert choose(tab).title == "Account"


def test_the_second_step_comes_first_and_cannot_be_passed_over(
    tab: Tab, given: User, store: AuthStore
) -> None:
    admin.give_pin(store, given, PIN)
    tab.authorize().login("ann")
    assert tab.title == "One more step"
    page, half = tab.answer, tab.hidden("half")
    # A half of the first step, bound to a request of whatever name, is none of this step.
    assert choose(tab.submit("new-password", half=half)).title == "Log in"
    for name in ("password", f"password/{tab.hidden('request')}"):
        tab.answer = page
        tab.submit("login", request=name, username="ann", password=PASSWORD)
        tab.submit("new-password", request=name, new=OWN, again=OWN)
        assert "smart_session" not in cookies(tab)
    tab.authorize().login("ann").second(PIN)
    assert tab.title == "Choose a password"
    choose(tab)
    session = store.sessions.get("acme", hash_of(cookies(tab)), int(time.time()))
    assert session is not None
    assert session.methods == "pwd pin"


def test_the_page_is_good_for_a_while_and_for_the_account_as_it_was(
    tab: Tab, given: User, store: AuthStore
) -> None:
    tab.authorize().login("ann")
    page = tab.answer
    with time_machine.travel(time.time() + logins.ENROL_SECONDS + 1, tick=True):
        choose(tab)
        assert (tab.answer.status_code, tab.title) == (400, "Log in")
    admin.set_password(store, given, "given once more", temporary=True)
    tab.answer = page
    assert choose(tab).title == "Log in"
    assert tab.login("ann", "given once more").title == "Choose a password"


def test_who_came_without_the_password_is_not_asked(
    server: AuthServer, facade: FakeFacade, given: User
) -> None:
    tenant: TenantInfo = facade.tenants()["acme"]
    elsewhere = FirstStep("hospital", "")
    outcome = logins.conclude(server.core, tenant, given, "127.0.0.1", elsewhere)
    assert outcome == LoginOutcome(given)
