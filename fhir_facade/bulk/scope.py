"""What of a token counts for exports, and whether a token still covers a file that was made under
another.

Bulk Data Access 2.0, "Scopes": `system/` scopes only. An export enumerates and reads, so a grant
must have both letters, `r` and `s` (SMART v1 `.read` has both).
"""

from __future__ import annotations

from dataclasses import replace

from fhir_facade.bulk.model import ExportFile, ExportPrincipal, Job, PartKind
from fhir_facade.policy import (
    AllPatients,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    ReachClass,
    SomePatients,
)


def export_reach(reach: Reach) -> Reach:
    """The part of a reach that may be exported."""
    needed = {"r", "s"}
    grants = (g for g in reach.grants if g.level == "system" and needed <= g.letters)
    return replace(reach, grants=tuple(grants))


def group_reach(reach: Reach, group_id: str) -> Reach:
    """An export reach narrowed to the members of one group and the group itself: what the jobs of
    `Group/{id}/$export` carry, whatever else their client may have.
    """

    def narrowed(grant: Grant) -> Grant:
        if isinstance(grant.patients, SomePatients):
            return grant
        return replace(grant, patients=GroupMembers(frozenset({group_id})))

    grants = tuple(dict.fromkeys(narrowed(grant) for grant in reach.grants))
    return replace(reach, grants=grants, members=frozenset({group_id}))


def may_use_group(principal: ExportPrincipal, group_id: str) -> bool:
    """Whether the group is assigned to the client."""
    members = principal.reach.members
    return members is None or group_id in members


def covers_file(principal: ExportPrincipal, job: Job, file: ExportFile) -> bool:
    """Whether the token reaches all that the job could write into this file.

    Deletions name resources of all types of the job; inherited types (Provenance) speak of any
    other. Outcomes in the error file hold nothing but what the client itself asked.
    """
    if file.kind is PartKind.ERROR:
        return True
    current = export_reach(principal.reach)
    types = (file.type,) if file.kind is PartKind.OUTPUT else job.types
    return all(_covers_type(current, job.reach, name) for name in types)


def _covers_type(current: Reach, made_under: Reach, resource_type: str) -> bool:
    """Each grant the file was made under is matched by one at least as wide.

    Rows of an inherited type follow the grants of their targets, so those must still be there too.
    """
    names = [resource_type]
    if made_under.classes.get(resource_type) is ReachClass.INHERITED:
        classes = made_under.classes.items()
        names += [name for name, kind in classes if kind is not ReachClass.INHERITED]
    return current.allows_type(resource_type, "r") and all(
        any(_as_wide(mine, then) for mine in current.grants_for(name, "r"))
        for name in names
        for then in made_under.grants_for(name, "r")
    )


def _as_wide(mine: Grant, other: Grant) -> bool:
    filters = not mine.categories or (
        bool(other.categories) and set(other.categories) <= set(mine.categories)
    )
    return filters and _holds(mine.patients, other.patients)


def _holds(mine: PatientSet, other: PatientSet) -> bool:
    match mine, other:
        case AllPatients(), _:
            return True
        case GroupMembers(ours), GroupMembers(theirs):
            return theirs <= ours
        case SomePatients(ours), SomePatients(theirs):
            return theirs <= ours
    return False
