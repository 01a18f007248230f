"""How commands print: tables and cards for people, JSON for programs, and times of the tenant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

Record = Mapping[str, Any]


def print_list(records: Sequence[Record], columns: Sequence[str], as_json: bool) -> None:
    """One line a record, its columns parted by tabs; or all of each record as a JSON array."""
    if as_json:
        click.echo(json.dumps(list(records), indent=2))
        return
    for record in records:
        click.echo("\t".join(_plain(record[column]) for column in columns))


def print_one(record: Record, as_json: bool) -> None:
    """A line for each member; or the record as a JSON object."""
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    for name, value in record.items():
        click.echo(f"{name}: {_plain(value)}".rstrip())


def instant(seconds: int | None, zone: tzinfo) -> str | None:
    """Epoch seconds as ISO 8601 in a zone; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, zone).isoformat()


def _plain(value: Any) -> str:
    """A value on one line: `-` for none, lists parted by spaces."""
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}={_plain(one)}" for name, one in value.items()) or "-"
    text = " ".join(map(_plain, value)) if isinstance(value, list) else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)
