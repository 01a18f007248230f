"""The `next` link of a search: a sealed, opaque position (design section 2 "Revisions").

A cursor holds the whole query, the revision it reads and the place its page ended at. It is
encrypted and authenticated under a key of its tenant, so a link carries no value of the query, and
it is bound to the searched type and to the principal it was made for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_facade import clock
from fhir_facade.errors import Gone, InvalidRequest, TooCostly
from fhir_facade.mirror.criteria import Place
from fhir_facade.search.query import Pair

PARAMETER = "_cursor"
MAX_LENGTH = 7000
"""Characters of a sealed cursor: with the base it must fit the 8 KiB a request line may have."""

_VERSION = b"\x02"
_NONCE = 12
_MAX_PLAIN = 1 << 20


class CursorExpired(Gone):
    """The position is no longer kept: HTTP 410; the search has to start again."""

    issue = "processing"


@dataclass(frozen=True)
class Position:
    """Where a search goes on: `used` as `SearchQuery.used`, the `revision` all its pages read, the
    place the last page ended at, and the total when it is known.
    """

    used: tuple[Pair, ...]
    revision: int
    after: Place | None
    total: int | None = None


def principal_hash(*parts: str | None) -> str:
    """What a cursor is bound to: client, user, patient and scopes of a token, hashed."""
    text = orjson.dumps(parts)
    return hashlib.sha256(text).hexdigest()[:32]


class CursorBox:
    """Seals and opens cursors. The first secret key encrypts, all decrypt."""

    def __init__(self, secret_keys: Sequence[str], *, lifetime_seconds: int = 3600) -> None:
        self._secrets = tuple(key.encode() for key in secret_keys)
        self._lifetime = lifetime_seconds
        self._keys = lru_cache(maxsize=1024)(self._derive)

    def seal(self, tenant: str, resource_type: str, principal: str, position: Position) -> str:
        """The cursor text, of URL-safe characters.

        Raises TooCostly when the query is too long to travel in a URL.
        """
        expires = int(clock.now().timestamp()) + self._lifetime
        plain = orjson.dumps(
            [position.used, position.revision, position.after, position.total, expires, principal]
        )
        packed = zlib.compress(plain, 6) if len(plain) > 256 else plain
        associated = _associated(resource_type)
        cipher, nonce_key = self._keys(tenant)[0]
        # A nonce made from the text itself can only come again with the same text.
        nonce = blake2b(associated + packed, key=nonce_key, digest_size=_NONCE).digest()
        sealed = cipher.encrypt(nonce, packed, associated)
        text = base64.urlsafe_b64encode(_VERSION + nonce + sealed).rstrip(b"=").decode()
        if len(text) > MAX_LENGTH:
            raise TooCostly(
                "The search is too long to be continued by a link.",
                diagnostics="Give fewer values at once, or a _count that holds all results.",
            )
        return text

    def open(self, tenant: str, resource_type: str, principal: str, text: str) -> Position:
        """The position in a cursor.

        Raises InvalidRequest when it was not made by this server for this tenant, type and
        principal, CursorExpired when its time has passed.
        """
        try:
            used, revision, after, total, expires, owner = self._read(tenant, resource_type, text)
        except (InvalidTag, binascii.Error, zlib.error, ValueError, TypeError):
            raise _foreign() from None
        if owner != principal:
            raise _foreign()
        if expires <= clock.now().timestamp():
            raise CursorExpired(
                "The page link has expired.",
                diagnostics="Start the search again; a page link is good for "
                f"{self._lifetime // 60} minutes.",
                expression=(PARAMETER,),
            )
        return Position(
            tuple((name, value) for name, value in used),
            revision,
            None if after is None else tuple(after),
            total,
        )

    def _read(self, tenant: str, resource_type: str, text: str) -> tuple:  # type: ignore[type-arg]
        if len(text) > MAX_LENGTH:
            raise ValueError("too long")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if raw[:1] != _VERSION or len(raw) < 1 + _NONCE + 16:
            raise ValueError("not a cursor")
        nonce, sealed = raw[1 : 1 + _NONCE], raw[1 + _NONCE :]
        packed = self._decrypt(tenant, nonce, sealed, _associated(resource_type))
        if packed[:1] != b"[":
            packed = zlib.decompressobj().decompress(packed, _MAX_PLAIN)
        return tuple(orjson.loads(packed))

    def _decrypt(self, tenant: str, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        for cipher, _ in self._keys(tenant):
            try:
                return cipher.decrypt(nonce, sealed, associated)
            except InvalidTag:
                continue
        raise InvalidTag

    def _derive(self, tenant: str) -> tuple[tuple[AESGCM, bytes], ...]:
        """The cipher and the nonce key of each secret key."""
        info = f"fhir_facade/cursor/{tenant}".encode()
        derived = (
            HKDF(algorithm=hashes.SHA256(), length=64, salt=None, info=info).derive(secret)
            for secret in self._secrets
        )
        return tuple((AESGCM(key[:32]), key[32:]) for key in derived)


def _associated(resource_type: str) -> bytes:
    return _VERSION + resource_type.encode("utf-8", "surrogatepass")


def _foreign() -> InvalidRequest:
    return InvalidRequest(
        "The page link is not valid for this request.",
        diagnostics="Follow the link 'next' of a Bundle unchanged, with the same token.",
        expression=(PARAMETER,),
    )
