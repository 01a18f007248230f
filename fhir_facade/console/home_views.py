"""The overview: what waits, how much goes on, how the sources are."""

from __future__ import annotations

from flask import Response

from fhir_facade.audit.query import Among, AuditQuery, Recorded
from fhir_facade.console.desk import Desk, Reception
from smart_auth import clock
from smart_auth.web.routes import READ, Route

HOUR_US = 3_600_000_000
MOST_COUNTED = 10_000
MOST_SHOWN = 20


class HomeViews:
    """One page."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """The overview."""
        return [self._reception.route("", self.home, READ)]

    def home(self, desk: Desk) -> Response:
        """What an administrator should look at first."""
        apps = desk.store.clients.list(desk.slug)
        return desk.page(
            "home",
            waiting=[app for app in apps if app.approved_at is None],
            developers=desk.store.oversight.developers_without_patients(desk.slug, MOST_SHOWN),
            counts=desk.store.oversight.counts(desk.slug, clock.now()),
            refusals=_refusals(desk),
            most=MOST_COUNTED,
            groups=len(desk.parts.groups.list(desk.slug, members=False)),
            sources=desk.parts.sources(desk.slug),
        )


def _refusals(desk: Desk) -> int:
    """Requests refused in the last hour."""
    since = Recorded(from_us=clock.now() * 1_000_000 - HOUR_US)
    query = AuditQuery(desk.slug, (Among("outcome", ("refused",)), since))
    return desk.parts.audit.trail.count(query, at_most=MOST_COUNTED)
