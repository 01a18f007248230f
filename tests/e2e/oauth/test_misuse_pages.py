"""Misuse of the pages a browser sees: where a login leads, whose session it is, what other sites
and forged headers can do (RFC 9700 sections 4.1, 4.7 and 4.16).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import pytest
import requests

from smart_auth import keyring
from tests.support.demo_tokens import http_session
from tests.support.oauth_browser import OwnBrowser, field
from tests.support.oauth_checks import later, log_in
from tests.support.oauth_flow import OAuthFlow

SESSION, BROWSER = "smart_session", "smart_browser"
OWN_PAGES = ("manage", "account", "account/factor", "portal", "console", "log", "signup")


def person_of(flow: OAuthFlow, user: str) -> dict[str, str]:
    demo = flow.demo.demo
    found: dict[str, str] = demo["users"].get(user) or demo[user]
    return found


def logged_in(flow: OAuthFlow, user: str, page: str = "manage") -> OwnBrowser:
    browser = OwnBrowser()
    browser.open(f"{flow.base}/auth/{page}")
    log_in(browser, person_of(flow, user))
    return browser


# --- where a login leads --------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "../../../demo/ehr",
    "manage/../../../../evil",
    "manage?x=//evil.example",
    "manage#//evil.example",
    "manage\r\nLocation: https://evil.example",
    "%2f%2fevil.example",
    "@evil.example",
    ".evil.example",
    "\x00manage",
    "manage ",
    "x" * 5000,
]


@pytest.mark.parametrize("back", ELSEWHERE)
def test_a_login_leads_to_pages_of_ours_only(flow: OAuthFlow, back: str) -> None:
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        form = browser.form("username", "password")
        person = person_of(flow, "patient")
        answer = browser.session.post(
            f"{flow.base}/auth/login",
            data={
                "csrf": field(form, "csrf"),
                "request": "",
                "back": back,
                "username": person["username"],
                "password": person["password"],
            },
            allow_redirects=False,
            timeout=30,
        )
    assert answer.status_code == 303
    target = answer.headers["Location"]
    assert re.fullmatch(r"/fhir/acme/auth/[a-z/]+", target) or len(target) > 5000
    assert urlsplit(target).netloc == ""
    assert target.startswith("/fhir/acme/auth/")


@pytest.mark.parametrize("name", ["request", "back"])
@pytest.mark.parametrize("value", ["https://evil.example/", '"><script>alert(1)</script>', "a\0"])
def test_a_wrong_login_shows_what_was_sent_escaped(flow: OAuthFlow, name: str, value: str) -> None:
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        form = browser.form("username", "password")
        sent = {
            "csrf": field(form, "csrf"),
            "username": value,
            "password": "x",
            "request": "",
            name: value,
        }
        browser.session.headers["Accept"] = "text/html"
        answer = browser.session.post(
            f"{flow.base}/auth/login", data=sent, allow_redirects=False, timeout=30
        )
    assert 400 <= answer.status_code < 500
    assert "<script" not in answer.text
    assert 'href="https://evil' not in answer.text


@pytest.mark.parametrize("provider", ["nobody", "..", "https:evil.example", "a%2Fb", "%00"])
def test_no_provider_that_is_not_set(flow: OAuthFlow, provider: str) -> None:
    for path in (f"federated/{provider}", f"federated/{provider}/callback?code=x&state=y"):
        answer = flow.get(f"{flow.base}/auth/{path}")
        assert 400 <= answer.status_code < 500
        assert "Location" not in answer.headers


# --- sessions -----------------------------------------------------------------------------------


def test_a_login_makes_a_new_session_whatever_the_browser_brought(flow: OAuthFlow) -> None:
    planted = keyring.random_token()
    with OwnBrowser() as browser:
        path = urlsplit(flow.base).path + "/auth"
        browser.session.cookies.set(SESSION, planted, domain="127.0.0.1", path=path)
        browser.open(f"{flow.base}/auth/manage")
        assert "password" in browser.text
        log_in(browser, person_of(flow, "patient"))
        assert browser.status == 200
        values = {one.value for one in browser.session.cookies if one.name == SESSION}
    assert values
    assert planted not in values
    assert not opens(flow, planted)


def opens(flow: OAuthFlow, value: str) -> bool:
    """Whether a session cookie shows somebody's apps."""
    header = {"Cookie": f"{SESSION}={value}"}
    answer = flow.get(f"{flow.base}/auth/manage", headers=header)
    return answer.status_code == 200 and "password" not in answer.text


