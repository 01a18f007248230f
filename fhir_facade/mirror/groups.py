"""Groups: defined by an operator, their members found by a rule, kept by revision.

Membership is what a backend client reaches; the Group resource says who the members are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select, update

from fhir_facade import clock
from fhir_facade.fhir import json
from fhir_facade.mirror import group_records
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.group_records import GroupDefinition, Rule
from fhir_facade.mirror.group_rules import RuleNow, due, joining, leaving
from fhir_facade.mirror.publication import Candidate, Publication
from fhir_facade.mirror.tables import (
    OPEN,
    group_member,
)
from fhir_facade.mirror.version_writer import insert_rows
from fhir_facade.resources.group import DEFINITION as GROUP
from fhir_facade.resources.group import GroupFacts, GroupMember, group_resource, listed
from fhir_facade.resources.subject import Subject

__all__ = ["LISTED_MEMBERS", "GroupDefinition", "GroupMember", "GroupStore", "Rule", "listed"]

LISTED_MEMBERS = 10_000
"""A Group resource names its members up to this number; beyond it only says how many they are."""
SOURCE = "groups"
"""The source under which Group resources are published."""
_CHUNK = 2_000
_UTC = ZoneInfo("UTC")


class GroupStore:
    """Definitions and members of every tenant's groups."""

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int] = clock.now_us,
    ) -> None:
        self._database = database
        self._now_us = now_us

    def define(self, tenant: str, definition: GroupDefinition, *, as_of: int | None = None) -> None:
        """Add or change a group; its members follow at the next `refresh`.

        `as_of`: the version that was looked at (0: the group must be new). Raises InvalidRequest
        when the id is no FHIR id or the rule does not fit its value, Conflict or NotFound when the
        group is not at that version; nothing is changed then.
        """
        group_records.check(definition)
        with self._database.write() as conn:
            group_records.write(conn, tenant, definition, as_of)

    def change(self, tenant: str, definition: GroupDefinition, *, as_of: int | None = None) -> None:
        """Change name, rule and state of a group, not its list. Raises as `define` does."""
        group_records.check(replace(definition, members=()))
        with self._database.write() as conn:
            group_records.touch(
                conn,
                tenant,
                definition.group_id,
                as_of,
                name=definition.name,
                rule=definition.rule,
                rule_value=definition.rule_value,
                active=definition.active,
            )

    def change_members(
        self,
        tenant: str,
        group_id: str,
        *,
        put: Sequence[GroupMember] = (),
        take: Sequence[str] = (),
        as_of: int | None = None,
    ) -> None:
        """Put members on a group's list, or change their periods, and take others from it; the rest
        stays. Raises as `define` does."""
        group_records.check_members(put)
        with self._database.write() as conn:
            group_records.touch(conn, tenant, group_id, as_of)
            group_records.take_members(conn, tenant, group_id, take)
            group_records.put_members(conn, tenant, group_id, put)

    def deactivate(self, tenant: str, group_id: str) -> None:
        """Keep the group, without members. Raises NotFound."""
        with self._database.write() as conn:
            group_records.touch(conn, tenant, group_id, None, active=False)
        self._refresh_these(tenant, [group_id])

    def remove(self, tenant: str, group_id: str) -> None:
        """End the membership of all, and delete the group. Raises NotFound.

        After a crash in between the group is there, not active.
        """
        self.deactivate(tenant, group_id)
        with self._database.write() as conn:
            publication = Publication(conn, tenant, self._now_us())
            row = publication.known(("Group", group_id))
            if row is not None and not row.deleted:
                publication.delete(row)
            publication.flush()
            group_records.erase(conn, tenant, group_id)

    def get(self, tenant: str, group_id: str, *, members: bool = True) -> GroupDefinition | None:
        """One group; `members` False leaves its list out."""
        with self._database.read() as conn:
            found = group_records.read(conn, tenant, [group_id], members=members)
        return found[0] if found else None

    def list(self, tenant: str, *, members: bool = True) -> list[GroupDefinition]:
        """The tenant's groups, by id; `members` False leaves their lists out."""
        with self._database.read() as conn:
            return group_records.read(conn, tenant, members=members)

    def listed(
        self, tenant: str, group_id: str, *, after: str = "", limit: int | None = None
    ) -> Sequence[GroupMember]:
        """Whom an operator put on a group's list, by id, active or not; `after` pages on."""
        with self._database.read() as conn:
            return group_records.listed_page(conn, tenant, group_id, after, limit)

    def listed_among(
        self, tenant: str, group_id: str, patients: Sequence[str]
    ) -> dict[str, GroupMember]:
        """Those of the patients who are on a group's list, by id."""
        with self._database.read() as conn:
            return group_records.listed_of(conn, tenant, group_id, patients)

    def counts(self, tenant: str) -> dict[str, int]:
        """How many members each group has now; groups without any are left out."""
        m = group_member.c
        query = (
            select(m.group_id, func.count())
            .where(m.tenant == tenant, m.to_revision == OPEN)
            .group_by(m.group_id)
        )
        with self._database.read() as conn:
            return {group_id: count for group_id, count in conn.execute(query)}

    def members(
        self,
        conn: Connection,
        tenant: str,
        group_id: str,
        revision: int,
        *,
        after: str = "",
        limit: int = LISTED_MEMBERS,
    ) -> Sequence[str]:
        """Ids of the patients who are members at a revision, sorted; `after` pages on."""
        m = group_member.c
        query = (
            select(m.patient_id)
            .where(m.tenant == tenant, m.group_id == group_id, m.patient_id > after)
            .where(m.to_revision > revision, m.from_revision <= revision)
            .order_by(m.patient_id)
            .limit(limit)
        )
        return conn.execute(query).scalars().all()

    def refresh(self, tenant: str) -> int | None:
        """Bring members and Group resources up to date with rules, periods and patients; the last
        revision it took, None when nothing changed.

        Joins and leaves come with the Group resource that names them in one revision; where they
        are many, in several, so that nobody waits long for the lock.
        """
        return self._refresh_these(tenant, None)

    def refresh_due(self, tenant: str) -> int | None:
        """`refresh` of the groups that changed, or in which a period began or ended, since their
        last one. Cheap to ask; several processes may do so at once."""
        with self._database.read() as conn:
            groups = due(conn, tenant, self._now_us())
        return self._refresh_these(tenant, groups) if groups else None

    def _refresh_these(self, tenant: str, group_ids: Iterable[str] | None) -> int | None:
        with self._database.read() as conn:
            definitions = group_records.read(conn, tenant, group_ids, members=False)
        last: int | None = None
        for definition in definitions:
            last = self._refresh_group(tenant, definition) or last
        return last

    def _refresh_group(self, tenant: str, definition: GroupDefinition) -> int | None:
        rule = RuleNow(
            tenant,
            definition.group_id,
            definition.rule if definition.active else "none",
            definition.rule_value,
            self._now_us(),
        )
        last: int | None = None
        while True:
            with self._database.read() as conn:
                joins = joining(conn, rule, _CHUNK)
                leaves = leaving(conn, rule, _CHUNK)
            done = len(joins) < _CHUNK and len(leaves) < _CHUNK
            with self._database.write() as conn:
                publication = Publication(conn, tenant, self._now_us())
                if not group_records.is_current(conn, tenant, definition):
                    # It was changed or removed meanwhile: who did that finds its members.
                    return last
                _change_members(conn, publication, rule, joins, leaves)
                self._publish(conn, publication, definition, rule)
                last = publication.flush() or last
                if done:
                    group_records.note_refresh(conn, tenant, definition, rule.now_us)
                    return last

    def _publish(
        self, conn: Connection, publication: Publication, definition: GroupDefinition, rule: RuleNow
    ) -> None:
        quantity = _count(conn, rule.tenant, rule.group_id)
        name = None if definition.rule == "listed" else definition.rule
        facts = GroupFacts(definition.group_id, definition.name, definition.active, name, quantity)
        resource = group_resource(facts, self._named(conn, rule, quantity))
        candidate = Candidate(
            definition=GROUP,
            resource=resource,
            content_hash=bytes.fromhex(json.content_hash(resource)),
            source=SOURCE,
            subject=Subject("group", definition.group_id),
            zone=_UTC,
        )
        if not candidate.same_as(publication.known(candidate.key)):
            publication.add(candidate)

    def _named(self, conn: Connection, rule: RuleNow, quantity: int) -> Sequence[GroupMember]:
        """Whom the resource names: the members with their periods, and who was listed and left."""
        if quantity > LISTED_MEMBERS:
            return ()
        members = self.members(conn, rule.tenant, rule.group_id, OPEN - 1)
        if rule.kind != "listed":
            return listed(members)
        rows = group_records.listed_of(conn, rule.tenant, rule.group_id, members)
        left = group_records.left_of(
            conn, rule.tenant, rule.group_id, rule.now_us, LISTED_MEMBERS - quantity
        )
        return [*(rows.get(patient, GroupMember(patient)) for patient in members), *left]


