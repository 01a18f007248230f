"""A form post to an OAuth endpoint, read strictly (RFC 6749 section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

LARGEST_BODY = 65_536
FORM = "application/x-www-form-urlencoded"


class TokenRequest(OAuth2Request):
    """One request to the token, introspection or revocation endpoint.

    Authlib refuses requests whose own address is not https. Behind a proxy that address says
    nothing: `AuthSettings` decides about transport once, at start, so it is not repeated here.
    """

    def __init__(self, headers: Mapping[str, str], form: Mapping[str, str], address: str) -> None:
        super().__init__("POST", "https://token.invalid/", headers=dict(headers))
        self.headers: dict[str, str] = dict(headers)
        self.client: Any = None
        self.authorization_code: Any = None
        self.refresh_token: Any = None
        self.payload = BasicOAuth2Payload(dict(form))
        self.address = address
        self._form = dict(form)

    @property
    def args(self) -> dict[str, str | None]:
        """Nothing is taken from the query."""
        return {}

    @property
    def form(self) -> dict[str, str]:
        """The parameters; none is empty, none came twice."""
        return self._form


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The parameters of a form post.

    A parameter without a value counts as absent, one that comes twice is an error. Raises Authlib's
    InvalidRequestError for anything that is not such a form.
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise InvalidRequestError(f"Send the parameters in the body as {FORM}")
    if len(body) > LARGEST_BODY:
        raise InvalidRequestError("The body is too large")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise InvalidRequestError("The body is not a UTF-8 form") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise InvalidRequestError("A parameter is in the body more than once")
        form[name] = value
    return {name: value for name, value in form.items() if value}
