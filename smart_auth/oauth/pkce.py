"""PKCE at the token endpoint (RFC 7636)."""

from __future__ import annotations

import re

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge

from smart_auth import keyring
from smart_auth.oauth.errors import OAuthRefusal, invalid_grant

_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class S256Challenge(CodeChallenge):
    """PKCE with S256 only (RFC 7636; SMART App Launch forbids `plain`)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - Authlib declares a list

    def validate_code_verifier(self, grant: AuthorizationCodeGrant, result: object) -> None:
        """The verifier must be the one behind the challenge; where there was no challenge there
        must be no verifier either (RFC 9700 section 4.8.2)."""
        verifier = grant.request.form.get("code_verifier")
        challenge = self.get_authorization_code_challenge(  # type: ignore[no-untyped-call]
            grant.request.authorization_code
        )
        if challenge is None:
            if verifier is not None:
                raise _bad_verifier(
                    "code_verifier came, but the authorization request had no code_challenge"
                )
            return
        if verifier is None:
            raise _bad_verifier("code_verifier is missing")
        if not _VERIFIER.fullmatch(verifier):
            raise _bad_verifier("code_verifier must be 43 to 128 unreserved characters")
        made = str(create_s256_code_challenge(verifier))  # type: ignore[no-untyped-call]
        if not keyring.same(made, challenge):
            raise invalid_grant(
                "code_verifier does not match the code_challenge of the authorization request",
                "pkce",
            )


def _bad_verifier(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_request", description, "pkce", expected="code_verifier (S256)")
