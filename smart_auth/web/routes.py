"""One line of the route table: each class of views gives its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import Response

ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READ = ("GET", "HEAD")
FORM = ("GET", "HEAD", "POST")


class Route(NamedTuple):
    """`path` under the tenant's base, with Flask's converters; the view gets the tenant and the
    path's values by name. Other methods than `methods` are answered with 405."""

    path: str
    view: Callable[..., Response]
    methods: tuple[str, ...]
