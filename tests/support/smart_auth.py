"""An authorization server with a small house around it, for tests."""

from __future__ import annotations

import html
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeyParameters, RSAKey

from smart_auth import admin
from smart_auth.ports import (
    AccessEvent,
    AccessShown,
    CategoryChoice,
    PatientChoice,
    RefusalShown,
    TenantInfo,
)
from smart_auth.records import User
from smart_auth.scopes import Level
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


DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
CATEGORIES = {
    "DiagnosticReport": (
        CategoryChoice(DIAGNOSTIC_SERVICE, "CT", "CAT scan"),
        CategoryChoice(DIAGNOSTIC_SERVICE, "RAD", "Radiology"),
    ),
}


@dataclass
class FakeFacade:
    """The house, as far as the authorization server asks about it: two tenants, three patients."""

    events: list[AccessEvent] = field(default_factory=list)
    slugs: tuple[str, ...] = ("acme", "beta")
    public_url: str = PUBLIC_URL
    resources: dict[str, frozenset[str]] = field(default_factory=dict)

    def tenants(self) -> Mapping[str, TenantInfo]:
        return {s: TenantInfo(s, f"{self.public_url}/fhir/{s}", s.title()) for s in self.slugs}

    def resource_types(self, tenant: str, level: Level) -> Sequence[str]:
        return TYPES if level == "patient" else (*TYPES, "Group")

    def scope_types(self) -> Sequence[str]:
        return tuple(KNOWN_TYPES)

    def categories(self, tenant: str, resource_type: str) -> Sequence[CategoryChoice]:
        return CATEGORIES.get(resource_type, ())

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        return [
            patient
            for patient in PATIENTS
            if (allowed is None or patient.id in allowed)
            and text.lower() in f"{patient.id} {patient.name} {patient.birth_date}".lower()
        ][:limit]

    def patients(self, tenant: str, ids: Collection[str]) -> Sequence[PatientChoice]:
        return [patient for patient in PATIENTS if patient.id in ids]

    def patients_of(self, tenant: str, reference: str) -> frozenset[str] | None:
        return self.resources.get(reference)

    def refusals(
        self, tenant: str, client_id: str, *, correlation_id: str | None = None, limit: int = 50
    ) -> Sequence[RefusalShown]:
        return [
            RefusalShown(0, event.action, None, event.correlation_id or "", event.refusal)
            for event in reversed(self.events)
            if event.tenant == tenant and event.client_id == client_id and event.refusal
            if correlation_id in (None, event.correlation_id)
        ][:limit]

    def accesses(
        self, tenant: str, patient_id: str, *, after: str = "", limit: int = 50
    ) -> Sequence[AccessShown]:
        newest = [
            (str(place), event)
            for place, event in reversed(list(enumerate(self.events)))
            if event.tenant == tenant and event.patient_id == patient_id
            if not after or place < int(after)
        ]
        return [
            AccessShown(
                0, e.action, None, e.client_id, e.user_id, e.outcome, place, e.actor, e.reason or ""
            )
            for place, e in newest[:limit]
        ]

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        return any(patient.id == patient_id for patient in PATIENTS)

    def record(self, *events: AccessEvent) -> None:
        self.events += events


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
    parameters: KeyParameters = {"kid": kid, "alg": alg, "use": "sig"}
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


REDIRECT = "http://localhost:8765/app.html"
LAUNCH_SCOPE = (
    "launch launch/patient openid fhirUser profile offline_access online_access refresh"
    " patient/*.cruds user/*.rs"
)
VERIFIER = "v" * 64
CHALLENGE = str(create_s256_code_challenge(VERIFIER))  # type: ignore[no-untyped-call]


def add_people(store: AuthStore, tenant: str = "acme") -> dict[str, User]:
    """A practitioner of the whole tenant, one with two patients, one with none, and a patient."""
    people = {
        "doctor": {"role": "practitioner", "whole_tenant": True, "fhir_user": "Practitioner/d1"},
        "nurse": {"role": "practitioner", "patients": ["p1", "p2"], "fhir_user": "Practitioner/n"},
        "idle": {"role": "practitioner", "fhir_user": "Practitioner/i"},
        "ann": {"role": "patient", "patients": ["p1"], "fhir_user": "Patient/p1"},
    }
    return {
        name: admin.create_user(store, tenant, name, PASSWORD, **options)  # type: ignore[arg-type]
        for name, options in people.items()
    }


