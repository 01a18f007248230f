"""The console as a Flask blueprint."""

from __future__ import annotations

from flask import Blueprint

from fhir_facade.console.app_views import AppViews
from fhir_facade.console.audit_views import AuditViews
from fhir_facade.console.desk import Reception
from fhir_facade.console.grant_views import GrantViews
from fhir_facade.console.group_views import GroupViews
from fhir_facade.console.home_views import HomeViews
from fhir_facade.console.key_views import KeyViews
from fhir_facade.console.limit_views import LimitViews
from fhir_facade.console.member_views import MemberViews
from fhir_facade.console.parts import ConsoleParts
from fhir_facade.console.password_views import PasswordViews
from fhir_facade.console.patient_views import PatientViews
from fhir_facade.console.token_views import TokenViews
from fhir_facade.console.user_delete import UserDeleteViews
from fhir_facade.console.user_views import UserViews


def create_console(parts: ConsoleParts) -> Blueprint:
    """To be registered with `url_prefix="/fhir/<tenant>"`, as the authorization server is."""
    made = Blueprint("console", __name__, template_folder="templates")
    reception = Reception(parts)
    views = (
        HomeViews(reception),
        UserViews(reception),
        UserDeleteViews(reception),
        PasswordViews(reception),
        PatientViews(reception),
        LimitViews(reception),
        AppViews(reception),
        GroupViews(reception),
        MemberViews(reception),
        GrantViews(reception),
        TokenViews(reception),
        AuditViews(reception),
        KeyViews(reception),
    )
    parts.auth.add_pages(made, (route for each in views for route in each.routes()))
    return made
