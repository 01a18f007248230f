"""The check of what people do: a developer signs up, registers an app and launches it; the provider
assigns a patient and decides about the app; a refused request is explained.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from sandbox.demo.forms import FormBrowser
from sandbox.demo.steps import Authorization, Steps, require

CALLBACK = "http://localhost:8799/callback"
"""Where the app would listen; the browser of this check goes no further."""
SCOPE = "launch/patient openid patient/Patient.rs"


class PeopleCheck:
    """The steps at one tenant. Nothing that they make is left but an inactive account."""

    def __init__(self, fhir_base: str, demo: Mapping[str, Any]) -> None:
        self.pages = f"{fhir_base}/auth"
        self.base = fhir_base
        self.demo = demo
        self.username = f"dev-{secrets.token_hex(4)}"
        self.password = secrets.token_urlsafe(12)
        self.app_name = f"App of {self.username}"
        self.developer = FormBrowser(stop_at=CALLBACK)
        self.admin = FormBrowser()
        self.discovery: dict[str, Any] = {}
        self.app = ""
        self.account = ""

    def steps(self) -> Steps:
        """Name and function of each step, in order."""
        return [
            ("a developer signs up", self.sign_up),
            ("and registers an app", self.register),
            ("the provider assigns the developer a patient", self.assign),
            ("the developer launches the app and reads the patient", self.launch),
            ("a refused request stands in the app's trace", self.trace),
            ("the provider withdraws and gives approval", self.approve),
            ("the developer deletes the app", self.delete),
        ]

    def close(self) -> None:
        self.developer.close()
        self.admin.close()

    def sign_up(self) -> None:
        self.developer.open(f"{self.pages}/signup")
        self.developer.submit(
            self.developer.form("password2"),
            {
                "service": "provider",
                "first_name": "Demo",
                "last_name": "Check",
                "birth_date": "1990-01-31",
                "email": "check@example.org",
                "facility": "Demo",
                "username": self.username,
                "password": self.password,
                "password2": self.password,
            },
        )
        require(self.developer.status == 200, f"sign-up answered {self.developer.status}")
        self._log_in(self.developer, "portal", self.username, self.password)

    def register(self) -> None:
        browser = self.developer
        browser.open(f"{self.pages}/portal/apps/new?kind=public")
        fields: dict[str, str | list[str]] = {
            "name": self.app_name,
            "redirect_uris": CALLBACK,
            "scope": SCOPE,
        }
        browser.submit(browser.form("redirect_uris"), fields)
        self.app = urlsplit(browser.url).path.rpartition("/")[2]
        require("/portal/apps/" in browser.url, "registering did not lead to the app's page")
        require(self.base in browser.text, "the app's page does not show the FHIR base")
        url = f"{self.base}/.well-known/smart-configuration"
        self.discovery = browser.session.get(url, timeout=30).json()

    def assign(self) -> None:
        browser = self.admin
        admin = self.demo["admin"]
        self._log_in(browser, "console", admin["username"], admin["password"])
        browser.open(f"{self.pages}/console/users")
        browser.submit(browser.form("q", "role"), {"q": self.username})
        self.account = _link(browser, self.username)
        browser.open(f"{self.account}/patients")
        account_number = self.demo["patient_id"].rpartition("-")[2]
        browser.submit(browser.form("q"), {"q": account_number})
        browser.submit(browser.form("patient"), {"patient": self.demo["patient_id"]})
        require(self.demo["patient_id"] in browser.text, "the patient was not assigned")

    def launch(self) -> None:
        request = self._request()
        code = self._allow(self.developer, request)
        http = self.developer.session
        endpoint = self.discovery["token_endpoint"]
        token = http.post(endpoint, data=request.code_fields(code), timeout=30).json()
        require(token.get("patient") == self.demo["patient_id"], "the token has another patient")
        answer = http.get(
            f"{self.base}/Patient/{token['patient']}",
            headers={"Authorization": f"Bearer {token['access_token']}"},
            timeout=30,
        )
        require(answer.status_code == 200, f"reading the patient answered {answer.status_code}")

    def trace(self) -> None:
        browser = self.developer
        browser.open(self._request().url(redirect_uri="http://localhost:8799/other"))
        require(browser.status == 400, "a foreign redirect URI was not refused")
        browser.open(f"{self.pages}/portal/apps/{self.app}/trace")
        require("http://localhost:8799/other" in browser.text, "the trace lacks what was received")
        require(CALLBACK in browser.text, "the trace does not say what was expected")

    def approve(self) -> None:
        person = self.demo["users"]["practitioner"]
        page = f"{self.pages}/console/apps/{self.app}"
        with FormBrowser(stop_at=CALLBACK) as other:
            for approved in (False, True):
                self.admin.open(page)
                self.admin.submit(self.admin.form("approved"))
                other.open(self._request().url())
                if "password" in {name for form in other.forms() for name in form.names()}:
                    self._fill_in(other, person["username"], person["password"])
                refused = "error=" in other.url
                require(refused is not approved, f"approved is {approved}, refused is {refused}")

    def delete(self) -> None:
        browser = self.developer
        browser.open(f"{self.pages}/portal/apps/{self.app}/delete")
        browser.submit(browser.form("name"), {"name": self.app_name})
        browser.open(f"{self.pages}/portal/apps/{self.app}")
        require(browser.status == 404, "the app is still there")
        self.admin.open(self.account)
        self.admin.submit(self.admin.form("active"))

    def _request(self) -> Authorization:
        return Authorization(self.discovery, self.app, CALLBACK, SCOPE)

    def _log_in(self, browser: FormBrowser, page: str, username: str, password: str) -> None:
        browser.open(f"{self.pages}/{page}")
        self._fill_in(browser, username, password)
        require(browser.status == 200, f"logging in at the {page} answered {browser.status}")

    def _fill_in(self, browser: FormBrowser, username: str, password: str) -> None:
        form = browser.form("username", "password")
        browser.submit(form, {"username": username, "password": password})

    def _allow(self, browser: FormBrowser, request: Authorization) -> str:
        """Pick the patient where there is a choice, allow everything, and give the code."""
        browser.open(request.url())
        if any("patient" in form.names() for form in browser.forms()):
            browser.submit(browser.form("patient"), {"patient": self.demo["patient_id"]})
        browser.submit(browser.form("decision"), button="decision=allow")
        answer = parse_qs(urlsplit(browser.url).query)
        require("code" in answer, "consent did not lead to a code")
        require(answer["state"] == [request.state], "state came back changed")
        return answer["code"][0]


def _link(browser: FormBrowser, text: str) -> str:
    """The address of a link by its text."""
    for address, words in re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>', browser.text):
        if words.strip() == text:
            return urljoin(browser.url, unescape(address))
    raise AssertionError(f"no such link at {urlsplit(browser.url).path}")
