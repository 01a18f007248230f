"""What people give to commands: secrets, days and instants."""

from __future__ import annotations

import sys
from typing import Literal
from zoneinfo import ZoneInfo

import click

from fhir_facade.console.periods import WRITE_ONE, read_end, read_start
from fhir_facade.errors import InvalidRequest
from fhir_facade.fhir.dates import InvalidDate

STDIN = click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read it from standard input, without asking."
)


def ask_secret(what: str, from_stdin: bool) -> str:
    """A new secret: asked for twice, or the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
    return answer


def read_instant(text: str, zone: ZoneInfo, edge: Literal["start", "end"] = "start") -> int:
    """Microseconds UTC of an ISO 8601 instant, or of a day in the zone: its start, or its end.

    An instant without offset is in the zone too. Raises InvalidRequest.
    """
    read = read_start if edge == "start" else read_end
    try:
        found = read(text, zone)
    except InvalidDate:
        found = None
    if found is None:
        raise InvalidRequest(WRITE_ONE)
    return found
