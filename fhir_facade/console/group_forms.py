"""The forms of a group: what it is, and who is on its list from when until when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args
from zoneinfo import ZoneInfo

from fhir_facade.console.periods import (
    ENDS_EARLY,
    WRITE_ONE,
    read_end,
    read_start,
    write_end,
    write_start,
)
from fhir_facade.fhir.dates import InvalidDate
from fhir_facade.fhir.ids import is_id
from fhir_facade.mirror.groups import GroupDefinition, GroupMember, Rule

RULES: Mapping[Rule, tuple[str, str]] = {
    "listed": ("The patients on its list", "Found and put there by an administrator."),
    "site": ("The patients of a site", "Who has an appointment there."),
    "tenant": ("All patients", "Everybody, those who come as well."),
}
LONGEST_NAME = 200
LONGEST_ID = 64


@dataclass(frozen=True)
class GroupForm:
    """As written."""

    group_id: str = ""
    name: str = ""
    rule: str = "listed"
    site: str = ""
    active: bool = True

    @classmethod
    def of(cls, form: Mapping[str, str]) -> GroupForm:
        """From a form that was sent."""
        return cls(
            group_id=form.get("group_id", "").strip(),
            name=form.get("name", "").strip(),
            rule=form.get("rule", ""),
            site=form.get("site", "") if form.get("rule") == "site" else "",
            active="active" in form,
        )

    @classmethod
    def from_group(cls, group: GroupDefinition) -> GroupForm:
        """As it would have to be written to give this group."""
        site = group.rule_value if group.rule == "site" else ""
        return cls(group.group_id, group.name, group.rule, site, group.active)

    def problems(self, sites: Sequence[tuple[str, str]]) -> dict[str, str]:
        """What has to change, by field."""
        found: dict[str, str] = {}
        if not self.name or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            found["name"] = f"Write a name of 1 to {LONGEST_NAME} characters."
        if self.rule not in get_args(Rule):
            found["rule"] = "Say who is in the group."
        elif self.rule == "site" and self.site not in {site for site, _ in sites}:
            found["site"] = "Choose the site."
        if self.group_id and not is_id(self.group_id):
            found["group_id"] = "Use letters, digits, - and . only, 64 at most."
        elif not self.group_id and not id_from(self.name):
            found["group_id"] = "Write an id: the name has no letters to make one of."
        return found

    def applied(self, group: GroupDefinition) -> GroupDefinition:
        """The group as the form has it; check `problems` first."""
        return replace(
            group,
            name=self.name,
            rule=cast(Rule, self.rule),
            rule_value=self.site,
            active=self.active,
        )


def id_from(name: str) -> str:
    """An id made of a name: `Trial A, 2026` → `trial-a-2026`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST_ID].strip("-")


@dataclass(frozen=True)
class MemberForm:
    """A member's row, as written."""

    patient_id: str
    start: str = ""
    end: str = ""
    inactive: bool = False

    @classmethod
    def of(cls, form: Mapping[str, str], patient_id: str) -> MemberForm:
        """The row of a patient in a form of many."""
        return cls(
            patient_id,
            form.get(f"start/{patient_id}", "").strip(),
            form.get(f"end/{patient_id}", "").strip(),
            f"inactive/{patient_id}" in form,
        )

    @classmethod
    def from_member(cls, member: GroupMember, zone: ZoneInfo) -> MemberForm:
        """As it would have to be written to give this member."""
        return cls(
            member.patient_id,
            write_start(member.start_us, zone),
            write_end(member.end_us, zone),
            member.inactive,
        )

    def judged(self, zone: ZoneInfo) -> tuple[GroupMember | None, dict[str, str]]:
        """The member, or what has to change: by `start` or `end`."""
        found: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name, read in (("start", read_start), ("end", read_end)):
            try:
                found[name] = read(getattr(self, name), zone)
            except InvalidDate:
                errors[name] = WRITE_ONE
        if errors:
            return None, errors
        start, end = found["start"], found["end"]
        if start is not None and end is not None and end <= start:
            return None, {"end": ENDS_EARLY}
        return GroupMember(self.patient_id, start, end, self.inactive), {}
