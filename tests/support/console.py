"""The whole application with its console, on SQLite files of its own, and a browser for it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient

from fhir_facade.app import Facade, build, create_app
from fhir_facade.audit.query import AuditQuery, AuditRow
from fhir_facade.settings import load
from smart_auth import admin
from smart_auth.records import Client, User
from tests.support.published import location, patient, publish, report
from tests.support.serving import facade_environment
from tests.support.smart_auth import (
    LAUNCH_SCOPE,
    REDIRECT,
    Tab,
    assertion,
    backend_form,
    backend_key,
    code_form,
    public_jwks,
)

PASSWORD = "correct horse battery"
BACKEND_KEY = backend_key()
CONSOLE = "/fhir/acme/auth/console"
MOST_STEPS = 10


def open_facade(folder: Path, port: int = 8000) -> Facade:
    """The parts, on the databases of this folder; `port` is in the addresses handed out."""
    settings = load(facade_environment(folder, port, DEMO="true"))
    return build(settings, check=False)


def fill(facade: Facade) -> None:
    """Four patients with a report each, people of every role, an app and a backend service."""
    facade.upgrade()
    publish(
        facade.database,
        location("l1"),
        *(patient(n, family) for n, family in enumerate(("Adams", "Brown", "Clark", "Adler"), 1)),
        *(report(n, n) for n in (1, 2, 3, 4)),
    )
    people: Mapping[str, Mapping[str, Any]] = {
        "chief": {"role": "admin", "name": "The Chief"},
        "deputy": {"role": "admin"},
        "doctor": {"role": "practitioner", "whole_tenant": True, "fhir_user": "Practitioner/d1"},
        "nurse": {"role": "practitioner", "patients": ["p1"]},
        "ann": {"role": "patient", "patients": ["p1"], "fhir_user": "Patient/p1"},
        "dev": {"role": "developer", "service": "provider"},
        "kin": {"role": "developer", "service": "patient"},
    }
    made = {
        name: admin.create_user(facade.auth_store, "acme", name, PASSWORD, **options)
        for name, options in people.items()
    }
    common = {"redirect_uris": [REDIRECT], "scope": f"{LAUNCH_SCOPE} user/*.cruds"}
    admin.create_client(
        facade.auth_store, "acme", {**common, "client_id": "app", "client_name": "Viewer"}
    )
    admin.create_client(
        facade.auth_store,
        "acme",
        {**common, "client_id": "odd/id?&", "client_name": "Odd <one>"},
        owner=made["dev"].user_id,
        approved_by=None,
    )
    admin.create_client(
        facade.auth_store,
        "acme",
        {
            "client_id": "backend",
            "client_name": "Exporter",
            "jwks": public_jwks(BACKEND_KEY),
            "scope": "system/*.rs",
        },
    )


@dataclass
class Page:
    """One answer."""

    status: int
    text: str
    location: str = ""

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.text, re.DOTALL)
        return html.unescape(found[1]) if found else ""

    @property
    def said(self) -> list[str]:
        """Messages of the page: done, problem, beside fields."""
        found = re.findall(
            r'class="(?:done|problem|error)"[^>]*>(.*?)</(?:p|div)>', self.text, re.DOTALL
        )
        return [html.unescape(re.sub(r"<[^>]+>", " ", one)).strip() for one in found]

    def forms(self) -> list[dict[str, Any]]:
        """Every form: `action`, and `fields` as a browser would send them untouched."""
        found = re.findall(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', self.text, re.DOTALL)
        return [{"action": html.unescape(url), "fields": _fields(body)} for url, body in found]


@dataclass
class Browser:
    """A browser without scripts: keeps cookies, follows redirects to our own pages."""

    client: FlaskClient
    page: Page = field(default_factory=lambda: Page(0, ""))

    def open(self, path: str) -> Page:
        """A page of the console, or any by its path."""
        url = path if path.startswith("/fhir/") else CONSOLE + path
        return self._read(self.client.get(url))

    def send(self, path: str, /, **changes: Any) -> Page:
        """Send the form of the page that goes to this path, with some fields changed: None leaves
        a field out. Of several, the one whose hidden fields are all as given."""
        url = path if path.startswith("/fhir/") else CONSOLE + path
        forms = [form["fields"] for form in self.page.forms() if form["action"] == url]
        assert forms, (url, [form["action"] for form in self.page.forms()])
        fitting = [
            fields for fields in forms if fields.get("action") == changes.get("action", "save")
        ]
        fields = {**(fitting or forms)[0], **changes}
        data = {name: value for name, value in fields.items() if value is not None}
        return self.post(url, **data)

    def post(self, path: str, /, **data: Any) -> Page:
        """Send anything anywhere."""
        url = path if path.startswith("/fhir/") else CONSOLE + path
        return self._read(self.client.post(url, data=data))

    def log_in(self, username: str, password: str = PASSWORD) -> Page:
        """Log in at the page that is shown."""
        return self.send("/fhir/acme/auth/login", username=username, password=password)

    def _read(self, answer: Any) -> Page:
        steps = 0
        while answer.status_code in (302, 303) and answer.headers["Location"].startswith("/"):
            steps += 1
            assert steps < MOST_STEPS
            answer = self.client.get(answer.headers["Location"])
        text = answer.get_data(as_text=True)
        location = answer.headers.get("Location", "") or answer.request.full_path
        self.page = Page(answer.status_code, text, location)
        return self.page


@dataclass
class House:
    """The application under test."""

    facade: Facade
    app: Flask

    @classmethod
    def open(cls, folder: Path, port: int = 8000) -> House:
        facade = open_facade(folder, port)
        app = create_app(facade=facade)
        app.testing = True
        return cls(facade, app)

    def browser(self, username: str | None = None, password: str = PASSWORD) -> Browser:
        """A new browser; with a name, somebody is logged in there."""
        browser = Browser(self.app.test_client())
        if username is not None:
            browser.open("/fhir/acme/auth/account")
            browser.log_in(username, password)
            assert browser.page.status == 200
        return browser

    def user(self, username: str) -> User:
        found = self.facade.auth_store.users.by_username("acme", username)
        assert found is not None
        return found

    def client(self, client_id: str) -> Client:
        found = self.facade.auth_store.clients.get("acme", client_id)
        assert found is not None
        return found

    def acts(self, limit: int = 100) -> list[AuditRow]:
        """Administrative acts so far, newest first, without looks at the trail."""
        rows = self.facade.audit.trail.find(AuditQuery("acme", limit=limit))
        return [row for row in rows if row.action == "admin" and row.reason != "audit trail read"]

    def fhir(self, path: str, token: str) -> Any:
        """A GET under the base with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.app.test_client().get(f"/fhir/acme/{path}", headers=headers)

    def close(self) -> None:
        self.facade.close()


