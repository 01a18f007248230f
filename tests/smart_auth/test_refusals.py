"""What an app's developer is told of refused requests, and what never gets there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.ports import Refusal, Step
from smart_auth.records import User
from smart_auth.refusals import LONGEST, refusal, scope_words, without_query
from smart_auth.server import AuthServer
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    ASSERTION_TYPE,
    PUBLIC_URL,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    Tab,
    add_backend,
    assertion,
    authorize_query,
    backend_form,
    backend_key,
    code_form,
    make_app,
)

BASE = f"{PUBLIC_URL}/fhir/acme"
AUTHORIZE, TOKEN = "/fhir/acme/auth/authorize", "/fhir/acme/auth/token"
KEY = backend_key()
CANARY = "canary7f3a"


def only(facade: FakeFacade, client_id: str) -> Refusal:
    (shown,) = facade.refusals("acme", client_id)
    return shown.refusal


AT_AUTHORIZE: list[tuple[dict[str, str | None], str, str, str]] = [
    ({"redirect_uri": f"https://evil.example/cb?t={CANARY}"}, "redirect", REDIRECT,
     "https://evil.example/cb"),
    ({"redirect_uri": None}, "redirect", REDIRECT, ""),
    ({"response_type": "token"}, "request", "code", "token"),
    ({"response_mode": "fragment"}, "request", "query", "fragment"),
    ({"aud": f"https://x.example/fhir?t={CANARY}"}, "aud", BASE, "https://x.example/fhir"),
    ({"aud": CANARY}, "aud", BASE, "(not an address)"),
    ({"aud": None}, "aud", BASE, ""),
    ({"code_challenge": None}, "pkce", "code_challenge", ""),
    ({"code_challenge_method": "plain"}, "pkce", "S256", "plain"),
    ({"code_challenge": CANARY}, "pkce", "43 to 128 characters of A-Z a-z 0-9 - . _ ~",
     "10 characters"),
    ({"launch": CANARY}, "launch", "a launch value made for this app, unused", ""),
    ({"scope": "system/*.rs"}, "scope", "", "system/*.rs"),
    ({"scope": f"{CANARY} patient/Nope.rs"}, "scope", "", "patient/Nope.rs (1 more)"),
    ({"prompt": "none"}, "login", "", ""),
    ({"max_age": "soon"}, "login", "", ""),
    ({"state": None}, "request", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "step", "expected", "received"), AT_AUTHORIZE)
def test_at_authorize(
    tab: Tab,
    facade: FakeFacade,
    changes: dict[str, str | None],
    step: str,
    expected: str,
    received: str,
) -> None:
    tab.authorize(nonce=CANARY, login_hint=CANARY, **({"state": CANARY} | changes))
    traced = only(facade, "public")
    assert (traced.step, traced.received) == (step, received)
    assert traced.expected == expected or (step == "scope" and "patient/*.cruds" in traced.expected)
    assert traced.text
    assert CANARY not in repr(facade.events)


def test_after_the_login(tab: Tab, facade: FakeFacade, store: AuthStore) -> None:
    tab.authorize().login("ann").deny()
    assert only(facade, "public").step == "consent"
    client = store.clients.get("acme", "public")
    assert client is not None
    facade.events.clear()
    admin.change_client(store, client, approved_at=None)
    tab.authorize()
    assert tab.sent_back["error"] == "unauthorized_client"
    assert only(facade, "public").step == "approval"
    facade.events.clear()
    admin.change_client(store, client)
    tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")
    tab.authorize().login("idle")
    assert only(facade, "public").step == "compartment"


def test_an_unknown_app_has_no_trace(tab: Tab, facade: FakeFacade) -> None:
    tab.authorize(client_id=CANARY)
    tab.client.post(TOKEN, data=code_form("x", client_id=CANARY))
    assert [event.refusal for event in facade.events] == [None, None]
    assert CANARY not in repr(facade.events)


AT_TOKEN: list[tuple[dict[str, str | None], str, str, str]] = [
    ({"grant_type": "password"}, "request",
     "authorization_code refresh_token client_credentials", "password"),
    ({"grant_type": None}, "request", "authorization_code refresh_token client_credentials", ""),
    ({"code": CANARY}, "code", "", ""),
    ({"code": None}, "request", "", ""),
    ({"redirect_uri": f"http://localhost:8765/other?t={CANARY}"}, "redirect", REDIRECT,
     "http://localhost:8765/other"),
    ({"code_verifier": None}, "pkce", "code_verifier (S256)", ""),
    ({"code_verifier": "w" * 64}, "pkce", "", ""),
    ({"client_secret": CANARY}, "client", "none", "client_secret_post"),
    ({"grant_type": "refresh_token", "refresh_token": CANARY}, "refresh", "", ""),
    ({"grant_type": "client_credentials"}, "client", "private_key_jwt", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "step", "expected", "received"), AT_TOKEN)
def test_at_token(
    tab: Tab,
    facade: FakeFacade,
    changes: dict[str, str | None],
    step: str,
    expected: str,
    received: str,
) -> None:
    tab.authorize().login("ann").allow()
    code = tab.sent_back["code"]
    facade.events.clear()
    answer = tab.client.post(TOKEN, data=code_form(**({"code": code} | changes)))
    assert answer.status_code == 400
    traced = only(facade, "public")
    assert (traced.step, traced.received) == (step, received)
    assert traced.expected == expected
    assert traced.error == answer.get_json()["error"]
    assert CANARY not in repr(facade.events)
    assert code not in repr(facade.events)


AT_ASSERTION: list[tuple[dict[str, Any], str, str]] = [
    ({"header": {"kid": "other"}}, "k1 (EC)", "other (ES384)"),
    ({"header": {"jku": f"https://x.example/jwks?{CANARY}"}}, "no jku: the keys are inline",
     "https://x.example/jwks"),
    ({"aud": f"https://x.example/token?t={CANARY}"}, f"{BASE}/auth/token",
     "https://x.example/token"),
    ({"aud": f"{BASE}/auth"}, f"{BASE}/auth/token", f"{BASE}/auth"),
    ({"jti": None}, "", ""),
    ({"exp": 1}, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected", "received"), AT_ASSERTION)
def test_at_an_assertion(
    http: FlaskClient,
    store: AuthStore,
    facade: FakeFacade,
    changes: dict[str, Any],
    expected: str,
    received: str,
) -> None:
    add_backend(store, KEY)
    signed = assertion(KEY, "backend", **changes)
    assert http.post(TOKEN, data=backend_form(signed)).status_code == 400
    traced = only(facade, "backend")
    assert (traced.step, traced.expected, traced.received) == ("assertion", expected, received)
    assert signed not in repr(facade.events)
    assert CANARY not in repr(facade.events)


def test_a_scope_a_backend_may_not_have(
    http: FlaskClient, store: AuthStore, facade: FakeFacade
) -> None:
    add_backend(store, KEY, scope="system/Patient.rs")
    http.post(TOKEN, data=backend_form(assertion(KEY, "backend"), "patient/*.rs"))
    traced = only(facade, "backend")
    assert (traced.step, traced.expected, traced.received) == (
        "scope",
        "system/Patient.rs",
        "patient/*.rs",
    )


@pytest.mark.parametrize("endpoint", ["introspect", "revoke"])
def test_at_the_other_endpoints(tab: Tab, facade: FakeFacade, endpoint: str) -> None:
    url = f"/fhir/acme/auth/{endpoint}"
    tab.client.post(url, data={"x": "y"}, auth=("old", "old-secret"))
    tab.client.post(url, data={"token": CANARY}, auth=("old", CANARY))
    second, first = facade.refusals("acme", "old")
    assert (first.endpoint, first.refusal.step) == (endpoint, "token")
    assert (second.endpoint, second.refusal.step) == (endpoint, "client")
    assert CANARY not in repr(facade.events)


def test_a_token_of_another_client(tab: Tab, facade: FakeFacade) -> None:
    tab.authorize().login("ann").allow()
    body = tab.client.post(TOKEN, data=code_form(tab.sent_back["code"])).get_json()
    form = {"token": body["access_token"]}
    tab.client.post("/fhir/acme/auth/revoke", data=form, auth=("old", "old-secret"))
    assert only(facade, "old").step == "token"


@pytest.mark.parametrize("endpoint", ["authorize", "token", "introspect", "revoke"])
def test_the_first_request_too_many_is_traced(
    store: AuthStore, facade: FakeFacade, people: dict[str, User], endpoint: str
) -> None:
    limits = Limits(
        authorizations_per_minute=2, token_requests_per_minute=2, introspections_per_minute=2
    )
    server = AuthServer(store, facade, replace(SETTINGS, limits=limits))
    http = make_app(server).test_client()
    pair = base64.b64encode(b"old:old-secret").decode()
    for _ in range(10):
        if endpoint == "authorize":
            answer = http.get(AUTHORIZE, query_string=authorize_query(client_id="old"))
        else:
            answer = http.post(
                f"/fhir/acme/auth/{endpoint}",
                data={"token": "x", "grant_type": "refresh_token", "refresh_token": "x"},
                headers={"Authorization": f"Basic {pair}"},
            )
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    steps = [shown.refusal.step for shown in facade.refusals("acme", "old")]
    assert 1 <= steps.count("rate") <= 2


def test_a_request_in_a_wrong_form(http: FlaskClient, facade: FakeFacade) -> None:
    answer = http.post(TOKEN, json={"grant_type": "x"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert [event.outcome for event in facade.events] == ["refused"]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://a.example/b?c=d", "https://a.example/b"),
        ("https://a.example/b#c", "https://a.example/b"),
        ("https://ann:secret@a.example/b", "https://a.example/b"),
        ("com.example.app:/cb?code=1", "com.example.app:/cb"),
        ("some words", "(not an address)"),
        ("", ""),
    ],
)
def test_addresses_are_shown_without_what_they_carry(uri: str, shown: str) -> None:
    assert without_query(uri) == shown


def test_scopes_are_shown_when_they_look_like_scopes() -> None:
    text = "openid patient/Observation.rs?category=http://x|y Ann-Adams 1970-01-02"
    assert scope_words(text) == "openid patient/Observation.rs?category=http://x|y (2 more)"


def test_long_and_odd_values_are_cut() -> None:
    made = refusal("invalid_scope", "text", expected="a" * 500, received="b\r\n\x00é\u202ec")
    assert len(made.expected) == LONGEST
    assert made.received == "bc"
    assert made.step == "scope"


def test_the_steps_of_this_server_are_known(facade: FakeFacade) -> None:
    mapping: Mapping[str, str] = {
        "invalid_client": "client",
        "invalid_grant": "code",
        "invalid_scope": "scope",
        "access_denied": "consent",
        "login_required": "login",
        "server_error": "request",
    }
    for error, step in mapping.items():
        assert refusal(error, "text").step == step
        assert step in get_args(Step)


@pytest.mark.parametrize("alg", ["ES256", "HS256", "none"])
def test_an_assertion_in_another_algorithm(
    http: FlaskClient, store: AuthStore, facade: FakeFacade, alg: str
) -> None:
    add_backend(store, KEY)
    parts = assertion(KEY, "backend").split(".")
    head = base64.urlsafe_b64encode(f'{{"alg":"{alg}","kid":"k1","typ":"JWT"}}'.encode())
    signed = ".".join([head.decode().rstrip("="), *parts[1:]])
    assert http.post(TOKEN, data=backend_form(signed)).status_code == 400
    traced = only(facade, "backend")
    assert (traced.expected, traced.received) == ("RS384 ES384", alg)


@pytest.mark.parametrize("signed", ["", "x", "a.b.c", "a.W10.c", "a.é.c", "a." + "W" * 9000])
def test_an_assertion_of_nobody(http: FlaskClient, facade: FakeFacade, signed: str) -> None:
    assert http.post(TOKEN, data=backend_form(signed)).status_code == 400
    assert [event.client_id for event in facade.events] == [None]


def test_an_assertion_type_that_is_misspelt(
    http: FlaskClient, store: AuthStore, facade: FakeFacade
) -> None:
    add_backend(store, KEY)
    form = backend_form(assertion(KEY, "backend")) | {
        "client_assertion_type": "jwt-bearer",
        "client_id": "backend",
    }
    assert http.post(TOKEN, data=form).get_json()["error"] == "invalid_client"
    traced = only(facade, "backend")
    assert (traced.expected, traced.received) == (ASSERTION_TYPE, "jwt-bearer")
