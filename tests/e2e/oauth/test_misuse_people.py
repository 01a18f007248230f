"""Misuse of what people manage: the second step of a login, the developer portal, the provider's
console. Pages are found by following the links of those who may, and tried by those who may not.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from sandbox.demo.forms import Form
from smart_auth import admin, factors
from smart_auth.store import AuthStore, open_store
from tests.support.demo import RunningDemo
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_browser import field as value_of
from tests.support.oauth_checks import later, log_in
from tests.support.oauth_flow import OAuthFlow

PASSWORD = "a password of some length 3"
MOST_PAGES = 60


def person_of(flow: OAuthFlow, user: str) -> dict[str, str]:
    demo = flow.demo.demo
    found: dict[str, str] = demo["users"].get(user) or demo[user]
    return found


def logged_in(flow: OAuthFlow, user: str) -> OwnBrowser:
    browser = OwnBrowser()
    browser.open(f"{flow.base}/auth/manage")
    log_in(browser, person_of(flow, user))
    assert browser.status == 200
    return browser


@pytest.fixture(scope="module")
def store(demo: RunningDemo) -> Iterator[AuthStore]:
    one = open_store(f"sqlite:///{demo.state}/auth.db")
    yield one
    one.close()


# --- the second step ------------------------------------------------------------------------------


def half_way(flow: OAuthFlow, user: str, page: str = "manage") -> OwnBrowser:
    """A browser that gave the right password and is asked for the second step."""
    browser = OwnBrowser()
    browser.open(f"{flow.base}/auth/{page}")
    log_in(browser, person_of(flow, user))
    assert browser.form("half", "code")
    assert browser.cookie("smart_session") is None
    return browser


WITH_FACTOR = ("practitioner_totp", "patient_pin")


def right_code(flow: OAuthFlow, user: str) -> str:
    person = person_of(flow, user)
    if "pin" in person:
        return person["pin"]
    return factors.code_at(person["totp_secret"], int(time.time()))


@pytest.mark.parametrize("user", WITH_FACTOR)
@pytest.mark.parametrize(
    "code", ["", "0", "000000", "999999", "abcdef", "0" * 400, "\0", "' OR 1=1 --", "\u0661" * 6]
)
def test_a_wrong_second_step_lets_nobody_in(flow: OAuthFlow, user: str, code: str) -> None:
    if code == right_code(flow, user):
        code = "123123"
    with half_way(flow, user) as browser:
        browser.submit(browser.form("half", "code"), {"code": code})
        assert browser.status in (400, 403, 429)
        assert browser.cookie("smart_session") is None
    forget_failures(flow)


def forget_failures(flow: OAuthFlow) -> None:
    """Failures of the second step count for the person at all addresses: make none of the next."""
    with closing(sqlite3.connect(flow.demo.state / "auth.db", timeout=20)) as database:
        database.execute("DELETE FROM login_failure")
        database.commit()


@pytest.mark.parametrize("user", WITH_FACTOR)
@pytest.mark.parametrize("page", ["manage", "account", "log", "console", "portal"])
def test_half_a_login_opens_nothing(flow: OAuthFlow, user: str, page: str) -> None:
    with half_way(flow, user) as browser:
        browser.open(f"{flow.base}/auth/{page}")
        assert "password" in browser.text
        assert "Log out" not in browser.text


def test_half_a_login_does_not_go_on_with_a_launch(flow: OAuthFlow) -> None:
    sent, _ = flow.query()
    with OwnBrowser(stop_at=flow.redirect_uri) as browser:
        browser.open(flow.authorize_url(sent))
        value = value_of(browser.form("password"), "request")
        log_in(browser, person_of(flow, "patient_pin"))
        browser.open(f"{flow.base}/auth/continue?request={value}")
        assert "password" in browser.text
        assert not any("decision" in form.names() for form in browser.forms())


def _spoilt(flow: OAuthFlow, half: str, how: str) -> str:
    user, expires, *rest = half.split(".")
    other = person_of(flow, "practitioner")
    changed = {
        "another person": [other["username"], expires, *rest],
        "later": [user, str(later(9000)), *rest],
        "other methods": [user, expires, rest[0], "pwd+otp", *rest[2:]],
        "another origin": [user, expires, "ehr", *rest[1:]],
        "no signature": [user, expires, *rest[:-1], "0" * 64],
        "cut": [user, expires],
    }
    return ".".join(changed[how])


@pytest.mark.parametrize(
    "how", ["another person", "later", "other methods", "another origin", "no signature", "cut"]
)
def test_a_forged_half_is_none(flow: OAuthFlow, how: str) -> None:
    with half_way(flow, "patient_pin") as browser:
        form = browser.form("half", "code")
        half = _spoilt(flow, value_of(form, "half"), how)
        browser.submit(form, {"half": half, "code": right_code(flow, "patient_pin")})
        assert 400 <= browser.status < 500
        assert browser.cookie("smart_session") is None
    forget_failures(flow)


def test_a_half_is_of_one_browser_and_request(flow: OAuthFlow) -> None:
    """The value of one browser in the form of another, with the right code."""
    with half_way(flow, "patient_pin") as mine, half_way(flow, "patient_pin") as other:
        stolen = value_of(mine.form("half", "code"), "half")
        form = other.form("half", "code")
        other.submit(form, {"half": stolen, "code": right_code(flow, "patient_pin")})
        assert 400 <= other.status < 500
        assert other.cookie("smart_session") is None
    forget_failures(flow)


def test_a_half_of_one_person_takes_no_code_of_another(flow: OAuthFlow) -> None:
    with half_way(flow, "practitioner_totp") as browser:
        pin = person_of(flow, "patient_pin")["pin"]
        browser.submit(browser.form("half", "code"), {"code": pin})
        assert browser.cookie("smart_session") is None
    forget_failures(flow)


def test_a_code_of_an_app_is_used_once(flow: OAuthFlow) -> None:
    code = right_code(flow, "practitioner_totp")
    with half_way(flow, "practitioner_totp") as first:
        with half_way(flow, "practitioner_totp") as second:
            first.submit(first.form("half", "code"), {"code": code})
            second.submit(second.form("half", "code"), {"code": code})
            assert second.cookie("smart_session") is None
    forget_failures(flow)


@pytest.mark.parametrize("minutes", [-60, -5, 5, 60])
def test_codes_of_other_times_are_none(flow: OAuthFlow, minutes: int) -> None:
    seed = person_of(flow, "practitioner_totp")["totp_secret"]
    code = factors.code_at(seed, int(time.time()) + 60 * minutes)
    with half_way(flow, "practitioner_totp") as browser:
        browser.submit(browser.form("half", "code"), {"code": code})
        assert browser.cookie("smart_session") is None
    forget_failures(flow)


def test_guessing_pins_is_slowed_at_all_addresses(flow: OAuthFlow) -> None:
    """Each guess from another address: the person's second step is what is counted."""
    seen = set()
    for guess in range(120):
        with half_way(flow, "patient_pin") as browser:
            browser.submit(browser.form("half", "code"), {"code": f"{guess:06}"})
            seen.add(browser.status)
        if 429 in seen:
            break
    assert 429 in seen
    forget_failures(flow)


