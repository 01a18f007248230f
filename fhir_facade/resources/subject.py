"""Subjects: the things of an upstream that are mapped as one."""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """`kind` is `domain`, `site`, `staff`, `appointment`, `patient` or `group`.

    `key` is the upstream's own key.
    """

    kind: str
    key: str
