"""The reach of a principal as SQL, on the columns of an alias of `resource_version`.

Denies by default: a row is reached only by a grant that says so. `policy.admits` decides the same
on a row's columns, and tests hold the two to each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, false, func, or_, select, true

from fhir_facade.mirror.criteria_sql import listed
from fhir_facade.mirror.tables import compartment, group_member, index_token
from fhir_facade.mirror.version_writer import CATEGORY_PARAM
from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    Letter,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)
from fhir_facade.resources.extract import token_key

Condition = ColumnElement[bool]
READING: tuple[Letter, ...] = ("r", "s")
_FEW_MEMBERS = 1_000


class ReachScope(NamedTuple):
    """A reach at one revision. `by_row`: look each row's patients up, instead of listing all rows
    of the groups' members first; for groups of many. Members of a group are those who were at
    any time after `members_since` up to the revision; None: those at the revision."""

    tenant: str
    reach: Reach
    revision: int
    dialect: str
    by_row: bool
    members_since: int | None = None


def reach_scope(
    conn: Connection, tenant: str, reach: Reach, revision: int, few: int | None = None
) -> ReachScope:
    """The scope for this reach; asks whether its groups have more than `few` members."""
    few = _FEW_MEMBERS if few is None else few
    groups = frozenset[str]().union(
        *(g.patients.group_ids for g in reach.grants if isinstance(g.patients, GroupMembers))
    )
    by_row = bool(groups) and _count_members(conn, tenant, groups, revision, few + 1) > few
    return ReachScope(tenant, reach, revision, conn.dialect.name, by_row)


def reached(
    scope: ReachScope, resource_type: str, letters: tuple[Letter, ...], version: Any
) -> Condition:
    """The condition that the principal may have the row `version`, which is of `resource_type`, by
    a grant with any of the letters."""
    reach = scope.reach
    own = _grants(reach, resource_type, letters)
    kind = reach.classes.get(resource_type)
    if not own or kind is None:
        return false()
    if kind is not ReachClass.INHERITED:
        return _by_any(scope, resource_type, own, version, resource_type)
    through = [
        and_(
            version.inherits == target,
            _by_any(scope, target, own, version, resource_type),
            _by_any(scope, target, granted, version, resource_type),
        )
        for target, target_kind in sorted(reach.classes.items())
        if target_kind is not ReachClass.INHERITED and (granted := _grants(reach, target, READING))
    ]
    return or_(false(), *through)


def in_group(
    scope: ReachScope, group_ids: frozenset[str], row_type: str, version: Any
) -> Condition:
    """The condition that a patient of the row is a member of one of the groups at the revision."""
    c, m = compartment.c, group_member.c
    since = scope.revision if scope.members_since is None else scope.members_since
    valid = and_(
        m.tenant == scope.tenant,
        m.group_id.in_(sorted(group_ids)),
        m.patient_id == c.patient_id,
        m.to_revision > since,
        m.from_revision <= scope.revision,
    )
    if scope.by_row:
        return select(c.version_pk).where(c.version_pk == version.pk, valid).exists()
    rows = select(c.version_pk).where(*_compartment_at(scope, row_type), valid)
    return version.pk.in_(rows)  # type: ignore[no-any-return]


def _grants(reach: Reach, resource_type: str, letters: tuple[Letter, ...]) -> tuple[Grant, ...]:
    grants = [grant for letter in letters for grant in reach.grants_for(resource_type, letter)]
    return tuple(dict.fromkeys(grants))


def _by_any(
    scope: ReachScope,
    decisive_type: str,
    grants: tuple[Grant, ...],
    version: Any,
    row_type: str,
) -> Condition:
    """Any of the grants, as the class of `decisive_type` has it (the target's, for a row that
    inherits). The union of patients without category filters is taken in one look-up."""
    kind = scope.reach.classes[decisive_type]
    conditions: list[Condition] = []
    plain = [grant.patients for grant in grants if not grant.categories]
    if plain:
        conditions.append(_patients(scope, decisive_type, kind, plain, version, row_type))
    for grant in grants:
        if grant.categories:
            reached_patients = _patients(
                scope, decisive_type, kind, [grant.patients], version, row_type
            )
            category = _category(scope, grant.categories, version, row_type)
            conditions.append(and_(reached_patients, category))
    return or_(false(), *conditions)


def _patients(
    scope: ReachScope,
    decisive_type: str,
    kind: ReachClass,
    sets: list[PatientSet],
    version: Any,
    row_type: str,
) -> Condition:
    everybody = any(isinstance(patients, AllPatients) for patients in sets)
    if kind is ReachClass.DIRECTORY:
        return true()
    if decisive_type == "Group":
        members = scope.reach.members
        if members is None:
            return true() if everybody else false()
        return listed(version.id, members, scope.dialect) if row_type == "Group" else false()
    if everybody:
        return true()
    some = frozenset[str]().union(*(p.ids for p in sets if isinstance(p, SomePatients)))
    groups = frozenset[str]().union(*(p.group_ids for p in sets if isinstance(p, GroupMembers)))
    ways: list[Condition] = []
    if some:
        c = compartment.c
        rows = select(c.version_pk).where(
            *_compartment_at(scope, row_type), listed(c.patient_id, some, scope.dialect)
        )
        ways.append(version.pk.in_(rows))
    if groups:
        ways.append(in_group(scope, groups, row_type, version))
    return or_(false(), *ways)


def _compartment_at(scope: ReachScope, row_type: str) -> tuple[Condition, ...]:
    c = compartment.c
    return (
        c.tenant == scope.tenant,
        c.type == row_type,
        c.to_revision > scope.revision,
        c.from_revision <= scope.revision,
    )


def _category(
    scope: ReachScope, filters: tuple[CategoryFilter, ...], version: Any, row_type: str
) -> Condition:
    t = index_token.c
    wanted = []
    for one in filters:
        same = t.code == token_key(one.code)
        if one.system is not None:
            same = and_(same, t.system == token_key(one.system))
        wanted.append(same)
    rows = select(t.version_pk).where(
        t.tenant == scope.tenant,
        t.type == row_type,
        t.param == CATEGORY_PARAM,
        t.to_revision > scope.revision,
        t.from_revision <= scope.revision,
        or_(*wanted),
    )
    return version.pk.in_(rows)  # type: ignore[no-any-return]


def _count_members(
    conn: Connection, tenant: str, group_ids: frozenset[str], revision: int, at_most: int
) -> int:
    m = group_member.c
    some = (
        select(m.patient_id)
        .where(
            m.tenant == tenant,
            m.group_id.in_(sorted(group_ids)),
            m.to_revision > revision,
            m.from_revision <= revision,
        )
        .limit(at_most)
        .subquery()
    )
    return conn.execute(select(func.count()).select_from(some)).scalar_one()