def test_a_second_step_is_not_removed_without_the_password(flow: OAuthFlow) -> None:
    with half_way(flow, "patient_pin") as browser:
        code = right_code(flow, "patient_pin")
        browser.submit(browser.form("half", "code"), {"code": code})
        assert browser.cookie("smart_session")
        browser.open(f"{flow.base}/auth/account/factor")
        form = next(one for one in browser.forms() if one.action.endswith("account/factor"))
        csrf = value_of(form, "csrf")
        for password in ("", "wrong", code):
            browser.session.post(
                f"{flow.base}/auth/account/factor",
                data={"csrf": csrf, "kind": "none", "password": password},
                timeout=30,
            )
    with half_way(flow, "patient_pin"):
        pass
    forget_failures(flow)


# --- the portal and the console: found by links -------------------------------------------------


@dataclass
class Found:
    """Pages and forms that a person came to by links; forms with the page they stand on."""

    pages: set[str] = field(default_factory=set)
    forms: dict[str, tuple[str, Form]] = field(default_factory=dict)


def crawl(flow: OAuthFlow, user: str, start: str) -> Found:
    """All pages below `start`, with one of each kind (ids in paths count as one)."""
    found, kinds, ahead = Found(), set(), [start]
    root = f"{urlsplit(flow.base).path}/auth/{start}"
    with logged_in(flow, user) as browser:
        while ahead and len(found.pages) < MOST_PAGES:
            page = ahead.pop(0)
            kind = re.sub(r"(/(?:apps|users|groups)/)(?!new\b)[^/]+", r"\1*", page)
            if kind in kinds:
                continue
            kinds.add(kind)
            browser.open(f"{flow.base}/auth/{page}")
            assert browser.status == 200, page
            found.pages.add(page)
            for form in browser.forms():
                target = urlsplit(urljoin(browser.url, form.action or browser.url)).path
                if form.method == "post" and target.startswith(root):
                    kind = re.sub(r"[0-9a-zA-Z_.-]{12,}", "*", target)
                    found.forms.setdefault(kind, (page, form))
            for link in re.findall(r'<a [^>]*href="([^"#]+)"', browser.text):
                path = urlsplit(urljoin(browser.url, unescape(link))).path
                if path.startswith(root):
                    ahead.append(path.partition("/auth/")[2])
    return found


