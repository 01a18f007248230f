"""Looking for a patient to work on: one way for picker, portal, console and command."""

from __future__ import annotations

from collections.abc import Sequence

from smart_auth.admin.clients import OPERATOR
from smart_auth.core import Core
from smart_auth.ports import AccessEvent, PatientChoice
from smart_auth.records import User

LONGEST_SEARCH = 200


def searched_for(text: str) -> str:
    """What somebody typed, as it is searched for: without what cannot be seen, and not longer than
    any name."""
    return "".join(filter(str.isprintable, text))[:LONGEST_SEARCH].strip()


def look_for_patients(
    core: Core,
    tenant: str,
    user: User | None,
    allowed: frozenset[str] | None,
    text: str,
    limit: int,
    *,
    client_id: str | None = None,
) -> Sequence[PatientChoice]:
    """`Facade.choose_patients` for this user (None: the operator at the command line), who chooses
    for an app where one is named. Each look leaves a row before anybody is shown: who looked, never
    for what nor whom it found."""
    core.ports.record(
        AccessEvent(
            tenant,
            "patient-search",
            "success",
            client_id,
            None if user is None else user.user_id,
            actor=OPERATOR if user is None else None,
        )
    )
    return core.ports.choose_patients(tenant, allowed, searched_for(text), limit)
