"""Seeded draws: the same name always gives the same numbers, in any process."""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_WORDS = struct.Struct("<16H")


def words(name: str) -> tuple[int, ...]:
    """Sixteen independent numbers 0..65535 that belong to ``name``."""
    return _WORDS.unpack(hashlib.blake2b(name.encode(), digest_size=32).digest())


def pick(options: Sequence[T], word: int) -> T:
    """One of ``options``, evenly, by a word of :func:`words`."""
    return options[word * len(options) >> 16]


def chance(word: int, percent: float) -> bool:
    """True for ``percent`` of the words."""
    return word < percent * 655.36


def guid(name: str) -> str:
    """A version 4 GUID that belongs to ``name``."""
    return str(uuid.UUID(bytes=hashlib.blake2b(name.encode(), digest_size=16).digest(), version=4))
