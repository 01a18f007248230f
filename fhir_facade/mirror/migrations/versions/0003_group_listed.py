"""Listed members of groups, with their periods; versions of groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Word = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_BATCH = 5_000


def upgrade() -> None:
    op.create_table(
        "group_listed",
        sa.Column("tenant", Word, nullable=False),
        sa.Column("group_id", Word, nullable=False),
        sa.Column("patient_id", Word, nullable=False),
        sa.Column("period_start_us", sa.BigInteger()),
        sa.Column("period_end_us", sa.BigInteger()),
        sa.Column("inactive", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "group_id", "patient_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_group_listed_start", "group_listed", ["tenant", "period_start_us"])
    op.create_index("ix_group_listed_end", "group_listed", ["tenant", "period_end_us"])
    op.add_column(
        "group_definition", sa.Column("version", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column(
        "group_definition",
        sa.Column("refreshed_us", sa.BigInteger(), nullable=False, server_default="0"),
    )
    _carry_over()
    op.drop_column("group_definition", "members")


def downgrade() -> None:
    op.add_column(
        "group_definition", sa.Column("members", sa.Text(), nullable=False, server_default="")
    )
    _carry_back()
    op.drop_column("group_definition", "refreshed_us")
    op.drop_column("group_definition", "version")
    op.drop_table("group_listed")


def _carry_over() -> None:
    """The ids that were lines of a text become rows without a period."""
    definition, listed = _definition("members"), _listed()
    conn = op.get_bind()
    columns = (definition.c.tenant, definition.c.group_id, definition.c.members)
    for tenant, group_id, members in conn.execute(sa.select(*columns)).all():
        rows = [
            {"tenant": tenant, "group_id": group_id, "patient_id": patient, "inactive": False}
            for patient in dict.fromkeys(members.split("\n"))
            if patient
        ]
        for start in range(0, len(rows), _BATCH):
            conn.execute(sa.insert(listed), rows[start : start + _BATCH])


def _carry_back() -> None:
    """Those who are not inactive become lines of a text again; periods are lost."""
    definition, listed = _definition("members"), _listed()
    conn = op.get_bind()
    members: dict[tuple[str, str], list[str]] = {}
    query = sa.select(listed.c.tenant, listed.c.group_id, listed.c.patient_id)
    for tenant, group_id, patient in conn.execute(query.where(listed.c.inactive.is_(False))):
        members.setdefault((tenant, group_id), []).append(patient)
    for (tenant, group_id), patients in members.items():
        conn.execute(
            sa.update(definition)
            .where(definition.c.tenant == tenant, definition.c.group_id == group_id)
            .values(members="\n".join(patients))
        )


def _definition(*more: str) -> sa.TableClause:
    return sa.table(
        "group_definition", *(sa.column(name) for name in ("tenant", "group_id", *more))
    )


def _listed() -> sa.TableClause:
    columns = ("tenant", "group_id", "patient_id")
    return sa.table(
        "group_listed",
        *(sa.column(name) for name in columns),
        sa.column("inactive", sa.Boolean()),
    )
