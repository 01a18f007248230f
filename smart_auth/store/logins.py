"""Sessions, launches and authorization requests that wait for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, case, insert, select, update

from smart_auth.records import Ended, Launch, PendingAuthorization, Session
from smart_auth.store import tables as t
from smart_auth.store.contexts import dump_context, load_context
from smart_auth.store.database import Database
from smart_auth.store.grants import end_grants


class SessionStore:
    """Logins in browsers, found by the hash of the cookie's value."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, session: Session) -> None:
        """Keep a new session."""
        with self._database.write() as connection:
            connection.execute(insert(t.session).values(tenant=tenant, **asdict(session)))

    def get(self, tenant: str, session_hash: str, now: int) -> Session | None:
        """The session while it lives: not ended, not expired."""
        found = self._live(tenant, now, t.session.c.session_hash == session_hash)
        return found[0] if found else None

    def list(self, tenant: str, user_id: str, now: int) -> Sequence[Session]:
        """The live sessions of a user, newest first."""
        return self._live(tenant, now, t.session.c.user_id == user_id)

    def end(self, tenant: str, session_hash: str, now: int) -> Ended:
        """End the session, if it is live, and the grants that were to last only as long as it
        (online access)."""
        return self._end(tenant, now, t.session.c.session_hash == session_hash)

    def end_all(self, tenant: str, user_id: str, now: int, but: str = "") -> Ended:
        """End the live sessions of a user, and their online access; `but` is the hash of one that
        stays."""
        c = t.session.c
        return self._end(tenant, now, (c.user_id == user_id) & (c.session_hash != but))

    def _live(self, tenant: str, now: int, which: ColumnElement[bool]) -> Sequence[Session]:
        c = t.session.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(c.session_hash, c.user_id, c.origin, c.auth_time, c.expires_at, c.methods)
                .where(c.tenant == tenant, which, c.ended_at.is_(None), c.expires_at > now)
                .order_by(c.auth_time.desc(), c.session_hash)
            ).all()
        return [Session(*row) for row in rows]

    def _end(self, tenant: str, now: int, which: ColumnElement[bool]) -> Ended:
        c, g = t.session.c, t.access_grant.c
        with self._database.write() as connection:
            ended = connection.execute(
                update(t.session)
                .where(c.tenant == tenant, which, c.ended_at.is_(None), c.expires_at > now)
                .values(ended_at=now)
            ).rowcount
            of_them = select(c.session_hash).where(c.tenant == tenant, which)
            online = g.scope.like("%online_access%")
            grants = end_grants(
                connection,
                (g.tenant == tenant, g.session_hash.in_(of_them), online),
                "logout",
                now,
            )
        return Ended(ended, grants)


class LaunchStore:
    """Launches made by EHRs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, launch: Launch, now: int) -> None:
        """Keep a new launch."""
        with self._database.write() as connection:
            connection.execute(
                insert(t.launch).values(
                    tenant=tenant,
                    launch_hash=launch.launch_hash,
                    user_id=launch.user_id,
                    client_id=launch.client_id,
                    context=dump_context(launch.context),
                    created_at=now,
                    expires_at=launch.expires_at,
                )
            )

    def get(self, tenant: str, launch_hash: str) -> Launch | None:
        """The launch, used or not."""
        c = t.launch.c
        with self._database.read() as connection:
            row = connection.execute(
                select(t.launch).where(c.tenant == tenant, c.launch_hash == launch_hash)
            ).first()
        if row is None:
            return None
        return Launch(
            launch_hash=row.launch_hash,
            user_id=row.user_id,
            client_id=row.client_id,
            context=load_context(row.context),
            expires_at=row.expires_at,
            used_at=row.used_at,
        )


class PendingStore:
    """Authorization requests between arrival and decision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, pending: PendingAuthorization, now: int) -> None:
        """Keep a new request."""
        values = asdict(pending) | {"parameters": json.dumps(dict(pending.parameters))}
        with self._database.write() as connection:
            connection.execute(
                insert(t.pending_authorization).values(tenant=tenant, created_at=now, **values)
            )

    def get(self, tenant: str, request_hash: str, now: int) -> PendingAuthorization | None:
        """The request while it waits: not expired, not decided."""
        c = t.pending_authorization.c
        with self._database.read() as connection:
            row = connection.execute(
                select(t.pending_authorization).where(
                    c.tenant == tenant,
                    c.request_hash == request_hash,
                    c.expires_at > now,
                    c.decided_at.is_(None),
                )
            ).first()
        if row is None:
            return None
        values = dict(row._mapping) | {"parameters": json.loads(row.parameters)}
        del values["tenant"], values["created_at"]
        return PendingAuthorization(**values)

    def bind_browser(
        self, tenant: str, request_hash: str, browser_hash: str, session_hash: str | None = None
    ) -> bool:
        """Tie the request to the first browser that shows it, and note the login that browser has
        then; False when it is tied to another."""
        c = t.pending_authorization.c
        unbound: ColumnElement[bool] = c.browser_hash.is_(None)
        return self._update(
            tenant,
            request_hash,
            unbound | (c.browser_hash == browser_hash),
            browser_hash=browser_hash,
            earlier_session=case((unbound, session_hash), else_=c.earlier_session),
        )

    def choose_patient(self, tenant: str, request_hash: str, user_id: str, patient_id: str) -> bool:
        """Remember the patient this user picked."""
        undecided = t.pending_authorization.c.decided_at.is_(None)
        return self._update(tenant, request_hash, undecided, user_id=user_id, patient_id=patient_id)

    def decide(self, tenant: str, request_hash: str, now: int) -> bool:
        """Mark decided; False when another worker or tab already did."""
        undecided = t.pending_authorization.c.decided_at.is_(None)
        return self._update(tenant, request_hash, undecided, decided_at=now)

    def _update(
        self, tenant: str, request_hash: str, expected: ColumnElement[bool], **values: Any
    ) -> bool:
        c = t.pending_authorization.c
        with self._database.write() as connection:
            changed = connection.execute(
                update(t.pending_authorization)
                .where(c.tenant == tenant, c.request_hash == request_hash, expected)
                .values(**values)
            )
            return changed.rowcount == 1
