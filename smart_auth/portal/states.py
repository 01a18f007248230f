"""The state of an app in a word or two."""

from __future__ import annotations

from typing import NamedTuple

from smart_auth import clock
from smart_auth.records import Client


class State(NamedTuple):
    """`kind` is the badge's: good, warn or bad."""

    text: str
    kind: str


def states_of(app: Client) -> list[State]:
    """Whether it works, and whether it is approved."""
    now = clock.now()
    if not app.active:
        works = State("inactive", "bad")
    elif app.valid_from is not None and now < app.valid_from:
        works = State("not valid yet", "warn")
    elif app.valid_to is not None and now >= app.valid_to:
        works = State("no longer valid", "bad")
    else:
        works = State("active", "good")
    waits = app.approved_at is None
    approval = State("waits for approval", "warn") if waits else State("approved", "good")
    return [works, approval]
