"""Group: the patients a backend client may export, listed or found by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_facade.fhir import FHIRResource
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


@dataclass(frozen=True)
class GroupFacts:
    """A group as defined by an operator. `rule` is None when its members are listed by hand.

    `quantity` is the number of members, also where `members` is not given in full.
    """

    id: str
    name: str
    active: bool
    rule: str | None
    quantity: int


def group_resource(facts: GroupFacts, members: Sequence[str]) -> FHIRResource:
    """The Group (R4 group.html) of these patients, by logical id; each must exist.

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
    if members:
        resource["member"] = [{"entity": {"reference": f"Patient/{m}"}} for m in sorted(members)]
    return resource
