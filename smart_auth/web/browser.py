"""Whose browser this is, and whether a form really came from one of our pages in it."""

from __future__ import annotations

from flask import Response, request

from smart_auth import keyring
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions

_KEY = "smart_auth.browser"


class Browser:
    """One request's view of the browser behind it; every one made in a request is the same."""

    def __init__(self, core: Core, sessions: Sessions, tenant: TenantInfo) -> None:
        self._core = core
        self._sessions = sessions
        self._tenant = tenant
        if _KEY not in request.environ:
            request.environ[_KEY] = sessions.browser(request)
        self._value, self._is_new = request.environ[_KEY]

    @property
    def mark(self) -> str:
        """What a pending request is tied to: a hash, so that the table holds no cookie."""
        return keyring.hash_token(self._value)

    def csrf(self, purpose: str, user_id: str = "") -> str:
        """The token for a form of this purpose (a pending request's id, or a page's name).

        A form of somebody who is logged in takes the `user_id` in: whoever plants a cookie, from
        another host of the same domain, knows the browser's value, and no token of that person.
        """
        return self._core.ring.sign(self._tenant.slug, "csrf", self._signed(purpose, user_id))

    def form_is_ours(self, purpose: str, user_id: str = "") -> bool:
        """Whether the form that was sent carries the token of this purpose, browser and user."""
        return not self._is_new and self._core.ring.verify(
            self._tenant.slug,
            "csrf",
            self._signed(purpose, user_id),
            request.form.get("csrf", ""),
        )

    def _signed(self, purpose: str, user_id: str) -> str:
        return f"{self._value}/{user_id}/{purpose}"

    def remember(self, response: Response) -> Response:
        """Give a new browser its cookie with a page; `pages.page` does so by itself."""
        if self._is_new and not request.environ.get(f"{_KEY}.sent"):
            request.environ[f"{_KEY}.sent"] = True
            self._sessions.set_browser(response, self._tenant, self._value)
        return response
