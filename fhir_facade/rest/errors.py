"""Domain errors to HTTP answers: the only place that knows both (design section 4 "Errors")."""

from __future__ import annotations

import traceback

from flask import Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from fhir_facade import errors
from fhir_facade.fhir.outcome import outcome
from fhir_facade.rest.accesses import Access, record_failure, record_stranger
from fhir_facade.rest.authorize import Authorizer, known_type
from fhir_facade.rest.correlation import begin_correlation, correlation_id
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.rest.refusals import refusal_of, token_refusal
from fhir_facade.rest.respond import Header, preflight, respond_json
from fhir_facade.telemetry import log
from smart_auth.verify import InvalidToken

ROOT = "/fhir/"

_STATUS: tuple[tuple[type[errors.FacadeError], int], ...] = (
    (errors.LoginRequired, 401),
    (errors.Forbidden, 403),
    (errors.Gone, 410),
    (errors.NotFound, 404),
    (errors.TypeNotServed, 404),
    (errors.MethodNotAllowed, 405),
    (errors.NotAcceptable, 406),
    (errors.UnsupportedMediaType, 415),
    (errors.Conflict, 409),
    (errors.PreconditionFailed, 412),
    (errors.TooCostly, 413),
    (errors.Throttled, 429),
    (errors.InvalidRequest, 400),
)


def status_of(error: errors.FacadeError) -> int:
    """The HTTP status of a domain error."""
    if isinstance(error, errors.UpstreamFault):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def failure(error: errors.FacadeError) -> Response:
    """The OperationOutcome answer of a domain error."""
    status = status_of(error)
    body = outcome(
        error.severity,
        error.issue,
        error.text,
        error.diagnostics,
        error.expression,
        correlation_id(),
    )
    return respond_json(body, status, "application/fhir+json", *_headers(error, status))


def _headers(error: errors.FacadeError, status: int) -> tuple[Header, ...]:
    if isinstance(error, errors.Throttled | errors.UpstreamFault):
        return (("Retry-After", str(error.retry_after)),)
    if isinstance(error, errors.MethodNotAllowed):
        return (("Allow", ", ".join(error.allowed)),)
    if status in (401, 403):
        return (("WWW-Authenticate", g.get("challenge") or "Bearer"),)
    return ()


class ErrorHandlers:
    """Turns whatever goes wrong into an OperationOutcome, and writes the audit row of it."""

    def __init__(self, parts: RestParts, authorizer: Authorizer) -> None:
        self._parts = parts
        self._authorizer = authorizer

    def facade_error(self, error: errors.FacadeError) -> Response:
        """A domain error raised by a view."""
        response = failure(error)
        self._record(error, response.status_code)
        return response

    def _record(self, error: errors.FacadeError, status: int) -> None:
        access: Access | None = g.get("access")
        if access is not None:
            why = refusal_of(error, access)
            record_failure(self._parts, access, status, error.issue, why)
            return
        tenant: TenantParts | None = g.get("tenant")
        if tenant is None or status != 401:
            return
        refused: InvalidToken | None = g.get("refused_token")
        if refused is None:
            record_stranger(self._parts, tenant, None, "no bearer token", None)
        else:
            why = token_refusal(refused.reason)
            record_stranger(self._parts, tenant, refused.client_id, refused.reason, why)

    def http_error(self, error: HTTPException) -> Response:
        """What Flask or Werkzeug raise inside a view (a body cut short, too large, …)."""
        if isinstance(error, RequestEntityTooLarge):
            return self.facade_error(errors.TooCostly("The body is too large."))
        if error.code is not None and 400 <= error.code < 500:
            text = "The request is not well formed."
            advice = "Send the body whole, as Content-Length or the chunks announce it."
            return self.facade_error(errors.InvalidRequest(text, diagnostics=advice))
        return self.unexpected(error)

    def unexpected(self, error: Exception) -> Response:
        """A bug or a fault of our own: 500, with its place in the log and nothing of its text."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
        log("rest").error("request.failed", error=type(error).__name__, place=place)
        if _is_busy(error):
            return self.facade_error(
                errors.UpstreamFault(
                    "The server's own store did not answer in time.", status=503, retry_after=5
                )
            )
        text = "The server could not answer this request."
        advice = "Try again; if it stays, tell the operator the correlation id."
        return self.facade_error(errors.FacadeError(text, diagnostics=advice))

    def no_route(self, error: NotFound) -> Response | NotFound:
        """No path like it. Outside the FHIR bases others answer."""
        if not request.path.startswith(ROOT):
            return error
        begin_correlation(request.environ)
        if request.method == "OPTIONS":
            return preflight(("OPTIONS",))
        return self._after_checks(
            errors.TypeNotServed(
                "There is nothing at this path.",
                diagnostics="The CapabilityStatement at [base]/metadata lists what is served.",
            )
        )

    def wrong_method(self, error: MethodNotAllowed) -> Response | MethodNotAllowed:
        """The path exists, the method does not."""
        if not request.path.startswith(ROOT) or _is_authorization_server(request.path):
            return error
        begin_correlation(request.environ)
        allowed = tuple(sorted(_methods(error)))
        if request.method == "OPTIONS":
            return preflight(allowed)
        return self._after_checks(
            errors.MethodNotAllowed(f"{request.method} is not supported here.", allowed)
        )

    def _after_checks(self, error: errors.FacadeError) -> Response:
        """What is wrong with a path or method, unless a check that comes before it fails."""
        slug, _, rest = request.path.removeprefix(ROOT).partition("/")
        name = rest.partition("/")[0]
        try:
            self._authorizer.tenant(slug)
            if name[:1].isupper():
                known_type(self._authorizer.access(slug, ""), name)
            elif name.startswith(("bulk", "$")):
                self._authorizer.access(slug, "")
        except errors.FacadeError as earlier:
            return self.facade_error(earlier)
        return self.facade_error(error)


def _methods(error: MethodNotAllowed) -> set[str]:
    """What the path allows. Flask adds HEAD to every GET; a kick-off has none."""
    found = {*(error.valid_methods or ()), "OPTIONS"}
    return found - {"HEAD"} if request.path.endswith("/$export") else found


def _is_busy(error: Exception) -> bool:
    """Whether a database, by whatever driver, is locked or away (PEP 249), or its pool is empty."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return not names.isdisjoint({"OperationalError", "TimeoutError"})


def _is_authorization_server(path: str) -> bool:
    """Its pages are for browsers and take no cross-origin requests."""
    return path.removeprefix(ROOT).partition("/")[2].startswith("auth/")
