"""An OpenID provider that says, on request, what no provider should."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from tests.support.scripted_http import Reply, Request, serve

CLIENT_ID = "facade at the provider"
SECRET = "s3cret: +%/é"

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
EC384 = ECKey.generate_key("P-384", {"kid": "ec384"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
"""Another key of the same name."""


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def half_hash(value: str, alg: str) -> str:
    """`at_hash` (OpenID Connect Core section 3.1.3.6)."""
    digest = hashlib.new(f"sha{alg[2:]}", value.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@dataclass
class Provider:
    """Answers truly but for what a test changes. `replies` replaces whole answers by path."""

    url: str = ""
    keys: list[Key] = field(default_factory=lambda: [RSA, EC, EC384])
    key: Key | bytes = field(default_factory=lambda: EC)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "ES256", "kid": "ec"})
    subject: str = "person-1"
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    auth_time: int | None = None
    _logins: dict[str, dict[str, str]] = field(default_factory=dict)

    def come_back(self, location: str) -> dict[str, str]:
        """The person logs in at the address the browser was sent to: the query of the callback."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        asked = dict(parse_qsl(parts.query))
        code = secrets.token_urlsafe(12) + " +&%"
        self._logins[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.url} | self.callback
        return {name: value for name, value in answer.items() if value is not None}

    def asked(self, location: str) -> dict[str, str]:
        """The parameters of an authorization request."""
        return dict(parse_qsl(urlsplit(location).query))

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        if request.path in self.replies:
            return self.replies[request.path]
        if request.path == "/.well-known/openid-configuration":
            return json_reply(_without_none(self._metadata() | self.discovery))
        if request.path == "/jwks":
            return json_reply({"keys": [key.as_dict(private=False) for key in self.keys]})
        if request.path == "/token":
            return self._token(request)
        if request.path == "/userinfo":
            if request.headers.get("authorization") != "Bearer opaque":
                return json_reply({"error": "invalid_token"}, 401)
            return json_reply({"sub": self.subject} | self.userinfo)
        return json_reply({}, 404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "authorization_response_iss_parameter_supported": True,
        }

    def _token(self, request: Request) -> Reply:
        method = self.discovery.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        )
        if _client(request, method[0]) != (CLIENT_ID, SECRET):
            return json_reply({"error": "invalid_client"}, 401)
        asked = self._logins.pop(request.form.get("code", ""), None)
        verifier = request.form.get("code_verifier", "")
        challenge = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]
        if asked is None or challenge != asked["code_challenge"]:
            return json_reply({"error": "invalid_grant"}, 400)
        if request.form.get("redirect_uri") != asked["redirect_uri"]:
            return json_reply({"error": "invalid_grant"}, 400)
        token = self.sign(self._claims(asked))
        answer = {"access_token": "opaque", "token_type": "Bearer", "id_token": token} | self.tokens
        return json_reply(_without_none(answer))

    def _claims(self, asked: Mapping[str, str]) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": self.subject,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "at_hash": half_hash("opaque", str(self.header["alg"]).replace("none", "ES256")),
        }
        if "max_age" in asked:
            claims["auth_time"] = now
        return _without_none(claims | self.claims)

    def sign(self, claims: Mapping[str, Any]) -> str:
        header = _without_none(self.header)
        if header["alg"] == "none":
            return unsigned(header, claims)
        if isinstance(self.key, bytes):
            return hmac_signed(self.key, header, claims)
        return jwt.encode(header, dict(claims), self.key, algorithms=[header["alg"]])


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any] | None = None) -> str:
    """A JWT with an empty signature."""
    parts = [json.dumps(part).encode() for part in (header, claims or {})]
    return ".".join(_b64(part) for part in parts) + "."


def hmac_signed(secret: bytes, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """HS256 by hand: the library refuses a public key as a secret."""
    signed = unsigned(header, claims).removesuffix(".")
    return f"{signed}.{_b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that runs until the block ends."""
    made = Provider()
    with serve(made.answer) as running:
        made.url = running.url
        yield made


def _client(request: Request, method: str) -> tuple[str, str]:
    if method == "client_secret_post":
        return request.form.get("client_id", ""), request.form.get("client_secret", "")
    encoded = request.headers.get("authorization", "").removeprefix("Basic ")
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _b64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@contextmanager
def dribbling() -> Iterator[str]:
    """The address of a server that sends a byte now and then, for as long as somebody reads."""
    stop = threading.Event()

    def serve_one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads = []

        def accept() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=serve_one, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            accepting.join()
            for thread in threads:
                thread.join()
