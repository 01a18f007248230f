"""The check of every access token: forged, stale and revoked; changes that count at once."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from smart_auth import admin, verify
from smart_auth.records import Client, User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PUBLIC_URL,
    SETTINGS,
    Tab,
    add_backend,
    assertion,
    backend_form,
    backend_key,
    code_form,
    make_server,
)

KEY = backend_key()


@pytest.fixture
def backend_token(http: FlaskClient, store: AuthStore) -> str:
    add_backend(store, KEY)
    answer = http.post("/fhir/acme/auth/token", data=backend_form(assertion(KEY, "backend")))
    return str(answer.get_json()["access_token"])


@pytest.fixture
def launch_token(tab: Tab) -> str:
    tab.authorize(scope="openid patient/*.rs user/*.rs").login("nurse").pick("p1").allow()
    answer = tab.client.post("/fhir/acme/auth/token", data=code_form(tab.sent_back["code"]))
    return str(answer.get_json()["access_token"])


def client_of(store: AuthStore, client_id: str) -> Client:
    client = store.clients.get("acme", client_id)
    assert client is not None
    return client


def test_changes_to_a_client_count_at_once(
    server: AuthServer, store: AuthStore, backend_token: str
) -> None:
    other_worker = make_server(store)
    for worker in (server, other_worker):
        assert worker.verify("acme", backend_token).client_groups == {"g1"}
    changed = admin.change_client(
        store, client_of(store, "backend"), groups=frozenset({"g2", "g3"}), whole_tenant=True
    )
    for worker in (server, other_worker):
        verified = worker.verify("acme", backend_token)
        assert verified.client_groups == {"g2", "g3"}
        assert verified.client_whole_tenant
    changed = admin.change_client(store, changed, scope="system/Patient.r")
    verified = server.verify("acme", backend_token)
    assert verified.scope == "system/*.rs"
    assert str(verified.scopes) == "system/Patient.r"
    changed = admin.change_client(store, changed, valid_to=int(time.time()) - 1)
    with pytest.raises(InvalidToken, match="validity"):
        server.verify("acme", backend_token)
    admin.change_client(store, changed, valid_to=None, active=False)
    for worker in (server, other_worker):
        with pytest.raises(InvalidToken, match="client inactive"):
            worker.verify("acme", backend_token)
    admin.delete_client(store, "acme", "backend")
    with pytest.raises(InvalidToken, match="revoked"):
        server.verify("acme", backend_token)


def test_a_window_that_closes_while_the_token_is_cached(
    server: AuthServer, store: AuthStore, backend_token: str
) -> None:
    now = int(time.time())
    admin.change_client(store, client_of(store, "backend"), valid_to=now + 100)
    assert server.verify("acme", backend_token)
    with time_machine.travel(now + 101, tick=True), pytest.raises(InvalidToken, match="validity"):
        server.verify("acme", backend_token)


def test_changes_to_a_user_count_at_once(
    server: AuthServer, store: AuthStore, people: dict[str, User], launch_token: str
) -> None:
    verified = server.verify("acme", launch_token)
    assert verified.user_patients == {"p1", "p2"}
    assert not verified.user_whole_tenant
    nurse = admin.change_user(store, people["nurse"], patients=frozenset({"p1"}))
    assert server.verify("acme", launch_token).user_patients == {"p1"}
    nurse = admin.change_user(store, nurse, scope="patient/Patient.rs")
    assert str(server.verify("acme", launch_token).scopes) == "openid patient/Patient.rs"
    nurse = admin.change_user(store, nurse, patients=frozenset({"p2"}))
    with pytest.raises(InvalidToken, match="no longer assigned"):
        server.verify("acme", launch_token)
    nurse = admin.change_user(store, nurse, patients=frozenset({"p1"}), active=False)
    with pytest.raises(InvalidToken, match="user inactive"):
        server.verify("acme", launch_token)
    admin.change_user(store, nurse, active=True)
    assert server.verify("acme", launch_token).patient == "p1"


def test_revocation_reaches_every_worker_at_once(
    server: AuthServer, store: AuthStore, launch_token: str
) -> None:
    other_worker = make_server(store)
    grant = other_worker.verify("acme", launch_token).grant_id
    assert server.verify("acme", launch_token)
    store.grants.revoke("acme", grant, "test", int(time.time()))
    for worker in (server, other_worker):
        with pytest.raises(InvalidToken, match="revoked"):
            worker.verify("acme", launch_token)


def test_expiry(server: AuthServer, backend_token: str) -> None:
    server.verify("acme", backend_token)
    with time_machine.travel(time.time() + 301, tick=True):
        for worker in (server, make_server(server.core.store)):
            with pytest.raises(InvalidToken, match="expired"):
                worker.verify("acme", backend_token)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "..", "\x00", "é" * 10, "x" * 100_000, part({}) + "." + part({}) + ".x"],
)
def test_garbage(server: AuthServer, token: str) -> None:
    with pytest.raises(InvalidToken):
        server.verify("acme", token)


def test_forgeries(server: AuthServer, backend_token: str) -> None:
    header, payload, signature = backend_token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    wider = claims | {"scope": "system/*.cruds"}
    jwks = {key["kid"]: key for key in server.core.keys.public_jwks("acme")}
    public_as_secret = OctKey.import_key(json.dumps(jwks[kid]))
    forged = [
        f"{header}.{part(wider)}.{signature}",
        f"{part({'alg': 'none', 'typ': 'at+jwt', 'kid': kid})}.{payload}.",
        jwt.encode(
            {"alg": "ES256", "kid": kid, "typ": "at+jwt"}, claims, ECKey.generate_key("P-256")
        ),
        jwt.encode(
            {"alg": "HS256", "kid": kid, "typ": "at+jwt"},
            claims,
            public_as_secret,
            algorithms=["HS256"],
        ),
    ]
    for token in forged:
        with pytest.raises(InvalidToken):
            server.verify("acme", token)
    assert server.verify("acme", backend_token)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "JWT"}, {}),
        ({"kid": "nobody"}, {}),
        ({}, {"iss": "https://elsewhere"}),
        ({}, {"aud": "https://elsewhere"}),
        ({}, {"aud": [PUBLIC_URL + "/fhir/acme"]}),
        ({}, {"exp": "never"}),
        ({}, {"exp": None}),
        ({}, {"gid": None}),
        ({}, {"gid": "nobody"}),
    ],
)
def test_tokens_signed_by_us_for_something_else(
    server: AuthServer, backend_token: str, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    payload = json.loads(base64.urlsafe_b64decode(backend_token.split(".")[1] + "=="))
    kid, key = server.core.keys.signer("acme", "ES256")
    full_header = {"alg": "ES256", "kid": kid, "typ": "at+jwt"} | header
    full_claims = {k: v for k, v in (payload | claims).items() if v is not None}
    token = jwt.encode(full_header, full_claims, key, algorithms=["ES256"])
    with pytest.raises(InvalidToken):
        server.verify("acme", token)


def test_an_id_token_is_not_an_access_token(server: AuthServer, tab: Tab) -> None:
    tab.authorize().login("ann").allow()
    answer = tab.client.post("/fhir/acme/auth/token", data=code_form(tab.sent_back["code"]))
    with pytest.raises(InvalidToken, match="not an access token"):
        server.verify("acme", answer.get_json()["id_token"])


def test_rotated_keys_overlap(server: AuthServer, store: AuthStore, backend_token: str) -> None:
    other_worker = make_server(store)
    other_worker.verify("acme", backend_token)
    old = {key["kid"] for key in server.core.keys.public_jwks("acme")}
    admin.rotate_keys(store, SETTINGS, "acme", overlap=1000)
    both = {key["kid"] for key in server.core.keys.public_jwks("acme")}
    assert old < both
    assert len(both) == 4
    fresh = make_server(store)
    assert fresh.verify("acme", backend_token)
    kid, _ = fresh.core.keys.signer("acme", "ES256")
    assert kid not in old
    with time_machine.travel(time.time() + 1001, tick=True):
        left = {key["kid"] for key in fresh.core.keys.public_jwks("acme")}
    assert left == both - old


def test_another_worker_learns_of_rotated_keys(
    server: AuthServer, store: AuthStore, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_backend(store, KEY)
    other_worker = make_server(store)
    other_worker.core.keys.signer("acme", "ES256")
    monkeypatch.setattr("smart_auth.signing.UNKNOWN_KID_FLOOR", 0.0)
    server.core.keys.rotate("acme", 1000)
    answer = http.post("/fhir/acme/auth/token", data=backend_form(assertion(KEY, "backend")))
    assert other_worker.verify("acme", answer.get_json()["access_token"])


def test_the_cache_is_bounded(
    server: AuthServer,
    http: FlaskClient,
    backend_token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "CACHED_TOKENS", 2)
    tokens = [backend_token]
    for _ in range(3):
        answer = http.post("/fhir/acme/auth/token", data=backend_form(assertion(KEY, "backend")))
        tokens.append(answer.get_json()["access_token"])
    for token in tokens + tokens:
        assert server.verify("acme", token)
    assert len(server.core.verifier._cache) == 2


def test_a_cached_check_is_cheap(server: AuthServer, backend_token: str) -> None:
    server.verify("acme", backend_token)

    def cost() -> float:
        start = time.process_time()
        for _ in range(500):
            server.verify("acme", backend_token)
        return (time.process_time() - start) / 500

    assert min(cost() for _ in range(3)) < 120e-6