@pytest.fixture(scope="module")
def console(flow: OAuthFlow) -> Found:
    found = crawl(flow, "admin", "console")
    assert len(found.pages) > 5
    assert len(found.forms) > 3
    return found


@pytest.fixture(scope="module")
def portal(flow: OAuthFlow, store: AuthStore) -> Found:
    """With one app of the demo's developer."""
    owner = store.users.by_username("acme", person_of(flow, "developer")["username"])
    assert owner is not None
    metadata = {
        "client_name": "Found in the portal",
        "client_secret": "a-secret-of-the-portal-test",
        "redirect_uris": ["https://kit.example/redirect"],
    }
    admin.create_client(store, "acme", metadata, owner=owner.user_id)
    found = crawl(flow, "developer", "portal")
    assert any("/apps/" in page for page in found.pages)
    assert len(found.forms) > 3
    return found


OTHERS = {
    "console": (None, "patient", "practitioner", "developer"),
    "portal": (None, "patient", "practitioner", "admin"),
}


@pytest.mark.parametrize(
    ("room", "user"), [(room, user) for room, users in OTHERS.items() for user in users]
)
def test_nobody_else_sees_its_pages(
    flow: OAuthFlow, room: str, user: str | None, request: pytest.FixtureRequest
) -> None:
    found: Found = request.getfixturevalue(room)
    browser = OwnBrowser() if user is None else logged_in(flow, user)
    with browser:
        for page in sorted(found.pages):
            browser.open(f"{flow.base}/auth/{page}")
            if user is None:
                assert browser.form("username", "password"), page
            else:
                assert browser.status in (403, 404), page


def state_of(demo: RunningDemo) -> dict[str, list[tuple[Any, ...]]]:
    """All that pages change: accounts, apps, their lists, groups."""
    kept: dict[str, list[tuple[Any, ...]]] = {}
    tables = {
        "auth.db": (
            "client", "client_patient", "client_group", "user_account", "user_patient",
            "second_factor", "initial_access_token", "access_grant", "signing_key",
        ),
        "mirror.db": ("patient_group", "group_member"),
    }  # fmt: skip
    for file, names in tables.items():
        with closing(sqlite3.connect(demo.state / file, timeout=20)) as database:
            there = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            for name in there & set(names):
                rows = database.execute(f"SELECT * FROM {name}").fetchall()
                kept[name] = sorted(rows, key=repr)
    assert {"client", "user_account"} <= kept.keys()
    return kept


@pytest.mark.parametrize("csrf", [None, "x", "of another page"])
@pytest.mark.parametrize(("room", "user"), [("console", "admin"), ("portal", "developer")])
def test_forms_of_other_sites_change_nothing(
    flow: OAuthFlow, room: str, user: str, csrf: str | None, request: pytest.FixtureRequest
) -> None:
    """Sent by the right person's browser, but not from the page."""
    found: Found = request.getfixturevalue(room)
    before = state_of(flow.demo)
    with logged_in(flow, user) as browser:
        browser.open(f"{flow.base}/auth/account")
        foreign = value_of(browser.forms()[-1], "csrf")
        for page, form in found.forms.values():
            data = [pair for pair in form.data({}, None) if pair[0] != "csrf"]
            if csrf is not None:
                data.append(("csrf", foreign if csrf == "of another page" else csrf))
            answer = browser.session.post(
                urljoin(f"{flow.base}/auth/{page}", form.action or ""),
                data=data,
                headers={"Origin": "https://evil.example"},
                allow_redirects=False,
                timeout=30,
            )
            assert answer.status_code == 400, form.action
    assert state_of(flow.demo) == before


@pytest.mark.parametrize(
    ("room", "user"), [(room, user) for room, users in OTHERS.items() for user in users]
)
def test_nobody_else_changes_anything(
    flow: OAuthFlow, room: str, user: str | None, request: pytest.FixtureRequest
) -> None:
    """Each form as it stands there, sent by somebody else with every token they have."""
    found: Found = request.getfixturevalue(room)
    before = state_of(flow.demo)
    browser = OwnBrowser() if user is None else logged_in(flow, user)
    with browser:
        browser.open(f"{flow.base}/auth/manage")
        tokens = {value_of(form, "csrf") for form in browser.forms()}
        for page, form in found.forms.values():
            own = value_of(form, "csrf")
            for csrf in (*tokens, own):
                data = [pair for pair in form.data({}, None) if pair[0] != "csrf"]
                answer = browser.session.post(
                    urljoin(f"{flow.base}/auth/{page}", form.action or ""),
                    data=[*data, ("csrf", csrf)],
                    allow_redirects=False,
                    timeout=30,
                )
                assert answer.status_code in (200, 400, 403, 404), form.action
                if answer.status_code == 200:
                    assert 'name="password"' in answer.text
    assert state_of(flow.demo) == before


