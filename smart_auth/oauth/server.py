"""Authlib's authorization server for one tenant and one request."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError, OAuth2Error
from flask import Response

from smart_auth.core import Core
from smart_auth.oauth.client_auth import authenticate
from smart_auth.oauth.grants import BackendGrant, LaunchCodeGrant, LaunchRefreshGrant, S256Challenge
from smart_auth.oauth.introspection import Introspection
from smart_auth.oauth.request import TokenRequest
from smart_auth.oauth.revocation import Revocation
from smart_auth.ports import TenantInfo
from smart_auth.records import Client

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


class OAuthServer(AuthorizationServer):
    """The three grants and two token endpoints of a tenant.

    Requests come in as `TokenRequest`; every answer leaves with no-store headers.
    """

    def __init__(self, core: Core, tenant: TenantInfo) -> None:
        super().__init__()
        self.core = core
        self.tenant = tenant
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
        return self.core.store.clients.get(self.tenant.slug, client_id)

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
        """An RFC 6749 section 5.2 error, with an audit row.

        401 with a challenge when the client tried HTTP authentication.
        """
        if isinstance(error, InvalidClientError) and request.headers.get("Authorization"):
            error.status_code = 401
        client = request.client
        self.core.audit(
            self.tenant.slug,
            "token",
            "refused",
            client_id=client.get_client_id() if isinstance(client, Client) else None,
            reason=f"{error.error}: {error.description}",
        )
        status, body, headers = error(None)
        return self.handle_response(status, body, [self._with_realm(*one) for one in headers])

    def _with_realm(self, name: str, value: str) -> tuple[str, str]:
        """Authlib's Basic challenge lacks the realm that RFC 7617 section 2 requires."""
        if name == "WWW-Authenticate":
            value = value.replace("Basic ", f'Basic realm="{self.tenant.issuer}", ', 1)
        return name, value


def _check_grant_type(form: dict[str, str]) -> None:
    if "grant_type" not in form:
        if "grant-type" in form:
            raise _bad_request("The parameter is grant_type with an underscore, not grant-type")
        raise _bad_request("The parameter grant_type is missing")
    if form["grant_type"] not in GRANT_TYPES:
        error = OAuth2Error(error="unsupported_grant_type")
        error.description = "grant_type must be one of " + ", ".join(GRANT_TYPES)
        raise error


def _bad_request(description: str) -> OAuth2Error:
    return OAuth2Error(description, error="invalid_request")


__all__ = ["GRANT_TYPES", "OAuthServer"]