def add_apps(store: AuthStore, tenant: str = "acme") -> None:
    """A public and a confidential app, and an old confidential one without PKCE."""
    common = {"redirect_uris": [REDIRECT], "scope": LAUNCH_SCOPE}
    for metadata in (
        {"client_id": "public", "client_name": "Public <app>"},
        {"client_id": "secret", "client_secret": "s3cret +%/é"},
        {"client_id": "old", "client_secret": "old-secret", "pkce_optional": True},
    ):
        admin.create_client(store, tenant, common | metadata)


def authorize_query(tenant: str = "acme", **changes: str | None) -> dict[str, str]:
    """Parameters of a good authorization request, with some changed or (None) left out."""
    query: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "public",
        "redirect_uri": REDIRECT,
        "scope": "launch/patient openid fhirUser offline_access patient/*.rs",
        "state": "st4te",
        "aud": f"{PUBLIC_URL}/fhir/{tenant}",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (query | changes).items() if value is not None}


class Tab:
    """A browser tab without scripts: keeps cookies, follows our own redirects, presses buttons."""

    def __init__(self, client: FlaskClient, tenant: str = "acme") -> None:
        self.client = client
        self.tenant = tenant
        self.answer: Any = None

    @property
    def text(self) -> str:
        return str(self.answer.get_data(as_text=True))

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.text)
        return html.unescape(found[1]) if found else ""

    @property
    def sent_back(self) -> dict[str, str]:
        """Parameters the app got; AssertionError when the tab is not back at the app."""
        location = self.answer.headers.get("Location", "")
        assert location.startswith(REDIRECT), (self.answer.status_code, self.title, location)
        return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))

    def authorize(self, method: str = "get", **changes: str | None) -> Tab:
        query = authorize_query(self.tenant, **changes)
        url = f"/fhir/{self.tenant}/auth/authorize"
        if method == "get":
            return self._follow(self.client.get(url, query_string=query))
        return self._follow(self.client.post(url, data=query))

    def login(self, username: str, password: str = PASSWORD) -> Tab:
        return self.submit("login", username=username, password=password)

    def second(self, code: str) -> Tab:
        """Enter a PIN or a code."""
        return self.submit("factor", code=code)

    def hidden(self, name: str) -> str:
        """The value of a hidden field."""
        found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', self.text)
        assert found is not None
        return html.unescape(found[1])

    @property
    def seed(self) -> str:
        """The key for an authenticator app that the page shows."""
        found = re.search(r'id="key"[^>]* value="([A-Z2-7 ]+)"', self.text)
        assert found is not None
        return found[1].replace(" ", "")

    def pick(self, patient: str) -> Tab:
        return self.submit("patient", patient=patient, action="continue")

    def allow(self, without: Collection[str] = ()) -> Tab:
        ticked = [scope for scope in self.offered if scope not in without]
        return self.submit("consent", scope=ticked, decision="allow")

    def deny(self) -> Tab:
        return self.submit("consent", decision="deny")

    @property
    def offered(self) -> list[str]:
        """The scopes on the consent page."""
        found = re.findall(r'name="scope" value="([^"]*)" checked', self.text)
        return [html.unescape(value) for value in found]

    def log_out(self) -> Tab:
        """Press the button of the page's header."""
        found = re.search(r'class="who".*?name="csrf" value="(\w+)"', self.text, re.DOTALL)
        assert found is not None
        return self.submit("logout", csrf=found[1])

    def submit(self, page: str, **fields: Any) -> Tab:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.text))
        fields = {name: html.unescape(value) for name, value in hidden.items()} | fields
        if page == "patient":
            fields.setdefault("q", fields.get("shown", ""))
        return self._follow(self.client.post(f"/fhir/{self.tenant}/auth/{page}", data=fields))

    def _follow(self, answer: Any) -> Tab:
        while answer.status_code in (302, 303) and answer.headers["Location"].startswith("/"):
            answer = self.client.get(answer.headers["Location"])
        self.answer = answer
        return self


def code_form(code: str, **changes: str | None) -> dict[str, str]:
    """The body of a code exchange by the public app."""
    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": "public",
        "code_verifier": VERIFIER,
    }
    return {name: value for name, value in (form | changes).items() if value is not None}
