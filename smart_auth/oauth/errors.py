"""Why an OAuth endpoint refuses: the RFC 6749 code, a sentence that says what to do, the trace."""

from __future__ import annotations

from authlib.oauth2.rfc6749 import OAuth2Error

from smart_auth.oauth.request import TokenRequest
from smart_auth.ports import Refusal, Step
from smart_auth.refusals import refusal


class OAuthRefusal(OAuth2Error):
    """One refusal. `description` is a fixed text without quotes and backslashes (RFC 6749 section
    5.2); `step`, `expected` and `received` are for the app's trace (`smart_auth.refusals`)."""

    def __init__(
        self,
        error: str,
        description: str,
        step: Step | None = None,
        *,
        expected: str = "",
        received: str = "",
        status_code: int = 400,
    ) -> None:
        super().__init__(description, status_code=status_code, error=error)
        self.refusal = refusal(error, description, step, expected, received)


def refusal_of(error: OAuth2Error, request: TokenRequest) -> Refusal:
    """The trace of any error of an endpoint, those that Authlib raises itself included."""
    if isinstance(error, OAuthRefusal):
        return error.refusal
    grant_type = request.form.get("grant_type", "")
    step: Step | None = None
    if error.error in ("unauthorized_client", "unsupported_grant_type"):
        return refusal(str(error.error), str(error.description), received=grant_type)
    if error.error == "invalid_grant" and grant_type == "refresh_token":
        step = "refresh"
    return refusal(str(error.error), str(error.description), step)


def invalid_client(
    description: str, step: Step = "client", *, expected: str = "", received: str = ""
) -> OAuthRefusal:
    """The client is unknown, not usable now, or did not prove itself."""
    return OAuthRefusal("invalid_client", description, step, expected=expected, received=received)


def invalid_grant(description: str, step: Step = "code") -> OAuthRefusal:
    """The code or refresh token is not good, or not for this client."""
    return OAuthRefusal("invalid_grant", description, step)
