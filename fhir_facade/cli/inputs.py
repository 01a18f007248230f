"""What people give to commands: secrets, days and instants."""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

import click

from fhir_facade.errors import InvalidRequest

STDIN = click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read it from standard input, without asking."
)


def ask_secret(what: str, from_stdin: bool) -> str:
    """A new secret: asked for twice, or the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
    return answer


def read_instant(text: str, zone: tzinfo, edge: Literal["start", "end"] = "start") -> int:
    """Epoch seconds of an ISO 8601 instant, or of a day in the zone: its start, or its end.

    An instant without offset is in the zone too. Raises InvalidRequest.
    """
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text) + timedelta(days=1 if edge == "end" else 0)
            return int(datetime.combine(day, time.min, zone).timestamp())
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "Write a day as 2026-01-31, or an instant as 2026-01-31T08:00:00+01:00."
        ) from None
    return int((given if given.tzinfo else given.replace(tzinfo=zone)).timestamp())
