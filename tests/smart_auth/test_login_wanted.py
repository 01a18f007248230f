"""When a login that is there is not enough: prompt=login, max_age, and what is told of a login."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import time_machine

from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from tests.support.smart_auth import Tab, code_form

TOKEN = "/fhir/acme/auth/token"
SCOPE = "openid launch/patient offline_access patient/*.rs"


def bought(tab: Tab) -> dict[str, Any]:
    answer = tab.client.post(TOKEN, data=code_form(tab.sent_back["code"]))
    return dict(answer.get_json())


def claims(body: dict[str, Any]) -> dict[str, Any]:
    payload = body["id_token"].split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "==")))


ASKS_AGAIN: list[dict[str, str]] = [
    {"prompt": "login"},
    {"prompt": "login consent"},
    {"prompt": "select_account"},
    {"max_age": "0"},
]


@pytest.mark.parametrize("changes", ASKS_AGAIN)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_login_of_this_very_second_is_asked_for_again(
    tab: Tab, changes: dict[str, str], method: str
) -> None:
    with time_machine.travel(time.time(), tick=False):
        tab.authorize().login("ann")
        assert tab.title.startswith("Allow")
        tab.authorize(method, **changes)
        assert tab.title == "Log in"
        tab.login("ann")
        assert tab.title.startswith("Allow")
        tab.allow()
        assert "code" in tab.sent_back


def test_a_consent_sent_without_the_new_login_is_not_taken(tab: Tab) -> None:
    with time_machine.travel(time.time(), tick=False):
        tab.authorize().login("ann")
        old = tab.client.get_cookie("smart_session", path="/fhir/acme/auth")
        assert old is not None
        tab.authorize(prompt="login").login("ann")
        assert tab.title.startswith("Allow")
        tab.client.set_cookie("smart_session", old.value, path="/fhir/acme/auth")
        tab.allow()
        assert tab.title == "Log in"


def test_a_login_in_another_tab_meanwhile_counts(tab: Tab) -> None:
    other = Tab(tab.client)
    with time_machine.travel(time.time(), tick=False):
        tab.authorize(prompt="login")
        other.authorize().login("ann")
        value = tab.text.partition('name="request" value="')[2].partition('"')[0]
        tab._follow(tab.client.get(f"/fhir/acme/auth/continue?request={value}"))
        assert tab.title.startswith("Allow")


def test_max_age(tab: Tab) -> None:
    tab.authorize().login("ann")
    tab.authorize(max_age="600")
    assert tab.title.startswith("Allow")
    with time_machine.travel(time.time() + 700, tick=True):
        tab.authorize(max_age="600")
        assert tab.title == "Log in"
        tab.authorize(max_age="1000")
        assert tab.title.startswith("Allow")


def test_how_and_when_a_person_logged_in_is_told_at_each_refresh(tab: Tab) -> None:
    tab.authorize(scope=SCOPE).login("ann").allow()
    first = bought(tab)
    said = claims(first)
    assert said["amr"] == ["pwd"]
    with time_machine.travel(time.time() + 30 * 86_400, tick=True):
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        again = claims(tab.client.post(TOKEN, data=form).get_json())
    assert (again["amr"], again["auth_time"]) == (["pwd"], said["auth_time"])
    assert again["iat"] > said["iat"]
    assert again["sub"] == said["sub"]


def test_several_methods_and_none(
    tab: Tab, server: AuthServer, store: AuthStore, people: dict[str, User]
) -> None:
    for methods, told in (("pwd otp", ["pwd", "otp"]), ("", None)):
        value = server.sessions.start("acme", people["ann"].user_id, methods=methods)
        tab.client.set_cookie("smart_session", value, path="/fhir/acme/auth")
        tab.authorize(scope=SCOPE).allow()
        assert claims(bought(tab)).get("amr") == told
