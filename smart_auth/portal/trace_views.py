"""Why requests of an app were refused."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, request

from smart_auth.portal.advice import advice_on
from smart_auth.portal.desk import Counter, Desk
from smart_auth.portal.fields import moment
from smart_auth.ports import RefusalShown
from smart_auth.records import Client
from smart_auth.web.routes import READ, Route

MOST_SHOWN = 50

_CORRELATION_ID = re.compile(r"[\x21-\x7e]{1,128}")


class TraceViews:
    """`portal/apps/<client_id>/trace`; with `id` in its address one correlation id only."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def routes(self) -> list[Route]:
        """The one page."""
        return [self._counter.route("portal/apps/<client_id>/trace", self.trace, READ)]

    def trace(self, desk: Desk, app: Client) -> Response:
        """The last refusals, newest first."""
        wanted = request.args.get("id", "").strip()
        errors = {}
        shown: list[dict[str, Any]] = []
        if wanted and not _CORRELATION_ID.fullmatch(wanted):
            errors = {"id": "Paste the correlation id of one answer, without spaces."}
        else:
            shown = [_line(desk, one) for one in self._refusals(desk, app, wanted)]
        return desk.page(
            "trace",
            422 if errors else 200,
            app=app,
            wanted=wanted,
            errors=errors,
            refusals=shown,
            most=MOST_SHOWN,
        )

    def _refusals(self, desk: Desk, app: Client, wanted: str) -> list[RefusalShown]:
        found = desk.core.ports.refusals(
            desk.tenant.slug, app.client_id, correlation_id=wanted or None, limit=MOST_SHOWN
        )
        return list(found)


def _line(desk: Desk, shown: RefusalShown) -> dict[str, Any]:
    step, advice = advice_on(shown.refusal.step)
    return {
        "at": moment(shown.at, desk.tenant.zone),
        "endpoint": shown.endpoint,
        "status": shown.status,
        "id": shown.correlation_id,
        "step": step,
        "error": shown.refusal.error,
        "text": shown.refusal.text,
        "expected": shown.refusal.expected,
        "received": shown.refusal.received,
        "advice": advice,
    }
