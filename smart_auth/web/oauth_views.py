"""The endpoints that apps call: token, introspection, revocation, and the public documents.

Every answer carries CORS headers, errors and preflights too. A failure of ours is 503 with
`Retry-After`: a client that saw a 4xx would throw its refresh token away.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Response, request

from smart_auth import clock
from smart_auth.core import Core
from smart_auth.oauth.request import LARGEST_BODY, TokenRequest, read_form
from smart_auth.oauth.server import OAuthServer
from smart_auth.ports import TenantInfo
from smart_auth.store import StoreFailure
from smart_auth.store.limits import WINDOW
from smart_auth.style import STYLE
from smart_auth.web import discovery
from smart_auth.web.register import register_client
from smart_auth.web.replies import (
    document,
    oauth_error,
    open_to_any_origin,
    preflight,
    try_later,
)
from smart_auth.web.routes import ALL, Route

DOCUMENT_SECONDS = 300
STYLE_SECONDS = 86_400

log = structlog.get_logger(__name__)

Answer = Callable[[OAuthServer, TokenRequest], Response]


class OAuthViews:
    """The views; `tenant` is already known to exist."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What apps call. Each view answers wrong methods in its own words."""
        routes = [
            Route("/.well-known/smart-configuration", self.smart_configuration, ALL),
            Route("/.well-known/openid-configuration", self.openid_configuration, ALL),
            Route("/.well-known/jwks.json", self.jwks, ALL),
            Route("/auth/token", self.token, ALL),
            Route("/auth/token/", self.token, ALL),
            Route("/auth/introspect", self.introspect, ALL),
            Route("/auth/revoke", self.revoke, ALL),
            Route("/auth/style.json", self.style_document, ALL),
        ]
        if self._core.settings.demo:
            routes.append(Route("/auth/register", self.register, ALL))
        return routes

    def smart_configuration(self, tenant: TenantInfo) -> Response:
        """JSON whatever the Accept header says (SMART conformance)."""
        return self._document(lambda: discovery.smart_configuration(self._core, tenant))

    def openid_configuration(self, tenant: TenantInfo) -> Response:
        """OpenID provider metadata."""
        return self._document(lambda: discovery.openid_configuration(self._core, tenant))

    def jwks(self, tenant: TenantInfo) -> Response:
        """The public signing keys."""
        return self._document(lambda: {"keys": self._core.keys.public_jwks(tenant.slug)})

    def token(self, tenant: TenantInfo) -> Response:
        """RFC 6749 section 3.2."""
        return self._post(tenant, lambda server, form: server.token(form))

    def introspect(self, tenant: TenantInfo) -> Response:
        """RFC 7662."""
        return self._post(tenant, lambda server, form: _endpoint(server, "introspection", form))

    def revoke(self, tenant: TenantInfo) -> Response:
        """RFC 7009."""
        return self._post(tenant, lambda server, form: _endpoint(server, "revocation", form))

    def register(self, tenant: TenantInfo) -> Response:
        """RFC 7591; the route is there in the demo only."""
        return self._posted(tenant, lambda: register_client(self._core, tenant))

    def style_document(self, tenant: TenantInfo) -> Response:
        """What `smart_style_url` leads to."""
        return self._document(lambda: STYLE, STYLE_SECONDS)

    def _document(self, make: Callable[[], object], seconds: int = DOCUMENT_SECONDS) -> Response:
        if request.method == "OPTIONS":
            return preflight("GET, HEAD, OPTIONS")
        if request.method not in ("GET", "HEAD"):
            return _wrong_method("GET, HEAD, OPTIONS")
        return open_to_any_origin(document(make(), seconds))

    def _post(self, tenant: TenantInfo, answer: Answer) -> Response:
        return self._posted(tenant, lambda: self._answer(tenant, answer))

    def _posted(self, tenant: TenantInfo, answer: Callable[[], Response]) -> Response:
        if request.method == "OPTIONS":
            return preflight("POST, OPTIONS")
        if request.method != "POST":
            return _wrong_method("POST, OPTIONS")
        try:
            if self._too_many(tenant, request.remote_addr or ""):
                response = try_later(429, "Too many requests from this address", WINDOW)
            elif (request.content_length or 0) > LARGEST_BODY:
                response = oauth_error(413, "invalid_request", "The body is too large")
            else:
                response = answer()
                self._core.housekeeping.tick()
        except StoreFailure as error:
            log.error("auth_database_failed", error=type(error).__name__)
            response = try_later(503, "The server cannot reach its database, try again", 5)
        return open_to_any_origin(response)

    def _answer(self, tenant: TenantInfo, answer: Answer) -> Response:
        try:
            form = read_form(request.content_type or "", request.get_data())
        except OAuth2Error as error:
            return oauth_error(error.status_code, str(error.error), str(error.description))
        made = TokenRequest(dict(request.headers), form, request.remote_addr or "")
        return answer(OAuthServer(self._core, tenant), made)

    def _too_many(self, tenant: TenantInfo, address: str) -> bool:
        count = self._core.store.limits.count(tenant.slug, f"token/{address}", clock.now())
        return count > self._core.settings.effective_limits.token_requests_per_minute


def _endpoint(server: OAuthServer, name: str, form: TokenRequest) -> Response:
    response = server.create_endpoint_response(name, form)  # type: ignore[no-untyped-call]
    if not isinstance(response, Response):
        raise TypeError("An OAuth endpoint gave no response")
    return response


def _wrong_method(allowed: str) -> Response:
    response = oauth_error(405, "invalid_request", f"This endpoint takes {allowed} only")
    response.headers["Allow"] = allowed
    return open_to_any_origin(response)
