"""Page parameters and cursor tokens."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from zlib import crc32

from sandbox.qubs.clock import Clock
from sandbox.qubs.problems import bad_request
from sandbox.qubs.settings import ServiceSettings

MAX_SKIP = 10_000
MAX_ROWS = 500
DEFAULT_ROWS = 100
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def integer(args: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A query parameter within its bounds; raises Problem 400."""
    text = args.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise bad_request(name, f"{name} must be between {low} and {high}.")
    return int(text)


def date(args: Mapping[str, str], name: str) -> dt.date | None:
    """An ISO date parameter; raises Problem 400."""
    text = args.get(name)
    if text is None:
        return None
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return dt.date.fromisoformat(text)
    except ValueError:
        raise bad_request(name, f"{name} must be a date in the form yyyy-MM-dd.") from None


class Cursors:
    """Opaque tokens. A token works only on the path and grants it was made for, and expires."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._key = secrets.token_bytes(16)

    def make(self, binding: str, position: int) -> str:
        """A token to go on at ``position``; no two are equal."""
        issued = int(self._clock.now())
        text = f"{position}.{issued}.{secrets.token_hex(2)}"
        return base64.urlsafe_b64encode(
            text.encode() + b"." + self._signature(binding, text)
        ).decode()

    def read(self, binding: str, token: str) -> int:
        """The position in a token; raises Problem 400 for one that is foreign, torn or old."""
        refused = bad_request("nextToken", "nextToken is not valid here or has expired.")
        try:
            plain = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error, ValueError):
            raise refused from None
        text, _, signature = plain.rpartition(b".")
        expected = self._signature(binding, text.decode("latin-1"))
        if not hmac.compare_digest(signature, expected):
            raise refused
        position, issued, _ = text.split(b".")
        if int(issued) + self._settings.cursor_ttl_s < self._clock.now():
            raise refused
        return int(position)

    def _signature(self, binding: str, text: str) -> bytes:
        signed = hmac.new(self._key, f"{binding}|{text}".encode(), hashlib.sha256)
        return signed.hexdigest()[:16].encode()

    def last_page(self, binding: str, position: int) -> dict[str, str | None]:
        """What the last page says of its token: nothing, null or an empty text."""
        form = self._settings.last_page
        if form == "mixed":
            form = ("missing", "null", "empty")[crc32(f"{binding}/{position}".encode()) % 3]
        if form == "missing":
            return {}
        return {"nextToken": None if form == "null" else ""}
