"""Verified tokens made by hand, and a verifier that knows only them."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_facade.fhir.r4_types import R4_TYPES
from smart_auth.records import Role
from smart_auth.scopes import ScopeSet
from smart_auth.verify import InvalidToken, VerifiedToken


def user_token(
    scope: str,
    *,
    patient: str | None = None,
    fhir_user: str | None = "Practitioner/d1",
    whole_tenant: bool = True,
    patients: Iterable[str] = (),
    role: Role = "practitioner",
    app_patients: Iterable[str] | None = None,
    tenant: str = "acme",
) -> VerifiedToken:
    """The token of a person's launch; a practitioner with the whole tenant by default."""
    return VerifiedToken(
        tenant=tenant,
        client_id="app",
        kind="launch",
        user_id="u1",
        fhir_user=fhir_user,
        patient=patient,
        scope=scope,
        scopes=ScopeSet.parse(scope, R4_TYPES),
        grant_id="g",
        jti="j",
        expires_at=2**40,
        user_whole_tenant=whole_tenant,
        user_patients=frozenset(patients),
        user_role=role,
        client_patients=None if app_patients is None else frozenset(app_patients),
    )


def backend_token(
    scope: str,
    *,
    groups: Iterable[str] = (),
    whole_tenant: bool = False,
    client_id: str = "backend",
    tenant: str = "acme",
) -> VerifiedToken:
    """The token of a backend client."""
    return VerifiedToken(
        tenant=tenant,
        client_id=client_id,
        kind="backend",
        user_id=None,
        fhir_user=None,
        patient=None,
        scope=scope,
        scopes=ScopeSet.parse(scope, R4_TYPES),
        grant_id="g",
        jti="j",
        expires_at=2**40,
        client_groups=frozenset(groups),
        client_whole_tenant=whole_tenant,
    )


class KnownTokens:
    """A `TokenVerifier` over a fixed set."""

    def __init__(self) -> None:
        self._tokens: dict[str, VerifiedToken] = {}

    def add(self, token: VerifiedToken) -> str:
        """Know this token; the text a client sends for it."""
        text = f"token-{len(self._tokens)}"
        self._tokens[text] = token
        return text

    def verify(self, tenant: str, token: str) -> VerifiedToken:
        """The token of this tenant. Raises InvalidToken."""
        known = self._tokens.get(token)
        if known is None or known.tenant != tenant:
            raise InvalidToken("not a token of this server")
        return known
