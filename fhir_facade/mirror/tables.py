"""The tables of the mirror (SQLAlchemy Core). Alembic migrations in `migrations/` build exactly these.

Every table carries `tenant`: tenants share a database, never a row. Instants are integer microseconds UTC.
A validity `[from_revision, to_revision)` is open when `to_revision` is `OPEN`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

OPEN = 2**62
"""`to_revision` of what is still valid."""

metadata = MetaData()
BigKey = BigInteger().with_variant(Integer, "sqlite")


def _validity() -> list[Column[int]]:
    return [
        Column("from_revision", BigInteger, nullable=False),
        Column("to_revision", BigInteger, nullable=False),
    ]


tenant_revision = Table(
    "tenant_revision",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("instant_us", BigInteger, nullable=False),
)
"""One row a tenant, locked by each publishing transaction."""

revision_log = Table(
    "revision_log",
    metadata,
    Column("tenant", String, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("instant_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "revision"),
    Index("ix_revision_log_instant", "tenant", "instant_us"),
)

record = Table(
    "record",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("view", String, nullable=False),
    Column("key", String, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("pulled_us", BigInteger, nullable=False),
    Column("correlation_id", String),
    Column("seen_sweep", BigInteger, nullable=False, default=0),
    Column("missing_sweeps", Integer, nullable=False, default=0),
    Column("scope", String, nullable=False, default=""),
    PrimaryKeyConstraint("tenant", "source", "view", "key"),
    Index("ix_record_seen", "tenant", "source", "view", "seen_sweep"),
)
"""Upstream records as received (zlib over the JSON bytes). `scope` is what a sweep covers (a site, a status)."""

record_link = Table(
    "record_link",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("view", String, nullable=False),
    Column("key", String, nullable=False),
    Column("target_kind", String, nullable=False),
    Column("target_key", String, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "view", "key", "target_kind", "target_key"),
    Index("ix_record_link_target", "tenant", "source", "target_kind", "target_key"),
)
"""Which subjects a record speaks of: an appointment's own records, the patient a comment names."""

dependency = Table(
    "dependency",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("subject_kind", String, nullable=False),
    Column("subject_key", String, nullable=False),
    Column("on_kind", String, nullable=False),
    Column("on_key", String, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "subject_kind", "subject_key", "on_kind", "on_key"),
    Index("ix_dependency_on", "tenant", "source", "on_kind", "on_key"),
)
"""Subject A was mapped from records of subject B: when B's records change, A is dirty too."""

dirty_subject = Table(
    "dirty_subject",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("mark", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "kind", "key"),
    Index("ix_dirty_mark", "tenant", "source", "mark"),
)
"""Subjects to be mapped again. `mark` changes when a record changes during mapping, so a consumer deletes only what it saw."""

resource_version = Table(
    "resource_version",
    metadata,
    Column("pk", BigKey, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("type", String, nullable=False),
    Column("id", String, nullable=False),
    Column("version_id", Integer, nullable=False),
    *_validity(),
    Column("last_updated_us", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("source", String, nullable=False),
    Column("subject_kind", String, nullable=False),
    Column("subject_key", String, nullable=False),
    Column("patients", Text, nullable=False),
    Column("categories", Text, nullable=False),
    Column("inherits", String),
    UniqueConstraint("tenant", "type", "id", "to_revision", name="uq_version_validity"),
    Index("ix_version_number", "tenant", "type", "id", "version_id", unique=True),
    Index("ix_version_from", "tenant", "type", "from_revision"),
    Index("ix_version_subject", "tenant", "source", "subject_kind", "subject_key", "to_revision"),
)
"""Finished resources. `body` is the JSON as served (None for a tombstone); `patients` are logical ids and
`categories` `system|code` tokens, one a line, for the check at output; `inherits` is the target's type for
inherited classes."""


def _index(name: str, *columns: Column[object], lookup: tuple[str, ...]) -> Table:
    return Table(
        name,
        metadata,
        Column("version_pk", BigInteger, nullable=False),
        Column("tenant", String, nullable=False),
        Column("type", String, nullable=False),
        Column("param", String, nullable=False),
        *columns,
        *_validity(),
        Index(f"ix_{name}_lookup", "tenant", "type", "param", *lookup, "to_revision"),
        Index(f"ix_{name}_version", "version_pk"),
    )


index_token = _index(
    "index_token",
    Column("system", String, nullable=False),
    Column("code", String, nullable=False),
    lookup=("code", "system"),
)
index_string = _index(
    "index_string",
    Column("folded", String, nullable=False),
    Column("exact", String, nullable=False),
    lookup=("folded",),
)
index_date = _index(
    "index_date",
    Column("lo_us", BigInteger, nullable=False),
    Column("hi_us", BigInteger, nullable=False),
    lookup=("lo_us", "hi_us"),
)
index_reference = _index(
    "index_reference",
    Column("target_type", String, nullable=False),
    Column("target_id", String, nullable=False),
    lookup=("target_id", "target_type"),
)

compartment = Table(
    "compartment",
    metadata,
    Column("version_pk", BigInteger, nullable=False),
    Column("tenant", String, nullable=False),
    Column("type", String, nullable=False),
    Column("patient_id", String, nullable=False),
    *_validity(),
    Index("ix_compartment_lookup", "tenant", "type", "patient_id", "to_revision"),
    Index("ix_compartment_version", "version_pk"),
)
"""Which patients a version belongs to: the reach predicate."""

group_definition = Table(
    "group_definition",
    metadata,
    Column("tenant", String, nullable=False),
    Column("group_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("rule_value", String, nullable=False, default=""),
    Column("members", Text, nullable=False, default=""),
    Column("active", Boolean, nullable=False, default=True),
    PrimaryKeyConstraint("tenant", "group_id"),
)
"""`rule`: `listed` (ids in `members`, one a line), `tenant` (all patients) or `site` (`rule_value` is a Location id)."""

group_member = Table(
    "group_member",
    metadata,
    Column("tenant", String, nullable=False),
    Column("group_id", String, nullable=False),
    Column("patient_id", String, nullable=False),
    *_validity(),
    PrimaryKeyConstraint("tenant", "group_id", "patient_id", "from_revision"),
    Index("ix_group_member_patient", "tenant", "patient_id", "group_id", "to_revision"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("resource_type", String, nullable=False, default=""),
    Column("reason", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "kind", "key", "resource_type"),
)
"""What could not be stored or served, with the reason in words that hold no values."""

sync_state = Table(
    "sync_state",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("name", String, nullable=False),
    Column("value", Text, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "name"),
)
"""Small facts of a source as JSON text: sweeps, tier cursors, budget windows, the last report, counts of unknown codes."""

lease = Table(
    "lease",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
"""One holder at a time, by compare-and-set: `sync:{tenant}:{source}`."""
