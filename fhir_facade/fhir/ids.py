"""Resource ids: one injective function from upstream keys, never parsed back (design "Ids")."""

from __future__ import annotations

import base64
import hashlib
import re

MAX_LENGTH = 64
_GRAMMAR = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_SOURCE = re.compile(r"[a-z0-9]{1,8}")
_ESCAPED = re.compile(r"[^A-Za-z0-9-]")
_HASHED = re.compile(r"\.[A-Z2-7]{52}")
# Key parts are joined by U+001F; both characters of the joint are escaped inside a part, so that
# ("a", "b") and ("a\x1fb",) stay different keys.
_JOINT = str.maketrans({"\x1e": "\x1e0", "\x1f": "\x1e1"})


def is_id(text: str) -> bool:
    """Whether `text` has the grammar of a FHIR id: 1 to 64 of `A-Z a-z 0-9 - .` (R4
    datatypes.html#id).
    """
    return _GRAMMAR.fullmatch(text) is not None


def resource_id(source: str, *key_parts: str) -> str:
    """The id of what `source` (`qubs`, `qsc`, `np`) knows under this key: `{source}-{escaped key}`.

    Every character outside `[A-Za-z0-9-]` becomes `.` and two hex digits per UTF-8 byte. An id over
    64 characters becomes `{source}-.` and 52 base32 characters of the key's SHA-256. Different keys
    give different ids. Raises ValueError when the source is no short lower-case word or the key is
    empty.
    """
    if _SOURCE.fullmatch(source) is None:
        raise ValueError("a source is one to eight of a-z and 0-9")
    key = "\x1f".join(part.translate(_JOINT) for part in key_parts)
    if not key:
        raise ValueError("a key must not be empty")
    escaped = _ESCAPED.sub(_hex, key)
    # A short key whose escaped form looks like a hash is hashed too, or it could equal a long key's
    # id.
    if len(source) + 1 + len(escaped) > MAX_LENGTH or _HASHED.fullmatch(escaped):
        escaped = _digest(key)
    return f"{source}-{escaped}"


def provenance_id(target_type: str, target_id: str) -> str:
    """The id of the Provenance of `{type}/{id}`: `{type}-{id}`, or `.` and 52 base32 characters
    when too long.
    """
    plain = f"{target_type}-{target_id}"
    return plain if len(plain) <= MAX_LENGTH else _digest(plain)


def _hex(match: re.Match[str]) -> str:
    return "".join(f".{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _digest(key: str) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return "." + base64.b32encode(digest).decode().rstrip("=")
