"""The keys that tokens are signed with."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.console.desk import Desk, Reception
from smart_auth import admin, clock
from smart_auth.web.routes import FORM, Route
from smart_auth.web.times import moment


class KeyViews:
    """One page."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """List and rotate."""
        return [self._reception.route("/keys", self.keys, FORM)]

    def keys(self, desk: Desk) -> Response:
        """Which sign, and which only verify; a POST makes new ones."""
        if request.method == "POST":
            admin.rotate_keys(desk.store, desk.core.settings, desk.slug)
            desk.acts.record("signing keys rotated")
            return desk.to("/keys?done=rotated")
        now = clock.now()
        return desk.page(
            "keys",
            keys=[
                {
                    "kid": key.kid,
                    "alg": key.alg,
                    "made": moment(desk.tenant, key.created_at),
                    "days": (now - key.created_at) // 86_400,
                    "signs": key.retired_at is None,
                    "until": None if key.remove_at is None else moment(desk.tenant, key.remove_at),
                }
                for key in desk.store.keys.list(desk.slug, now)
            ],
            hours=admin.KEY_OVERLAP // 3600,
            told="New keys sign from now on." if request.args.get("done") else "",
        )
