"""Domain errors. Each knows its FHIR issue type and says what to change; `rest.errors` alone knows
HTTP.

Messages never hold values of a request or a record: names of parameters, types, ids of jobs and
counts only.
Issue codes: http://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Sequence


class FacadeError(Exception):
    """Base of every error that a caller of the facade may see.

    `text` is one sentence for people, `diagnostics` says what to change, `expression` names the
    parameter or element at fault (`OperationOutcome.issue.expression`).
    """

    issue = "exception"
    severity = "error"

    def __init__(
        self, text: str, *, diagnostics: str | None = None, expression: Sequence[str] = ()
    ) -> None:
        super().__init__(text)
        self.text = text
        self.diagnostics = diagnostics
        self.expression = tuple(expression)


class InvalidRequest(FacadeError):
    """The request is not well formed: HTTP 400."""

    issue = "invalid"


class UnsupportedParameter(InvalidRequest):
    """A parameter, modifier or value that this server does not serve: HTTP 400."""

    issue = "not-supported"


class LoginRequired(FacadeError):
    """No token, or one that is not valid: HTTP 401."""

    issue = "login"


class Forbidden(FacadeError):
    """The token does not reach what was asked: HTTP 403."""

    issue = "forbidden"


class OutOfCompartment(Forbidden):
    """The token is for one patient and the request names another: HTTP 403."""


class NotFound(FacadeError):
    """No such resource for this caller: HTTP 404."""

    issue = "not-found"


class TypeNotServed(FacadeError):
    """Not an R4 type, or not one this tenant serves: HTTP 404."""

    issue = "not-supported"


class Gone(FacadeError):
    """Deleted, and the caller could have read it: HTTP 410."""

    issue = "deleted"


class MethodNotAllowed(FacadeError):
    """The path exists, the interaction does not: HTTP 405. `allowed` lists the methods that do."""

    issue = "not-supported"

    def __init__(
        self, text: str, allowed: Sequence[str], *, expression: Sequence[str] = ()
    ) -> None:
        takes = ", ".join(allowed)
        super().__init__(text, diagnostics=f"Use one of: {takes}.", expression=expression)
        self.allowed = tuple(allowed)


class PreconditionFailed(FacadeError):
    """The client named another version than the one that is there: HTTP 412."""

    issue = "conflict"


class NotAcceptable(FacadeError):
    """The client accepts no format we write: HTTP 406."""

    issue = "not-supported"


class UnsupportedMediaType(FacadeError):
    """The body is in a format we do not read: HTTP 415."""

    issue = "not-supported"


class Conflict(FacadeError):
    """The state of the thing forbids it: HTTP 409."""

    issue = "conflict"


class TooCostly(FacadeError):
    """Too large or too many: HTTP 413 or 429 with Retry-After."""

    issue = "too-costly"


class Throttled(FacadeError):
    """Too many requests: HTTP 429. `retry_after` is in whole seconds."""

    issue = "throttled"

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text, diagnostics=f"Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class UpstreamFault(FacadeError):
    """The upstream did not answer as it should: HTTP 502, 503 or 504 with Retry-After (seconds)."""

    issue = "transient"

    def __init__(self, text: str, *, status: int = 503, retry_after: int = 30) -> None:
        super().__init__(text, diagnostics=f"Try again in {retry_after} seconds.")
        self.status = status
        self.retry_after = retry_after


class SettingsError(FacadeError):
    """A setting is missing, malformed or unsafe; the text names it in one sentence."""
