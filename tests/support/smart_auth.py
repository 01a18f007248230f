"""An authorization server with a small house around it, for tests."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from smart_auth import admin
from smart_auth.ports import AccessEvent, PatientChoice, TenantInfo
from smart_auth.server import AuthServer
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore

PUBLIC_URL = "http://127.0.0.1:8000"
TYPES = ("Patient", "Appointment", "DiagnosticReport", "Organization", "Location", "Practitioner")
KNOWN_TYPES = frozenset({*TYPES, "Observation", "Condition", "DocumentReference", "Group"})
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PASSWORD = "correct horse"
SETTINGS = AuthSettings(PUBLIC_URL, ("a test secret of some length",), demo=True)

PATIENTS = (
    PatientChoice("p1", "Adams, Ann", "1970-01-02", "female"),
    PatientChoice("p2", "Brown, Bob", "1980-03-04", "male"),
    PatientChoice("p3", "Clark, Cy", "1990-05-06", "other"),
)


@dataclass
class FakeFacade:
    """The house, as far as the authorization server asks about it: two tenants, three patients."""

    events: list[AccessEvent] = field(default_factory=list)
    slugs: tuple[str, ...] = ("acme", "beta")
    public_url: str = PUBLIC_URL

    def tenants(self) -> Mapping[str, TenantInfo]:
        return {s: TenantInfo(s, f"{self.public_url}/fhir/{s}", s.title()) for s in self.slugs}

    def resource_types(self, tenant: str) -> Sequence[str]:
        return TYPES

    def scope_types(self) -> Sequence[str]:
        return tuple(KNOWN_TYPES)

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        return [
            patient
            for patient in PATIENTS
            if (allowed is None or patient.id in allowed)
            and text.lower() in f"{patient.id} {patient.name}".lower()
        ][:limit]

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        return any(patient.id == patient_id for patient in PATIENTS)

    def record(self, event: AccessEvent) -> None:
        self.events.append(event)


def make_app(server: AuthServer) -> Flask:
    """The server under the address it has in the product."""
    app = Flask("smart-auth-test")
    app.testing = True
    app.register_blueprint(server.blueprint(), url_prefix="/fhir/<tenant>")
    return app


def make_server(store: AuthStore, facade: FakeFacade | None = None) -> AuthServer:
    """One worker on a store."""
    return AuthServer(store, facade or FakeFacade(), SETTINGS)


def backend_key(alg: str = "ES384", kid: str = "k1") -> Key:
    """A key pair for client assertions."""
    parameters = {"kid": kid, "alg": alg, "use": "sig"}
    if alg == "RS384":
        return RSAKey.generate_key(2048, parameters)
    return ECKey.generate_key("P-384", parameters)


def public_jwks(*keys: Key) -> dict[str, Any]:
    """What a client registers."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def assertion(
    key: Key,
    client_id: str,
    *,
    tenant: str = "acme",
    header: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A client assertion; a claim or header given as None is left out."""
    now = int(time.time())
    full_claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": f"{PUBLIC_URL}/fhir/{tenant}/auth/token",
        "exp": now + 240,
        "jti": secrets.token_hex(16),
    } | claims
    full_header = {"alg": key.alg, "kid": key.kid, "typ": "JWT"} | dict(header or {})
    return jwt.encode(
        {name: value for name, value in full_header.items() if value is not None},
        {name: value for name, value in full_claims.items() if value is not None},
        key,
        algorithms=[full_header["alg"]],
        default_type=None,
    )


def backend_form(signed: str, scope: str | None = "system/*.rs") -> dict[str, str]:
    """The body of a backend token request."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
    }
    return form if scope is None else form | {"scope": scope}


def add_backend(
    store: AuthStore, key: Key, *, tenant: str = "acme", client_id: str = "backend", **more: Any
) -> None:
    """A backend client with one inline key and one group."""
    metadata = {"client_id": client_id, "jwks": public_jwks(key), "groups": ["g1"]} | more
    admin.create_client(store, tenant, metadata)
