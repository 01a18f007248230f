"""Alembic's entry: runs the migrations on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from fhir_facade.mirror.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The caller's transaction covers all of it, on SQLite too.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
