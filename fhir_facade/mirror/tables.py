"""The tables of the mirror (SQLAlchemy Core). Alembic migrations in `migrations/` build exactly
these.

Every table carries `tenant`: tenants share a database, never a row. Instants are integer
microseconds UTC. A validity `[from_revision, to_revision)` is open when `to_revision` is `OPEN`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

OPEN = 2**62
"""`to_revision` of what is still valid."""

metadata = MetaData()
BigKey = BigInteger().with_variant(Integer, "sqlite")

# Ids, keys and folded strings are compared byte by byte on both databases: pages are cut by id and
# prefixes are ranges, which a language's own order would break.
Word = String().with_variant(String(collation="C"), "postgresql")


def _validity() -> list[Column[int]]:
    return [
        Column("from_revision", BigInteger, nullable=False),
        Column("to_revision", BigInteger, nullable=False),
    ]


tenant_revision = Table(
    "tenant_revision",
    metadata,
    Column("tenant", Word, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("instant_us", BigInteger, nullable=False),
    Column("floor_revision", BigInteger, nullable=False, default=0),
)
"""One row a tenant, locked by each publishing transaction. Retention has dropped what ended at or
before `floor_revision`."""

revision_log = Table(
    "revision_log",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("instant_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "revision"),
    Index("ix_revision_log_instant", "tenant", "instant_us"),
)

record = Table(
    "record",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("view", Word, nullable=False),
    Column("key", Word, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("pulled_us", BigInteger, nullable=False),
    Column("correlation_id", Word),
    Column("seen_sweep", BigInteger, nullable=False, default=0),
    Column("missing_sweeps", Integer, nullable=False, default=0),
    Column("missing_sweep", BigInteger, nullable=False, default=0),
    Column("scope", Word, nullable=False, default=""),
    PrimaryKeyConstraint("tenant", "source", "view", "key"),
    Index("ix_record_seen", "tenant", "source", "view", "seen_sweep", "key"),
)
"""Upstream records as received (zlib over the JSON bytes). `scope` is what a sweep covers (a site,
a status); `missing_sweeps` counts the sweeps in which its by-id read answered 404, `missing_sweep`
is the last of them."""

record_link = Table(
    "record_link",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("view", Word, nullable=False),
    Column("key", Word, nullable=False),
    Column("target_kind", Word, nullable=False),
    Column("target_key", Word, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "view", "key", "target_kind", "target_key"),
    Index("ix_record_link_target", "tenant", "source", "target_kind", "target_key"),
    sqlite_with_rowid=False,
)
"""Which subjects a record speaks of: an appointment's own records, the patient a comment names."""

dependency = Table(
    "dependency",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("subject_kind", Word, nullable=False),
    Column("subject_key", Word, nullable=False),
    Column("on_kind", Word, nullable=False),
    Column("on_key", Word, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "subject_kind", "subject_key", "on_kind", "on_key"),
    Index("ix_dependency_on", "tenant", "source", "on_kind", "on_key"),
    sqlite_with_rowid=False,
)
"""Subject A was mapped from records of subject B: when B's records change, A is dirty too."""

dirty_subject = Table(
    "dirty_subject",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("key", Word, nullable=False),
    Column("mark", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "kind", "key"),
    Index("ix_dirty_mark", "tenant", "source", "mark"),
    sqlite_with_rowid=False,
)
"""Subjects to be mapped again. `mark` changes when a record changes during mapping, so a consumer
deletes only what it saw."""

