"""What the public bulk data and (g)(10) kits ask of backend services authorization, with a key of
each kind.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.demo_tokens import ASSERTION_TYPE
from tests.support.oauth_checks import later, no_store
from tests.support.oauth_flow import BackendFlow, OAuthFlow
from tests.support.oauth_kit import KitApp, register

NAMES = {"ES384": "backend", "RS384": "other_key_backend"}


@pytest.fixture(scope="module", params=NAMES)
def service(flow: OAuthFlow, request: pytest.FixtureRequest) -> BackendFlow:
    return BackendFlow(flow, NAMES[request.param])


def test_discovery_says_how_a_service_authenticates(flow: OAuthFlow) -> None:
    document = flow.get(f"{flow.base}/.well-known/smart-configuration").json()
    assert "client_credentials" in document["grant_types_supported"]
    assert "private_key_jwt" in document["token_endpoint_auth_methods_supported"]
    assert {"RS384", "ES384"} <= set(document["token_endpoint_auth_signing_alg_values_supported"])
    assert "client-confidential-asymmetric" in document["capabilities"]
    assert any(scope.startswith("system/") for scope in document["scopes_supported"])


def test_a_signed_assertion_buys_a_token(service: BackendFlow) -> None:
    answer = service.ask(service.assertion({"exp": later(300)}))
    assert answer.status_code == 200
    no_store(answer)
    told = answer.json()
    assert told["access_token"]
    assert told["token_type"].lower() == "bearer"
    assert isinstance(told["expires_in"], int)
    assert 0 < told["expires_in"] <= 300
    assert told["scope"]
    read = service.flow.fhir("Patient?_count=1", told["access_token"])
    assert read.status_code == 200


@pytest.mark.parametrize("grant_type", ["not_a_grant_type", "authorization_code", "refresh_token"])
def test_another_grant_type_is_refused(service: BackendFlow, grant_type: str) -> None:
    assert service.ask(service.assertion(), grant_type=grant_type).status_code == 400


@pytest.mark.parametrize(
    "assertion_type",
    [
        "not_an_assertion_type",
        ASSERTION_TYPE + " ",
        ASSERTION_TYPE.upper(),
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        "",
    ],
)
def test_another_assertion_type_is_refused(service: BackendFlow, assertion_type: str) -> None:
    answer = service.ask(service.assertion(), client_assertion_type=assertion_type)
    assert answer.status_code in (400, 401)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "not_the_issuer"},
        {"sub": "not_the_subject"},
        {"aud": "https://kit.example/not_the_audience"},
        {"aud": ""},
        {"aud": {"url": "x"}},
        {"exp": 1},
        {"exp": 10**12},
        {"exp": -1},
        {"exp": [1]},
        {"exp": True},
        {"jti": []},
        {"jti": "x" * 600},
        {"iss": ["acme-backend"]},
        {"sub": 7},
        {"nbf": "later"},
        {"iat": "now"},
    ],
    ids=repr,
)
def test_an_invalid_jwt_is_refused(service: BackendFlow, claims: dict[str, Any]) -> None:
    answer = service.ask(service.assertion(claims))
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == "invalid_client"


def test_a_registered_service_reaches_nobody_until_it_is_assigned_somebody(
    flow: OAuthFlow,
) -> None:
    """Whoever registers a service in the demo gets a token, and with it no patient."""
    app: KitApp = register(
        flow,
        "ES384",
        redirect_uris=[],
        launch_uri=None,
        grant_types=["client_credentials"],
        scope="system/*.rs",
    )
    answer = app.post("token", {"grant_type": "client_credentials", "scope": "system/*.rs"})
    assert answer.status_code == 200
    token = answer.json()["access_token"]
    assert flow.fhir("Patient?_summary=count", token).json()["total"] == 0
    assert flow.fhir(f"Patient/{flow.demo.demo['patient_id']}", token).status_code == 404
    group = flow.demo.demo["group_id"]
    assert flow.fhir(f"Group/{group}", token).status_code == 404
    export = flow.fhir(f"Group/{group}/$export", token, headers={"Prefer": "respond-async"})
    assert export.status_code in (403, 404)
