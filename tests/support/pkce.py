"""One authorization request with PKCE, and the log-in that leads to its code."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.demo.forms import FormBrowser


@dataclass
class Pkce:
    """The secrets of one authorization request."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def authorize_url(self, base: str, client: Mapping[str, Any], scope: str, **more: str) -> str:
        """The address that starts the launch; `more` are further parameters, such as `launch`."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": client["client_id"],
            "redirect_uri": client["redirect_uri"],
            "scope": scope,
            "state": self.state,
            "aud": base,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        return f"{base}/auth/authorize?{urlencode(query)}"

    def log_in(self, url: str, client: Mapping[str, Any], person: Mapping[str, str]) -> str:
        """Log in as someone with one patient and allow everything; the code."""
        with FormBrowser(stop_at=client["redirect_uri"]) as browser:
            browser.open(url)
            login = browser.form("username", "password")
            fill = {"username": person["username"], "password": person["password"]}
            browser.submit(login, {**fill})
            for _ in range(3):
                if browser.url.startswith(client["redirect_uri"]):
                    break
                browser.submit(browser.forms()[0])
            answer = parse_qs(urlsplit(browser.url).query)
        assert answer.get("state") == [self.state], sorted(answer)
        return answer["code"][0]

    def code_fields(self, code: str, redirect_uri: str, client_id: str) -> dict[str, str]:
        """The token request of a public client."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": client_id,
            "code_verifier": self.verifier,
        }