def test_a_second_login_ends_the_first_session_of_the_browser(flow: OAuthFlow) -> None:
    with logged_in(flow, "patient") as browser:
        first = browser.cookie(SESSION)
        assert first is not None
        assert opens(flow, first)
        sent, _ = flow.query(prompt="login")
        browser.stop_at = flow.redirect_uri
        browser.open(flow.authorize_url(sent))
        log_in(browser, person_of(flow, "practitioner"))
        second = browser.cookie(SESSION)
    assert second not in (None, first)
    assert not opens(flow, first)


def test_a_logout_ends_the_session_for_whoever_copied_it(flow: OAuthFlow) -> None:
    with logged_in(flow, "patient") as browser:
        value = browser.cookie(SESSION)
        assert value is not None
        form = next(one for one in browser.forms() if one.action.endswith("/logout"))
        browser.submit(form)
        assert browser.cookie(SESSION) is None
    assert not opens(flow, value)


@pytest.mark.parametrize(
    "value", ["", "x", "a" * 43, "../..", "'; DROP TABLE session;--", "\u00e9", "a\0b", "x" * 3500]
)
def test_a_made_up_session_is_none(flow: OAuthFlow, value: str) -> None:
    answer = flow.get(
        f"{flow.base}/auth/manage",
        headers={"Cookie": f"{SESSION}={value}".encode()},
    )
    assert answer.status_code in (200, 400)
    assert "password" in answer.text or answer.status_code == 400


def test_an_expired_session_is_none(flow: OAuthFlow) -> None:
    with logged_in(flow, "patient") as browser:
        value = browser.cookie(SESSION)
    assert value is not None
    digest = keyring.hash_token(value)
    flow.age("UPDATE session SET expires_at = 1 WHERE session_hash = ?", digest)
    assert not opens(flow, value)


def test_every_cookie_is_held_tight(flow: OAuthFlow) -> None:
    """HttpOnly, SameSite=Lax, the tenant's pages only, no domain."""
    with http_session() as own:
        first = own.get(f"{flow.base}/auth/manage", timeout=30)
        csrf = re.search(r'name="csrf" value="([^"]+)"', first.text)
        assert csrf
        second = own.post(
            f"{flow.base}/auth/login",
            data={"csrf": csrf[1], "request": "", **person_of(flow, "patient")},
            allow_redirects=False,
            timeout=30,
        )
    seen: SimpleCookie = SimpleCookie()
    for answer in (first, second):
        seen.load(answer.headers["Set-Cookie"])
    assert {SESSION, BROWSER} <= set(seen)
    for morsel in seen.values():
        assert morsel["httponly"]
        assert morsel["samesite"] == "Lax"
        assert morsel["path"] == "/fhir/acme/auth"
        assert not morsel["domain"]
        assert not morsel["max-age"]


# --- framing, caching, other sites ----------------------------------------------------------------


def careful(answer: requests.Response) -> None:
    """The headers of a page that may not be framed, cached, sniffed or scripted."""
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "<script" not in answer.text
    assert not re.search(r"""<[^>]+\son[a-z]+\s*=""", answer.text)
    assert " style=" not in answer.text


@pytest.mark.parametrize("page", OWN_PAGES)
@pytest.mark.parametrize("user", [None, "patient", "practitioner", "developer", "admin"])
def test_own_pages_are_careful(flow: OAuthFlow, page: str, user: str | None) -> None:
    browser = OwnBrowser() if user is None else logged_in(flow, user)
    with browser:
        careful(browser.session.get(f"{flow.base}/auth/{page}", timeout=30))


@pytest.mark.parametrize("path", ["continue?request=x", "open?ticket=x", "login", "consent"])
def test_problem_pages_are_careful(flow: OAuthFlow, path: str) -> None:
    careful(flow.get(f"{flow.base}/auth/{path}", headers={"Accept": "text/html"}))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["manage", "authorize", "account", "console", "portal"])
def test_pages_are_not_open_to_other_origins(flow: OAuthFlow, path: str, origin: str) -> None:
    url = f"{flow.base}/auth/{path}"
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert "Access-Control-Allow-Origin" not in flow.get(url, headers=asked).headers
    answer = flow.http.options(url, headers=asked, timeout=30)
    assert "Access-Control-Allow-Credentials" not in answer.headers


FORMS = {
    "login": {"username": "patient", "password": "x", "request": ""},
    "factor": {"half": "x", "code": "000000", "request": ""},
    "enrol": {"half": "x", "request": ""},
    "patient": {"request": "x", "patient": "x", "action": "continue"},
    "consent": {"request": "x", "decision": "allow"},
    "manage": {"grant": "x"},
    "logout": {},
    "account/password": {"old": "x", "new": "y" * 12, "again": "y" * 12},
    "account/factor": {"kind": "none", "password": "x"},
    "account/sessions": {"session": "others"},
}


