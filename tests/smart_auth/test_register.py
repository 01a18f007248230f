"""Dynamic registration (RFC 7591) and its management (RFC 7592)."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.admin import InvalidClientMetadata
from smart_auth.admin.registration import (
    list_initial_tokens,
    make_initial_token,
    revoke_initial_token,
)
from smart_auth.client_metadata import client_from_metadata
from smart_auth.records import Client, User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.settings import AuthSettings, Limits
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PUBLIC_URL,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    Tab,
    assertion,
    backend_form,
    backend_key,
    code_form,
    make_app,
    public_jwks,
)

URL = "/fhir/acme/auth/register"
TOKEN = "/fhir/acme/auth/token"
APP = {"redirect_uris": [REDIRECT], "client_name": "Mine", "scope": "launch/patient patient/*.rs"}
DAY = 86_400


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def closed(store: AuthStore, facade: FakeFacade) -> FlaskClient:
    """A server outside the demo."""
    settings = AuthSettings(
        PUBLIC_URL.replace("http:", "https:"),
        SETTINGS.secret_keys,
        limits=replace(Limits(), registrations_per_minute=1000),
    )
    return make_app(AuthServer(store, facade, settings)).test_client()


def initial_token(store: AuthStore, **more: Any) -> str:
    return make_initial_token(store, "acme", "Ann's app", "operator", **more).value


def registered(http: FlaskClient, **metadata: Any) -> dict[str, Any]:
    answer = http.post(URL, json=APP | metadata)
    assert answer.status_code == 201, answer.get_json()
    return dict(answer.get_json())


def stored(store: AuthStore, client_id: str) -> Client:
    client = store.clients.get("acme", client_id)
    assert client is not None
    return client


class TestOpenInTheDemo:
    def test_a_confidential_app_by_default(self, http: FlaskClient, store: AuthStore) -> None:
        more = {
            "client_id": "chosen",
            "groups": ["g1"],
            "whole_tenant": True,
            "pkce_optional": True,
            "may_launch": True,
            "may_introspect": True,
            "registration_hash": "x",
            "unknown": 1,
        }
        answer = http.post(URL, json=APP | more, headers={"Origin": "https://app.example"})
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Pragma"] == "no-cache"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        said = answer.get_json()
        assert said["client_id"] != "chosen"
        assert said["client_secret_expires_at"] == 0
        assert said["registration_client_uri"] == f"{PUBLIC_URL}{URL}/{said['client_id']}"
        assert (said["response_types"], said["token_endpoint_auth_method"]) == (
            ["code"],
            "client_secret_basic",
        )
        client = stored(store, said["client_id"])
        assert client.check_client_secret(said["client_secret"])
        assert said["registration_access_token"] not in repr(vars(client))
        assert client.approved_by == "automatic"
        assert not client.groups
        for flag in ("whole_tenant", "pkce_optional", "may_launch", "may_introspect"):
            assert getattr(client, flag) is False
        assert store.clients.get("beta", said["client_id"]) is None

    def test_a_public_and_a_backend_app(self, http: FlaskClient) -> None:
        assert "client_secret" not in registered(http, token_endpoint_auth_method="none")
        key = backend_key()
        backend = {"jwks": public_jwks(key), "token_endpoint_auth_method": "private_key_jwt"}
        said = http.post(URL, json=backend).get_json()
        assert said["grant_types"] == ["client_credentials"]
        assert said["jwks"] == public_jwks(key)
        form = backend_form(assertion(key, said["client_id"]))
        assert http.post(TOKEN, data=form).status_code == 200

    def test_what_it_says_of_itself_comes_back(self, http: FlaskClient) -> None:
        details = {
            "client_uri": "https://app.example/",
            "logo_uri": "https://app.example/logo.png",
            "tos_uri": "https://app.example/tos",
            "policy_uri": "http://localhost/policy",
            "contacts": ["ann@app.example", "https://app.example/help", "tel:+1-555-010;ext=9"],
            "software_id": "4NRB1-0XZABZI9E6-5SM3R",
            "software_version": "2.1",
            "client_name#ja-Jpan-JP": "わたしの",
            "tos_uri#fr": "https://app.example/fr",
        }
        said = registered(http, **details)
        assert {name: said[name] for name in details} == details
        seen = http.get(
            f"{URL}/{said['client_id']}", headers=bearer(said["registration_access_token"])
        )
        assert {name: seen.get_json()[name] for name in details} == details

    @pytest.mark.parametrize(
        ("body", "error", "says"),
        [
            ({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri", "https"),
            ({"redirect_uris": [REDIRECT + "#x"]}, "invalid_redirect_uri", "fragment"),
            ({"redirect_uris": []}, "invalid_client_metadata", "private_key_jwt"),
            ({"redirect_uris": REDIRECT}, "invalid_client_metadata", "list"),
            ({"redirect_uris": [f"https://x/{n}" for n in range(51)]}, "invalid_redirect_uri",
             "At most 50"),
            ({"redirect_uris": ["https://x/" + "y" * 2000]}, "invalid_redirect_uri", "https"),
            ({"redirect_uris": ["https://x/\ud800"]}, "invalid_redirect_uri", "https"),
            (APP | {"scope": "a\0b"}, "invalid_client_metadata", "scope"),
            (APP | {"scope": "a\ud800"}, "invalid_client_metadata", "scope"),
            (APP | {"scope": 'a"b'}, "invalid_client_metadata", "scope"),
            (APP | {"scope": "x" * 10_001}, "invalid_client_metadata", "scope"),
            (APP | {"client_name": "\ud800"}, "invalid_client_metadata", "client_name"),
            ({"jwks_uri": "http://x/\0", "token_endpoint_auth_method": "private_key_jwt"},
             "invalid_client_metadata", "jwks_uri"),
            ({"jwks_uri": "ftp://x/", "token_endpoint_auth_method": "private_key_jwt"},
             "invalid_client_metadata", "jwks_uri"),
            (APP | {"scope": 5}, "invalid_client_metadata", "scope"),
            (APP | {"client_uri": "javascript:alert(1)"}, "invalid_client_metadata", "client_uri"),
            (APP | {"logo_uri": "http://app.example/x"}, "invalid_client_metadata", "logo_uri"),
            (APP | {"tos_uri#fr": "ftp://x/"}, "invalid_client_metadata", "tos_uri"),
            (APP | {"policy_uri": "https://x/" + "y" * 2000}, "invalid_client_metadata", "policy"),
            (APP | {"policy_uri": 5}, "invalid_client_metadata", "policy_uri"),
            (APP | {"contacts": "ann@x"}, "invalid_client_metadata", "contacts"),
            (APP | {"contacts": ["a@b.example"] * 11}, "invalid_client_metadata", "contacts"),
            (APP | {"contacts": ["a@b.example", "Ann"]}, "invalid_client_metadata", "e-mail"),
            (APP | {"contacts": ["javascript:alert(1)"]}, "invalid_client_metadata", "e-mail"),
            (APP | {"contacts": ["http://localhost/"]}, "invalid_client_metadata", "e-mail"),
            (APP | {"software_id": "x" * 256}, "invalid_client_metadata", "software_id"),
            (APP | {"software_version": 2}, "invalid_client_metadata", "software_version"),
            (APP | {"client_name": "a\u202eb"}, "invalid_client_metadata", "client_name"),
            (APP | {"client_name": "x" * 201}, "invalid_client_metadata", "client_name"),
            (APP | {"response_types": ["token"]}, "invalid_client_metadata", "response_types"),
            (APP | {"grant_types": ["password"]}, "invalid_client_metadata", "grant_types"),
            (APP | {"grant_types": ["implicit"]}, "invalid_client_metadata", "grant_types"),
            (APP | {"software_statement": "eyJ"}, "unapproved_software_statement", "metadata"),
            (
                APP | {"token_endpoint_auth_method": "client_secret_jwt"},
                "invalid_client_metadata",
                "token_endpoint_auth_method",
            ),
            ([], "invalid_client_metadata", "JSON object"),
            ("x", "invalid_client_metadata", "JSON object"),
        ],
    )  # fmt: skip
    def test_bad_metadata_changes_nothing(
        self, http: FlaskClient, store: AuthStore, body: object, error: str, says: str
    ) -> None:
        answer = http.post(URL, json=body)
        assert (answer.status_code, answer.get_json()["error"]) == (400, error)
        assert says in answer.get_json()["error_description"]
        assert store.clients.list("acme") == []

    def test_it_must_be_json(self, http: FlaskClient) -> None:
        assert http.post(URL, data="{}").status_code == 400
        broken = http.post(URL, data="{", content_type="application/json")
        assert (broken.status_code, broken.get_json()["error"]) == (400, "invalid_client_metadata")

    def test_a_bad_token_is_refused_even_where_none_is_needed(self, http: FlaskClient) -> None:
        assert http.post(URL, json=APP, headers=bearer("nonsense")).status_code == 401
        basic = {"Authorization": "Basic eDp5"}
        assert http.post(URL, json=APP, headers=basic).status_code == 401

    def test_too_many_from_one_address_have_to_wait(self, store: AuthStore) -> None:
        settings = replace(SETTINGS, limits=Limits(registrations_per_minute=2))
        http = make_app(AuthServer(store, FakeFacade(), settings)).test_client()
        statuses = [http.post(URL, json=APP).status_code for _ in range(6)]
        assert set(statuses) == {201, 429}
        assert len(store.clients.list("acme")) == statuses.count(201)


class TestInitialAccessTokens:
    def test_none_is_401_with_a_bare_challenge(self, closed: FlaskClient) -> None:
        answer = closed.post(URL, json=APP)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="http')
        assert "error=" not in answer.headers["WWW-Authenticate"]
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_good_one_lets_an_app_in_that_then_waits(
        self, closed: FlaskClient, store: AuthStore
    ) -> None:
        answer = closed.post(URL, json=APP, headers=bearer(initial_token(store)))
        assert answer.status_code == 201
        client = stored(store, answer.get_json()["client_id"])
        assert (client.approved_at, client.owner) == (None, None)

    def test_it_is_good_for_its_uses_and_bad_metadata_cost_none(
        self, closed: FlaskClient, store: AuthStore
    ) -> None:
        token = bearer(initial_token(store, uses=2))
        assert closed.post(URL, json={}, headers=token).status_code == 400
        statuses = [closed.post(URL, json=APP, headers=token).status_code for _ in range(3)]
        assert statuses == [201, 201, 401]
        (kept,) = list_initial_tokens(store, "acme")
        assert kept.uses_left == 0
        assert not kept.good(int(time.time()))

    def test_it_may_be_without_limit(self, closed: FlaskClient, store: AuthStore) -> None:
        token = bearer(initial_token(store, uses=None))
        assert {closed.post(URL, json=APP, headers=token).status_code for _ in range(4)} == {201}
        assert list_initial_tokens(store, "acme")[0].uses_left is None

    def test_it_expires(self, closed: FlaskClient, store: AuthStore) -> None:
        token = bearer(initial_token(store, days=1))
        with time_machine.travel(time.time() + DAY + 60, tick=True):
            answer = closed.post(URL, json=APP, headers=token)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    def test_it_can_be_revoked_once(self, closed: FlaskClient, store: AuthStore) -> None:
        made = make_initial_token(store, "acme", "x", "operator")
        assert made.value not in repr(made)
        revoke_initial_token(store, "acme", made.token.token_id)
        assert closed.post(URL, json=APP, headers=bearer(made.value)).status_code == 401
        for tenant, token_id in (("acme", made.token.token_id), ("beta", "x"), ("acme", "x")):
            with pytest.raises(LookupError):
                revoke_initial_token(store, tenant, token_id)

    def test_it_is_of_one_tenant(self, closed: FlaskClient, store: AuthStore) -> None:
        token = bearer(initial_token(store))
        assert closed.post(URL.replace("acme", "beta"), json=APP, headers=token).status_code == 401
        assert list_initial_tokens(store, "beta") == []

    @pytest.mark.parametrize(
        "wrong",
        [{"name": " "}, {"name": "x" * 101}, {"days": 0}, {"days": 1000}, {"uses": 0}],
    )
    def test_what_cannot_be_made(self, store: AuthStore, wrong: dict[str, Any]) -> None:
        options = {"name": "x"} | wrong
        with pytest.raises(ValueError, match=r"."):
            make_initial_token(store, "acme", options.pop("name"), "operator", **options)
        assert list_initial_tokens(store, "acme") == []

    def test_racing_registrations_use_it_once(self, store: AuthStore, facade: FakeFacade) -> None:
        settings = AuthSettings(PUBLIC_URL.replace("http:", "https:"), SETTINGS.secret_keys)
        workers = [make_app(AuthServer(store, facade, settings)).test_client() for _ in range(5)]
        token = bearer(initial_token(store))
        start = threading.Barrier(len(workers))
        statuses: list[int] = []

        def register(worker: FlaskClient) -> None:
            start.wait()
            statuses.append(worker.post(URL, json=APP, headers=token).status_code)

        threads = [threading.Thread(target=register, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201, 401, 401, 401, 401]
        assert len(store.clients.list("acme")) == 1

    def test_keys_by_plain_http_are_for_the_demo(
        self, closed: FlaskClient, store: AuthStore
    ) -> None:
        body = {
            "jwks_uri": "http://app.example/jwks",
            "token_endpoint_auth_method": "private_key_jwt",
        }
        answer = closed.post(URL, json=body, headers=bearer(initial_token(store)))
        assert answer.get_json()["error"] == "invalid_client_metadata"


class TestManagement:
    @pytest.fixture
    def app(self, http: FlaskClient) -> dict[str, Any]:
        return registered(http)

    @staticmethod
    def call(http: FlaskClient, method: str, app: dict[str, Any], **more: Any) -> Any:
        headers = more.pop("headers", bearer(app["registration_access_token"]))
        return http.open(f"{URL}/{app['client_id']}", method=method, headers=headers, **more)

    def test_read(self, http: FlaskClient, app: dict[str, Any]) -> None:
        answer = self.call(http, "GET", app)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        said = answer.get_json()
        assert "client_secret" not in said
        secret = {"client_secret", "client_secret_expires_at"}
        assert said == {name: value for name, value in app.items() if name not in secret}

    def test_an_update_replaces_all_the_app_said(
        self, http: FlaskClient, store: AuthStore, app: dict[str, Any]
    ) -> None:
        provider = {"groups": frozenset({"g1"}), "scope_limit": "patient/Patient.rs"}
        admin.change_client(store, stored(store, app["client_id"]), **provider)
        body = {
            "client_id": app["client_id"],
            "client_secret": app["client_secret"],
            "redirect_uris": ["https://app.example/new"],
            "client_uri": "https://app.example/",
            "groups": ["g2"],
        }
        answer = self.call(http, "PUT", app, json=body)
        assert answer.status_code == 200
        said = answer.get_json()
        assert said["redirect_uris"] == ["https://app.example/new"]
        assert said["client_name"] == app["client_id"]
        assert said["client_uri"] == "https://app.example/"
        assert said["scope"] != app["scope"]
        assert said["client_id_issued_at"] == app["client_id_issued_at"]
        client = stored(store, app["client_id"])
        assert (client.groups, client.scope_limit) == ({"g1"}, "patient/Patient.rs")
        assert client.check_client_secret(app["client_secret"])
        assert client.approved_at is not None
        assert self.call(http, "GET", app).get_json() == said

    def test_another_way_to_authenticate(
        self, http: FlaskClient, store: AuthStore, app: dict[str, Any]
    ) -> None:
        body = APP | {"client_id": app["client_id"]}
        public = self.call(http, "PUT", app, json=body | {"token_endpoint_auth_method": "none"})
        assert "client_secret" not in public.get_json()
        assert not stored(store, app["client_id"]).check_client_secret(app["client_secret"])
        again = self.call(http, "PUT", app, json=body).get_json()
        assert again["client_secret"] != app["client_secret"]
        assert stored(store, app["client_id"]).check_client_secret(again["client_secret"])

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"client_id": None}, "client_id"),
            ({"client_id": "another"}, "client_id"),
            ({"client_secret": "chosen"}, "client_secret"),
            ({"client_secret": 5}, "client_secret"),
            ({"client_secret": "\ud800"}, "client_secret"),
            ({"registration_access_token": "x"}, "registration_access_token"),
            ({"registration_client_uri": "https://x/"}, "registration_client_uri"),
            ({"client_id_issued_at": 1}, "client_id_issued_at"),
            ({"client_secret_expires_at": 0}, "client_secret_expires_at"),
            ({"software_statement": "x"}, "metadata"),
            ({"redirect_uris": ["http://app.example/"]}, "redirect_uri"),
            ({"redirect_uris": None}, "private_key_jwt"),
        ],
    )
    def test_a_bad_update_changes_nothing_and_is_traced(
        self,
        http: FlaskClient,
        store: AuthStore,
        facade: FakeFacade,
        app: dict[str, Any],
        changes: dict[str, Any],
        says: str,
    ) -> None:
        before = stored(store, app["client_id"])
        body = APP | {"client_id": app["client_id"]} | changes
        body = {name: value for name, value in body.items() if value is not None}
        answer = self.call(http, "PUT", app, json=body)
        assert answer.status_code == 400
        assert says in answer.get_json()["error_description"]
        assert stored(store, app["client_id"]) == before
        (traced,) = facade.refusals("acme", app["client_id"])
        assert traced.refusal.text == answer.get_json()["error_description"]

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    @pytest.mark.parametrize("token", [None, "nonsense", "other"])
    def test_only_by_its_own_token(
        self, http: FlaskClient, store: AuthStore, app: dict[str, Any], method: str, token: Any
    ) -> None:
        if token == "other":
            token = registered(http)["registration_access_token"]
        headers = {} if token is None else bearer(token)
        body = APP | {"client_id": app["client_id"]}
        answer = self.call(http, method, app, headers=headers, json=body)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert stored(store, app["client_id"]).name == "Mine"

    def test_an_app_made_otherwise_has_no_token(
        self, http: FlaskClient, store: AuthStore, people: dict[str, User]
    ) -> None:
        for token in ("", "x"):
            app = {"client_id": "public", "registration_access_token": token}
            assert self.call(http, "GET", app).status_code == 401

    def test_delete(self, tab: Tab, server: AuthServer, store: AuthStore) -> None:
        app = registered(tab.client, token_endpoint_auth_method="none")
        tab.authorize(client_id=app["client_id"], scope=APP["scope"]).login("ann").allow()
        form = code_form(tab.sent_back["code"], client_id=app["client_id"])
        body = tab.client.post(TOKEN, data=form).get_json()
        assert server.verify("acme", body["access_token"])
        answer = self.call(tab.client, "DELETE", app)
        assert (answer.status_code, answer.get_data()) == (204, b"")
        with pytest.raises(InvalidToken):
            server.verify("acme", body["access_token"])
        for method in ("GET", "PUT", "DELETE"):
            assert self.call(tab.client, method, app, json={}).status_code == 401

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_what_the_provider_stopped_stays_as_it_is(
        self, http: FlaskClient, store: AuthStore, app: dict[str, Any], method: str
    ) -> None:
        admin.deactivate_client(store, "acme", app["client_id"])
        body = APP | {"client_id": app["client_id"]}
        assert self.call(http, method, app, json=body).status_code == 403
        assert not stored(store, app["client_id"]).active
        assert self.call(http, "GET", app).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "waits"),
        [
            ({}, False),
            ({"scope": "patient/Patient.r"}, False),
            ({"scope": "launch/patient patient/*.rs user/*.rs"}, True),
            ({"redirect_uris": [REDIRECT, "https://app.example/"]}, True),
            ({"client_name": "Trusted Health"}, True),
            ({"token_endpoint_auth_method": "none"}, True),
            ({"launch_uri": "https://app.example/launch"}, True),
        ],
    )
    def test_more_than_was_approved_waits_again(
        self, closed: FlaskClient, store: AuthStore, changes: dict[str, Any], waits: bool
    ) -> None:
        app = closed.post(URL, json=APP, headers=bearer(initial_token(store))).get_json()
        admin.approve_client(store, stored(store, app["client_id"]), "operator")
        body = APP | {"client_id": app["client_id"]} | changes
        assert self.call(closed, "PUT", app, json=body).status_code == 200
        assert (stored(store, app["client_id"]).approved_at is None) is waits

    def test_other_methods(self, http: FlaskClient, app: dict[str, Any]) -> None:
        answer = self.call(http, "POST", app, json={})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, PUT, DELETE, OPTIONS")


class TestClientsOfAdministrators:
    def test_a_resource_server_and_a_host_need_no_grant(self) -> None:
        for flag in ("may_introspect", "may_launch"):
            client, secret = client_from_metadata("acme", {flag: True, "client_secret": "s" * 20})
            assert (client.grant_types, client.scope, secret) == ((), "", "s" * 20)
            assert getattr(client, flag)

    def test_a_public_client_is_no_host(self) -> None:
        with pytest.raises(InvalidClientMetadata, match="launches"):
            client_from_metadata("acme", {"may_launch": True, "redirect_uris": [REDIRECT]})
