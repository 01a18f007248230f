"""The pages of a launch, for one request of one browser."""

from __future__ import annotations

from flask import Response

from smart_auth.consent import Question, choosable
from smart_auth.consent_choices import choices_of
from smart_auth.core import Core
from smart_auth.patient_search import look_for_patients, searched_for
from smart_auth.ports import PatientChoice, TenantInfo
from smart_auth.records import Client, PendingAuthorization, User
from smart_auth.web import pages
from smart_auth.web.browser import Browser
from smart_auth.web.consent_form import groups_of

PATIENTS_SHOWN = 100


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
        text = searched_for(text)
        patients = look_for_patients(
            self._core,
            self._tenant.slug,
            user,
            frozenset() if client is None else choosable(client, user),
            text,
            PATIENTS_SHOWN + 1,
            client_id=pending.client_id,
        )
        return pages.page(
            self._core,
            self._tenant,
            "picker.html",
            200 if problem is None else 400,
            pending.parameters["redirect_uri"],
            request_value=value,
            csrf=self._browser.csrf(f"patient/{value}", user.user_id),
            client=client,
            who=user,
            patients=patients[:PATIENTS_SHOWN],
            more=len(patients) > PATIENTS_SHOWN,
            most=PATIENTS_SHOWN,
            text=text,
            problem=problem,
        )

    def consent(
        self,
        value: str,
        pending: PendingAuthorization,
        asked: Question,
    ) -> Response:
        """What the app asks for, each part with a box to untick."""
        lifetimes = self._core.settings.lifetimes
        choices = choices_of(self._core, self._tenant, asked.scope)
        return pages.page(
            self._core,
            self._tenant,
            "consent.html",
            200,
            pending.parameters["redirect_uri"],
            request_value=value,
            csrf=self._browser.csrf(f"consent/{value}", asked.user.user_id),
            client=asked.client,
            maker=self._maker(asked.client),
            who=asked.user,
            patient=patient_shown(self._core, self._tenant, asked.patient),
            groups=groups_of(self._core, self._tenant, choices, asked.user.role),
            scope=asked.scope,
            days=lifetimes.refresh_token // 86_400,
            hours=lifetimes.online_grant // 3600,
            minutes=lifetimes.launch_access_token // 60,
        )

    def _maker(self, client: Client) -> str | None:
        """The name of the developer, where the app has one who gave a name."""
        if client.owner is None:
            return None
        owner = self._core.store.users.get(self._tenant.slug, client.owner)
        return None if owner is None else owner.name or None


def patient_shown(core: Core, tenant: TenantInfo, patient: str | None) -> PatientChoice | None:
    """The patient of a grant as a person knows them."""
    if patient is None:
        return None
    found = core.ports.patients(tenant.slug, [patient])
    return found[0] if found else PatientChoice(patient, patient, "", "")


def app_name(core: Core, tenant: TenantInfo, client_id: str) -> str:
    """An app as people know it, a deleted one too."""
    client = core.store.clients.get(tenant.slug, client_id)
    if client is not None:
        return client.name
    former = core.store.clients.former_name(tenant.slug, client_id)
    return "an app that was deleted" if former is None else f"{former} (deleted)"


def problem_page(
    core: Core, tenant: TenantInfo, text: str, received: str | None = None
) -> Response:
    """A 400 page for the person, where nothing may be sent to an app."""
    return pages.page(core, tenant, "problem.html", 400, text=text, received=received)
