"""A developer in the portal, without a network: a browser over Flask's test client."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urljoin

from flask.testing import FlaskClient

from sandbox.demo.forms import Form, FormBrowser
from smart_auth import admin
from smart_auth.records import User
from smart_auth.store import AuthStore
from tests.support.smart_auth import PASSWORD

SIGN_UP = {
    "service": "provider",
    "first_name": "Dana",
    "last_name": "Developer",
    "birth_date": "1985-02-28",
    "email": "dana@example.org",
    "phone": "+1 (555) 010-9999",
    "city": "Springfield",
    "state": "IL",
    "facility": "General Hospital",
    "username": "dana.dev",
    "password": "a long password",
    "password2": "a long password",
}
"""What somebody writes into the sign-up form."""

LAUNCH_APP = {
    "name": "Wound viewer",
    "kind": "public",
    "redirect_uris": "http://localhost:8765/app.html",
}
"""The least a launch app needs."""


class PortalBrowser(FormBrowser):
    """`open` and `submit` go to the pages of one tenant; redirects are followed."""

    def __init__(self, client: FlaskClient, tenant: str = "acme", prefix: str = "") -> None:
        super().__init__()
        self.client = client
        self.root = f"{prefix}/fhir/{tenant}/auth/"
        self.headers: Any = {}

    def visit(self, page: str) -> PortalBrowser:
        """Open a page by its name under `auth/`."""
        self._go("get", urljoin(self.root, page), None)
        return self

    def log_in(self, username: str, password: str = PASSWORD) -> PortalBrowser:
        """Open the portal and answer its login form."""
        self.visit("portal")
        self.submit(self.form("username"), {"username": username, "password": password})
        return self

    def button(self, page: str, **having: str) -> Form:
        """The form sent to a page under `auth/` with these values in it."""
        for form in self.forms():
            values = {one.name: one.value for one in form.fields}
            if form.action.endswith(f"/auth/{page}") and having.items() <= values.items():
                return form
        raise AssertionError(f"no form for {page} at {self.url} (status {self.status})")

    @property
    def shown(self) -> str:
        """The text of the page as people read it."""
        body = self.text.partition("<main")[2]
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    @property
    def title(self) -> str:
        """The heading."""
        found = re.search(r"<h1>(.*?)</h1>", self.text)
        return html.unescape(found[1]) if found else ""

    def error(self, field: str) -> str:
        """The problem beside a field, '' when there is none."""
        found = re.search(rf'<p class="error" id="{field}-error">(.*?)</p>', self.text)
        if found is None:
            return ""
        described = re.search(rf'aria-describedby="[^"]*\b{field}-error\b', self.text)
        assert described, f"the problem of {field} is not tied to it"
        return html.unescape(found[1])

    def value(self, label: str) -> str:
        """What a copyable field of this label holds."""
        block = re.search(
            rf'<textarea id="{label}" class="copyable"[^>]*>\n(.*?)</textarea>', self.text, re.S
        )
        found = block or re.search(rf'id="{label}" class="copyable"[^>]*value="([^"]*)"', self.text)
        assert found, f"nothing to copy under {label} at {self.url}"
        return html.unescape(found[1])

    def _go(self, method: str, url: str, data: list[tuple[str, str]] | None) -> FormBrowser:
        for _ in range(10):
            answer = (
                self.client.post(url, data=_grouped(data or []))
                if method == "post"
                else self.client.get(url, query_string=_grouped(data) if data else None)
            )
            self.url, self.status = url, answer.status_code
            self.text, self.headers = answer.get_data(as_text=True), answer.headers
            location = answer.headers.get("Location", "")
            if answer.status_code not in (302, 303) or not location.startswith("/"):
                return self
            url, method, data = location, "get", None
        raise AssertionError("too many redirects")


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def add_developer(store: AuthStore, username: str = "dev", **more: Any) -> User:
    """A developer of tenant acme with two of the three patients, unless `more` says otherwise."""
    values = {"role": "developer", "service": "provider", "patients": ["p1", "p2"]} | more
    return admin.create_user(store, "acme", username, PASSWORD, **values)