def _change_members(
    conn: Connection,
    publication: Publication,
    rule: RuleNow,
    joins: Sequence[str],
    leaves: Sequence[str],
) -> None:
    """Write the joins and leaves that are still to be made: another process may have made them."""
    m = group_member.c
    mine = (m.tenant == rule.tenant, m.group_id == rule.group_id, m.to_revision == OPEN)
    there = set(conn.execute(select(m.patient_id).where(*mine, m.patient_id.in_(joins))).scalars())
    rows = [patient for patient in joins if patient not in there]
    if rows:
        number = publication.revision().number
        insert_rows(
            conn,
            group_member,
            [(rule.tenant, rule.group_id, patient, number, OPEN) for patient in rows],
        )
    gone = set(conn.execute(select(m.patient_id).where(*mine, m.patient_id.in_(leaves))).scalars())
    if gone:
        number = publication.revision().number
        conn.execute(
            update(group_member)
            .where(*mine, m.patient_id.in_(sorted(gone)))
            .values(to_revision=number)
        )


def _count(conn: Connection, tenant: str, group_id: str) -> int:
    m = group_member.c
    query = select(func.count()).where(
        m.tenant == tenant, m.group_id == group_id, m.to_revision == OPEN
    )
    return conn.execute(query).scalar_one()
