"""The second check of an export: every row is judged by its own columns before it is written.

`policy.admits` decides, once for all rows of a part that are alike to it: in or out of the job's
group, with the same categories and the same inherited type. Who is in the group is read once for a
job: at a fixed revision it never changes. Groups too large to keep in memory are looked up page by
page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from sqlalchemy import Connection

from fhir_facade.bulk.model import Job
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.export import ExportRow
from fhir_facade.mirror.groups import GroupStore
from fhir_facade.mirror.memberships import memberships
from fhir_facade.policy import Letter, RowFacts, SomePatients, admits

MEMBERS_IN_MEMORY = 100_000
_MEMBERS_A_QUERY = 10_000
_KEPT_DECISIONS = 1_000
_LETTER: Letter = "s"

Check = Callable[[Connection, Sequence[ExportRow]], list[bytes]]
"""The bodies that may leave, of one page; the connection is the page's own."""


def second_check(db: Database, job: Job, resource_type: str) -> Check:
    """The check for the rows of one part."""
    by_patient = any(isinstance(grant.patients, SomePatients) for grant in job.reach.grants)
    members = None
    if resource_type != "Group" and not by_patient:
        members = _members(db, job.tenant, job.group_id, job.revision)
    if members is not None:
        return _Remembered(job, resource_type, members).admitted
    return _LookedUp(job, resource_type).admitted


@lru_cache(maxsize=1)
def _members(db: Database, tenant: str, group_id: str, revision: int) -> frozenset[str] | None:
    """The members of a group at a revision; None when they are too many to keep."""
    store, members = GroupStore(db), set[str]()
    after = ""
    while len(members) <= MEMBERS_IN_MEMORY:
        with db.read() as conn:
            some = store.members(
                conn, tenant, group_id, revision, after=after, limit=_MEMBERS_A_QUERY
            )
        members.update(some)
        if len(some) < _MEMBERS_A_QUERY:
            return frozenset(members)
        after = some[-1]
    return None


class _LookedUp:
    """Every row by itself, its patients looked up with those of its page."""

    def __init__(self, job: Job, resource_type: str) -> None:
        self._job = job
        self._type = resource_type

    def admitted(self, conn: Connection, rows: Sequence[ExportRow]) -> list[bytes]:
        """The bodies of those that may leave."""
        job, facts = self._job, [_facts(self._type, row) for row in rows]
        patients = {one for fact in facts for one in fact.patients}
        groups = memberships(conn, job.tenant, patients, {job.group_id}, job.revision)
        return [
            row[1]
            for row, fact in zip(rows, facts, strict=True)
            if admits(job.reach, self._type, _LETTER, fact, groups)
        ]


class _Remembered:
    """Decisions by what they depend on; all grants of an export are for members of its group."""

    def __init__(self, job: Job, resource_type: str, members: frozenset[str]) -> None:
        self._job = job
        self._type = resource_type
        self._members = members
        self._decisions: dict[tuple[bool, str, str | None], bool] = {}

    def admitted(self, _conn: Connection, rows: Sequence[ExportRow]) -> list[bytes]:
        """The bodies of those that may leave."""
        members, known, bodies = self._members, self._decisions, []
        for row in rows:
            _, body, patients, categories, inherits = row
            # One patient, the usual case, needs no splitting.
            member = patients in members or any(one in members for one in patients.split("\n"))
            key = (member, categories, inherits)
            if known[key] if key in known else self._decide(key, row):
                bodies.append(body)
        return bodies

    def _decide(self, key: tuple[bool, str, str | None], row: ExportRow) -> bool:
        if len(self._decisions) >= _KEPT_DECISIONS:
            self._decisions.clear()
        facts = _facts(self._type, row)
        group = frozenset({self._job.group_id})
        groups = {one: group for one in facts.patients if one in self._members}
        decision = admits(self._job.reach, self._type, _LETTER, facts, groups)
        self._decisions[key] = decision
        return decision


def _facts(resource_type: str, row: ExportRow) -> RowFacts:
    id_, _, patients, categories, inherits = row
    return RowFacts(
        resource_type,
        id_,
        tuple(patients.split("\n")) if patients else (),
        tuple(categories.split("\n")) if categories else (),
        inherits,
    )
