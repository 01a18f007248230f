"""Group: the patients a backend client may export, listed or found by a rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import format_instant
from fhir_facade.fhir.systems import GROUP_RULE, GROUP_TYPE, search_parameter
from fhir_facade.policy import ReachClass
from fhir_facade.resources.definition import ResourceDefinition, include_names, reference, token


def _definition(name: str) -> str:
    return search_parameter(f"Group-{name}")


_SEARCH = (
    token("actual", "actual", definition=_definition("actual")),
    token("characteristic", "characteristic.code", definition=_definition("characteristic")),
    token("code", "code", definition=_definition("code")),
    token("exclude", "characteristic.exclude", definition=_definition("exclude")),
    token("identifier", "identifier", definition=_definition("identifier")),
    reference(
        "managing-entity",
        "managingEntity",
        targets=("Organization", "Practitioner"),
        definition=_definition("managing-entity"),
    ),
    reference("member", "member.entity", targets=("Patient",), definition=_definition("member")),
    token("type", "type", definition=_definition("type"), system=GROUP_TYPE),
    token(
        "value",
        "characteristic.valueCodeableConcept",
        "characteristic.valueBoolean",
        definition=_definition("value"),
    ),
)  # no characteristic-value (composite)

DEFINITION = ResourceDefinition(
    type="Group",
    reach=ReachClass.STAFF,
    search=_SEARCH,
    includes=include_names("Group", _SEARCH),
)


_MILLISECOND_US = 1_000


@dataclass(frozen=True)
class GroupMember:
    """A patient in a group from `start_us` until before `end_us` (None: open), by logical id.

    `inactive`: no longer in the group, whatever the period says.
    """

    patient_id: str
    start_us: int | None = None
    end_us: int | None = None
    inactive: bool = False

    def begun(self, now_us: int) -> bool:
        """Whether the period has begun."""
        return self.start_us is None or self.start_us <= now_us

    def over(self, now_us: int) -> bool:
        """Whether the patient has left the group."""
        return self.inactive or (self.end_us is not None and self.end_us <= now_us)


def listed(patient_ids: Iterable[str]) -> tuple[GroupMember, ...]:
    """Members without a period, each once."""
    return tuple(GroupMember(patient) for patient in dict.fromkeys(patient_ids))


@dataclass(frozen=True)
class GroupFacts:
    """A group as defined by an operator. `rule` is None when its members are listed by hand.

    `quantity` is the number of active members, also where `members` is not given in full.
    """

    id: str
    name: str
    active: bool
    rule: str | None
    quantity: int


def group_resource(facts: GroupFacts, members: Iterable[GroupMember]) -> FHIRResource:
    """The Group (R4 group.html) of these patients; each must exist.

    Groups are `actual` whether listed or found by a rule: the members are those of the revision.
    """
    resource: FHIRResource = {"resourceType": "Group", "id": facts.id}
    if facts.rule is not None:
        resource["extension"] = [{"url": GROUP_RULE, "valueString": facts.rule}]
    resource["active"] = facts.active
    resource["type"] = "person"
    resource["actual"] = True
    resource["name"] = facts.name
    resource["quantity"] = facts.quantity
    shown = [_member(member) for member in sorted(members, key=lambda one: one.patient_id)]
    if shown:
        resource["member"] = shown
    return resource


def _member(member: GroupMember) -> FHIRResource:
    """`Group.member`. A FHIR period includes its end, ours does not: it ends a millisecond before,
    the precision it is written in."""
    shown: FHIRResource = {"entity": {"reference": f"Patient/{member.patient_id}"}}
    period = {}
    if member.start_us is not None:
        period["start"] = format_instant(member.start_us)
    if member.end_us is not None:
        period["end"] = format_instant(member.end_us - _MILLISECOND_US)
    if period:
        shown["period"] = period
    if member.inactive:
        shown["inactive"] = True
    return shown
