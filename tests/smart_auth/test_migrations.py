"""From the schema of an earlier release to the present one, on both databases."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from smart_auth import migrate
from smart_auth.store import open_store
from smart_auth.store.database import Database
from tests.support.postgres import fresh_postgres_url

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
BEFORE = "0004"
ROWS = (
    "INSERT INTO user_account (tenant, user_id, version, username, password_hash, role,"
    " whole_tenant, active, created_at, name, profile)"
    " VALUES ('t', 'u', 1, 'ann', 'x', 'practitioner', true, true, 1, '', '{}')",
    "INSERT INTO access_grant (tenant, grant_id, kind, client_id, user_id, scope, context, methods,"
    " created_at, expires_at, last_used_at)"
    " VALUES ('t', 'g', 'launch', 'app', 'u', 'openid', '{\"fhir_context\": []}', '', 1, 9, 1)",
    "INSERT INTO refresh_token (tenant, token_hash, grant_id, created_at, expires_at)"
    " VALUES ('t', 'r', 'g', 1, 9)",
)


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_postgres_url() if request.param != "sqlite" else f"sqlite:///{tmp_path}/old.db"


def test_two_processes_bring_an_older_database_up_to_date(url: str) -> None:
    with closing(Database(url)) as database, database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("CREATE SCHEMA auth"))
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
        for row in ROWS:
            connection.execute(text(row))
    with pytest.raises(migrate.SchemaOutOfDate, match=BEFORE):
        migrate.check(url)
    faults: list[Exception] = []

    def upgrade() -> None:
        try:
            migrate.upgrade(url)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=upgrade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    migrate.check(url)
    with closing(open_store(url)) as store:
        user, token = store.users.get("t", "u"), store.grants.refresh_token("t", "r")
        assert user is not None
        assert not user.password_temporary
        assert token is not None
        assert token.parent_hash is None
