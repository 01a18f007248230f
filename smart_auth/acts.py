"""Acts upon people, apps and what they were given, as the audit trail keeps them: by whom, to whom.

`Acts` is for whoever administers: a developer, an administrator, or the operator of the command
line (`admin.OPERATOR`). What people do to their own is `Core.audit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smart_auth.ports import AccessEvent, Facade
from smart_auth.records import Grant


@dataclass(frozen=True)
class Acts:
    """The acts of one actor (a user id, or the operator) at one tenant."""

    ports: Facade
    tenant: str
    actor: str

    def record(
        self,
        act: str,
        *,
        client_id: str | None = None,
        user_id: str | None = None,
        patient_id: str | None = None,
    ) -> None:
        """Keep an act, durably. `act` is a fixed text."""
        self.ports.record(self._event(act, client_id, user_id, patient_id))

    def record_ended(self, grants: Iterable[Grant]) -> None:
        """Keep that these grants of people were ended, a row for each user, app and patient, so
        that each patient's access log tells it."""
        self.ports.record(*(self._event("grant ended", *who) for who in parties(grants)))

    def _event(
        self, act: str, client_id: str | None, user_id: str | None, patient_id: str | None
    ) -> AccessEvent:
        return AccessEvent(
            tenant=self.tenant,
            action="admin",
            outcome="success",
            client_id=client_id,
            user_id=user_id,
            patient_id=patient_id,
            reason=act,
            actor=self.actor,
        )


def parties(grants: Iterable[Grant]) -> Iterable[tuple[str, str | None, str | None]]:
    """App, user and patient of each grant of a person, once."""
    return dict.fromkeys(
        (grant.client_id, grant.user_id, grant.context.patient)
        for grant in grants
        if grant.kind == "launch"
    )
