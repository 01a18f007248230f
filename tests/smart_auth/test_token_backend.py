"""Backend services: client_credentials with a signed assertion, and every way to get it wrong."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from smart_auth import admin
from smart_auth.server import AuthServer
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PUBLIC_URL,
    SETTINGS,
    FakeFacade,
    add_backend,
    assertion,
    backend_form,
    backend_key,
    make_app,
    make_server,
)

URL = "/fhir/acme/auth/token"
EC_KEY = backend_key()
RSA_KEY = backend_key("RS384", "rsa1")


@pytest.fixture
def backend(store: AuthStore) -> None:
    add_backend(store, EC_KEY)
    add_backend(store, RSA_KEY, client_id="rsa-backend")


@pytest.mark.parametrize(("key", "client_id"), [(EC_KEY, "backend"), (RSA_KEY, "rsa-backend")])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_signed_assertion_buys_five_minutes(
    http: FlaskClient, server: AuthServer, backend: None, key: Any, client_id: str, slash: str
) -> None:
    signed = assertion(key, client_id, aud=f"{PUBLIC_URL}/fhir/acme/auth/token{slash}")
    answer = http.post(URL + slash, data=backend_form(signed, "system/*.read system/Nope.rs"))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    body = answer.get_json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert body["scope"] == "system/*.read"
    verified = server.verify("acme", body["access_token"])
    assert (verified.kind, verified.client_id, verified.user_id) == ("backend", client_id, None)
    assert verified.client_groups == {"g1"}
    assert not verified.client_whole_tenant
    assert 295 < verified.expires_at - time.time() <= 300


@pytest.mark.parametrize(
    "names", [[""], ["/auth/token"], ["", "/auth/token"]], ids=["issuer", "endpoint", "both"]
)
@pytest.mark.parametrize("typ", [None, "JWT", "client-authentication+jwt"])
def test_the_audience_is_the_issuer_or_the_token_endpoint(
    http: FlaskClient, backend: None, names: list[str], typ: str | None
) -> None:
    audiences = [f"{PUBLIC_URL}/fhir/acme{name}" for name in names]
    for audience in (audiences, *audiences):
        signed = assertion(EC_KEY, "backend", header={"typ": typ}, aud=audience)
        assert http.post(URL, data=backend_form(signed)).status_code == 200


BAD_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"iss": "someone"}, "iss and sub"),
    ({"iss": None}, "iss and sub"),
    ({"sub": None, "iss": None}, "sub"),
    ({"sub": 5}, "sub"),
    ({"aud": "https://elsewhere/token"}, "aud"),
    ({"aud": f"{PUBLIC_URL}/fhir/acme/"}, "aud"),
    ({"aud": f"{PUBLIC_URL}/fhir/beta"}, "aud"),
    ({"aud": f"{PUBLIC_URL}/fhir/beta/auth/token"}, "aud"),
    ({"aud": [f"{PUBLIC_URL}/fhir/acme", "https://elsewhere"]}, "aud"),
    ({"aud": [f"{PUBLIC_URL}/fhir/acme/auth/token", f"{PUBLIC_URL}/fhir/beta/auth/token"]}, "aud"),
    ({"aud": None}, "aud"),
    ({"aud": []}, "aud"),
    ({"exp": None}, "exp"),
    ({"exp": "soon"}, "exp"),
    ({"exp": True}, "exp"),
    ({"exp": int(time.time()) - 30}, "expired"),
    ({"exp": int(time.time()) + 86_400}, "5 minutes"),
    ({"exp": float("inf")}, "exp"),
    ({"iat": int(time.time()) + 86_400}, "future"),
    ({"nbf": int(time.time()) + 86_400}, "future"),
    ({"jti": None}, "jti"),
    ({"jti": ""}, "jti"),
    ({"jti": 7}, "jti"),
]


@pytest.mark.parametrize(("claims", "says"), BAD_CLAIMS)
def test_bad_claims_are_invalid_client(
    http: FlaskClient, backend: None, claims: dict[str, Any], says: str
) -> None:
    answer = http.post(URL, data=backend_form(assertion(EC_KEY, "backend", **claims)))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")
    assert says in answer.get_json()["error_description"]


BAD_HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"kid": "other"}, "kid"),
    ({"kid": None}, "kid"),
    ({"typ": "JOSE"}, "typ"),
    ({"typ": "dpop+jwt"}, "typ"),
    ({"jku": "https://elsewhere/jwks"}, "jku"),
]


@pytest.mark.parametrize(("header", "says"), BAD_HEADERS)
def test_bad_headers_are_invalid_client(
    http: FlaskClient, backend: None, header: dict[str, Any], says: str
) -> None:
    answer = http.post(URL, data=backend_form(assertion(EC_KEY, "backend", header=header)))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")
    assert says in answer.get_json()["error_description"]


def _signed_with(key: Any, alg: str, kid: str = "k1") -> str:
    claims = {
        "iss": "backend",
        "sub": "backend",
        "aud": PUBLIC_URL + URL,
        "exp": int(time.time()) + 60,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode({"alg": alg, "kid": kid, "typ": "JWT"}, claims, key, algorithms=[alg])


@pytest.mark.parametrize(
    "signed",
    [
        _signed_with(ECKey.generate_key("P-384"), "ES384"),
        _signed_with(ECKey.generate_key("P-256"), "ES256"),
        _signed_with(RSAKey.generate_key(2048), "RS256"),
        _signed_with(RSAKey.generate_key(2048), "RS384"),
        _signed_with(OctKey.generate_key(256), "HS256"),
        _signed_with(EC_KEY, "ES384")[:-6] + "AAAAAA",
        "garbage",
        "a.b.c",
        "é.é.é",
        "..",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJiYWNrZW5kIn0.",
        "W10.W10.W10",
    ],
)
def test_other_keys_and_algorithms_are_refused(
    http: FlaskClient, backend: None, signed: str
) -> None:
    answer = http.post(URL, data=backend_form(signed))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")


def test_an_assertion_is_good_once_over_all_workers(
    store: AuthStore, http: FlaskClient, backend: None
) -> None:
    other = make_app(make_server(store)).test_client()
    signed = assertion(EC_KEY, "backend")
    assert http.post(URL, data=backend_form(signed)).status_code == 200
    again = other.post(URL, data=backend_form(signed))
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_client")
    assert "jti" in again.get_json()["error_description"]


def test_a_refused_assertion_does_not_use_up_its_jti(http: FlaskClient, backend: None) -> None:
    jti = secrets.token_hex(8)
    bad = assertion(EC_KEY, "backend", jti=jti, aud="https://elsewhere")
    assert http.post(URL, data=backend_form(bad)).status_code == 400
    good = assertion(EC_KEY, "backend", jti=jti)
    assert http.post(URL, data=backend_form(good)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertiontype:jwt-bearer"},
         "invalid_client"),
        ({"client_assertion_type": None}, "invalid_client"),
        ({"client_assertion": None}, "invalid_client"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "patient/*.rs user/*.rs openid"}, "invalid_scope"),
        ({"scope": "system/*.cud"}, "invalid_scope"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"client_id": "rsa-backend"}, "invalid_request"),
        ({"client_secret": "also"}, "invalid_request"),
    ],
)  # fmt: skip
def test_the_right_error_for_each_mistake(
    http: FlaskClient, backend: None, changes: dict[str, str | None], error: str
) -> None:
    form = backend_form(assertion(EC_KEY, "backend")) | changes
    answer = http.post(URL, data={k: v for k, v in form.items() if v is not None})
    assert (answer.status_code, answer.get_json()["error"]) == (400, error)
    assert answer.get_json()["error_description"]


def test_misspelt_grant_type_is_named(http: FlaskClient, backend: None) -> None:
    form = backend_form(assertion(EC_KEY, "backend"))
    form["grant-type"] = form.pop("grant_type")
    answer = http.post(URL, data=form)
    assert "grant_type with an underscore" in answer.get_json()["error_description"]


def test_scope_is_narrowed_to_what_the_client_may(http: FlaskClient, store: AuthStore) -> None:
    add_backend(store, EC_KEY, scope="system/Patient.rs system/Observation.r")
    form = backend_form(assertion(EC_KEY, "backend"), "system/*.cruds openid nonsense")
    answer = http.post(URL, data=form)
    assert answer.get_json()["scope"] == "system/Patient.rs system/Observation.r"


def test_a_scope_without_end_is_refused(http: FlaskClient, backend: None) -> None:
    form = backend_form(assertion(EC_KEY, "backend"), "system/*.rs " * 1000)
    answer = http.post(URL, data=form)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")


def test_a_secret_is_not_enough_for_backend_services(http: FlaskClient, store: AuthStore) -> None:
    admin.create_client(
        store,
        "acme",
        {
            "client_id": "web",
            "client_secret": "web-secret",
            "redirect_uris": ["https://a.example/"],
        },
    )
    answer = http.post(
        URL,
        data={"grant_type": "client_credentials", "scope": "system/*.rs"},
        auth=("web", "web-secret"),
    )
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"valid_to": 1},
        {"valid_from": int(time.time()) + 1000},
    ],
)
def test_a_client_out_of_use_gets_nothing(
    http: FlaskClient, store: AuthStore, backend: None, changes: dict[str, Any]
) -> None:
    client = store.clients.get("acme", "backend")
    assert client is not None
    admin.change_client(store, client, **changes)
    answer = http.post(URL, data=backend_form(assertion(EC_KEY, "backend")))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"grant_type": "client_credentials"}', 400),
        ("application/x-www-form-urlencoded", b"grant_type=client_credentials&grant_type=x", 400),
        ("application/x-www-form-urlencoded", b"scope=a&scope=b", 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe=1", 400),
        ("application/x-www-form-urlencoded", b"a=%ff", 400),
        ("application/x-www-form-urlencoded", b"", 400),
        ("application/x-www-form-urlencoded", b"grant_type=", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(300)), 400),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 70_000, 413),
        ("multipart/form-data; boundary=x", b"--x--", 400),
        ("", b"grant_type=client_credentials", 400),
    ],
)
def test_a_malformed_body_is_a_json_error(
    http: FlaskClient, content_type: str, body: bytes, status: int
) -> None:
    answer = http.post(URL, data=body, content_type=content_type)
    assert (answer.status_code, answer.get_json()["error"]) == (status, "invalid_request")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_get_405_json(http: FlaskClient, method: str) -> None:
    answer = http.open(URL, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST, OPTIONS"
    assert answer.get_json()["error"] == "invalid_request"


def test_parameters_in_the_query_are_not_read(http: FlaskClient, backend: None) -> None:
    form = backend_form(assertion(EC_KEY, "backend"))
    answer = http.post(URL, query_string=form, data={"scope": "system/*.rs"})
    assert answer.get_json()["error"] == "invalid_request"


def test_preflight_lets_any_origin_post(http: FlaskClient) -> None:
    answer = http.options(URL, headers={"Origin": "https://app.example"})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_client_of_another_tenant_is_unknown(
    http: FlaskClient, server: AuthServer, store: AuthStore
) -> None:
    add_backend(store, EC_KEY, tenant="beta", client_id="theirs")
    signed = assertion(EC_KEY, "theirs", tenant="acme")
    answer = http.post(URL, data=backend_form(signed))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")
    other = http.post(
        "/fhir/beta/auth/token", data=backend_form(assertion(EC_KEY, "theirs", tenant="beta"))
    )
    token = other.get_json()["access_token"]
    with pytest.raises(Exception, match=r"unknown key|another server"):
        server.verify("acme", token)
    assert server.verify("beta", token).client_id == "theirs"


def test_refusals_and_grants_are_audited_without_values(
    http: FlaskClient, facade: FakeFacade, backend: None
) -> None:
    canary = "canary-" + secrets.token_hex(8)
    http.post(URL, data=backend_form(assertion(EC_KEY, "backend", jti=canary, aud=canary)))
    http.post(URL, data=backend_form(assertion(EC_KEY, "backend")))
    assert [event.outcome for event in facade.events] == ["refused", "success"]
    assert facade.events[1].client_id == "backend"
    assert canary not in repr(facade.events)


def test_too_many_requests_have_to_wait(store: AuthStore, backend: None) -> None:
    settings = replace(SETTINGS, limits=Limits(token_requests_per_minute=3))
    http = make_app(AuthServer(store, FakeFacade(), settings)).test_client()
    answers = [http.post(URL, data={"grant_type": "x"}) for _ in range(8)]
    assert 429 in {answer.status_code for answer in answers}
    last = answers[-1]
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.get_json()["error"] == "temporarily_unavailable"


def test_an_outage_of_ours_is_503_and_not_the_clients_fault(
    http: FlaskClient, store: AuthStore, backend: None
) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE attempt")
    answer = http.post(URL, data=backend_form(assertion(EC_KEY, "backend")))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
