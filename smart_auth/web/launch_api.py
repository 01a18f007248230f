"""A host EHR makes a launch in one call, and sends its user's browser to the address it gets."""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Response, request

from smart_auth import clock, host_launch, keyring
from smart_auth.core import Core
from smart_auth.oauth.errors import OAuthRefusal
from smart_auth.oauth.request import LARGEST_BODY, TokenRequest
from smart_auth.oauth.server import OAuthServer
from smart_auth.ports import TenantInfo
from smart_auth.records import LoginTicket
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.caller import caller_address
from smart_auth.web.endpoint import json_object, serve
from smart_auth.web.launch_pages import problem_page
from smart_auth.web.replies import no_store
from smart_auth.web.routes import ALL, Route

CALLER_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class LaunchAPIViews:
    """`POST /auth/launch` for the EHR, `GET /auth/open` for its user's browser."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """A ticket is used by GET only: a HEAD request must not use it up."""
        return [Route("/auth/launch", self.launch, ALL), Route("/auth/open", self.open, ("GET",))]

    def launch(self, tenant: TenantInfo) -> Response:
        """201 with the launch; refusals in the form of RFC 6749 section 5.2."""
        return serve(self._core, tenant, ("POST",), lambda: self._launch(tenant), "launch")

    def open(self, tenant: TenantInfo) -> Response:
        """Log the user of a ticket in and go on to the app."""
        now = clock.now()
        value = request.args.get("ticket", "")
        ticket = self._core.store.tickets.use(tenant.slug, keyring.hash_token(value), now)
        if ticket is None:
            self._core.audit(tenant.slug, "login", "refused", reason="a ticket was not good")
            text = "This link was used before or has expired. Open the app again from your system."
            return problem_page(self._core, tenant, text)
        response = pages.send_to(self._core, self._core.ring.unwrap(tenant.slug, ticket.wrapped))
        response.status_code = 303
        try:
            self._log_in(tenant, ticket, response)
        except LookupError:
            self._core.audit(
                tenant.slug,
                "login",
                "refused",
                client_id=ticket.made_by,
                user_id=ticket.user_id,
                reason="the user of a ticket is not active",
            )
            return problem_page(self._core, tenant, "Your account here is not active.")
        return response

    def _log_in(self, tenant: TenantInfo, ticket: LoginTicket, response: Response) -> None:
        """A session of the user, unless this browser has one: a second app must not end the first
        one's. How the EHR checked the person is not known, so no method is claimed."""
        current = self._sessions.current(tenant, request)
        if current is not None and current.user_id == ticket.user_id:
            return
        value = self._sessions.start(tenant.slug, ticket.user_id, origin="ehr", methods="")
        if current is not None:
            self._sessions.end(tenant, current)
        self._sessions.set_cookie(response, tenant, value)
        self._core.audit(
            tenant.slug,
            "login",
            "success",
            client_id=ticket.made_by,
            user_id=ticket.user_id,
            reason="logged in by the host system",
        )

    def _launch(self, tenant: TenantInfo) -> Response:
        server = OAuthServer(self._core, tenant, "launch")
        asked = TokenRequest(dict(request.headers), {}, caller_address())
        try:
            document = _document()
            proof = {
                name: document[name]
                for name in ("client_assertion", "client_assertion_type")
                if isinstance(document.get(name), str)
            }
            asked = TokenRequest(dict(request.headers), proof, caller_address())
            caller = _caller(server, asked)
            made = host_launch.order(self._core, tenant, caller, document)
        except OAuth2Error as error:
            return server.handle_error_response(asked, error)
        self._core.audit(
            tenant.slug,
            "launch",
            "success",
            client_id=caller.client_id,
            user_id=made.user.user_id,
            patient_id=made.patient,
        )
        said = {
            "launch": made.launch,
            "iss": tenant.issuer,
            "launch_url": made.launch_url,
            "open_url": made.open_url,
            "expires_in": made.expires_in,
        }
        return no_store(Response(json.dumps(said), status=201, mimetype="application/json"))


def _caller(server: OAuthServer, asked: TokenRequest) -> Any:
    """The EHR's client; whoever does not prove itself gets 401."""
    try:
        return server.authenticate_client(asked, CALLER_METHODS, "launch")
    except OAuthRefusal as error:
        if error.error in ("invalid_client", "unauthorized_client"):
            error.status_code = 401
        raise


def _document() -> dict[str, Any]:
    if len(request.get_data()) > LARGEST_BODY:
        raise OAuthRefusal("invalid_request", "The body is too large", status_code=413)
    document = json_object()
    if document is None:
        raise OAuthRefusal(
            "invalid_request",
            "Send one JSON object (application/json)",
            expected="application/json",
            received=request.mimetype,
        )
    return document
