"""What people write into the portal's forms, checked; each problem says how to mend it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from urllib.parse import urlsplit

from smart_auth import clock
from smart_auth.client_details import is_email
from smart_auth.settings import LOOPBACK_HOSTS

LONGEST_TEXT = 100
LONGEST_ADDRESS = 2000
EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)

_PHONE = re.compile(r"\+?[0-9()./\- ]{5,30}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class InvalidForm(ValueError):
    """A form that cannot be taken: `problems` by field name, '' for the form as a whole."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("The form needs changes")
        self.problems = dict(problems)


def text_problem(value: str, what: str, *, required: bool, longest: int = LONGEST_TEXT) -> str:
    """Why this is no line of text for the field, '' when it is one."""
    if not value:
        return f"Write {what}." if required else ""
    if len(value) > longest:
        return f"Write at most {longest} characters."
    if any(unicodedata.category(letter)[0] == "C" for letter in value):
        return "Leave out line breaks and other characters that cannot be seen."
    return ""


def email_problem(value: str) -> str:
    """Why this is no e-mail address."""
    if not is_email(value):
        return "Write an e-mail address, as in name@example.org."
    return ""


def phone_problem(value: str) -> str:
    """Why this is no telephone number."""
    if not _PHONE.fullmatch(value) or sum(letter.isdigit() for letter in value) < 5:
        return "Write a telephone number in digits, as in +1 555 010 9999."
    return ""


def address_problem(value: str) -> str:
    """Why this is no web address a person can open."""
    if len(value) > LONGEST_ADDRESS:
        return f"Write at most {LONGEST_ADDRESS} characters."
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if (
        not host
        or parts.scheme not in ("http", "https")
        or not _plain(value)
        or "@" in parts.netloc
    ):
        return "Write the whole address, as in https://example.org/app."
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        return "Write an https address: http is for localhost only."
    return ""


def read_date(value: str) -> date | None:
    """A date written as YYYY-MM-DD; None when there is no such day."""
    if not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def birth_date_problem(value: str, zone: tzinfo) -> str:
    """Why this is no birth date of a person alive; `zone` tells which day it is."""
    born = read_date(value)
    today = datetime.fromtimestamp(clock.now(), zone).date()
    if born is None:
        return "Write a date that exists, as year-month-day: 1980-12-31."
    if born > today:
        return "This day is still to come."
    if today.year - born.year > 120:
        return "Write the year in four digits: this is more than 120 years ago."
    return ""


def start_of_day(day: date, zone: tzinfo) -> int:
    """When a day begins in a zone, in epoch seconds."""
    return int(datetime.combine(day, time.min, zone).timestamp())


def end_of_day(day: date, zone: tzinfo) -> int:
    """When the day after begins in a zone, in epoch seconds."""
    return start_of_day(day + timedelta(days=1), zone)


def day_of(seconds: int, zone: tzinfo) -> str:
    """The day of an instant in a zone, as YYYY-MM-DD."""
    return datetime.fromtimestamp(seconds, zone).date().isoformat()


def moment(seconds: int, zone: tzinfo) -> str:
    """An instant to the second, with the offset of the zone, to be held against an app's log."""
    return datetime.fromtimestamp(seconds, zone).isoformat(" ")


def _plain(value: str) -> bool:
    """Visible ASCII only, as addresses are written."""
    return all(0x20 < ord(letter) < 0x7F for letter in value)
