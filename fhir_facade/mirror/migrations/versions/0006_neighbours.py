"""Index rows with the id of their resource, so that a page of matches is read from neighbours."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WORD = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_WIDE = sa.text("lo_us < hi_us - 93600000000")
_CATEGORY = sa.text("param = '_category'")
_BEFORE = ("tenant", "type", "param")
_LIVING = (*_BEFORE, "to_revision")
_FOUND = ("id", "version_pk", "from_revision")
_BEHIND = ("to_revision", "from_revision", "version_pk")


_Column = tuple[str, Any]


def _words(*names: str) -> tuple[_Column, ...]:
    return tuple((name, _WORD) for name in names)


def _amounts(*names: str) -> tuple[_Column, ...]:
    return tuple((name, sa.Double()) for name in names)


_DATES = (("lo_us", sa.BigInteger()), ("hi_us", sa.BigInteger()))
_VALUES = {
    "index_token": _words("system", "code"),
    "index_string": (*_words("folded"), ("exact", sa.Text())),
    "index_date": _DATES,
    "index_reference": _words("target_type", "target_id"),
    "index_number": _amounts("lo", "hi"),
    "index_quantity": (*_words("system", "code", "unit"), *_amounts("lo", "hi")),
}
_AMOUNTS = (("to_revision", "lo", "hi"), ("to_revision", "hi", "lo"))
_LOOKUPS = {
    "index_token": (("to_revision", "code", "system"),),
    "index_string": (("to_revision", "folded"),),
    "index_date": (("to_revision", "lo_us", "hi_us"),),
    "index_reference": (("target_id", "to_revision", "target_type"),),
    "index_number": _AMOUNTS,
    "index_quantity": _AMOUNTS,
}
_LOOKUPS_BEFORE = {
    "index_token": (("code", "system"),),
    "index_string": (("folded",),),
    "index_date": (("lo_us", "hi_us"), ("hi_us", "lo_us")),
    "index_reference": (("target_id", "target_type"),),
    "index_number": (("lo", "hi"), ("hi", "lo")),
    "index_quantity": (("lo", "hi"), ("hi", "lo")),
}


def upgrade() -> None:
    _copy_all(with_id=True)
    for table, lookups in _LOOKUPS.items():
        for first, second, *covered in lookups:
            value = second if first == "to_revision" else first
            columns = [*_BEFORE, first, second, *_FOUND, *covered]
            op.create_index(f"ix_{table}_{value}", table, columns)
    columns = ["tenant", "type", "code", "system", "version_pk", "id"]
    _create_partial("ix_index_token_category", "index_token", columns, _CATEGORY)
    _create_partial(
        "ix_index_date_wide", "index_date", [*_LIVING, "lo_us", *_FOUND, "hi_us"], _WIDE
    )
    op.create_index(
        "ix_compartment_patient",
        "compartment",
        ["tenant", "type", "patient_id", "to_revision", *_FOUND],
    )


def downgrade() -> None:
    _copy_all(with_id=False)
    for table, lookups in _LOOKUPS_BEFORE.items():
        for lookup in lookups:
            op.create_index(f"ix_{table}_{lookup[0]}", table, [*_BEFORE, *lookup, *_BEHIND])
    columns = [*_BEFORE, "lo_us", "hi_us", *_BEHIND]
    _create_partial("ix_index_date_wide", "index_date", columns, _WIDE)
    op.create_index(
        "ix_compartment_patient", "compartment", ["tenant", "type", "patient_id", *_BEHIND]
    )


def _copy_all(*, with_id: bool) -> None:
    own = _words("id") if with_id else ()
    for table, values in _VALUES.items():
        columns = (*_words("tenant", "type"), *own, *_words("param"), *values)
        _copy(table, (("n", sa.Integer()), *columns), ("version_pk", "n"))
    columns = (*_words("tenant", "type"), *own, *_words("patient_id"))
    _copy("compartment", columns, ("version_pk", "patient_id"))


def _copy(table: str, columns: tuple[_Column, ...], key: tuple[str, str]) -> None:
    """The table made anew with these columns, filled from the old one and from the versions."""
    validity = (("from_revision", sa.BigInteger()), ("to_revision", sa.BigInteger()))
    every = (("version_pk", sa.BigInteger()), *columns, *validity)
    fresh = f"{table}_fresh"
    op.create_table(
        fresh,
        *(sa.Column(name, kind, nullable=False) for name, kind in every),
        sa.PrimaryKeyConstraint(*key),
        sqlite_with_rowid=False,
    )
    listed = ", ".join(f"v.{name}" if name == "id" else f"t.{name}" for name, _ in every)
    names = ", ".join(name for name, _ in every)
    op.execute(
        f"INSERT INTO {fresh} ({names}) SELECT {listed} FROM {table} t"  # noqa: S608
        " JOIN resource_version v ON v.pk = t.version_pk ORDER BY t.version_pk"
    )
    op.drop_table(table)
    op.rename_table(fresh, table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {fresh}_pkey RENAME TO {table}_pkey")


def _create_partial(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