resource_version = Table(
    "resource_version",
    metadata,
    Column("pk", BigKey, primary_key=True, autoincrement=True),
    Column("tenant", Word, nullable=False),
    Column("type", Word, nullable=False),
    Column("id", Word, nullable=False),
    Column("version_id", Integer, nullable=False),
    *_validity(),
    Column("last_updated_us", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("source", Word, nullable=False),
    Column("subject_kind", Word, nullable=False),
    Column("subject_key", Word, nullable=False),
    Column("patients", Text, nullable=False),
    Column("categories", Text, nullable=False),
    Column("inherits", Word),
    UniqueConstraint("tenant", "type", "id", "to_revision", name="uq_version_validity"),
    Index("ix_version_from", "tenant", "type", "from_revision"),
    Index("ix_version_subject", "tenant", "source", "subject_kind", "subject_key", "to_revision"),
)
"""Finished resources. `body` is the JSON as served (None for a tombstone); `patients` are logical
ids and `categories` `system|code` tokens, one a line, for the check at output; `inherits` are the
targets' types for inherited classes, two at most, one a line."""


_FOUND = ("id", "version_pk", "from_revision")
"""What a look-up tells of a match, in the order in which matches of one value lie."""
CATEGORY_PARAM = "_category"
"""The parameter under which the tokens that granular scopes filter on are indexed."""
IS_CATEGORY = f"param = '{CATEGORY_PARAM}'"


def _index(name: str, *columns: Column[Any], lookups: tuple[tuple[str, ...], ...]) -> Table:
    """One index table: rows lie by version, as they are written and closed. A look-up leads to what
    is valid now by a value, there in the order of ids, and covers what most searches ask: a page
    is read from neighbours, without visiting rows or versions. `lookups`: the columns behind the
    parameter, with what else is covered last."""
    return Table(
        name,
        metadata,
        Column("version_pk", BigInteger, nullable=False),
        Column("n", Integer, nullable=False),
        Column("tenant", Word, nullable=False),
        Column("type", Word, nullable=False),
        Column("id", Word, nullable=False),
        Column("param", Word, nullable=False),
        *columns,
        *_validity(),
        PrimaryKeyConstraint("version_pk", "n"),
        *(
            Index(
                f"ix_{name}_{next(word for word in lookup if word != 'to_revision')}",
                *("tenant", "type", "param", *lookup[:2], *_FOUND, *lookup[2:]),
            )
            for lookup in lookups
        ),
        sqlite_with_rowid=False,
    )


index_token = _index(
    "index_token",
    Column("system", Word, nullable=False),
    Column("code", Word, nullable=False),
    lookups=(("to_revision", "code", "system"),),
)
"""`system` and `code` as `extract.token_key` leaves them."""
Index(
    "ix_index_token_category",
    *(index_token.c[name] for name in ("tenant", "type", "code", "system", "version_pk", "id")),
    sqlite_where=text(IS_CATEGORY),
    postgresql_where=text(IS_CATEGORY),
)

index_string = _index(
    "index_string",
    Column("folded", Word, nullable=False),
    Column("exact", Text, nullable=False),
    lookups=(("to_revision", "folded"),),
)
NARROW_DATE_US = 26 * 3_600_000_000
"""What no day of any zone exceeds. Intervals up to this width that overlap others start in a range
that can be told; wider ones have an index of their own."""
WIDE_DATE = f"lo_us < hi_us - {NARROW_DATE_US}"

index_date = _index(
    "index_date",
    Column("lo_us", BigInteger, nullable=False),
    Column("hi_us", BigInteger, nullable=False),
    lookups=(("to_revision", "lo_us", "hi_us"),),
)
Index(
    "ix_index_date_wide",
    *(index_date.c[name] for name in ("tenant", "type", "param", "to_revision", "lo_us")),
    *(index_date.c[name] for name in (*_FOUND, "hi_us")),
    sqlite_where=text(WIDE_DATE),
    postgresql_where=text(WIDE_DATE),
)
index_reference = _index(
    "index_reference",
    Column("target_type", Word, nullable=False),
    Column("target_id", Word, nullable=False),
    lookups=(("target_id", "to_revision", "target_type"),),
)

index_number = _index(
    "index_number",
    Column("lo", Double, nullable=False),
    Column("hi", Double, nullable=False),
    lookups=(("to_revision", "lo", "hi"), ("to_revision", "hi", "lo")),
)
index_quantity = _index(
    "index_quantity",
    Column("system", Word, nullable=False),
    Column("code", Word, nullable=False),
    Column("unit", Word, nullable=False),
    Column("lo", Double, nullable=False),
    Column("hi", Double, nullable=False),
    lookups=(("to_revision", "lo", "hi"), ("to_revision", "hi", "lo")),
)

compartment = Table(
    "compartment",
    metadata,
    Column("version_pk", BigInteger, nullable=False),
    Column("tenant", Word, nullable=False),
    Column("type", Word, nullable=False),
    Column("id", Word, nullable=False),
    Column("patient_id", Word, nullable=False),
    *_validity(),
    PrimaryKeyConstraint("version_pk", "patient_id"),
    Index("ix_compartment_patient", "tenant", "type", "patient_id", "to_revision", *_FOUND),
    sqlite_with_rowid=False,
)
"""Which patients a version, or a tombstone, belongs to: the reach predicate."""

group_definition = Table(
    "group_definition",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("group_id", Word, nullable=False),
    Column("name", Word, nullable=False),
    Column("rule", Word, nullable=False),
    Column("rule_value", Word, nullable=False, default=""),
    Column("active", Boolean, nullable=False, default=True),
    Column("version", Integer, nullable=False),
    Column("refreshed_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "group_id"),
)
"""`rule`: `listed` (those in `group_listed`), `tenant` (all patients) or `site` (`rule_value` is a
Location id). `version` goes up with every change. `refreshed_us`: the membership is that of this
instant; 0 when the definition changed since."""

group_listed = Table(
    "group_listed",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("group_id", Word, nullable=False),
    Column("patient_id", Word, nullable=False),
    Column("period_start_us", BigInteger),
    Column("period_end_us", BigInteger),
    Column("inactive", Boolean, nullable=False),
    PrimaryKeyConstraint("tenant", "group_id", "patient_id"),
    Index("ix_group_listed_start", "tenant", "period_start_us"),
    Index("ix_group_listed_end", "tenant", "period_end_us"),
    sqlite_with_rowid=False,
)
"""Whom an operator put into a group, from `period_start_us` until before `period_end_us`; null is
open."""

group_member = Table(
    "group_member",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("group_id", Word, nullable=False),
    Column("patient_id", Word, nullable=False),
    *_validity(),
    PrimaryKeyConstraint("tenant", "group_id", "patient_id", "from_revision"),
    Index("ix_group_member_patient", "tenant", "patient_id", "group_id", "to_revision"),
    Index("ix_group_member_from", "tenant", "group_id", "from_revision"),
    sqlite_with_rowid=False,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("key", Word, nullable=False),
    Column("resource_type", Word, nullable=False, default=""),
    Column("reason", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "kind", "key", "resource_type"),
    sqlite_with_rowid=False,
)
"""What could not be stored or served, with the reason in words that hold no values."""

sync_state = Table(
    "sync_state",
    metadata,
    Column("tenant", Word, nullable=False),
    Column("source", Word, nullable=False),
    Column("name", Word, nullable=False),
    Column("value", Text, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "name"),
    sqlite_with_rowid=False,
)
"""Small facts of a source as JSON text: sweeps, tier cursors, budget windows, the last report,
counts of unknown codes."""

lease = Table(
    "lease",
    metadata,
    Column("name", Word, primary_key=True),
    Column("owner", Word, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""One holder at a time, by compare-and-set: `sync:{tenant}:{source}`."""
