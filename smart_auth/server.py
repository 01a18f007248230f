"""The authorization server of all tenants, as a Flask blueprint and a token check."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from smart_auth.core import Core
from smart_auth.launches import Launches
from smart_auth.portal import portal_routes
from smart_auth.ports import Facade, TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore, StoreFailure
from smart_auth.verify import InvalidToken, VerifiedToken
from smart_auth.web.account_views import AccountViews
from smart_auth.web.federation_views import FederationViews
from smart_auth.web.grant_views import GrantViews
from smart_auth.web.launch_api import LaunchAPIViews
from smart_auth.web.launch_pages import problem_page
from smart_auth.web.launch_views import LaunchViews
from smart_auth.web.log_views import LogViews
from smart_auth.web.login_views import LoginViews
from smart_auth.web.oauth_views import OAuthViews
from smart_auth.web.register import RegisterViews
from smart_auth.web.replies import harden, oauth_error, try_later
from smart_auth.web.routes import ALL, Route

__all__ = ["AuthServer", "InvalidToken", "VerifiedToken"]

log = structlog.get_logger(__name__)


class AuthServer:
    """One per process. `sessions` and `launches` are for an EHR that logs its users in itself."""

    def __init__(self, store: AuthStore, ports: Facade, settings: AuthSettings) -> None:
        self.core = Core.build(store, ports, settings)
        self.sessions = Sessions(self.core)
        self.launches = Launches(self.core)
        self.ports = ports

    def verify(self, tenant: str, token: str) -> VerifiedToken:
        """What the bearer of an access token may do now; raises `InvalidToken` with a reason."""
        return self.core.verifier.verify(self._tenant(tenant), token)

    def blueprint(self) -> Blueprint:
        """To be registered with `url_prefix="/fhir/<tenant>"`."""
        made = Blueprint("smart_auth", __name__, template_folder="templates")
        self.add_pages(made, self._routes())
        return made

    def add_pages(self, blueprint: Blueprint, routes: Iterable[Route]) -> None:
        """Serve these routes as our own are: tenants, methods and a lost database looked after."""
        for route in routes:
            blueprint.add_url_rule(
                route.path,
                endpoint=route.path.replace("/", "_").replace(".", "_"),
                view_func=self._responder(route),
                methods=ALL,
                provide_automatic_options=False,
            )

    def _routes(self) -> list[Route]:
        return [
            *OAuthViews(self.core).routes(),
            *RegisterViews(self.core).routes(),
            *LaunchAPIViews(self.core, self.sessions).routes(),
            *LaunchViews(self.core, self.sessions).routes(),
            *LoginViews(self.core, self.sessions).routes(),
            *FederationViews(self.core, self.sessions).routes(),
            *GrantViews(self.core, self.sessions).routes(),
            *LogViews(self.core, self.sessions).routes(),
            *AccountViews(self.core, self.sessions).routes(),
            *portal_routes(self.core, self.sessions),
        ]

    def _responder(self, route: Route) -> Callable[..., Response]:
        """A Flask view: finds the tenant (404 when there is none), refuses other methods than the
        route's, says 503 when the database is out, and 500 of a fault of ours with nothing of its
        text: that may hold what somebody sent."""

        def respond(tenant: str, **values: str) -> Response:
            info = self.core.ports.tenants().get(tenant)
            if info is None:
                raise NotFound("No such tenant")
            if request.method not in route.methods:
                return self._wrong_method(info, route.methods)
            try:
                return harden(self.core, route.view(info, **values))
            except StoreFailure as error:
                log.error("auth_database_failed", error=type(error).__name__)
                return harden(self.core, self._out_of_order(info))
            except HTTPException:
                raise
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{frame.filename}:{frame.lineno}"
                log.error("auth_request_failed", error=type(error).__name__, place=place)
                return harden(self.core, self._fault(info))

        return respond

    def _out_of_order(self, tenant: TenantInfo) -> Response:
        """503; people get a page."""
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            return try_later(503, "The server cannot reach its database, try again", 5)
        text = "The server cannot reach its database. Try again in a moment."
        response = problem_page(self.core, tenant, text)
        response.status_code = 503
        response.headers["Retry-After"] = "5"
        return response

    def _fault(self, tenant: TenantInfo) -> Response:
        """500; people get a page."""
        text = "The server could not do this. Try again; if it stays, tell its operator when."
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
            return oauth_error(500, "server_error", text)
        response = problem_page(self.core, tenant, text)
        response.status_code = 500
        return response

    def _wrong_method(self, tenant: TenantInfo, methods: tuple[str, ...]) -> Response:
        """405; a person who opens a form's address gets a page that says so."""
        if request.accept_mimetypes.accept_html and request.method in ("GET", "HEAD"):
            text = "This address is one step of a form: it cannot be opened by itself."
            response = problem_page(self.core, tenant, text)
            response.status_code = 405
        else:
            response = oauth_error(405, "invalid_request", "This page takes another method")
        response.headers["Allow"] = ", ".join(methods)
        return harden(self.core, response)

    def _tenant(self, slug: str) -> TenantInfo:
        info = self.core.ports.tenants().get(slug)
        if info is None:
            raise InvalidToken("unknown tenant")
        return info
