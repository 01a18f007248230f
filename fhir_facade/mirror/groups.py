"""Groups: defined by an operator, their members found by a rule, kept by revision.

Membership is what a backend client reaches; the Group resource says who the members are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select, update

from fhir_facade import clock
from fhir_facade.errors import InvalidRequest
from fhir_facade.fhir import json
from fhir_facade.fhir.ids import is_id
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.group_rules import Rule, joining, leaving
from fhir_facade.mirror.publication import Candidate, Publication
from fhir_facade.mirror.tables import OPEN, group_definition, group_member
from fhir_facade.mirror.upsert import upsert
from fhir_facade.mirror.version_writer import insert_rows
from fhir_facade.resources.group import DEFINITION as GROUP
from fhir_facade.resources.group import GroupFacts, group_resource
from fhir_facade.resources.subject import Subject

LISTED_MEMBERS = 10_000
"""A Group resource names its members up to this number; beyond it only says how many they are."""
SOURCE = "groups"
"""The source under which Group resources are published."""
_CHUNK = 2_000
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class GroupDefinition:
    """`rule`: `listed` (the patients in `members`, as far as they exist), `tenant` (every patient)
    or `site` (patients with an Appointment at the Location whose id is `rule_value`)."""

    group_id: str
    name: str
    rule: Literal["listed", "tenant", "site"]
    rule_value: str = ""
    members: tuple[str, ...] = ()
    active: bool = True


class GroupStore:
    """Definitions and members of every tenant's groups."""

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int] = clock.now_us,
    ) -> None:
        self._database = database
        self._now_us = now_us

    def define(self, tenant: str, definition: GroupDefinition) -> None:
        """Add or change a group; its members follow at the next `refresh`.

        Raises InvalidRequest when the id is no FHIR id or the rule does not fit its value.
        """
        _check(definition)
        row = {
            "tenant": tenant,
            "group_id": definition.group_id,
            "name": definition.name,
            "rule": definition.rule,
            "rule_value": definition.rule_value,
            "members": "\n".join(dict.fromkeys(definition.members)),
            "active": definition.active,
        }
        with self._database.write() as conn:
            replaced = ("name", "rule", "rule_value", "members", "active")
            upsert(conn, group_definition, [row], replaced)

    def members(
        self,
        conn: Connection,
        tenant: str,
        group_id: str,
        revision: int,
        *,
        after: str = "",
        limit: int = LISTED_MEMBERS,
    ) -> list[str]:
        """Ids of the patients who are members at a revision, sorted; `after` pages on."""
        m = group_member.c
        query = (
            select(m.patient_id)
            .where(m.tenant == tenant, m.group_id == group_id, m.patient_id > after)
            .where(m.to_revision > revision, m.from_revision <= revision)
            .order_by(m.patient_id)
            .limit(limit)
        )
        return list(conn.execute(query).scalars())

    def refresh(self, tenant: str) -> int | None:
        """Bring members and Group resources up to date with rules and patients; the last revision
        it took, None when nothing changed.

        Joins and leaves come with the Group resource that names them in one revision; where they
        are many, in several, so that nobody waits long for the lock.
        """
        with self._database.read() as conn:
            definitions = _definitions(conn, tenant)
        last: int | None = None
        for definition in definitions:
            last = self._refresh_group(tenant, definition) or last
        return last

    def _refresh_group(self, tenant: str, definition: GroupDefinition) -> int | None:
        rule = Rule(
            tenant,
            definition.group_id,
            definition.rule if definition.active else "none",
            definition.rule_value,
            definition.members,
        )
        last: int | None = None
        while True:
            with self._database.read() as conn:
                joins = joining(conn, rule, _CHUNK)
                leaves = leaving(conn, rule, _CHUNK)
            with self._database.write() as conn:
                publication = Publication(conn, tenant, self._now_us())
                _change_members(conn, publication, rule, joins, leaves)
                self._publish(conn, publication, tenant, definition)
                last = publication.flush() or last
            if len(joins) < _CHUNK and len(leaves) < _CHUNK:
                return last

    def _publish(
        self,
        conn: Connection,
        publication: Publication,
        tenant: str,
        definition: GroupDefinition,
    ) -> None:
        quantity = _count(conn, tenant, definition.group_id)
        members: list[str] = []
        if quantity <= LISTED_MEMBERS:
            members = self.members(conn, tenant, definition.group_id, OPEN - 1)
        rule = None if definition.rule == "listed" else definition.rule
        facts = GroupFacts(definition.group_id, definition.name, definition.active, rule, quantity)
        resource = group_resource(facts, members)
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

    def list(self, tenant: str) -> list[GroupDefinition]:
        """The tenant's groups, by id."""
        with self._database.read() as conn:
            return _definitions(conn, tenant)


def _check(definition: GroupDefinition) -> None:
    if not is_id(definition.group_id):
        raise InvalidRequest("The id of a group must be a FHIR id.", expression=["Group.id"])
    if definition.rule not in ("listed", "tenant", "site"):
        raise InvalidRequest("The rule of a group must be listed, tenant or site.")
    if definition.rule == "site" and not is_id(definition.rule_value):
        raise InvalidRequest("The rule site needs the id of a Location.")
    if not all(is_id(member) for member in definition.members):
        raise InvalidRequest("The members of a group must be ids of patients.")


def _definitions(conn: Connection, tenant: str) -> list[GroupDefinition]:
    g = group_definition.c
    query = select(g.group_id, g.name, g.rule, g.rule_value, g.members, g.active)
    query = query.where(g.tenant == tenant).order_by(g.group_id)
    return [
        GroupDefinition(
            group_id, name, rule, value, tuple(members.split("\n")) if members else (), active
        )
        for group_id, name, rule, value, members, active in conn.execute(query)
    ]


def _change_members(
    conn: Connection,
    publication: Publication,
    rule: Rule,
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
