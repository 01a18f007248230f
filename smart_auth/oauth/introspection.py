"""Token introspection (RFC 7662) with the launch context, as SMART asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from smart_auth import clock, keyring
from smart_auth.oauth.errors import OAuthRefusal
from smart_auth.oauth.issue import context_members
from smart_auth.oauth.request import TokenRequest
from smart_auth.records import Client, RefreshToken
from smart_auth.tokens import InvalidToken, read_access_token
from smart_auth.verify import VerifiedToken

if TYPE_CHECKING:
    from smart_auth.oauth.server import OAuthServer

CALLER_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class Introspection(IntrospectionEndpoint):
    """Answers an authenticated client about its own tokens, a resource server about all of the
    tenant's. A public client authenticates by one of its own access tokens, as a bearer.

    A token the caller may not ask about is `active: false`, as is one that does not exist.
    """

    CLIENT_AUTH_METHODS = CALLER_METHODS
    server: OAuthServer

    def authenticate_endpoint_client(self, request: TokenRequest) -> Client:
        """The caller, by its secret, its key or a bearer token; else 401 (RFC 7662 section 2.3)."""
        try:
            return self._caller(request)
        except OAuthRefusal as error:
            if error.error in ("invalid_client", "unauthorized_client"):
                error.status_code = 401
            raise

    def _caller(self, request: TokenRequest) -> Client:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.server.authenticate_client(request, self.CLIENT_AUTH_METHODS)
        try:
            bearer = self.server.core.verifier.verify(self.server.tenant, token.strip())
        except InvalidToken:
            raise _bad_bearer() from None
        client = self.server.query_client(bearer.client_id)
        if client is None:
            raise _bad_bearer()
        request.client = client
        return client

    def check_params(self, request: TokenRequest, client: Client) -> None:
        """`token` must be there; a hint is only a hint (RFC 7662 section 2.1)."""
        if "token" not in request.form:
            raise OAuthRefusal("invalid_request", "The parameter token is missing", "token")

    def query_token(self, token_string: str, token_type_hint: str | None) -> dict[str, Any] | None:
        """What the answer would say, whoever asks."""
        try:
            verified = self.server.core.verifier.verify(self.server.tenant, token_string)
        except InvalidToken:
            return self._refresh_token(token_string)
        return self._access_token(verified, token_string)

    def check_permission(
        self, token: dict[str, Any], client: Client, request: TokenRequest
    ) -> bool:
        """Own tokens, or all for a client that may introspect."""
        return client.may_introspect or token["client_id"] == client.client_id

    def authenticate_token(self, request: TokenRequest, client: Client) -> dict[str, Any] | None:
        """The token, when the caller may know of it; that it asked is kept for the audit."""
        token: dict[str, Any] | None = super().authenticate_token(  # type: ignore[no-untyped-call]
            request, client
        )
        self.server.core.audit(
            self.server.tenant.slug,
            "introspect",
            "success",
            client_id=client.client_id,
            user_id=None if token is None or "aud" not in token else token.get("sub"),
        )
        return token

    def create_introspection_payload(self, token: dict[str, Any] | None) -> dict[str, Any]:
        """The answer (RFC 7662 section 2.2)."""
        return {"active": False} if token is None else {"active": True} | token

    def _access_token(self, token: VerifiedToken, text: str) -> dict[str, Any]:
        claims = read_access_token(self.server.core.keys, self.server.tenant, text)
        grant = self.server.core.store.grants.get(self.server.tenant.slug, token.grant_id)
        issuer = self.server.tenant.issuer
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": token.scope,
            "client_id": token.client_id,
            "sub": claims.subject,
            "iss": issuer,
            "aud": issuer,
            "iat": claims.issued_at,
            "exp": token.expires_at,
            "jti": token.jti,
        }
        if token.fhir_user is not None and "fhirUser" in token.scopes:
            answer["fhirUser"] = f"{issuer}/{token.fhir_user}"
        if grant is not None and grant.kind == "launch":
            answer["need_patient_banner"] = grant.context.need_patient_banner
            answer |= context_members(grant)
        return answer

    def _refresh_token(self, text: str) -> dict[str, Any] | None:
        found = self.server.core.store.grants.refresh_token(
            self.server.tenant.slug, keyring.hash_token(text)
        )
        if found is None or not self._could_refresh(found):
            return None
        grant = found.grant
        return {
            "scope": grant.scope,
            "client_id": grant.client_id,
            "sub": grant.user_id,
            "iss": self.server.tenant.issuer,
            "iat": grant.created_at,
            "exp": found.expires_at,
        }

    def _could_refresh(self, token: RefreshToken) -> bool:
        """Whether the token endpoint would take it now."""
        store, slug, now = self.server.core.store, self.server.tenant.slug, clock.now()
        grant = token.grant
        if token.rotated_at is not None or token.expires_at <= now or grant.revoked_at is not None:
            return False
        client = store.clients.get(slug, grant.client_id)
        user = store.users.get(slug, str(grant.user_id))
        if client is None or not client.usable(now) or user is None or not user.active:
            return False
        patient = grant.context.patient
        if patient is not None and not (user.may_see(patient) and client.may_see(patient)):
            return False
        return client.approved_at is not None or client.owner == user.user_id


def _bad_bearer() -> OAuthRefusal:
    return OAuthRefusal("invalid_client", "The bearer token is not valid", "token")