@pytest.mark.parametrize(
    "csrf", [None, "", "x", "0" * 64, "of another purpose", "another browser's"]
)
@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_site_changes_nothing(
    flow: OAuthFlow, path: str, csrf: str | None
) -> None:
    with logged_in(flow, "patient") as browser, OwnBrowser() as other:
        value = browser.cookie(SESSION)
        assert value is not None
        given: dict[str, str] = {} if csrf is None else {"csrf": csrf}
        if csrf == "of another purpose":
            browser.open(f"{flow.base}/auth/account")
            wanted = path != "logout"
            forms = browser.forms()
            form = next(one for one in forms if one.action.endswith("/logout") is wanted)
            given = {"csrf": field(form, "csrf")}
        elif csrf == "another browser's":
            other.open(f"{flow.base}/auth/manage")
            given = {"csrf": field(other.forms()[0], "csrf")}
        answer = browser.session.post(
            f"{flow.base}/auth/{path}",
            data={**FORMS[path], **given},
            headers={"Origin": "https://evil.example"},
            allow_redirects=False,
            timeout=30,
        )
    assert answer.status_code == 400
    assert opens(flow, value)


# --- forged headers -----------------------------------------------------------------------------

FORGED_HOSTS = [
    {"Host": "evil.example"},
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"X-Original-URL": "/fhir/zenith/auth/manage"},
    {"X-Rewrite-URL": "/fhir/zenith/auth/manage"},
    {"X-Script-Name": "/evil"},
]


@pytest.mark.parametrize("forged", FORGED_HOSTS, ids=lambda one: next(iter(one)))
@pytest.mark.parametrize(
    "path",
    [
        ".well-known/smart-configuration",
        ".well-known/openid-configuration",
        "metadata",
        "auth/manage",
        "auth/continue?request=x",
        "auth/authorize",
    ],
)
def test_a_forged_host_is_repeated_nowhere(
    flow: OAuthFlow, path: str, forged: dict[str, str]
) -> None:
    answer = flow.get(f"{flow.base}/{path}", headers=forged)
    told = answer.text + str(dict(answer.headers))
    assert "evil" not in told
    assert "zenith" not in told
    if path.startswith(".well-known"):
        assert answer.json()["issuer"] == flow.base


@pytest.mark.parametrize("forged", FORGED_HOSTS, ids=lambda one: next(iter(one)))
def test_a_forged_host_changes_no_way_of_a_launch(flow: OAuthFlow, forged: dict[str, str]) -> None:
    sent, _ = flow.query()
    answer = flow.post("authorize", sent, headers=forged)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/fhir/acme/auth/continue?")


@pytest.fixture
def guesser(flow: OAuthFlow) -> Iterator[OwnBrowser]:
    """A browser at an address of its own, with a login form open."""
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        yield browser


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "X-Client-IP"]
)
def test_guessing_is_slowed_whatever_address_is_claimed(
    flow: OAuthFlow, guesser: OwnBrowser, header: str
) -> None:
    """Failures count for user name and address together: elsewhere the person can log in."""
    name = f"nobody-{header.lower()}"
    for attempt in range(40):
        guesser.session.headers[header] = f"10.0.0.{attempt}"
        log_in(guesser, {"username": name, "password": f"guess-{attempt}"})
        if guesser.status == 429:
            break
    assert 4 < attempt < 39
    with OwnBrowser() as elsewhere:
        elsewhere.open(f"{flow.base}/auth/manage")
        log_in(elsewhere, {"username": name, "password": "one more"})
        assert elsewhere.status == 403


def test_a_right_password_does_not_end_the_delay(flow: OAuthFlow, guesser: OwnBrowser) -> None:
    person = person_of(flow, "developer")
    log_in(guesser, {"username": person["username"], "password": "a guess"})
    subject = keyring.hash_token(f"{person['username']}/{guesser.address}")
    flow.age("UPDATE login_failure SET blocked_until = ? WHERE subject = ?", later(3600), subject)
    log_in(guesser, person)
    assert guesser.status == 429
    assert "password" in guesser.text
    assert guesser.cookie(SESSION) is None


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("practitioner ", None),
        (" practitioner", None),
        ("PRACTITIONER\0", None),
        ("practitioner\0", None),
        ("practitioner%00", None),
        ("' OR '1'='1' --", "x"),
        ("*", "*"),
        ("practitioner", "' OR '1'='1"),
        ("practitioner", ""),
        ("", ""),
        ("practitioner", "\0"),
        ("pract\u0456tioner", None),
        ("practitioner", "x" * 60_000),
    ],
    ids=repr,
)
def test_no_other_name_or_password_lets_in(
    flow: OAuthFlow, username: str, password: str | None
) -> None:
    person = person_of(flow, "practitioner")
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        log_in(
            browser,
            {
                "username": username,
                "password": person["password"] if password is None else password,
            },
        )
        assert 400 <= browser.status < 500
        assert browser.cookie(SESSION) is None
