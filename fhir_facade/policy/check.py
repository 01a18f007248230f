"""The second check, on the columns of each row that leaves the house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_facade.policy.reach import (
    AllPatients,
    Grant,
    GroupMembers,
    Letter,
    PatientSet,
    Reach,
    ReachClass,
    RowFacts,
    SomePatients,
)


def admits(
    reach: Reach,
    resource_type: str,
    letter: Letter,
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]] | None = None,
) -> bool:
    """The second check: whether the principal may have a row with these columns.

    `memberships` gives the groups of each patient at the revision of the query; without it grants
    to group members admit nothing. Denies whatever no grant allows.
    """
    own = reach.grants_for(resource_type, letter)
    kind = reach.classes.get(resource_type)
    if facts.type != resource_type or not own or kind is None:
        return False
    if kind is not ReachClass.INHERITED:
        return _any_covers(reach, resource_type, own, facts, memberships or {})
    return any(
        _covers_through(reach, target, own, facts, memberships or {})
        for target in (facts.inherits or "").split("\n")
        if reach.classes.get(target, kind) is not kind
    )


def _covers_through(
    reach: Reach,
    target: str,
    own: Iterable[Grant],
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    through = (*reach.grants_for(target, "r"), *reach.grants_for(target, "s"))
    return _any_covers(reach, target, own, facts, memberships) and _any_covers(
        reach, target, through, facts, memberships
    )


def admits_every_row(reach: Reach, resource_type: str, letter: Letter) -> bool:
    """Whether the second check admits all rows of the type, whatever their columns say."""
    match reach.classes.get(resource_type):
        case ReachClass.DIRECTORY:
            return bool(reach.grants_for(resource_type, letter))
        case ReachClass.PATIENT:
            return any(
                isinstance(grant.patients, AllPatients) and not grant.categories
                for grant in reach.grants_for(resource_type, letter)
            )
        case _:
            return False


def _any_covers(
    reach: Reach,
    decisive_type: str,
    grants: Iterable[Grant],
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    """Any of the grants, as the class of `decisive_type` has it: the target's, for heirs."""
    return any(
        _covers_patients(reach, decisive_type, grant.patients, facts, memberships)
        for grant in grants
        if not grant.categories or any(one.matches(facts.categories) for one in grant.categories)
    )


def _covers_patients(
    reach: Reach,
    decisive_type: str,
    patients: PatientSet,
    facts: RowFacts,
    memberships: Mapping[str, frozenset[str]],
) -> bool:
    if reach.classes[decisive_type] in (ReachClass.DIRECTORY, ReachClass.OPERATOR):
        return True
    if decisive_type == "Group":
        if reach.members is None:
            return isinstance(patients, AllPatients)
        return facts.type == "Group" and facts.id in reach.members
    match patients:
        case AllPatients():
            return True
        case SomePatients(ids):
            return not ids.isdisjoint(facts.patients)
        case GroupMembers(group_ids):
            nowhere: frozenset[str] = frozenset()
            return any(
                not group_ids.isdisjoint(memberships.get(patient, nowhere))
                for patient in facts.patients
            )
