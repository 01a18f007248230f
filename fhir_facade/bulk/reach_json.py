"""A `Reach` as JSON and back: a job keeps what its client reached at kick-off, so a worker needs no
token.
"""

from __future__ import annotations

from typing import Any

from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)


def reach_to_json(reach: Reach) -> dict[str, Any]:
    """JSON of a reach, in an order that depends on its content only."""
    return {
        "grants": [_grant_to_json(grant) for grant in reach.grants],
        "classes": {name: kind.value for name, kind in sorted(reach.classes.items())},
        "members": None if reach.members is None else sorted(reach.members),
    }


def reach_from_json(document: dict[str, Any]) -> Reach:
    """The reach that `reach_to_json` wrote. Raises KeyError or ValueError for anything else."""
    members = document["members"]
    return Reach(
        grants=tuple(_grant_from_json(grant) for grant in document["grants"]),
        classes={name: ReachClass(value) for name, value in document["classes"].items()},
        members=None if members is None else frozenset(members),
    )


def _grant_to_json(grant: Grant) -> dict[str, Any]:
    return {
        "level": grant.level,
        "type": grant.type,
        "letters": "".join(sorted(grant.letters)),
        "patients": _patients_to_json(grant.patients),
        "categories": [[one.system, one.code] for one in grant.categories],
    }


def _grant_from_json(document: dict[str, Any]) -> Grant:
    return Grant(
        level=document["level"],
        type=document["type"],
        letters=frozenset(document["letters"]),
        patients=_patients_from_json(document["patients"]),
        categories=tuple(CategoryFilter(system, code) for system, code in document["categories"]),
    )


def _patients_to_json(patients: PatientSet) -> dict[str, list[str]]:
    match patients:
        case AllPatients():
            return {"all": []}
        case SomePatients(ids):
            return {"some": sorted(ids)}
        case GroupMembers(group_ids):
            return {"groups": sorted(group_ids)}


def _patients_from_json(document: dict[str, list[str]]) -> PatientSet:
    ((kind, ids),) = document.items()
    if kind == "all":
        return AllPatients()
    if kind == "some":
        return SomePatients(frozenset(ids))
    if kind == "groups":
        return GroupMembers(frozenset(ids))
    raise ValueError(f"no patient set of kind {kind!r}")
