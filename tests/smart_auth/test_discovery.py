"""What the server says of itself is true."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from smart_auth.oauth.server import OAuthServer
from smart_auth.server import AuthServer
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PUBLIC_URL,
    SETTINGS,
    FakeFacade,
    make_app,
    make_server,
)

PRODUCTION = AuthSettings(PUBLIC_URL.replace("http:", "https:"), SETTINGS.secret_keys)
BASE = f"{PUBLIC_URL}/fhir/acme"
DOCUMENTS = ["smart-configuration", "openid-configuration", "jwks.json"]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("accept", ["application/json", "application/fhir+json", "text/html", ""])
def test_documents_are_json_for_any_origin(http: FlaskClient, name: str, accept: str) -> None:
    url = f"/fhir/acme/.well-known/{name}"
    answer = http.get(url, headers={"Accept": accept, "Origin": "https://app.example"})
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "max-age" in answer.headers["Cache-Control"]
    assert http.head(url).status_code == 200
    preflight = http.options(url, headers={"Origin": "https://app.example"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("name", DOCUMENTS[:2])
def test_endpoints_are_absolute_and_there(http: FlaskClient, name: str) -> None:
    said = http.get(f"/fhir/acme/.well-known/{name}").get_json()
    assert said["issuer"] == BASE
    endpoints = [value for key, value in said.items() if key.endswith(("_endpoint", "_uri"))]
    assert len(endpoints) >= 5
    for url in endpoints:
        assert url.startswith(BASE + "/")
        assert http.get(url[len(PUBLIC_URL) :]).status_code in (200, 400, 405)


def test_registration_is_named_always(store: AuthStore) -> None:
    http = make_app(AuthServer(store, FakeFacade(), PRODUCTION)).test_client()
    said = http.get("/fhir/acme/.well-known/smart-configuration").get_json()
    assert said["registration_endpoint"] == f"{BASE}/auth/register"


JSON_REQUESTS = [
    ("GET", ".well-known/smart-configuration"),
    ("OPTIONS", ".well-known/smart-configuration"),
    ("GET", "auth/style.json"),
    ("POST", "auth/token"),
    ("GET", "auth/token"),
    ("OPTIONS", "auth/token"),
    ("POST", "auth/introspect"),
    ("POST", "auth/revoke"),
    ("POST", "auth/register"),
    ("PATCH", "auth/register/x"),
    ("GET", "auth/register/x"),
    ("POST", "auth/launch"),
    ("DELETE", "auth/launch"),
]


@pytest.mark.parametrize(("method", "path"), JSON_REQUESTS)
def test_every_answer_to_programs_is_open_to_any_origin_and_hardened(
    store: AuthStore, method: str, path: str
) -> None:
    for settings in (SETTINGS, PRODUCTION):
        http = make_app(AuthServer(store, FakeFacade(), settings)).test_client()
        answer = http.open(f"/fhir/acme/{path}", method=method)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        secure = settings.public_url.startswith("https:")
        assert ("Strict-Transport-Security" in answer.headers) is secure


@pytest.mark.parametrize(("method", "path"), JSON_REQUESTS)
def test_without_the_database_programs_are_told_to_come_back(
    http: FlaskClient, store: AuthStore, method: str, path: str
) -> None:
    with store.database.write() as connection:
        for table in ("attempt", "signing_key"):
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_gone")
    answer = http.open(f"/fhir/acme/{path}", method=method)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    if answer.status_code >= 500:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    else:
        assert method in ("OPTIONS", "GET", "PATCH", "DELETE")


@pytest.mark.parametrize(
    ("method", "page"),
    [
        ("PUT", "auth/authorize"),
        ("OPTIONS", "auth/authorize"),
        ("GET", "auth/login"),
        ("GET", "auth/consent"),
        ("DELETE", "auth/manage"),
        ("POST", ".well-known/smart-configuration"),
        ("POST", "auth/style.json"),
        ("POST", "auth/style.css"),
    ],
)
def test_other_methods_are_json_405(http: FlaskClient, method: str, page: str) -> None:
    answer = http.open(f"/fhir/acme/{page}", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"]
    assert answer.get_json()["error"] == "invalid_request"
    is_page = page.startswith("auth/") and not page.endswith(".json")
    assert ("Access-Control-Allow-Origin" in answer.headers) is not is_page


def test_a_page_without_the_database_is_503(http: FlaskClient, store: AuthStore) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE client RENAME TO gone")
    for accept, kind in (("text/html,*/*;q=0.8", "text/html"), ("*/*", "application/json")):
        answer = http.get("/fhir/acme/auth/authorize?client_id=x", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (503, kind)
        assert answer.headers["Retry-After"]
        assert "database" in answer.text


def test_smart_configuration(http: FlaskClient) -> None:
    said = http.get("/fhir/acme/.well-known/smart-configuration").get_json()
    assert said["jwks_uri"] == f"{BASE}/.well-known/jwks.json"
    assert said["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "client_credentials",
    ]
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["response_types_supported"] == ["code"]
    assert said["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert {"client_secret_basic", "client_secret_post", "private_key_jwt"} <= set(
        said["token_endpoint_auth_methods_supported"]
    )
    assert set(said["capabilities"]) == {
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-style",
        "context-ehr-patient",
        "context-standalone-patient",
        "permission-offline",
        "permission-online",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    }


def test_supported_scopes_are_scopes(http: FlaskClient, server: AuthServer) -> None:
    said = http.get("/fhir/acme/.well-known/smart-configuration").get_json()["scopes_supported"]
    assert str(server.core.scopes(" ".join(said))) == " ".join(said)
    assert {"patient/Patient.rs", "user/*.read", "system/*.rs", "openid"} <= set(said)
    groups = {"user/Group.rs", "user/Group.read", "system/Group.rs", "system/Group.read"}
    assert {scope for scope in said if "Group" in scope} == groups


def test_openid_configuration_has_what_is_required(http: FlaskClient) -> None:
    said = http.get("/fhir/acme/.well-known/openid-configuration").get_json()
    assert said["subject_types_supported"] == ["public"]
    assert said["id_token_signing_alg_values_supported"] == ["RS256"]


def test_keys_are_public_and_marked(http: FlaskClient) -> None:
    keys = http.get("/fhir/acme/.well-known/jwks.json").get_json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    for key in keys:
        assert key["use"] == "sig"
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)


def test_tenants_have_their_own_keys(http: FlaskClient) -> None:
    kids = [
        {key["kid"] for key in http.get(f"/fhir/{slug}/.well-known/jwks.json").get_json()["keys"]}
        for slug in ("acme", "beta")
    ]
    assert not kids[0] & kids[1]


def test_behind_a_proxy_with_a_prefix(store: AuthStore) -> None:
    facade = FakeFacade(public_url="https://host.example/prefix")
    http = make_app(make_server(store, facade)).test_client()
    said = http.get(
        "/fhir/acme/.well-known/smart-configuration", headers={"Host": "internal:1"}
    ).get_json()
    assert said["token_endpoint"] == "https://host.example/prefix/fhir/acme/auth/token"


def test_authlib_sees_no_insecure_transport(server: AuthServer) -> None:
    tenant = server.core.ports.tenants()["acme"]
    assert OAuthServer(server.core, tenant).query_client("nobody") is None
