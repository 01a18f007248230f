"""One byte range of a file (RFC 9110 section 14): read, cut out of the whole, written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fhir_facade.upstream.files import Part

_ONE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII | re.IGNORECASE)
Range = tuple[int | None, int | None]
"""First and last byte; without a first one the last so many, without a last one to the end."""


def parse_range(header: str | None) -> Range | None:
    """The range asked for; None when none is, or what is no single range, which is ignored."""
    match = _ONE.fullmatch((header or "").replace(" ", ""))
    if match is None:
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if (first is None and last is None) or (
        first is not None and last is not None and first > last
    ):
        return None
    return first, last


def part_of(wanted: Range, size: int) -> Part | None:
    """What of a file of `size` bytes is meant; None when it has no such bytes."""
    first, last = wanted
    if first is None:
        length = min(last or 0, size)
        return Part(size - length, size - 1, size) if length else None
    if first >= size:
        return None
    return Part(first, size - 1 if last is None else min(last, size - 1), size)


def content_range(part: Part) -> str:
    """The value of Content-Range."""
    return f"bytes {part.first}-{part.last}/{part.size}"


def cut(chunks: Iterator[bytes], part: Part) -> Iterator[bytes]:
    """The bytes of a part, of the chunks of the whole file; the rest is not read."""
    place = 0
    for chunk in chunks:
        begin, end = max(part.first - place, 0), part.last + 1 - place
        if piece := chunk[begin:end]:
            yield piece
        place += len(chunk)
        if place > part.last:
            return