def query_of(location: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def _fields(body: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        attributes = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if "name" not in attributes:
            continue
        ticks = attributes.get("type") in ("checkbox", "radio")
        if ticks and " checked" not in tag:
            continue
        name, value = html.unescape(attributes["name"]), html.unescape(attributes.get("value", ""))
        if attributes.get("type") == "checkbox" and name in fields:
            known = fields[name]
            fields[name] = [*(known if isinstance(known, list) else [known]), value]
        else:
            fields[name] = value
    for name, text in re.findall(
        r'<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', body, re.S
    ):
        fields[html.unescape(name)] = html.unescape(text)
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', body, re.S):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        first = re.findall(r'<option value="([^"]*)"', options)
        fields[name] = html.unescape((chosen or first or [""])[0])
    return fields


def launched(
    house: House, username: str, patient: str | None = None, client_id: str = "app", **asked: str
) -> dict[str, Any]:
    """The token answer of a launch in a browser of its own; with `patient` it is about one."""
    tab = Tab(house.app.test_client())
    asked.setdefault("scope", "launch/patient patient/*.rs" if patient else "user/*.rs")
    tab.authorize(client_id=client_id, **asked).login(username, PASSWORD)
    if "patient" in tab.title:
        tab.pick(patient or "")
    tab.allow()
    form = code_form(tab.sent_back["code"], client_id=client_id)
    answer = tab.client.post("/fhir/acme/auth/token", data=form)
    body: dict[str, Any] = answer.get_json()
    assert answer.status_code == 200, body
    return body


def backend_token(house: House, scope: str = "system/*.rs") -> dict[str, Any]:
    """The token answer of the backend service."""
    form = backend_form(assertion(BACKEND_KEY, "backend"), scope)
    answer = house.app.test_client().post("/fhir/acme/auth/token", data=form)
    body: dict[str, Any] = answer.get_json()
    assert answer.status_code == 200, body
    return body
