"""Apps that wait for approval: their developer may try them, nobody else gets or keeps a token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.client_scope import wider
from smart_auth.records import Client, User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    KNOWN_TYPES,
    SETTINGS,
    Tab,
    add_backend,
    assertion,
    backend_form,
    backend_key,
    code_form,
)

TOKEN = "/fhir/acme/auth/token"
KEY = backend_key()


def wait(store: AuthStore, client_id: str, owner: str | None = None) -> None:
    """Take the approval of an app away."""
    client = store.clients.get("acme", client_id)
    assert client is not None
    admin.change_client(store, client, approved_at=None, approved_by=None, owner=owner)


def refused(answer: Any) -> None:
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")
    assert "awaits approval" in answer.get_json()["error_description"]


def test_a_backend_gets_nothing(
    http: FlaskClient, store: AuthStore, people: dict[str, User]
) -> None:
    add_backend(store, KEY)
    wait(store, "backend", people["doctor"].user_id)
    refused(http.post(TOKEN, data=backend_form(assertion(KEY, "backend"))))
    client = store.clients.get("acme", "backend")
    assert client is not None
    admin.approve_client(store, client, "operator")
    assert http.post(TOKEN, data=backend_form(assertion(KEY, "backend"))).status_code == 200


def test_a_code_and_a_refresh_token_of_another_user_are_not_taken(
    tab: Tab, store: AuthStore, server: AuthServer, people: dict[str, User]
) -> None:
    tab.authorize().login("ann").allow()
    body = tab.client.post(TOKEN, data=code_form(tab.sent_back["code"])).get_json()
    tab.authorize().allow()
    code = tab.sent_back["code"]
    wait(store, "public", people["doctor"].user_id)
    refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    refused(tab.client.post(TOKEN, data=refresh))
    refused(tab.client.post(TOKEN, data=code_form(code)))
    with pytest.raises(InvalidToken, match="not approved"):
        server.verify("acme", body["access_token"])
    wait(store, "public", people["ann"].user_id)
    assert tab.client.post(TOKEN, data=code_form(code)).status_code == 200
    assert tab.client.post(TOKEN, data=refresh).status_code == 200


OLD = ("old", "old-secret")


@pytest.mark.parametrize("change", ["approval", "user", "patient", "client"])
def test_introspection_calls_a_refresh_token_active_only_while_it_would_be_taken(
    tab: Tab, store: AuthStore, people: dict[str, User], change: str
) -> None:
    admin.create_client(
        store, "acme", {"client_id": "rs", "client_secret": "s" * 20, "may_introspect": True}
    )
    tab.authorize(client_id="old").login("ann").allow()
    form = code_form(tab.sent_back["code"], client_id=None)
    token = tab.client.post(TOKEN, data=form, auth=OLD).get_json()["refresh_token"]

    def active() -> bool:
        ask = {"token": token}
        seen = tab.client.post("/fhir/acme/auth/introspect", data=ask, auth=("rs", "s" * 20))
        return bool(seen.get_json()["active"])

    assert active()
    if change == "approval":
        wait(store, "old")
    elif change == "user":
        admin.change_user(store, people["ann"], active=False)
    elif change == "patient":
        admin.change_user(store, people["ann"], patients=frozenset())
    else:
        admin.deactivate_client(store, "acme", "old")
    assert not active()


@pytest.mark.parametrize(
    ("demo", "said", "rule"),
    [
        (True, None, "automatic"),
        (False, None, "required"),
        (True, "required", "required"),
        (False, "automatic", "automatic"),
    ],
)
def test_the_rule_in_force(demo: bool, said: Any, rule: str) -> None:
    url = "http://127.0.0.1" if demo else "https://fhir.example"
    settings = AuthSettings(url, SETTINGS.secret_keys, demo=demo, approve_apps=said)
    assert settings.app_approval == rule


APP = Client(
    "acme",
    "app",
    "App",
    "client_secret_basic",
    "openid patient/*.rs",
    redirect_uris=("https://app.example/cb",),
    grant_types=("authorization_code",),
    valid_to=2_000_000_000,
)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, False),
        ({"scope": "patient/Patient.r"}, False),
        ({"redirect_uris": ()}, False),
        ({"valid_to": 1_900_000_000}, False),
        ({"auth_method": "private_key_jwt"}, False),
        ({"details": {"client_uri": "https://app.example/"}}, False),
        ({"scope": "openid patient/*.cruds"}, True),
        ({"scope": "openid patient/*.rs user/Patient.r"}, True),
        ({"redirect_uris": ("https://other.example/",)}, True),
        ({"launch_uri": "https://app.example/launch"}, True),
        ({"auth_method": "none"}, True),
        ({"grant_types": ("authorization_code", "refresh_token")}, True),
        ({"valid_to": None}, True),
        ({"name": "Another"}, True),
    ],
)
def test_what_makes_an_app_more_than_it_was(changes: dict[str, Any], more: bool) -> None:
    assert bool(wider(APP, replace(APP, **changes), KNOWN_TYPES)) is more