def test_a_developer_sees_and_changes_no_app_of_another(
    flow: OAuthFlow, store: AuthStore, portal: Found
) -> None:
    """Every page of an app and every form, with the other's app put into the address."""
    user = admin.create_user(
        store, "acme", f"other-developer-{int(time.time())}", PASSWORD, role="developer"
    )
    metadata = {"client_name": "Of another", "redirect_uris": ["https://kit.example/redirect"]}
    theirs = admin.create_client(store, "acme", metadata, owner=user.user_id).client
    provided = flow.client["client_id"]
    mine = next(
        match[1] for page in portal.pages if (match := re.search(r"portal/apps/([^/]{12,})", page))
    )
    before = state_of(flow.demo)
    with logged_in(flow, "developer") as browser:
        for client_id in (theirs.client_id, provided, "nobody", "%2e%2e%2f", "%00"):
            for page in sorted(one for one in portal.pages if mine in one):
                browser.open(f"{flow.base}/auth/{page.replace(mine, client_id)}")
                assert browser.status in (400, 403, 404), page
                assert "Of another" not in browser.text
            for page, form in portal.forms.values():
                if mine not in (form.action or page):
                    continue
                browser.open(f"{flow.base}/auth/{page}")
                csrf = value_of(form, "csrf")
                answer = browser.session.post(
                    urljoin(browser.url, form.action or "").replace(mine, client_id),
                    data=[*form.data({"csrf": csrf}, None)],
                    allow_redirects=False,
                    timeout=30,
                )
                assert answer.status_code in (400, 403, 404)
    assert state_of(flow.demo) == before


@pytest.mark.parametrize("room", ["console", "portal"])
def test_its_pages_are_careful(flow: OAuthFlow, room: str, request: pytest.FixtureRequest) -> None:
    found: Found = request.getfixturevalue(room)
    with logged_in(flow, "admin" if room == "console" else "developer") as browser:
        for page in sorted(found.pages):
            answer = browser.session.get(f"{flow.base}/auth/{page}", timeout=30)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "<script" not in answer.text
            assert " style=" not in answer.text
            assert not re.search(r"<[^>]+\son[a-z]+\s*=", answer.text)


@pytest.mark.parametrize("room", ["console", "portal"])
@pytest.mark.parametrize(
    "query",
    [
        "q=%00&after=%00&user=%00&app=%00", "q=%FF&kind=%F0%9F%98%80", "q=" + "x" * 3000,
        "q=<script>alert(1)</script>&done=<script>alert(1)</script>", "q=' OR 1=1 --&sort=;drop",
        "after=x&page=-1&since=x&until=y", "after=" + "9" * 300 + "&page=99999999999999999999",
        "q=%25&q=_&since=9999999-01-01",
    ],
)  # fmt: skip
def test_strange_queries_fail_no_page(
    flow: OAuthFlow, room: str, query: str, request: pytest.FixtureRequest
) -> None:
    found: Found = request.getfixturevalue(room)
    with logged_in(flow, "admin" if room == "console" else "developer") as browser:
        for page in sorted(found.pages):
            browser.open(f"{flow.base}/auth/{page}?{query}")
            assert browser.status < 500, page
            assert "<script>alert" not in browser.text


ENDS_SOMETHING = re.compile(
    "/(delete|remove|end|end-all|state|approval|revoke|rotate|secret|keys|password|factor)$"
)
WRITTEN = ("text", "search", "url", "email", "date")


@pytest.mark.parametrize("room", ["console", "portal"])
@pytest.mark.parametrize("text", ["\0", "<script>alert(1)</script>", "x" * 3000, "\ud7ff", "' --"])
def test_strange_texts_fail_no_form(
    flow: OAuthFlow, room: str, text: str, request: pytest.FixtureRequest
) -> None:
    """Every text field of every form filled with it; what may be kept is shown as text."""
    found: Found = request.getfixturevalue(room)
    user = "admin" if room == "console" else "developer"
    with logged_in(flow, user) as browser:
        for page, form in found.forms.values():
            if ENDS_SOMETHING.search(form.action):
                continue
            browser.open(f"{flow.base}/auth/{page}")
            fresh = next(
                (
                    one
                    for one in browser.forms()
                    if one.method == "post" and one.names() == form.names()
                ),
                None,
            )
            if fresh is None:
                continue
            texts = {one.name for one in fresh.fields if one.kind in WRITTEN}
            browser.submit(fresh, {name: text for name in texts if name})
            assert browser.status < 500, page
            assert "<script>alert" not in browser.text
