"""Tokens with which apps may register themselves."""

from __future__ import annotations

from flask import Response, request

from fhir_facade.console.desk import Desk, Reception
from smart_auth import clock
from smart_auth.admin import registration
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route
from smart_auth.web.times import moment


class TokenViews:
    """One page."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """List and make; end."""
        route = self._reception.route
        return [
            route("/tokens", self.tokens, FORM),
            route("/tokens/revoke", self.revoke, ("POST",)),
        ]

    def tokens(self, desk: Desk) -> Response:
        """All tokens; a POST makes one, which the answer shows this once."""
        if request.method != "POST":
            return _show(desk)
        name, days, uses = (pages.posted(one).strip() for one in ("name", "days", "uses"))
        if not all(one.isascii() and one.isdecimal() for one in (days, uses or "0")):
            return _show(desk, 422, problem="Write days and uses as whole numbers.")
        try:
            made = registration.make_initial_token(
                desk.store,
                desk.slug,
                name,
                desk.admin.user_id,
                days=int(days[:6]),
                uses=int(uses[:6]) if uses else None,
            )
        except ValueError as error:
            return _show(desk, 422, problem=f"{error}.")
        desk.acts.record("initial access token made")
        return _show(desk, made=made.value)

    def revoke(self, desk: Desk) -> Response:
        """End a token."""
        try:
            registration.revoke_initial_token(desk.store, desk.slug, pages.posted("token"))
        except LookupError:
            return _show(desk, 409, problem="The token had ended before.")
        desk.acts.record("initial access token revoked")
        return desk.to("/tokens?done=revoked")


def _show(desk: Desk, status: int = 200, *, made: str = "", problem: str = "") -> Response:
    tokens = registration.list_initial_tokens(desk.store, desk.slug)
    now = clock.now()
    return desk.page(
        "tokens",
        status,
        tokens=[(one, one.good(now), moment(desk.tenant, one.expires_at)) for one in tokens],
        names=desk.store.oversight.names(desk.slug, {one.made_by for one in tokens}),
        made=made,
        problem=problem,
        form={
            "name": pages.posted("name"),
            "days": pages.posted("days") or str(registration.DEFAULT_DAYS),
            "uses": pages.posted("uses") if request.method == "POST" else "1",
        },
        told="The token has ended." if request.args.get("done") else "",
    )
