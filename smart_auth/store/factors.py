"""Second factors of users: at most one each."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from smart_auth.records import SecondFactor
from smart_auth.store import tables as t
from smart_auth.store.database import Database


class FactorStore:
    """A PIN or a TOTP seed of a user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, user_id: str) -> SecondFactor | None:
        """The factor of this user, if there is one."""
        c = t.second_factor.c
        with self._database.read() as connection:
            row = connection.execute(
                select(c.user_id, c.kind, c.secret, c.last_step, c.created_at).where(
                    c.tenant == tenant, c.user_id == user_id
                )
            ).first()
        return None if row is None else SecondFactor(*row)

    def put(self, tenant: str, factor: SecondFactor) -> None:
        """Keep a factor in place of the one the user had."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        values = asdict(factor)
        statement = dialect.insert(t.second_factor).values(tenant=tenant, **values)
        del values["user_id"]
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["tenant", "user_id"], set_=values)
            )

    def remove(self, tenant: str, user_id: str) -> bool:
        """Forget the factor; False when there was none."""
        c = t.second_factor.c
        with self._database.write() as connection:
            removed = connection.execute(
                delete(t.second_factor).where(c.tenant == tenant, c.user_id == user_id)
            )
            return removed.rowcount == 1

    def use_step(self, tenant: str, factor: SecondFactor, step: int) -> bool:
        """Accept a time step of this very seed; False when it, or a later one, was accepted before,
        by whichever worker."""
        c = t.second_factor.c
        with self._database.write() as connection:
            changed = connection.execute(
                update(t.second_factor)
                .where(
                    c.tenant == tenant,
                    c.user_id == factor.user_id,
                    c.secret == factor.secret,
                    c.last_step.is_(None) | (c.last_step < step),
                )
                .values(last_step=step)
            )
            return changed.rowcount == 1
