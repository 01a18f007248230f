"""The reach of a principal as SQL, a condition on a version.

Denies by default: a row is reached only by a grant that says so. `policy.admits` decides the same
on a row's columns, and tests hold the two to each other.
"""

from __future__ import annotations

from typing import NamedTuple

from fhir_facade.mirror.criteria_sql import token_of
from fhir_facade.mirror.index_sql import Scope, compartments, indexed
from fhir_facade.mirror.sql import (
    ALWAYS,
    NEVER,
    Condition,
    Sql,
    any_of,
    both,
    either,
    exists,
    one_of,
    wrap,
)
from fhir_facade.mirror.tables import CATEGORY_PARAM
from fhir_facade.policy import (
    AllPatients,
    Grant,
    GroupMembers,
    Letter,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)

READING: tuple[Letter, ...] = ("r", "s")


class ReachScope(NamedTuple):
    """A reach within a scope. Members of a group are those who were at any time after
    `members_since` up to the revision; None: those at the revision."""

    scope: Scope
    reach: Reach
    members_since: int | None = None


def reached(within: ReachScope, letters: tuple[Letter, ...]) -> Condition:
    """The condition that the principal may have the row, by a grant with any of the letters."""
    reach, resource_type = within.reach, within.scope.type
    own = _grants(reach, resource_type, letters)
    kind = reach.classes.get(resource_type)
    if not own or kind is None:
        return NEVER
    if kind is not ReachClass.INHERITED:
        return _by_any(within, resource_type, own)
    through = [
        both(
            Condition(_inherits(target)),
            both(_by_any(within, target, own), _by_any(within, target, granted)),
        )
        for target, target_kind in sorted(reach.classes.items())
        if target_kind is not ReachClass.INHERITED and (granted := _grants(reach, target, READING))
    ]
    return either(through)


def _inherits(target: str) -> Sql:
    """That one of the lines of the column is the type."""
    first, last = f"{target}\n%", f"%\n{target}"
    return Sql("(v.inherits = ? OR v.inherits LIKE ? OR v.inherits LIKE ?)", (target, first, last))


def in_group(
    within: ReachScope, group_ids: frozenset[str], joined_after: int | None = None
) -> Condition:
    """The condition that a patient of the row is a member of one of the groups, and joined it
    after a revision if one is given."""
    scope = within.scope
    since = scope.revision if within.members_since is None else within.members_since
    groups = one_of("m.group_id", group_ids, scope.dialect)
    member = Sql(
        f"m.tenant = ? AND m.to_revision > ? AND m.from_revision <= ? AND {groups.text}",
        (scope.tenant, since, scope.revision, *groups.values),
    )
    if joined_after is not None:
        member = Sql(f"m.from_revision > ? AND {member.text}", (joined_after, *member.values))
    theirs = wrap("m.patient_id = t.patient_id AND ", member, "")
    return compartments(
        scope,
        wanted=exists(wrap("SELECT 1 FROM group_member m WHERE ", theirs, ""), scope.dialect),
        listing="group_member m CROSS JOIN compartment t",
        listed=theirs,
    )


def _grants(reach: Reach, resource_type: str, letters: tuple[Letter, ...]) -> tuple[Grant, ...]:
    grants = [grant for letter in letters for grant in reach.grants_for(resource_type, letter)]
    return tuple(dict.fromkeys(grants)) if len(letters) > 1 else tuple(grants)


def _by_any(within: ReachScope, decisive_type: str, grants: tuple[Grant, ...]) -> Condition:
    """Any of the grants, as the class of `decisive_type` has it: the target's, for what inherits.
    Patients of grants without category filters are looked up together."""
    ways: list[Condition] = []
    plain = [grant.patients for grant in grants if not grant.categories]
    if plain:
        ways.append(_patients(within, decisive_type, plain))
    for grant in grants:
        if grant.categories:
            tokens = [token_of(one.system, one.code) for one in grant.categories]
            category = indexed("index_token", CATEGORY_PARAM, any_of(tokens), within.scope)
            ways.append(both(_patients(within, decisive_type, [grant.patients]), category))
    return ALWAYS if ALWAYS in ways else either(ways)


def _patients(within: ReachScope, decisive_type: str, sets: list[PatientSet]) -> Condition:
    scope, reach = within.scope, within.reach
    everybody = any(isinstance(patients, AllPatients) for patients in sets)
    if reach.classes[decisive_type] is ReachClass.DIRECTORY:
        return ALWAYS
    if decisive_type == "Group":
        if reach.members is None:
            return ALWAYS if everybody else NEVER
        if scope.type != "Group":
            return NEVER
        return Condition(one_of("v.id", reach.members, scope.dialect))
    if everybody:
        return ALWAYS
    some = frozenset[str]().union(*(p.ids for p in sets if isinstance(p, SomePatients)))
    groups = frozenset[str]().union(*(p.group_ids for p in sets if isinstance(p, GroupMembers)))
    ways: list[Condition] = []
    if some:
        ways.append(compartments(scope, one_of("t.patient_id", some, scope.dialect)))
    if groups:
        ways.append(in_group(within, groups))
    return either(ways)
