"""The developer portal: sign up, register apps, launch them, and see why a request was refused."""

from __future__ import annotations

from smart_auth.core import Core
from smart_auth.portal.app_views import AppViews
from smart_auth.portal.desk import Counter
from smart_auth.portal.list_views import ListViews
from smart_auth.portal.patient_views import PatientViews
from smart_auth.portal.signup_views import SignUpViews
from smart_auth.portal.trace_views import TraceViews
from smart_auth.sessions import Sessions
from smart_auth.web.routes import Route

__all__ = ["portal_routes"]


def portal_routes(core: Core, sessions: Sessions) -> list[Route]:
    """All pages of the portal."""
    counter = Counter(core, sessions)
    return [
        *SignUpViews(core, sessions).routes(),
        *ListViews(counter).routes(),
        *AppViews(counter).routes(),
        *PatientViews(counter).routes(),
        *TraceViews(counter).routes(),
    ]
