"""Two servers of one installation behind one public address, and a client each of whose requests
reaches the other one than the request before.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from fhir_facade.app import Facade
from tests.support.demo_tokens import http_session
from tests.support.serving import Server

PUBLIC = "https://fhir.example.org"
BASE = f"{PUBLIC}/fhir/acme"
REDIRECT = "https://app.example.org/callback"
PROXIED = {"X-Forwarded-Proto": "https"}
_CLIENTS = itertools.count(1)


@dataclass(frozen=True)
class Pair:
    """Both servers, and the parts of a third process on the same databases."""

    first: Server
    second: Server
    facade: Facade

    def at(self, number: int) -> str:
        """The address of one of them, by any whole number."""
        return (self.first, self.second)[number % 2].url

    def ask(
        self, number: int, method: str, url: str, headers: Mapping[str, str] = {}, **options: Any
    ) -> requests.Response:
        """A request to a public address, answered by one of the servers."""
        with http_session() as own:
            return own.request(
                method,
                url.replace(PUBLIC, self.at(number)),
                headers={**PROXIED, "X-Forwarded-For": "203.0.113.1", **headers},
                allow_redirects=False,
                timeout=30,
                **options,
            )

    def both(self, method: str, url: str, **options: Any) -> list[requests.Response]:
        """The same request to the one and then to the other."""
        return [self.ask(number, method, url, **options) for number in (0, 1)]

    def at_once(self, many: int, method: str, url: str, **options: Any) -> list[requests.Response]:
        """The same request many times at the same time, half of them to each."""
        with ThreadPoolExecutor(many) as pool:
            return list(
                pool.map(lambda number: self.ask(number, method, url, **options), range(many))
            )

    def token(self, number: int, **fields: str) -> requests.Response:
        """The token endpoint of one of them."""
        return self.ask(number, "POST", f"{BASE}/auth/token", data=fields)

    def read(self, number: int, path: str, token: str) -> requests.Response:
        """A FHIR read of one of them."""
        header = {"Authorization": f"Bearer {token}"}
        return self.ask(number, "GET", f"{BASE}/{path}", headers=header)


@dataclass
class Bouncer:
    """A browser behind the proxy, at an address of its own; it keeps cookies by name and changes
    the server with every request.
    """

    pair: Pair
    turn: int = 0
    cookies: dict[str, str] = field(default_factory=dict)
    page: str = ""
    status: int = 0
    address: str = field(default_factory=lambda: f"198.51.100.{next(_CLIENTS) % 250 + 1}")

    def go(self, method: str, url: str, data: Any = None) -> str | None:
        """One request and the redirects after it, each at the other server. The app's address when
        it ends there, else None.
        """
        for _ in range(10):
            self.turn += 1
            cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers = {"Cookie": cookies, "X-Forwarded-For": self.address}
            answer = self.pair.ask(self.turn, method, url, headers, data=data)
            self.cookies |= dict(answer.cookies.items())
            for line in answer.raw.headers.getlist("Set-Cookie"):
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            self.page, self.status = answer.text, answer.status_code
            if not answer.is_redirect:
                return None
            url = answer.headers["Location"]
            if urlsplit(url).netloc not in ("", urlsplit(PUBLIC).netloc):
                return url
            url = url if url.startswith(PUBLIC) else PUBLIC + url
            method, data = "GET", None
        raise AssertionError("too many redirects")

    def hidden(self, action: str) -> dict[str, str]:
        """The hidden fields of the form that leads to a page."""
        for form in re.findall(r"<form.*?</form>", self.page, re.S):
            if re.search(rf'action="[^"]*/auth/{action}"', form):
                found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
                return {name: html.unescape(value) for name, value in found}
        raise AssertionError(f"no form for {action} (status {self.status})")

    def submit(self, page: str, /, **fields: Any) -> str | None:
        """Send the form that leads to a page of ours."""
        sent = {**self.hidden(page), **fields}
        return self.go("POST", f"{BASE}/auth/{page}", sent)

    def log_in(self, username: str, password: str) -> str | None:
        return self.submit("login", username=username, password=password)

    def boxes(self) -> list[str]:
        """The values of the boxes of a consent page."""
        found = re.findall(r'<input[^>]*name="scope"[^>]*>', self.page)
        values = [re.search(r'value="([^"]*)"', one) for one in found]
        return [html.unescape(one[1]) for one in values if one]


def request_of(client_id: str, scope: str, **more: str) -> tuple[str, str]:
    """The address of an authorization request, and its PKCE verifier."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT,
        "scope": scope,
        "state": secrets.token_urlsafe(8),
        "aud": BASE,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **more,
    }
    return f"{BASE}/auth/authorize?{urlencode(query)}", verifier


def code_of(url: str | None) -> str:
    """The code an app was called back with."""
    assert url is not None
    assert url.startswith(REDIRECT), url
    return parse_qs(urlsplit(url).query)["code"][0]
