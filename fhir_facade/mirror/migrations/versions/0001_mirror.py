"""The tables of the record store, the versions, their index, groups, quarantine and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "compartment",
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("patient_id", WORD, nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "patient_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_compartment_patient",
        "compartment",
        ["tenant", "type", "patient_id", "to_revision", "from_revision", "version_pk"],
        unique=False,
    )
    op.create_table(
        "dependency",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("subject_kind", WORD, nullable=False),
        sa.Column("subject_key", WORD, nullable=False),
        sa.Column("on_kind", WORD, nullable=False),
        sa.Column("on_key", WORD, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "source", "subject_kind", "subject_key", "on_kind", "on_key"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_dependency_on", "dependency", ["tenant", "source", "on_kind", "on_key"], unique=False
    )
    op.create_table(
        "dirty_subject",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "kind", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dirty_mark", "dirty_subject", ["tenant", "source", "mark"], unique=False)
    op.create_table(
        "group_definition",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("group_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("rule", WORD, nullable=False),
        sa.Column("rule_value", WORD, nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "group_id"),
    )
    op.create_table(
        "group_member",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("group_id", WORD, nullable=False),
        sa.Column("patient_id", WORD, nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "group_id", "patient_id", "from_revision"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_group_member_from",
        "group_member",
        ["tenant", "group_id", "from_revision"],
        unique=False,
    )
    op.create_index(
        "ix_group_member_patient",
        "group_member",
        ["tenant", "patient_id", "group_id", "to_revision"],
        unique=False,
    )
    op.create_table(
        "index_date",
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("param", WORD, nullable=False),
        sa.Column("lo_us", sa.BigInteger(), nullable=False),
        sa.Column("hi_us", sa.BigInteger(), nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_index_date_hi_us",
        "index_date",
        ["tenant", "type", "param", "hi_us", "lo_us", "to_revision", "from_revision", "version_pk"],
        unique=False,
    )
    op.create_index(
        "ix_index_date_lo_us",
        "index_date",
        ["tenant", "type", "param", "lo_us", "hi_us", "to_revision", "from_revision", "version_pk"],
        unique=False,
    )
    op.create_table(
        "index_reference",
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("param", WORD, nullable=False),
        sa.Column("target_type", WORD, nullable=False),
        sa.Column("target_id", WORD, nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_index_reference_target_id",
        "index_reference",
        [
            "tenant",
            "type",
            "param",
            "target_id",
            "target_type",
            "to_revision",
            "from_revision",
            "version_pk",
        ],
        unique=False,
    )
    op.create_table(
        "index_string",
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("param", WORD, nullable=False),
        sa.Column("folded", WORD, nullable=False),
        sa.Column("exact", sa.Text(), nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_index_string_folded",
        "index_string",
        ["tenant", "type", "param", "folded", "to_revision", "from_revision", "version_pk"],
        unique=False,
    )
    op.create_table(
        "index_token",
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("param", WORD, nullable=False),
        sa.Column("system", WORD, nullable=False),
        sa.Column("code", WORD, nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_index_token_code",
        "index_token",
        ["tenant", "type", "param", "code", "system", "to_revision", "from_revision", "version_pk"],
        unique=False,
    )
    op.create_table(
        "lease",
        sa.Column("name", WORD, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("resource_type", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "kind", "key", "resource_type"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("view", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("pulled_us", sa.BigInteger(), nullable=False),
        sa.Column("correlation_id", WORD, nullable=True),
        sa.Column("seen_sweep", sa.BigInteger(), nullable=False),
        sa.Column("missing_sweeps", sa.Integer(), nullable=False),
        sa.Column("missing_sweep", sa.BigInteger(), nullable=False),
        sa.Column("scope", WORD, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "view", "key"),
    )
    op.create_index(
        "ix_record_seen", "record", ["tenant", "source", "view", "seen_sweep", "key"], unique=False
    )
    op.create_table(
        "record_link",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("view", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("target_kind", WORD, nullable=False),
        sa.Column("target_key", WORD, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "view", "key", "target_kind", "target_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_record_link_target",
        "record_link",
        ["tenant", "source", "target_kind", "target_key"],
        unique=False,
    )
    op.create_table(
        "resource_version",
        sa.Column("pk", KEY, autoincrement=True, nullable=False),
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("id", WORD, nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.Column("last_updated_us", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("source", WORD, nullable=False),
        sa.Column("subject_kind", WORD, nullable=False),
        sa.Column("subject_key", WORD, nullable=False),
        sa.Column("patients", sa.Text(), nullable=False),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("inherits", WORD, nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("tenant", "type", "id", "to_revision", name="uq_version_validity"),
    )
    op.create_index(
        "ix_version_from", "resource_version", ["tenant", "type", "from_revision"], unique=False
    )
    op.create_index(
        "ix_version_subject",
        "resource_version",
        ["tenant", "source", "subject_kind", "subject_key", "to_revision"],
        unique=False,
    )
    op.create_table(
        "revision_log",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("instant_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "revision"),
    )
    op.create_index(
        "ix_revision_log_instant", "revision_log", ["tenant", "instant_us"], unique=False
    )
    op.create_table(
        "sync_state",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tenant_revision",
        sa.Column("tenant", WORD, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("instant_us", sa.BigInteger(), nullable=False),
        sa.Column("floor_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )


def downgrade() -> None:
    op.drop_table("tenant_revision")
    op.drop_table("sync_state")
    op.drop_table("revision_log")
    op.drop_table("resource_version")
    op.drop_table("record_link")
    op.drop_table("record")
    op.drop_table("quarantine")
    op.drop_table("lease")
    op.drop_table("index_token")
    op.drop_table("index_string")
    op.drop_table("index_reference")
    op.drop_table("index_date")
    op.drop_table("group_member")
    op.drop_table("group_definition")
    op.drop_table("dirty_subject")
    op.drop_table("dependency")
    op.drop_table("compartment")
