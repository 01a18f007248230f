"""Introspection (RFC 7662) and revocation (RFC 7009)."""

from __future__ import annotations

from typing import Any

import pytest

from smart_auth import admin
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    ASSERTION_TYPE,
    PUBLIC_URL,
    Tab,
    add_backend,
    assertion,
    backend_key,
    code_form,
)

BASE = f"{PUBLIC_URL}/fhir/acme"
INTROSPECT = "/fhir/acme/auth/introspect"
REVOKE = "/fhir/acme/auth/revoke"
OLD = ("old", "old-secret")


@pytest.fixture
def body(tab: Tab) -> dict[str, Any]:
    """Tokens of the confidential app."""
    tab.authorize(client_id="old").login("ann").allow()
    form = code_form(tab.sent_back["code"], client_id=None)
    return dict(tab.client.post("/fhir/acme/auth/token", data=form, auth=OLD).get_json())


def test_an_own_access_token(tab: Tab, body: dict[str, Any]) -> None:
    answer = tab.client.post(INTROSPECT, data={"token": body["access_token"]}, auth=OLD)
    seen = answer.get_json()
    assert seen["active"] is True
    assert seen["scope"] == body["scope"]
    assert seen["client_id"] == "old"
    assert seen["patient"] == "p1"
    assert seen["iss"] == seen["aud"] == BASE
    assert seen["fhirUser"] == f"{BASE}/Patient/p1"
    assert seen["exp"] - seen["iat"] == 3600
    assert seen["sub"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_an_own_refresh_token(tab: Tab, body: dict[str, Any]) -> None:
    ask = {"token": body["refresh_token"], "token_type_hint": "refresh_token"}
    seen = tab.client.post(INTROSPECT, data=ask, auth=OLD).get_json()
    assert (seen["active"], seen["client_id"]) == (True, "old")


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_unknown_tokens_are_inactive(tab: Tab, token: str) -> None:
    answer = tab.client.post(INTROSPECT, data={"token": token}, auth=OLD)
    assert (answer.status_code, answer.get_json()) == (200, {"active": False})


def test_tokens_of_others_are_inactive_except_to_a_resource_server(
    tab: Tab, body: dict[str, Any], store: AuthStore
) -> None:
    other = ("secret", "s3cret +%/é")
    ask = {
        "token": body["access_token"],
        "client_id": other[0],
        "client_secret": other[1],
    }
    assert tab.client.post(INTROSPECT, data=ask).get_json() == {"active": False}
    client = store.clients.get("acme", "secret")
    assert client is not None
    admin.change_client(store, client, may_introspect=True)
    assert tab.client.post(INTROSPECT, data=ask).get_json()["active"] is True


def test_a_public_app_asks_with_its_own_token(tab: Tab) -> None:
    tab.authorize().login("ann").allow()
    body = tab.client.post(
        "/fhir/acme/auth/token", data=code_form(tab.sent_back["code"])
    ).get_json()
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    ask = {"token": body["access_token"]}
    assert tab.client.post(INTROSPECT, data=ask, headers=bearer).get_json()["active"] is True
    bad = {"Authorization": "Bearer nonsense"}
    assert tab.client.post(INTROSPECT, data=ask, headers=bad).status_code == 401
    named = tab.client.post(INTROSPECT, data=ask | {"client_id": "public"})
    assert (named.status_code, named.get_json()["error"]) == (401, "unauthorized_client")
    assert tab.client.post(INTROSPECT, data=ask).status_code == 401


def test_a_keyed_client_asks_with_an_assertion(tab: Tab, store: AuthStore) -> None:
    key = backend_key()
    add_backend(store, key)
    proof = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(key, "backend"),
        "token": "x",
    }
    assert tab.client.post(INTROSPECT, data=proof).get_json() == {"active": False}


@pytest.mark.parametrize("endpoint", [INTROSPECT, REVOKE])
def test_a_token_is_needed(tab: Tab, endpoint: str) -> None:
    answer = tab.client.post(endpoint, data={}, auth=OLD)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert answer.get_json()["error_description"]
    assert tab.client.get(endpoint).status_code == 405
    assert tab.client.options(endpoint).status_code == 204


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_both(
    tab: Tab, body: dict[str, Any], server: AuthServer, kind: str
) -> None:
    answer = tab.client.post(REVOKE, data={"token": body[kind]}, auth=OLD)
    assert (answer.status_code, answer.get_json()) == (200, {})
    with pytest.raises(InvalidToken, match="revoked"):
        server.verify("acme", body["access_token"])
    for token in (body["access_token"], body["refresh_token"]):
        seen = tab.client.post(INTROSPECT, data={"token": token}, auth=OLD)
        assert seen.get_json() == {"active": False}
    refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    again = tab.client.post("/fhir/acme/auth/token", data=refresh, auth=OLD)
    assert again.get_json()["error"] == "invalid_grant"
    assert tab.client.post(REVOKE, data={"token": body[kind]}, auth=OLD).status_code == 200


def test_revoking_an_unknown_token_is_fine(tab: Tab) -> None:
    form = {"token": "nonsense", "token_type_hint": "anything"}
    assert tab.client.post(REVOKE, data=form, auth=OLD).status_code == 200


def test_nobody_revokes_for_others(tab: Tab, body: dict[str, Any], server: AuthServer) -> None:
    form = {"token": body["access_token"], "client_id": "public"}
    answer = tab.client.post(REVOKE, data=form)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert server.verify("acme", body["access_token"])
    assert tab.client.post(REVOKE, data={"token": body["access_token"]}).status_code == 400
