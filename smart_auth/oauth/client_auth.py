"""Who is calling an OAuth endpoint (RFC 6749 section 2.3, RFC 7523)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from smart_auth import clock, keyring
from smart_auth.oauth.assertion import ASSERTION_TYPE, SmartClientAssertion
from smart_auth.oauth.errors import OAuthRefusal, invalid_client
from smart_auth.oauth.request import TokenRequest
from smart_auth.records import Client

if TYPE_CHECKING:
    from smart_auth.oauth.server import OAuthServer


def authenticate(server: OAuthServer, request: TokenRequest, methods: Collection[str]) -> Client:
    """The client behind this request, by the one method it is registered for.

    Raises `OAuthRefusal`: invalid_client when it is unknown, not usable now or cannot prove itself,
    invalid_request when it tries two ways at once, unauthorized_client when its way is not among
    `methods`.
    """
    method = _method_tried(request)
    client = _identify(server, request, method)
    request.client = client
    if client is None:
        raise invalid_client(
            "No client of this id is registered here: check client_id and the server address"
        )
    if not client.usable(clock.now()):
        raise invalid_client("The client is inactive or outside its validity window")
    if not client.check_endpoint_auth_method(method, "token"):
        raise _wrong_method(client, method)
    if method not in methods:
        raise OAuthRefusal(
            "unauthorized_client",
            "This request needs one of these client authentication methods: " + ", ".join(methods),
            expected=" ".join(methods),
            received=method,
        )
    request.auth_method = method
    return client


def claimed_id(request: TokenRequest) -> str | None:
    """The client_id a request gives, proved or not: in the form, or as `sub` of its assertion."""
    if "client_id" in request.form:
        return request.form["client_id"]
    payload = request.form.get("client_assertion", "").partition(".")[2].partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return None
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else None


def _wrong_method(client: Client, tried: str) -> OAuthRefusal:
    return invalid_client(
        f"This client is registered for the authentication method {client.auth_method}",
        expected=client.auth_method,
        received=tried,
    )


def _method_tried(request: TokenRequest) -> str:
    form = request.form
    tried = []
    if request.headers.get("Authorization"):
        tried.append("client_secret_basic")
    if "client_secret" in form:
        tried.append("client_secret_post")
    if "client_assertion" in form or "client_assertion_type" in form:
        tried.append("private_key_jwt")
    if len(tried) > 1:
        raise OAuthRefusal(
            "invalid_request",
            "Use one way of client authentication, not several",
            "client",
            received=" ".join(tried),
        )
    return tried[0] if tried else "none"


def _identify(server: OAuthServer, request: TokenRequest, method: str) -> Client | None:
    if method == "client_secret_basic":
        return _by_basic(server, request)
    if method == "client_secret_post":
        return _by_post(server, request)
    if method == "private_key_jwt":
        return _by_assertion(server, request)
    return _by_id(server, request)


def _by_basic(server: OAuthServer, request: TokenRequest) -> Client | None:
    scheme, _, credentials = request.headers["Authorization"].partition(" ")
    if scheme.lower() != "basic":
        raise invalid_client("Only the Basic scheme is taken in the Authorization header here")
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").rstrip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_client("The Basic credentials are not base64 of UTF-8 text") from None
    client_id, colon, secret = pair.partition(":")
    if not colon:
        raise invalid_client("The Basic credentials must be client_id:client_secret in base64")
    # The parts are form-encoded by RFC 6749; many clients send them plain, so both are tried.
    spellings = [(unquote_plus(client_id), unquote_plus(secret)), (client_id, secret)]
    for spelt_id, spelt_secret in spellings:
        client = server.query_client(spelt_id)
        if client is not None and client.check_client_secret(spelt_secret):
            _same_client_id(request, client)
            return client
    _refuse_secret(server, spellings[0][0], "client_secret_basic")
    return None


def _by_post(server: OAuthServer, request: TokenRequest) -> Client | None:
    if "client_id" not in request.form:
        raise invalid_client("client_secret came without client_id")
    client = server.query_client(request.form["client_id"])
    if client is not None and client.check_client_secret(request.form["client_secret"]):
        return client
    _refuse_secret(server, request.form["client_id"], "client_secret_post")
    return None


def _refuse_secret(server: OAuthServer, client_id: str, tried: str) -> None:
    """Say what is wrong with a secret; returns only when there is no such client."""
    client = server.query_client(client_id)
    if client is not None:
        if not client.auth_method.startswith("client_secret"):
            raise _wrong_method(client, tried)
        raise invalid_client("The client secret is wrong", expected="the registered secret")


def _by_assertion(server: OAuthServer, request: TokenRequest) -> Client | None:
    form = request.form
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise invalid_client(
            f"client_assertion_type must be {ASSERTION_TYPE}",
            "assertion",
            expected=ASSERTION_TYPE,
            received=form.get("client_assertion_type", ""),
        )
    if "client_assertion" not in form:
        raise invalid_client("client_assertion is missing", "assertion")
    called = None if server.endpoint == "token" else server.endpoint
    assertion = SmartClientAssertion(server.core, server.tenant, called)
    client: Client = assertion(server.query_client, request)
    _same_client_id(request, client)
    return client


def _by_id(server: OAuthServer, request: TokenRequest) -> Client | None:
    """A public client names itself; on refresh its token may do that instead."""
    if "client_id" in request.form:
        return server.query_client(request.form["client_id"])
    token = request.form.get("refresh_token") or request.form.get("token")
    if token is not None:
        found = server.core.store.grants.refresh_token(
            server.tenant.slug, keyring.hash_token(token)
        )
        if found is not None:
            return server.query_client(found.grant.client_id)
    raise invalid_client(
        "No client authentication: send client_id, and a secret or an assertion if you have one"
    )


def _same_client_id(request: TokenRequest, client: Client) -> None:
    if request.form.get("client_id", client.client_id) != client.client_id:
        raise OAuthRefusal(
            "invalid_request", "client_id differs from the client that authenticated", "client"
        )
