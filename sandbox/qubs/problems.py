"""Failures as QUBS tells them: RFC 7807 with ``requestId``; the token service uses OAuth errors."""

from __future__ import annotations

from typing import Any

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Problem(Exception):
    """An answer other than 2xx; ``errors`` are messages per field."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: dict[str, list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def body(self, instance: str, request_id: str) -> dict[str, Any]:
        """The problem+json document."""
        document: dict[str, Any] = {
            "type": f"https://httpstatuses.io/{self.status}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "requestId": request_id,
        }
        if self.errors:
            document["errors"] = self.errors
        return document


class TokenRefusal(Exception):
    """An OAuth error of the token service (RFC 6749 section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def bad_request(field: str, message: str) -> Problem:
    """400 that names a field."""
    return Problem(400, message, errors={field: [message]})
