"""The pages themselves: forms, guards, headers, delays, and what a person granted."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import time_machine

from smart_auth import admin
from smart_auth.records import User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PASSWORD,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    Tab,
    code_form,
    make_app,
)

ACCOUNT = "/fhir/acme/auth/account"
MANAGE = "/fhir/acme/auth/manage"
PAGES = ["login", "picker", "consent", "problem", "manage"]


@pytest.fixture
def shown(tab: Tab) -> dict[str, Any]:
    """The answer that carries each page."""
    found = {"login": tab.authorize().answer}
    found["picker"] = tab.login("doctor").answer
    found["consent"] = tab.pick("p2").answer
    found["problem"] = tab.authorize(client_id="nobody").answer
    tab.authorize().pick("p1").allow()
    tab.client.post("/fhir/acme/auth/token", data=code_form(tab.sent_back["code"]))
    found["manage"] = tab.client.get(MANAGE)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_security_headers(shown: dict[str, Any], page: str) -> None:
    headers = shown[page].headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert not [name for name in headers.keys() if name.startswith("Access-Control")]


def test_forms_may_lead_to_the_app_and_only_there(shown: dict[str, Any]) -> None:
    assert "http://localhost:8765" in shown["consent"].headers["Content-Security-Policy"]
    assert shown["manage"].headers["Content-Security-Policy"].endswith("form-action 'self'")


def test_a_browser_without_cookies_is_told_so(tab: Tab) -> None:
    tab.authorize()
    tab.client.delete_cookie("smart_browser", path="/fhir/acme/auth")
    tab.submit("login", username="doctor", password=PASSWORD)
    assert tab.answer.status_code == 400
    assert "sent no cookies" in tab.text


def test_only_an_old_form_of_a_launch_sends_people_back_to_the_app(tab: Tab) -> None:
    hint = "Go back to the app"
    tab.authorize()
    assert hint in tab.submit("login", csrf="0").text
    for page in ("manage", "account/password", "portal/apps/new", "logout"):
        answer = tab.client.post(f"/fhir/acme/auth/{page}", data={"csrf": "0"})
        assert hint not in answer.text, page


class _Controls(HTMLParser):
    """Every control with the label it has, every button, and anything that needs a script."""

    def __init__(self) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.controls: list[dict[str, str | None]] = []
        self.submits = 0
        self.scripted: list[str] = []
        self._in_label = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = dict(attrs)
        self.scripted += [name for name in have if name.startswith("on") or name == "style"]
        if tag in ("script", "style", "iframe"):
            self.scripted.append(tag)
        if tag == "label":
            self._in_label = True
            self.labelled.add(have.get("for") or "")
        elif tag == "button":
            self.submits += have.get("type") == "submit"
        elif tag == "input" and have.get("type") != "hidden":
            self.controls.append(have | {"wrapped": "yes" if self._in_label else None})

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._in_label = False


@pytest.mark.parametrize("page", PAGES)
def test_controls_are_labelled_and_need_no_script(shown: dict[str, Any], page: str) -> None:
    text = shown[page].get_data(as_text=True)
    parser = _Controls()
    parser.feed(text)
    for control in parser.controls:
        assert control["wrapped"] or control.get("id") in parser.labelled, control
    assert parser.submits >= (page != "problem")
    assert not parser.scripted
    assert '<html lang="en">' in text
    assert text.count("<h1>") == 1


def test_the_stylesheet_is_served_and_linked(tab: Tab) -> None:
    tab.authorize()
    href = re.search(r'rel="stylesheet" href="([^"]+)"', tab.text)
    assert href is not None
    answer = tab.client.get(href[1])
    assert answer.mimetype == "text/css"
    assert b"font" in answer.data


def test_cookies_are_kept_from_scripts_and_other_sites(
    store: AuthStore, people: dict[str, User]
) -> None:
    settings = replace(SETTINGS, public_url="https://fhir.example", demo=False)
    facade = FakeFacade(public_url="https://fhir.example/front")
    http = make_app(AuthServer(store, facade, settings)).test_client()
    query = {"aud": "https://fhir.example/front/fhir/acme"}
    tab = Tab(http)
    tab.authorize(**query)
    cookie = tab.answer.headers["Set-Cookie"]
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/front/fhir/acme/auth"):
        assert attribute in cookie
    assert 'action="/front/fhir/acme/auth/login"' in tab.text
    assert "Strict-Transport-Security" in tab.answer.headers


@pytest.mark.parametrize("page", ["login", "patient", "consent"])
@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
def test_a_form_without_our_mark_is_refused(tab: Tab, page: str, csrf: str | None) -> None:
    tab.authorize()
    if page != "login":
        tab.login("doctor")
    if page == "consent":
        tab.pick("p1")
    fields: dict[str, Any] = {
        "username": "doctor",
        "password": "correct horse",
        "patient": "p1",
        "action": "continue",
        "decision": "allow",
        "scope": ["patient/*.rs"],
    }
    tab.submit(page, **fields, **({"csrf": csrf} if csrf is not None else {"csrf": []}))
    assert (tab.answer.status_code, tab.title) == (400, "This cannot go on")
    assert "Location" not in tab.answer.headers


def test_a_form_of_another_browser_is_refused(tab: Tab, server: AuthServer) -> None:
    tab.authorize().login("ann")
    other = Tab(make_app(server).test_client())
    other.authorize().login("ann")
    other.answer = tab.answer
    other.allow()
    assert other.answer.status_code == 400


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("account/sessions", {"session": "others"}),
        ("account/password", {"old": PASSWORD, "new": "a new password", "again": "a new password"}),
        ("account/factor", {"kind": "pin", "pin": "274951", "pin_again": "274951"}),
        ("manage", {"grant": "any"}),
        ("logout", {}),
    ],
)
def test_a_planted_cookie_opens_no_form(
    tab: Tab, server: AuthServer, page: str, fields: dict[str, str]
) -> None:
    """Another host of the domain can give a browser the cookie it has itself, and so knows the
    tokens of its own forms."""
    evil = Tab(make_app(server).test_client())
    evil.authorize().login("doctor").pick("p1").allow()
    evil.client.post("/fhir/acme/auth/token", data=code_form(evil.sent_back["code"]))
    evil.answer = evil.client.get(MANAGE if page == "manage" else ACCOUNT)
    token = re.findall(r'name="csrf" value="(\w+)"', evil.text)[0 if page == "logout" else -1]
    tab.answer = tab.client.get(ACCOUNT)
    tab.login("ann")
    planted = evil.client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert planted is not None
    tab.client.set_cookie("smart_browser", planted.value, path="/fhir/acme/auth")
    answer = tab.client.post(f"/fhir/acme/auth/{page}", data=fields | {"csrf": token})
    assert answer.status_code == 400
    assert "did not come from this browser" in answer.text
    assert tab.client.get(ACCOUNT).text.count("this browser") == 1


def test_a_planted_cookie_picks_no_patient(tab: Tab, server: AuthServer) -> None:
    evil = Tab(make_app(server).test_client())
    evil.authorize().login("nurse")
    token = evil.hidden("csrf")
    value = evil.hidden("request")
    planted = evil.client.get_cookie("smart_browser", path="/fhir/acme/auth")
    assert planted is not None
    tab.client.set_cookie("smart_browser", planted.value, path="/fhir/acme/auth")
    tab.answer = tab.client.get(ACCOUNT)
    tab.login("doctor")
    form = {"csrf": token, "request": value, "patient": "p1", "action": "continue"}
    answer = tab.client.post("/fhir/acme/auth/patient", data=form)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_a_request_of_another_browser_cannot_be_taken_over(tab: Tab, server: AuthServer) -> None:
    tab.authorize()
    value = re.search(r'name="request" value="(\w+)"', tab.text)
    assert value is not None
    other = make_app(server).test_client()
    answer = other.get(f"/fhir/acme/auth/continue?request={value[1]}")
    assert answer.status_code == 400
    assert b"another browser" in answer.data


def test_consent_counts_for_the_person_who_saw_the_page(tab: Tab) -> None:
    tab.authorize().login("ann")
    consent_page = tab.answer
    tab.authorize(prompt="login")
    with time_machine.travel(time.time() + 2, tick=True):
        tab.authorize(prompt="login").login("doctor")
        tab.answer = consent_page
        tab.allow()
        assert tab.answer.status_code == 400


@pytest.mark.parametrize("decision", ["", "maybe"])
def test_a_decision_has_to_be_one(tab: Tab, decision: str) -> None:
    tab.authorize().login("ann")
    tab.submit("consent", scope=tab.offered, decision=decision)
    assert tab.title.startswith("Allow")


def test_a_decided_request_cannot_be_decided_again(tab: Tab) -> None:
    tab.authorize().login("ann")
    page = tab.answer
    tab.allow()
    tab.answer = page
    tab.allow()
    assert tab.answer.status_code == 400
    assert "answered already" in tab.text


def test_a_request_expires(tab: Tab) -> None:
    tab.authorize()
    with time_machine.travel(time.time() + 1801, tick=True):
        tab.login("ann")
        assert "expired" in tab.text


def test_prompt_login_and_max_age_ask_for_a_new_login(tab: Tab) -> None:
    tab.authorize().login("ann")
    now = time.time()
    with time_machine.travel(now + 100, tick=True):
        assert tab.authorize(prompt="login").title == "Log in"
        assert tab.authorize(max_age="50").title == "Log in"
        assert tab.authorize(max_age="5000").title.startswith("Allow")
        assert tab.authorize(prompt="login").login("ann").title.startswith("Allow")


def test_a_session_ends_by_itself(tab: Tab) -> None:
    tab.authorize().login("ann")
    with time_machine.travel(time.time() + 9 * 3600, tick=True):
        assert tab.authorize().title == "Log in"


def test_an_inactive_user_is_logged_out(
    tab: Tab, store: AuthStore, people: dict[str, User]
) -> None:
    tab.authorize().login("ann")
    admin.change_user(store, people["ann"], active=False)
    assert tab.authorize().title == "Log in"
    tab.login("ann")
    assert tab.answer.status_code == 403


def test_names_are_escaped(tab: Tab) -> None:
    tab.authorize()
    assert "Public &lt;app&gt;" in tab.text
    tab.login('"><script>alert(1)</script>', "wrong password")
    assert "<script>" not in tab.text


class TestLoginDelays:
    def test_a_wrong_password_names_neither_half(self, tab: Tab, facade: FakeFacade) -> None:
        known = tab.authorize().login("ann", "wrong password").text
        unknown = tab.authorize().login("zoe", "wrong password").text
        problem = re.compile(r'role="alert"[^>]*>([^<]+)')
        assert problem.findall(known) == problem.findall(unknown)
        assert tab.answer.status_code == 403
        assert "wrong password" not in repr(facade.events[0])
        assert "zoe" not in repr(facade.events)

    def test_repeated_failures_wait_and_never_lock_out(self, tab: Tab) -> None:
        tab.authorize()
        for _ in range(5):
            assert tab.login("ann", "wrong password").answer.status_code == 403
        tab.login("ann")
        assert tab.answer.status_code == 429
        assert 0 < int(tab.answer.headers["Retry-After"]) <= 30
        with time_machine.travel(time.time() + 31, tick=True):
            tab.login("ann")
            assert tab.title.startswith("Allow")

    def test_the_wait_grows_to_half_a_minute_and_no_further(
        self, tab: Tab, store: AuthStore
    ) -> None:
        now = int(time.time())
        waits = []
        for _ in range(14):
            store.limits.fail("acme", "subject", now, 5, 30)
            waits.append(store.limits.blocked_until("acme", "subject") - now)
            now += 40
        assert waits[:4] == [0, 0, 0, 0]
        assert waits[4:11] == [1, 2, 4, 8, 16, 30, 30]

    def test_nobody_can_keep_another_person_out(self, tab: Tab) -> None:
        tab.authorize()
        for _ in range(6):
            tab.login("doctor", "wrong password")
        assert tab.login("doctor").answer.status_code == 429
        assert tab.login("ann").title.startswith("Allow")

    def test_at_another_address_the_person_gets_in(self, tab: Tab) -> None:
        tab.authorize()
        for _ in range(6):
            tab.login("ann", "wrong password")
        tab.client.environ_base["REMOTE_ADDR"] = "10.1.2.3"
        assert tab.login("ann").title.startswith("Allow")

    @pytest.mark.parametrize(
        "addresses",
        [
            [f"2001:db8:1:2::{n:x}" for n in range(1, 8)],
            ["192.0.2.7", "::ffff:192.0.2.7"] * 3 + ["192.0.2.7"],
        ],
        ids=["a network of IPv6", "IPv4 within IPv6"],
    )
    def test_addresses_of_one_line_are_one(self, tab: Tab, addresses: list[str]) -> None:
        tab.authorize()
        for address in addresses:
            tab.client.environ_base["REMOTE_ADDR"] = address
            tab.login("ann", "wrong password")
        assert tab.answer.status_code == 429
        tab.client.environ_base["REMOTE_ADDR"] = "2001:db8:1:3::1"
        assert tab.login("ann").title.startswith("Allow")

    def test_an_address_has_a_number_of_tries(
        self, store: AuthStore, people: dict[str, User]
    ) -> None:
        settings = replace(SETTINGS, limits=Limits(logins_per_minute=3))
        tab = Tab(make_app(AuthServer(store, FakeFacade(), settings)).test_client())
        tab.authorize()
        codes = [tab.login(f"user{n}", "wrong password").answer.status_code for n in range(8)]
        assert codes[:3] == [403, 403, 403]
        assert 429 in codes[3:5]


class TestManage:
    def test_login_first(self, tab: Tab) -> None:
        tab.answer = tab.client.get(MANAGE)
        assert tab.title == "Log in"
        tab.login("ann")
        assert tab.title == "Your apps"
        assert "No app has access" in tab.text

    def test_a_grant_is_seen_and_ended(
        self, tab: Tab, server: AuthServer, facade: FakeFacade
    ) -> None:
        tab.authorize().login("ann").allow()
        body = tab.client.post(
            "/fhir/acme/auth/token", data=code_form(tab.sent_back["code"])
        ).get_json()
        tab.answer = tab.client.get(MANAGE)
        assert "Public &lt;app&gt;" in tab.text
        assert "See everything in your record" in tab.text
        grant = re.search(r'name="grant" value="(\w+)"', tab.text)
        assert grant is not None
        tab.submit("manage", grant=grant[1])
        assert "The access has ended" in tab.text
        assert "No app has access" in tab.text
        with pytest.raises(InvalidToken, match="revoked"):
            server.verify("acme", body["access_token"])
        assert "revoke" in [event.action for event in facade.events]

    def test_nobody_ends_the_grants_of_others(self, tab: Tab, server: AuthServer) -> None:
        tab.authorize().login("ann").allow()
        body = tab.client.post(
            "/fhir/acme/auth/token", data=code_form(tab.sent_back["code"])
        ).get_json()
        grant = server.verify("acme", body["access_token"]).grant_id
        other = Tab(make_app(server).test_client())
        other.answer = other.client.get(MANAGE)
        other.login("doctor")
        other.submit("manage", grant=grant)
        assert server.verify("acme", body["access_token"])

    def test_ending_needs_our_form(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        assert tab.client.post(MANAGE, data={"grant": "x"}).status_code == 400
        assert tab.client.post("/fhir/acme/auth/logout").status_code == 400

    def test_logout(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        tab.answer = tab.client.get(MANAGE)
        tab.log_out()
        assert tab.title == "Log in"
        assert tab.authorize().title == "Log in"


def test_a_redirect_uri_with_a_query_keeps_it(tab: Tab, store: AuthStore) -> None:
    uri = REDIRECT + "?page=1"
    admin.create_client(store, "acme", {"client_id": "queried", "redirect_uris": [uri]})
    tab.authorize(client_id="queried", redirect_uri=uri).login("ann").allow()
    assert tab.answer.headers["Location"].startswith(uri + "&code=")
    assert tab.sent_back["page"] == "1"


def test_native_apps_may_use_any_loopback_port(tab: Tab, store: AuthStore) -> None:
    metadata = {"client_id": "native", "redirect_uris": ["http://127.0.0.1/cb"]}
    admin.create_client(store, "acme", metadata)
    tab.authorize(client_id="native", redirect_uri="http://127.0.0.1:51004/cb")
    assert tab.title == "Log in"
    for bad in ("http://127.0.0.1:51004/other", "http://127.0.0.2:1/cb", "http://127.0.0.1@e/cb"):
        assert tab.authorize(client_id="native", redirect_uri=bad).answer.status_code == 400
