"""Authlib's authorization server for one tenant and one request."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Literal

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Error
from flask import Response

from smart_auth.core import Core
from smart_auth.oauth.client_auth import authenticate, claimed_id
from smart_auth.oauth.errors import OAuthRefusal, refusal_of
from smart_auth.oauth.grants import BackendGrant, LaunchCodeGrant, LaunchRefreshGrant
from smart_auth.oauth.introspection import Introspection
from smart_auth.oauth.pkce import S256Challenge
from smart_auth.oauth.request import TokenRequest
from smart_auth.oauth.revocation import Revocation
from smart_auth.ports import TenantInfo
from smart_auth.records import Client

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")

Endpoint = Literal["token", "introspect", "revoke", "launch"]


class OAuthServer(AuthorizationServer):
    """The three grants and two token endpoints of a tenant.

    Requests come in as `TokenRequest`; every answer leaves with no-store headers. `endpoint` is
    the one that was called; `named` the registered client that a request names, before it has
    proved that it is that client.
    """

    def __init__(self, core: Core, tenant: TenantInfo, endpoint: Endpoint = "token") -> None:
        super().__init__()
        self.core = core
        self.tenant = tenant
        self.endpoint: Endpoint = endpoint
        self.named: Client | None = None
        self.register_grant(LaunchCodeGrant, [S256Challenge(required=True)])
        self.register_grant(LaunchRefreshGrant)
        self.register_grant(BackendGrant)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)

    def token(self, request: TokenRequest) -> Response:
        """Answer the token endpoint."""
        try:
            _check_grant_type(request.form)
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        response = self.create_token_response(request)
        assert isinstance(response, Response)  # noqa: S101 - what handle_response made
        return response

    def query_client(  # type: ignore[override]
        self, client_id: str
    ) -> Client | None:
        """The client of this tenant."""
        client = self.core.store.clients.get(self.tenant.slug, client_id)
        if self.named is None:
            self.named = client
        return client

    def authenticate_client(  # type: ignore[override]
        self, request: TokenRequest, methods: Collection[str], endpoint: str = "token"
    ) -> Client:
        """One way of authentication, the client's own; see `client_auth`."""
        return authenticate(self, request, methods)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens: audit rows are written where things happen."""

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        """Requests are read before they come here."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """A JSON answer."""
        return Response(json.dumps(body), status=status, headers=list(headers))

    def handle_error_response(  # type: ignore[override]
        self, request: TokenRequest, error: OAuth2Error
    ) -> Response:
        """An RFC 6749 section 5.2 error, kept for the audit and the app's trace.

        401 with a challenge when the client tried HTTP authentication.
        """
        scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
        if error.error == "invalid_client" and scheme:
            error.status_code = 401
        client = request.client if isinstance(request.client, Client) else self._named_by(request)
        self.core.audit(
            self.tenant.slug,
            self.endpoint,
            "refused",
            client_id=None if client is None else client.client_id,
            reason=f"{error.error}: {error.description}",
            refusal=None if client is None else refusal_of(error, request),
        )
        status, body, headers = error(None)
        kept = [pair for pair in headers if pair[0] != "WWW-Authenticate"]
        if status == 401:
            kept.append(("WWW-Authenticate", self._challenge(scheme, error)))
        return self.handle_response(status, body, kept)

    def _named_by(self, request: TokenRequest) -> Client | None:
        if self.named is None and (client_id := claimed_id(request)):
            self.query_client(client_id)
        return self.named

    def _challenge(self, scheme: str, error: OAuth2Error) -> str:
        """In the scheme the client tried, when it is one taken here, with the realm RFC 7617
        section 2 requires."""
        tried = "Bearer" if (scheme, self.endpoint) == ("bearer", "introspect") else "Basic"
        return (
            f'{tried} realm="{self.tenant.issuer}", error="{error.error}",'
            f' error_description="{error.description}"'
        )


def _check_grant_type(form: dict[str, str]) -> None:
    expected = " ".join(GRANT_TYPES)
    if "grant_type" not in form:
        text = "The parameter grant_type is missing"
        if "grant-type" in form:
            text = "The parameter is grant_type with an underscore, not grant-type"
        raise OAuthRefusal("invalid_request", text, expected=expected)
    if form["grant_type"] not in GRANT_TYPES:
        raise OAuthRefusal(
            "unsupported_grant_type",
            "grant_type must be one of " + ", ".join(GRANT_TYPES),
            expected=expected,
            received=form["grant_type"],
        )


__all__ = ["GRANT_TYPES", "OAuthServer"]
