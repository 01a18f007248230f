"""Logins in browsers: a random value in a cookie, its hash in the database."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request
from werkzeug.wrappers import Response as BaseResponse

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import Session

SESSION_COOKIE = "smart_session"
BROWSER_COOKIE = "smart_browser"

LOGIN_ENDED = "the login it was to last for ended"
"""Why a grant ended, in the trail."""


class Sessions:
    """Begins, finds and ends sessions. Cookies are limited to one tenant's /auth pages."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def start(
        self,
        tenant: str,
        user_id: str,
        origin: str = "login",
        methods: str = "pwd",
        auth_time: int | None = None,
    ) -> str:
        """Begin a session of a user; returns the cookie's value. Raises LookupError for an unknown
        or inactive user. `origin` is who checked the person: "login" here, "ehr", or the name of an
        external provider; `methods` how (RFC 8176, separated by spaces, '' where nobody says);
        `auth_time` when (epoch seconds), None for now."""
        user = self._core.store.users.get(tenant, user_id)
        if user is None or not user.active:
            raise LookupError("No such active user")
        value = keyring.random_token()
        now = clock.now()
        session = Session(
            session_hash=keyring.hash_token(value),
            user_id=user_id,
            origin=origin,
            auth_time=now if auth_time is None else auth_time,
            expires_at=now + self._core.settings.lifetimes.session,
            methods=methods,
        )
        self._core.store.sessions.add(tenant, session)
        return value

    def log_in(self, response: BaseResponse, tenant: str, user_id: str) -> None:
        """Log a user in whom an EHR on the same host has checked: a session, and its cookie on the
        EHR's response. Raises LookupError for an unknown tenant or user."""
        value = self.start(tenant, user_id, origin="ehr", methods="")
        self.set_cookie(response, self._core.ports.tenants()[tenant], value)

    def current(self, tenant: TenantInfo, request: Request) -> Session | None:
        """The live session of this browser, if any."""
        value = request.cookies.get(SESSION_COOKIE)
        if not value:
            return None
        return self._core.store.sessions.get(tenant.slug, keyring.hash_token(value), clock.now())

    def end(self, tenant: TenantInfo, session: Session) -> None:
        """End a session, and with it the grants of online access."""
        ended = self._core.store.sessions.end(tenant.slug, session.session_hash, clock.now())
        self._core.audit_ended(tenant.slug, ended.grants, LOGIN_ENDED)

    def end_others(self, tenant: TenantInfo, session: Session) -> None:
        """End all sessions of the user but this one, in the same way."""
        ended = self._core.store.sessions.end_all(
            tenant.slug, session.user_id, clock.now(), but=session.session_hash
        )
        self._core.audit_ended(tenant.slug, ended.grants, LOGIN_ENDED)

    def set_cookie(self, response: BaseResponse, tenant: TenantInfo, value: str) -> None:
        """Hand the session to the browser; it ends with the browser or the session."""
        self._set(response, tenant, SESSION_COOKIE, value)

    def clear_cookie(self, response: BaseResponse, tenant: TenantInfo) -> None:
        """Make the browser forget its session."""
        response.delete_cookie(
            SESSION_COOKIE,
            path=_path(tenant),
            secure=self._core.settings.cookie_secure,
            httponly=True,
            samesite="Lax",
        )

    def browser(self, request: Request) -> tuple[str, bool]:
        """The random value that ties forms to this browser, and whether it is new."""
        value = request.cookies.get(BROWSER_COOKIE)
        if value and value.isalnum() and len(value) == 43:
            return value, False
        return keyring.random_token(), True

    def set_browser(self, response: BaseResponse, tenant: TenantInfo, value: str) -> None:
        """Give the browser its value."""
        self._set(response, tenant, BROWSER_COOKIE, value)

    def _set(self, response: BaseResponse, tenant: TenantInfo, name: str, value: str) -> None:
        response.set_cookie(
            name,
            value,
            path=_path(tenant),
            secure=self._core.settings.cookie_secure,
            httponly=True,
            samesite="Lax",
        )


def _path(tenant: TenantInfo) -> str:
    """As the browser sees it, with any prefix the proxy adds."""
    return urlsplit(tenant.issuer).path + "/auth"
