"""Alembic's entry: migrate the audit table over the connection that the caller passed."""

from alembic import context

from fhir_facade.audit.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="audit_alembic_version",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
