"""What a provider decides about an app, as a form."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from fhir_facade.console.periods import (
    ENDS_EARLY,
    SECOND_US,
    WRITE_ONE,
    read_end,
    read_start,
    write_end,
    write_start,
)
from fhir_facade.fhir.dates import InvalidDate
from smart_auth.records import Client


def is_backend(app: Client) -> bool:
    """Whether the app gets tokens without a person."""
    return app.check_grant_type("client_credentials")


@dataclass(frozen=True)
class AppForm:
    """As written. `groups`, `whole_tenant`: a backend service only."""

    valid_from: str = ""
    valid_to: str = ""
    may_introspect: bool = False
    may_launch: bool = False
    whole_tenant: bool = False
    groups: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> AppForm:
        """From a form that was sent."""
        return cls(
            valid_from=form.get("valid_from", "").strip(),
            valid_to=form.get("valid_to", "").strip(),
            may_introspect="may_introspect" in form,
            may_launch="may_launch" in form,
            whole_tenant="whole_tenant" in form,
            groups=frozenset(form.getlist("group")),
        )

    @classmethod
    def from_app(cls, app: Client, zone: ZoneInfo) -> AppForm:
        """As it would have to be written to give this app."""
        return cls(
            valid_from=write_start(_us(app.valid_from), zone),
            valid_to=write_end(_us(app.valid_to), zone),
            may_introspect=app.may_introspect,
            may_launch=app.may_launch,
            whole_tenant=app.whole_tenant,
            groups=app.groups,
        )

    def judged(
        self, app: Client, zone: ZoneInfo, known_groups: Collection[str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The fields of the client that change, and what has to be mended before, by field."""
        changes: dict[str, Any] = {"may_introspect": self.may_introspect}
        errors: dict[str, str] = {}
        for name, read in (("valid_from", read_start), ("valid_to", read_end)):
            try:
                us = read(getattr(self, name), zone)
            except InvalidDate:
                errors[name] = WRITE_ONE
            else:
                changes[name] = None if us is None else us // SECOND_US
        if not errors and None not in (changes["valid_from"], changes["valid_to"]):
            if changes["valid_to"] <= changes["valid_from"]:
                errors["valid_to"] = ENDS_EARLY
        if self.may_launch and app.public:
            errors[""] = "An app without a secret or keys cannot make launches for users."
        changes["may_launch"] = self.may_launch
        if is_backend(app):
            if not self.groups - app.groups <= set(known_groups):
                errors["group"] = "One of the groups is no longer there."
            changes |= {"whole_tenant": self.whole_tenant, "groups": self.groups}
        now = vars(app)
        return {name: value for name, value in changes.items() if value != now[name]}, errors


def _us(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * SECOND_US
