"""The authorization server of all tenants, as a Flask blueprint and a token check."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from smart_auth.core import Core
from smart_auth.launches import Launches
from smart_auth.ports import Facade, TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore
from smart_auth.verify import InvalidToken, VerifiedToken
from smart_auth.web.account_views import AccountViews
from smart_auth.web.launch_views import LaunchViews
from smart_auth.web.oauth_views import OAuthViews

__all__ = ["AuthServer", "InvalidToken", "VerifiedToken"]

View = Callable[[TenantInfo], Response]

APP_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


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
        read = ["GET", "HEAD", "OPTIONS"]
        self._add(made, "/.well-known/smart-configuration", apps.smart_configuration, read)
        self._add(made, "/.well-known/openid-configuration", apps.openid_configuration, read)
        self._add(made, "/.well-known/jwks.json", apps.jwks, read)
        self._add(made, "/auth/token", apps.token, APP_METHODS)
        self._add(made, "/auth/introspect", apps.introspect, APP_METHODS)
        self._add(made, "/auth/revoke", apps.revoke, APP_METHODS)
        self._add(made, "/auth/authorize", launch.authorize, ["GET", "POST"])
        self._add(made, "/auth/continue", launch.next_step, ["GET"])
        self._add(made, "/auth/login", launch.login, ["POST"])
        self._add(made, "/auth/patient", launch.patient, ["POST"])
        self._add(made, "/auth/consent", launch.consent, ["POST"])
        self._add(made, "/auth/manage", account.manage, ["GET", "POST"])
        self._add(made, "/auth/logout", account.logout, ["POST"])
        self._add(made, "/auth/style.css", account.stylesheet, ["GET"])
        self._add(made, "/auth/style.json", account.style_document, read)
        return made

    def _add(self, made: Blueprint, path: str, view: View, methods: list[str]) -> None:
        def respond(tenant: str) -> Response:
            info = self.core.ports.tenants().get(tenant)
            if info is None:
                raise NotFound("No such tenant")
            return view(info)

        made.add_url_rule(
            path,
            endpoint=view.__name__,
            view_func=respond,
            methods=methods,
            provide_automatic_options=False,
        )
        if path == "/auth/token":
            made.add_url_rule(
                path + "/",
                endpoint=view.__name__ + "_slash",
                view_func=respond,
                methods=methods,
                provide_automatic_options=False,
            )

    def _tenant(self, slug: str) -> TenantInfo:
        info = self.core.ports.tenants().get(slug)
        if info is None:
            raise InvalidToken("unknown tenant")
        return info
