"""How to launch an app: addresses and commands that can be copied, with nothing secret in them."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.portal.app_forms import kind_of
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, User

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SAMPLE_STATE = "sample-state"


@dataclass(frozen=True)
class Endpoints:
    """Where an app turns to."""

    fhir_base: str
    discovery: str
    metadata: str
    authorize: str
    token: str

    @classmethod
    def of(cls, tenant: TenantInfo) -> Endpoints:
        """Those of a tenant."""
        base = tenant.issuer
        return cls(
            fhir_base=base,
            discovery=f"{base}/.well-known/smart-configuration",
            metadata=f"{base}/metadata",
            authorize=f"{base}/auth/authorize",
            token=f"{base}/auth/token",
        )


@dataclass(frozen=True)
class Sample:
    """A launch to try by hand. `authorize_url` is None for a backend service, `ehr_launch` None for
    an app that no record system launches."""

    authorize_url: str | None
    ehr_launch: str | None
    assertion: str | None
    token_command: str
    data_command: str


def sample_of(core: Core, tenant: TenantInfo, client: Client) -> Sample:
    """What the developer of this app may paste, in the order it is used."""
    ends = Endpoints.of(tenant)
    kind = kind_of(client)
    ehr = None
    if client.launch_uri is not None:
        query = urlencode({"iss": ends.fhir_base, "launch": "LAUNCH_VALUE"})
        ehr = f"{client.launch_uri}{'&' if '?' in client.launch_uri else '?'}{query}"
    read = "Patient?_count=5" if kind == "backend" else "Patient"
    return Sample(
        authorize_url=None if kind == "backend" else _authorize_url(core, tenant, client),
        ehr_launch=ehr,
        assertion=_assertion(ends, client) if client.auth_method == "private_key_jwt" else None,
        token_command=_token_command(core, tenant, client),
        data_command=_curl(f"{ends.fhir_base}/{read}", header="Authorization: Bearer ACCESS_TOKEN"),
    )


def missing_of(client: Client, developer: User) -> list[str]:
    """What still keeps the app from working, each as a sentence for its developer."""
    now = clock.now()
    found = []
    if client.approved_at is None:
        found.append(
            "The provider has not approved this app yet. "
            + (
                "It gets no tokens until then."
                if kind_of(client) == "backend"
                else "Until then only you can launch it, logged in as yourself."
            )
        )
    if not client.active:
        found.append("The app is inactive: nobody can log in to it and its tokens do not work.")
    if client.valid_from is not None and now < client.valid_from:
        found.append("The app is not valid yet: its first day is still to come.")
    if client.valid_to is not None and now >= client.valid_to:
        found.append("The app is no longer valid: its last day is over.")
    if kind_of(client) != "backend":
        if not developer.whole_tenant and not developer.patients:
            found.append(
                "The provider has not assigned a patient to you: your own launch has none."
            )
        elif client.patients == frozenset():
            found.append("The list of patients of this app is empty: no launch has a patient.")
    elif not (client.groups or client.patients or client.whole_tenant):
        found.append("The app reaches nobody: pick patients, or ask the provider for a Group.")
    return found


def _authorize_url(core: Core, tenant: TenantInfo, client: Client) -> str:
    verifier = _sample_verifier(core, tenant, client)
    digest = hashlib.sha256(verifier.encode()).digest()
    scope = core.allowed_to(client).without("launch", "launch/encounter")
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uris[0],
        "scope": str(scope),
        "state": SAMPLE_STATE,
        "aud": tenant.issuer,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{Endpoints.of(tenant).authorize}?{urlencode(query)}"


def _sample_verifier(core: Core, tenant: TenantInfo, client: Client) -> str:
    """The PKCE verifier of the sample: the same at each showing of the page, so that the command
    fits the address opened before, and known to nobody else. Apps make a new one each time."""
    return core.ring.sign(tenant.slug, "sample-pkce", client.client_id)


def _token_command(core: Core, tenant: TenantInfo, client: Client) -> str:
    form: dict[str, str] = {}
    user = None
    if client.check_grant_type("authorization_code"):
        form |= {
            "grant_type": "authorization_code",
            "code": "CODE",
            "redirect_uri": client.redirect_uris[0],
            "code_verifier": _sample_verifier(core, tenant, client),
        }
    else:
        form |= {"grant_type": "client_credentials", "scope": str(core.allowed_to(client))}
    if client.public:
        form["client_id"] = client.client_id
    elif client.auth_method == "private_key_jwt":
        form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "SIGNED_JWT"}
    else:
        user = f"{client.client_id}:CLIENT_SECRET"
    return _curl(Endpoints.of(tenant).token, form, user=user)


def _assertion(ends: Endpoints, client: Client) -> str:
    """What to sign, as header and claims (SMART App Launch, client-confidential-asymmetric)."""
    header = {"alg": "RS384 or ES384", "kid": "YOUR_KEY_ID", "typ": "JWT"}
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": ends.token,
        "exp": "SECONDS_SINCE_1970, AT MOST 300 AHEAD",
        "jti": "A_NEW_RANDOM_VALUE",
    }
    return f"{json.dumps(header)} . {json.dumps(claims)}"


def _curl(
    url: str,
    form: Mapping[str, str] | None = None,
    *,
    header: str | None = None,
    user: str | None = None,
) -> str:
    words = ["curl"]
    if header is not None:
        words += ["-H", header]
    if user is not None:
        words += ["-u", user]
    for name, value in (form or {}).items():
        words += ["--data-urlencode", f"{name}={value}"]
    return shlex.join([*words, url])
