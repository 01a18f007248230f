"""Alembic environment: runs on the connection that `smart_auth.migrate` opened."""

from __future__ import annotations

from alembic import context

from smart_auth.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="auth_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
