"""Who used a person's record: for patients, of their own record only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from smart_auth.access_words import what, who
from smart_auth.core import Core
from smart_auth.ports import AccessShown, TenantInfo
from smart_auth.records import FormerUser, User
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.launch_pages import app_name, patient_shown
from smart_auth.web.routes import READ, Route
from smart_auth.web.times import moment
from smart_auth.web.visitor import visit

LINES = 50


class LogViews:
    """The access log; `tenant` is already known to exist."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The access log."""
        return [Route("/auth/log", self.log, READ)]

    def log(self, tenant: TenantInfo) -> Response:
        """A page of it, newest first; `after` goes on behind a line."""
        visitor = visit(self._core, self._sessions, tenant, "log")
        if isinstance(visitor, Response):
            return visitor
        own = sorted(visitor.user.own_patients)
        if not own:
            text = "An access log is of a patient's record, and this account is not a patient's."
            return pages.page(self._core, tenant, "problem.html", 403, user=visitor.user, text=text)
        wanted = request.args.get("patient", own[0])
        patient = wanted if wanted in own else own[0]
        after = request.args.get("after", "")
        found = self._core.ports.accesses(tenant.slug, patient, after=after, limit=LINES + 1)
        return pages.page(
            self._core,
            tenant,
            "log.html",
            user=visitor.user,
            patient=patient_shown(self._core, tenant, patient),
            others=[patient_shown(self._core, tenant, it) for it in own if it != patient],
            lines=self._lines(tenant, visitor.user, found[:LINES]),
            newest=_link(tenant, patient) if after else None,
            older=_link(tenant, patient, found[LINES - 1].cursor) if len(found) > LINES else None,
        )

    def _lines(
        self, tenant: TenantInfo, reader: User, found: Sequence[AccessShown]
    ) -> list[dict[str, Any]]:
        @cache
        def user(user_id: str | None) -> User | FormerUser | None:
            if user_id is None:
                return None
            users = self._core.store.users
            return users.get(tenant.slug, user_id) or users.former(tenant.slug, user_id)

        @cache
        def app(client_id: str | None) -> str | None:
            return None if client_id is None else app_name(self._core, tenant, client_id)

        return [
            {
                "at": moment(tenant, access.at),
                "who": who(
                    reader,
                    user(access.actor if access.kind == "admin" else access.user_id),
                    app(access.client_id),
                    access,
                ),
                "what": what(reader, user(access.user_id), app(access.client_id), access),
                "outcome": access.outcome,
            }
            for access in found
        ]


def _link(tenant: TenantInfo, patient: str, after: str = "") -> str:
    query = {"patient": patient} | ({"after": after} if after else {})
    return f"{pages.path_of(tenant, 'log')}?{urlencode(query)}"
