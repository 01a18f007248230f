"""Browsers of many people: each at a loopback address of its own, as limits count by address."""

from __future__ import annotations

import itertools
from typing import Any, Self

from requests.adapters import HTTPAdapter

from sandbox.demo.forms import Form, FormBrowser

_NUMBERS = itertools.count(1)


class FromAddress(HTTPAdapter):
    """Sends from a loopback address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


class OwnBrowser(FormBrowser):
    """A browser at an address nobody else has."""

    def __init__(self, stop_at: str = "") -> None:
        super().__init__(stop_at)
        number = next(_NUMBERS)
        self.address = f"127.1.{number // 250 % 250}.{number % 250 + 1}"
        self.session.mount("http://", FromAddress(self.address))

    def __enter__(self) -> Self:
        return self

    def cookie(self, name: str) -> str | None:
        """The value of a cookie of this browser."""
        found = [one.value for one in self.session.cookies if one.name == name]
        return found[0] if found else None


def field(form: Form, name: str) -> str:
    """The value a field of a form came with."""
    return next(one.value for one in form.fields if one.name == name)
