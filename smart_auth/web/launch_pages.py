"""The pages of a launch, for one request of one browser."""

from __future__ import annotations

from flask import Response

from smart_auth.consent import Question, choosable
from smart_auth.core import Core
from smart_auth.ports import PatientChoice, TenantInfo
from smart_auth.records import PendingAuthorization, User
from smart_auth.scope_words import describe
from smart_auth.web import pages
from smart_auth.web.browser import Browser

PATIENTS_SHOWN = 400


class LaunchPages:
    """Renders them. `value` names the pending request; '' where there is none."""

    def __init__(self, core: Core, tenant: TenantInfo, browser: Browser) -> None:
        self._core = core
        self._tenant = tenant
        self._browser = browser

    def picker(
        self,
        value: str,
        pending: PendingAuthorization,
        user: User,
        text: str = "",
        problem: str | None = None,
    ) -> Response:
        """Patients the user may see, those that match `text`."""
        client = self._core.store.clients.get(self._tenant.slug, pending.client_id)
        patients = self._core.ports.choose_patients(
            self._tenant.slug,
            user.patients if client is None else choosable(client, user),
            text,
            PATIENTS_SHOWN,
        )
        response = pages.page(
            self._core,
            self._tenant,
            "picker.html",
            200 if problem is None else 400,
            pending.parameters["redirect_uri"],
            request_value=value,
            csrf=self._browser.csrf(f"patient/{value}"),
            client=client,
            patients=patients,
            more=len(patients) == PATIENTS_SHOWN,
            text=text,
            problem=problem,
        )
        return self._browser.remember(response)

    def consent(
        self,
        value: str,
        pending: PendingAuthorization,
        asked: Question,
    ) -> Response:
        """What the app asks for, each with a box to untick."""
        response = pages.page(
            self._core,
            self._tenant,
            "consent.html",
            200,
            pending.parameters["redirect_uri"],
            request_value=value,
            csrf=self._browser.csrf(f"consent/{value}/{asked.user.user_id}"),
            client=asked.client,
            user=asked.user,
            patient=patient_shown(self._core, self._tenant, asked.patient),
            scopes=[(str(item), describe(item, asked.user.role)) for item in asked.scope],
            keeps="offline_access" in asked.scope,
            days=self._core.settings.lifetimes.refresh_token // 86_400,
        )
        return self._browser.remember(response)


def patient_shown(core: Core, tenant: TenantInfo, patient: str | None) -> PatientChoice | None:
    """The patient of a grant as a person knows them."""
    if patient is None:
        return None
    found = core.ports.choose_patients(tenant.slug, frozenset({patient}), "", 1)
    return found[0] if found else PatientChoice(patient, patient, "", "")


def problem_page(
    core: Core, tenant: TenantInfo, text: str, received: str | None = None
) -> Response:
    """A 400 page for the person, where nothing may be sent to an app."""
    return pages.page(core, tenant, "problem.html", 400, text=text, received=received)
