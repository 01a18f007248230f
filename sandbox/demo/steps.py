"""What the checks of the demo share: a step that fails says why, and PKCE launches."""

from __future__ import annotations

import base64
import hashlib
import secrets
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

Steps = Sequence[tuple[str, Callable[[], None]]]


class StepFailed(Exception):
    """A step did not give what it should; the text says what."""


def require(condition: object, text: str) -> None:
    """Raise StepFailed with `text` unless the condition holds."""
    if not condition:
        raise StepFailed(text)


def go_through(steps: Steps) -> int:
    """Do the steps, a line each, until one fails; how many failed."""
    for name, step in steps:
        try:
            step()
        except (StepFailed, AssertionError, requests.RequestException, KeyError, ValueError) as why:
            told = why if isinstance(why, StepFailed) else traceback.format_exc(limit=2)
            print(f"  FAILED  {name}: {told}")
            return 1
        print(f"  ok      {name}")
    return 0


@dataclass(frozen=True)
class Authorization:
    """One authorization request of an app, with what redeems its code."""

    discovery: Mapping[str, Any]
    client_id: str
    redirect_uri: str
    scope: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def url(self, **more: str) -> str:
        """Where the app sends the browser."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "aud": str(self.discovery["issuer"]),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        return f"{self.discovery['authorization_endpoint']}?{urlencode(query)}"

    def code_fields(self, code: str) -> dict[str, str]:
        """The token request of a public app."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
        }
