"""The endpoints that apps call: token, introspection, revocation, and the public documents."""

from __future__ import annotations

from collections.abc import Callable

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Response, request

from smart_auth.core import Core
from smart_auth.oauth.request import TokenRequest, read_form
from smart_auth.oauth.server import Endpoint, OAuthServer
from smart_auth.ports import TenantInfo
from smart_auth.style import STYLE
from smart_auth.web import discovery
from smart_auth.web.caller import caller_address
from smart_auth.web.endpoint import serve
from smart_auth.web.replies import document
from smart_auth.web.routes import ALL, Route

DOCUMENT_SECONDS = 300
STYLE_SECONDS = 86_400

Answer = Callable[[OAuthServer, TokenRequest], Response]


class OAuthViews:
    """The views; `tenant` is already known to exist."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What apps call. Each view answers wrong methods in its own words."""
        return [
            Route("/.well-known/smart-configuration", self.smart_configuration, ALL),
            Route("/.well-known/openid-configuration", self.openid_configuration, ALL),
            Route("/.well-known/jwks.json", self.jwks, ALL),
            Route("/auth/token", self.token, ALL),
            Route("/auth/token/", self.token, ALL),
            Route("/auth/introspect", self.introspect, ALL),
            Route("/auth/revoke", self.revoke, ALL),
            Route("/auth/style.json", self.style_document, ALL),
        ]

    def smart_configuration(self, tenant: TenantInfo) -> Response:
        """JSON whatever the Accept header says (SMART conformance)."""
        return self._document(tenant, lambda: discovery.smart_configuration(self._core, tenant))

    def openid_configuration(self, tenant: TenantInfo) -> Response:
        """OpenID provider metadata."""
        return self._document(tenant, lambda: discovery.openid_configuration(self._core, tenant))

    def jwks(self, tenant: TenantInfo) -> Response:
        """The public signing keys."""
        return self._document(tenant, lambda: {"keys": self._core.keys.public_jwks(tenant.slug)})

    def style_document(self, tenant: TenantInfo) -> Response:
        """What `smart_style_url` leads to."""
        return self._document(tenant, lambda: STYLE, STYLE_SECONDS)

    def token(self, tenant: TenantInfo) -> Response:
        """RFC 6749 section 3.2."""
        return self._post(tenant, "token", lambda server, form: server.token(form))

    def introspect(self, tenant: TenantInfo) -> Response:
        """RFC 7662."""
        return self._post(
            tenant, "introspect", lambda server, form: _endpoint(server, "introspection", form)
        )

    def revoke(self, tenant: TenantInfo) -> Response:
        """RFC 7009."""
        return self._post(
            tenant, "revoke", lambda server, form: _endpoint(server, "revocation", form)
        )

    def _document(
        self, tenant: TenantInfo, make: Callable[[], object], seconds: int = DOCUMENT_SECONDS
    ) -> Response:
        return serve(self._core, tenant, ("GET", "HEAD"), lambda: document(make(), seconds))

    def _post(self, tenant: TenantInfo, endpoint: Endpoint, answer: Answer) -> Response:
        return serve(
            self._core, tenant, ("POST",), lambda: self._answer(tenant, endpoint, answer), endpoint
        )

    def _answer(self, tenant: TenantInfo, endpoint: Endpoint, answer: Answer) -> Response:
        server = OAuthServer(self._core, tenant, endpoint)
        headers, address = dict(request.headers), caller_address()
        try:
            form = read_form(request.content_type or "", request.get_data())
        except OAuth2Error as error:
            return server.handle_error_response(TokenRequest(headers, {}, address), error)
        return answer(server, TokenRequest(headers, form, address))


def _endpoint(server: OAuthServer, name: str, form: TokenRequest) -> Response:
    response = server.create_endpoint_response(name, form)  # type: ignore[no-untyped-call]
    if not isinstance(response, Response):
        raise TypeError("An OAuth endpoint gave no response")
    return response
