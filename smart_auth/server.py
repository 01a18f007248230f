"""The authorization server of all tenants, as a Flask blueprint and a token check."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from smart_auth.core import Core
from smart_auth.launches import Launches
from smart_auth.ports import Facade, TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore, StoreFailure
from smart_auth.verify import InvalidToken, VerifiedToken
from smart_auth.web.account_views import AccountViews
from smart_auth.web.launch_pages import problem_page
from smart_auth.web.launch_views import LaunchViews
from smart_auth.web.oauth_views import OAuthViews
from smart_auth.web.replies import oauth_error, try_later

__all__ = ["AuthServer", "InvalidToken", "VerifiedToken"]

View = Callable[[TenantInfo], Response]

ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

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
        apps = OAuthViews(self.core)
        launch = LaunchViews(self.core, self.sessions)
        account = AccountViews(self.core, self.sessions)
        routes: list[tuple[str, View, tuple[str, ...]]] = [
            ("/.well-known/smart-configuration", apps.smart_configuration, ALL),
            ("/.well-known/openid-configuration", apps.openid_configuration, ALL),
            ("/.well-known/jwks.json", apps.jwks, ALL),
            ("/auth/token", apps.token, ALL),
            ("/auth/token/", apps.token, ALL),
            ("/auth/introspect", apps.introspect, ALL),
            ("/auth/revoke", apps.revoke, ALL),
            ("/auth/style.json", apps.style_document, ALL),
            ("/auth/authorize", launch.authorize, ("GET", "HEAD", "POST")),
            ("/auth/continue", launch.next_step, ("GET", "HEAD")),
            ("/auth/login", launch.login, ("POST",)),
            ("/auth/patient", launch.patient, ("POST",)),
            ("/auth/consent", launch.consent, ("POST",)),
            ("/auth/manage", account.manage, ("GET", "HEAD", "POST")),
            ("/auth/logout", account.logout, ("POST",)),
            ("/auth/style.css", account.stylesheet, ("GET", "HEAD")),
        ]
        if self.core.settings.demo:
            routes.append(("/auth/register", apps.register, ALL))
        for path, view, methods in routes:
            made.add_url_rule(
                path,
                endpoint=path.replace("/", "_").replace(".", "_"),
                view_func=self._responder(view, methods),
                methods=ALL,
                provide_automatic_options=False,
            )
        return made

    def _responder(self, view: View, methods: tuple[str, ...]) -> Callable[[str], Response]:
        """A Flask view: finds the tenant (404 when there is none), refuses other methods than
        `methods`, and says 503 when the database is out."""

        def respond(tenant: str) -> Response:
            info = self.core.ports.tenants().get(tenant)
            if info is None:
                raise NotFound("No such tenant")
            if request.method not in methods:
                return self._wrong_method(info, methods)
            try:
                return view(info)
            except StoreFailure as error:
                log.error("auth_database_failed", error=type(error).__name__)
                return try_later(503, "The server cannot reach its database, try again", 5)

        return respond

    def _wrong_method(self, tenant: TenantInfo, methods: tuple[str, ...]) -> Response:
        """405; a person who opens a form's address gets a page that says so."""
        if request.accept_mimetypes.accept_html and request.method in ("GET", "HEAD"):
            text = "This address is one step of a launch: it cannot be opened by itself."
            response = problem_page(self.core, tenant, text)
            response.status_code = 405
        else:
            response = oauth_error(405, "invalid_request", "This page takes another method")
        response.headers["Allow"] = ", ".join(methods)
        return response

    def _tenant(self, slug: str) -> TenantInfo:
        info = self.core.ports.tenants().get(slug)
        if info is None:
            raise InvalidToken("unknown tenant")
        return info
