"""Index tables of number and quantity parameters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")


_BEFORE = ("tenant", "type", "param")
_BEHIND = ("to_revision", "from_revision", "version_pk")


def upgrade() -> None:
    _create("index_number")
    _create(
        "index_quantity",
        sa.Column("system", Word, nullable=False),
        sa.Column("code", Word, nullable=False),
        sa.Column("unit", Word, nullable=False),
    )


def _create(name: str, *units: sa.Column[str]) -> None:
    op.create_table(
        name,
        sa.Column("version_pk", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", Word, nullable=False),
        sa.Column("type", Word, nullable=False),
        sa.Column("param", Word, nullable=False),
        *units,
        sa.Column("lo", sa.Double(), nullable=False),
        sa.Column("hi", sa.Double(), nullable=False),
        sa.Column("from_revision", sa.BigInteger(), nullable=False),
        sa.Column("to_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version_pk", "n"),
        sqlite_with_rowid=False,
    )
    for first, second in (("lo", "hi"), ("hi", "lo")):
        op.create_index(
            f"ix_{name}_{first}",
            name,
            [
                "tenant",
                "type",
                "param",
                first,
                second,
                "to_revision",
                "from_revision",
                "version_pk",
            ],
        )


def downgrade() -> None:
    for name in ("index_quantity", "index_number"):
        op.drop_table(name)
