"""The pages."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response

from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions


class PageViews:
    def __init__(self, core: Core, sessions: Sessions) -> None:
        pass

    def routes(self) -> list[tuple[str, Callable[[TenantInfo], Response], list[str]]]:
        return []
