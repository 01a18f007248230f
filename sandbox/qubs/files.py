"""Presigned links: signature and expiry in the URL, real bytes behind it, errors that are not JSON.

A link is the whole permission: a request that carries an Authorization header too is refused, as
object stores do.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sandbox.qubs.clock import Clock

DEFAULT_TTL_S = 900
MIN_TTL_S, MAX_TTL_S = 60, 3600
UPLOAD_TTL_S = 15 * 60
MAX_UPLOAD = 2 * 1024 * 1024


class FileRefusal(Exception):
    """A presigned request that fails; answered as a small XML document."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> bytes:
        """The error document."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>\n"
        ).encode()


@dataclass(slots=True)
class UploadSlot:
    """A place for one file, used up by one successful PUT."""

    domain: str
    content_type: str | None
    used: bool = False


class Presigner:
    """Makes and checks presigned links."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self.slots: dict[str, UploadSlot] = {}

    def clear(self) -> None:
        """Forget every upload slot."""
        with self._lock:
            self.slots.clear()

    def download_url(
        self, base: str, path: tuple[str, str, str], ttl_s: int, disposition: str
    ) -> tuple[str, str]:
        """A GET link for (domain, appointment, guid), and its expiry as UTC text."""
        location = "/files/download/" + "/".join(quote(part, safe="") for part in path)
        return self._url(base, "GET", location, ttl_s, {"disposition": disposition})

    def upload_url(self, base: str, guid: str, slot: UploadSlot) -> tuple[str, str]:
        """A PUT link for a new slot, and its expiry as UTC text."""
        with self._lock:
            self.slots[guid] = slot
        return self._url(base, "PUT", f"/files/upload/{guid}", UPLOAD_TTL_S, {})

    def check(self, method: str, path: str, args: Mapping[str, str], authorized: bool) -> None:
        """Refuse a link that is torn, forged or old."""
        if authorized:
            raise FileRefusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        expires = args.get("expires", "")
        signature = args.get("signature", "")
        extra = {name: args[name] for name in ("disposition",) if name in args}
        expected = self._signature(method, path, expires, extra)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise FileRefusal(403, "SignatureDoesNotMatch", "The signature does not match")
        if int(expires) <= self._clock.now():
            raise FileRefusal(403, "AccessDenied", "Request has expired")

    def claim(self, guid: str) -> UploadSlot:
        """Take a slot for one PUT; raises FileRefusal when it is used."""
        with self._lock:
            slot = self.slots.get(guid)
            if slot is None or slot.used:
                raise FileRefusal(403, "AccessDenied", "The link was used before")
            slot.used = True
            return slot

    def release(self, guid: str) -> None:
        """Give a slot back after a PUT that failed."""
        with self._lock:
            if guid in self.slots:
                self.slots[guid].used = False

    def _url(
        self, base: str, method: str, path: str, ttl_s: int, extra: dict[str, str]
    ) -> tuple[str, str]:
        expires = int(self._clock.now()) + ttl_s
        query = extra | {
            "expires": str(expires),
            "signature": self._signature(method, path, str(expires), extra),
        }
        return f"{base}{path}?{urlencode(query)}", self._clock.text(expires)

    def _signature(self, method: str, path: str, expires: str, extra: dict[str, str]) -> str:
        text = f"{method}\n{path}\n{expires}\n{urlencode(sorted(extra.items()))}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def clamped_ttl(seconds: int) -> int:
    """A wished lifetime brought into bounds."""
    return min(max(seconds, MIN_TTL_S), MAX_TTL_S)
