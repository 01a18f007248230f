"""The Flask app of the emulator."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from email.utils import format_datetime

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from sandbox.qubs.emulator import Call, Emulator
from sandbox.qubs.faults import Fault, find
from sandbox.qubs.files import FileRefusal
from sandbox.qubs.problems import TITLES, Problem, TokenRefusal
from sandbox.qubs.routes import (
    appointments,
    control,
    directory,
    documents,
    reporting,
    services,
    submissions,
)
from sandbox.qubs.routes.access import EXTENSION, emulator
from sandbox.qubs.settings import ServiceSettings
from sandbox.qubs.world import World

DROP = "sandbox.drop"
"""Key in the WSGI environment by which the server learns to drop: before, after or mid_body."""

_CONTROL = "/_control/"
_MAX_CORRELATION = 128


def create_app(world: World, settings: ServiceSettings) -> Flask:
    """An app that serves ``world``; one process must serve it, state lives in memory."""
    app = Flask("sandbox.qubs", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["MAX_FORM_MEMORY_SIZE"] = 64 * 1024
    app.extensions[EXTENSION] = Emulator(world, settings)
    prefix = "/integrations/v1/<domain>"
    for room in (directory, appointments, documents, reporting, submissions):
        _register(app, room.blueprint, prefix)
    _register(app, services.blueprint, "")
    _register(app, control.blueprint, "/_control")
    app.before_request(_before)
    app.after_request(_after)
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(TokenRefusal, _token_refusal)
    app.register_error_handler(FileRefusal, _file_refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def _register(app: Flask, blueprint: object, prefix: str) -> None:
    app.register_blueprint(blueprint, url_prefix=prefix)  # type: ignore[arg-type]


def _operation() -> str:
    """The operation id of the request: the endpoint without its blueprint's name."""
    return (request.endpoint or "unknown").rpartition(".")[2]


def _before() -> Response | None:
    sent = request.headers.get("X-Correlation-Id")
    g.request_id = uuid.uuid4().hex
    g.correlation_id = sent or uuid.uuid4().hex[:16]
    g.faults = ()
    if request.path.startswith(_CONTROL):
        return None
    g.faults = emulator().faults.fire(_operation(), request.path, request.method)
    if g.faults:
        struck = _strike(g.faults)
        if struck is not None:
            return struck
    if sent is not None and (len(sent) > _MAX_CORRELATION or not sent.isprintable()):
        g.correlation_id = uuid.uuid4().hex[:16]
        raise Problem(400, "X-Correlation-Id must be at most 128 printable characters.")
    return None


def _strike(faults: tuple[Fault, ...]) -> Response | None:
    """The answer a fault gives instead of ours, if it does."""
    slow = find(faults, "slow")
    if slow:
        time.sleep(slow.delay_ms / 1000)
    if find(faults, "drop"):
        request.environ[DROP] = "before"
        return Response(status=500)
    for kind, mode in (("drop_after", "after"), ("drop_mid_body", "mid_body")):
        if find(faults, kind):
            request.environ[DROP] = mode
    html = find(faults, "html_error")
    if html:
        text = f"<html><body><h1>{html.status} from the gateway</h1></body></html>"
        return Response(text, html.status, mimetype="text/html")
    if find(faults, "expired_token"):
        raise Problem(401, "The token has expired.")
    status = find(faults, "status")
    if status:
        headers = {"Retry-After": _retry_after(status.retry_after)} if status.retry_after else {}
        detail = TITLES.get(status.status, "The request failed.")
        raise Problem(status.status, detail, headers=headers)
    return None


def _retry_after(form: str) -> str:
    """``5`` as it is; ``date:5`` as the HTTP date five seconds from now."""
    kind, _, seconds = form.rpartition(":")
    if kind != "date":
        return form
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(seconds))
    return format_datetime(moment, usegmt=True)


def _after(response: Response) -> Response:
    response.headers["X-Correlation-Id"] = g.correlation_id
    if not request.path.startswith(_CONTROL):
        dropped = DROP in request.environ
        call = Call(
            _operation(),
            request.method,
            request.path,
            response.status_code,
            g.correlation_id,
            dropped,
        )
        emulator().calls.add(call)
    return response


def _problem(problem: Problem) -> Response:
    if request.path == "/oauth2/token":
        return _token_refusal(TokenRefusal("server_error", problem.detail, problem.status), problem)
    body = orjson.dumps(problem.body(request.path, g.request_id))
    response = Response(body, problem.status, mimetype="application/problem+json")
    response.headers.update(problem.headers)
    return response


def _token_refusal(refusal: TokenRefusal, problem: Problem | None = None) -> Response:
    body = {"error": refusal.error, "error_description": refusal.description}
    response = Response(orjson.dumps(body), refusal.status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    if problem is not None:
        response.headers.update(problem.headers)
    return response


def _file_refusal(refusal: FileRefusal) -> Response:
    return Response(refusal.body(), refusal.status, mimetype="application/xml")


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    return _problem(Problem(status, TITLES.get(status, error.name)))


def _unexpected(error: Exception) -> Response:
    """A fault of the emulator itself: the type is named, nothing of the data."""
    return _problem(Problem(500, f"The emulator failed: {type(error).__name__}."))
