"""`/healthz`: the process answers. `/readyz`: it can do its work, and what is amiss by name."""

from __future__ import annotations

from flask import Response

from fhir_facade.fhir import json
from fhir_facade.rest.parts import ReadinessCheck, RestParts
from fhir_facade.telemetry import log


class HealthViews:
    """The routes at the root of the app, for load balancers and operators."""

    def __init__(self, parts: RestParts) -> None:
        self._parts = parts

    def alive(self) -> Response:
        """200 while the process runs; asks nothing of anything."""
        return _answer(200, {"status": "ok"})

    def ready(self) -> Response:
        """200 `ready`, 200 `degraded` when only checks fail that are not required, else 503."""
        results = [(check, _run(check)) for check in self._parts.readiness]
        failed = [check for check, detail in results if detail is not None]
        required = any(check.required for check in failed)
        state = "not ready" if required else "degraded" if failed else "ready"
        checks = [
            {"name": check.name, "status": "ok"}
            if detail is None
            else {"name": check.name, "status": "failing", "detail": detail}
            for check, detail in results
        ]
        return _answer(503 if required else 200, {"status": state, "checks": checks})


def _run(check: ReadinessCheck) -> str | None:
    try:
        return check.run()
    except Exception as error:
        log("rest").error("readiness.failed", check=check.name, error=type(error).__name__)
        return f"The check failed with {type(error).__name__}."


def _answer(status: int, document: dict[str, object]) -> Response:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Response(json.dumps(document), status, headers)
