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
from fhir_facade.mirror import find
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.groups import GroupStore
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import SomePatients, admits

MEMBERS_IN_MEMORY = 100_000
_MEMBERS_A_QUERY = 10_000
_KEPT_DECISIONS = 1_000

Check = Callable[[Connection, Sequence[Row]], list[Row]]
"""The rows that may leave, of one page; the connection is the page's own."""


def second_check(db: Database, job: Job, resource_type: str) -> Check:
    """The check for the rows of one part."""
    by_patient = any(isinstance(grant.patients, SomePatients) for grant in job.reach.grants)
    members = None
    if resource_type != "Group" and not by_patient:
        members = _members(db, job.tenant, job.group_id, job.revision)
    if members is not None:
        return _Remembered(job, resource_type, members).admitted

    def look_up(conn: Connection, rows: Sequence[Row]) -> list[Row]:
        return find.admitted(conn, job.tenant, job.reach, job.revision, rows)

    return look_up


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


class _Remembered:
    """Decisions by what they depend on; all grants of an export are for members of its group."""

    def __init__(self, job: Job, resource_type: str, members: frozenset[str]) -> None:
        self._job = job
        self._type = resource_type
        self._members = members
        self._decisions: dict[tuple[bool, str, str | None], bool] = {}

    def admitted(self, _conn: Connection, rows: Sequence[Row]) -> list[Row]:
        """Those of the rows that may leave."""
        return [row for row in rows if row.type == self._type and self._admits(row)]

    def _admits(self, row: Row) -> bool:
        patients, members = row.patients, self._members
        # One patient, the usual case, needs no splitting.
        member = patients in members or any(one in members for one in patients.split("\n"))
        key = (member, row.categories, row.inherits)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _KEPT_DECISIONS:
                self._decisions.clear()
            decision = self._decisions[key] = self._decide(row)
        return decision

    def _decide(self, row: Row) -> bool:
        facts = row.facts
        group = frozenset({self._job.group_id})
        of_patient = {one: group for one in facts.patients if one in self._members}
        return admits(self._job.reach, self._type, "s", facts, of_patient)
