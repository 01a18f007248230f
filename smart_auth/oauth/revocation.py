"""Token revocation (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2.rfc7009 import RevocationEndpoint

from smart_auth import clock, keyring
from smart_auth.oauth.errors import OAuthRefusal
from smart_auth.oauth.request import TokenRequest
from smart_auth.records import Client, Grant
from smart_auth.tokens import InvalidToken, read_access_token

if TYPE_CHECKING:
    from smart_auth.oauth.server import OAuthServer


class Revocation(RevocationEndpoint):
    """Ends the whole grant a token belongs to, access and refresh tokens alike, in all workers at
    once. A token that is unknown is no error; one of another client is left alone, and refused."""

    CLIENT_AUTH_METHODS = (
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    )
    server: OAuthServer

    def check_params(self, request: TokenRequest, client: Client) -> None:
        """`token` must be there; a hint is only a hint."""
        if "token" not in request.form:
            raise OAuthRefusal("invalid_request", "The parameter token is missing", "token")

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Revocable | None:
        """The grant behind an access or a refresh token."""
        core, tenant = self.server.core, self.server.tenant
        found = core.store.grants.refresh_token(tenant.slug, keyring.hash_token(token_string))
        if found is not None:
            return _Revocable(found.grant)
        try:
            claims = read_access_token(core.keys, tenant, token_string)
        except InvalidToken:
            return None
        grant = core.store.grants.get(tenant.slug, claims.grant_id)
        return None if grant is None else _Revocable(grant)

    def revoke_token(self, token: _Revocable, request: TokenRequest) -> None:
        """End the grant."""
        core, tenant = self.server.core, self.server.tenant.slug
        grant = token.grant
        core.store.grants.revoke(tenant, grant.grant_id, "revoked by the client", clock.now())
        core.audit(
            tenant,
            "revoke",
            "success",
            client_id=grant.client_id,
            user_id=grant.user_id,
            patient_id=grant.context.patient,
        )


class _Revocable:
    """A grant as Authlib's endpoint wants it."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant

    def check_client(self, client: Client) -> bool:
        """Whether the grant is this client's; raises `OAuthRefusal` when it is another's."""
        if self.grant.client_id != client.client_id:
            raise OAuthRefusal("invalid_grant", "The token was issued to another client", "token")
        return True
