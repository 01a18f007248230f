"""A developer's apps: registered, changed, paused, given patients and deleted, by their owner only.

Where the provider approves apps, a change that lets an approved app do or look like more than what
was approved sends it back: another name, new redirect URIs, another launch URI, wider scopes, a
longer validity, or an end to its list of patients. Until it is approved again only its developer
may launch it, and tokens of others that are out stop working at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smart_auth import admin
from smart_auth.acts import Acts
from smart_auth.admin import PAUSED_BY, ChangedSince, CreatedClient, InvalidClientMetadata
from smart_auth.client_metadata import client_from_metadata
from smart_auth.client_scope import wider
from smart_auth.core import Core
from smart_auth.oauth import jwks
from smart_auth.outbound import network_of
from smart_auth.portal.app_forms import AppForm, FormRules, kind_of, metadata_of, problems_of
from smart_auth.portal.fields import InvalidForm
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, User

MOST_APPS = 50
"""Apps of one developer."""

PUBLIC_DETAILS = ("client_uri", "policy_uri", "contacts")
"""What the portal's form says of an app in `Client.details`."""


class NeedsApproval(Exception):
    """The change sends an approved app back to approval, which its developer has not agreed to.

    `why` says what is wider than before, each as a few words.
    """

    def __init__(self, why: Sequence[str]) -> None:
        super().__init__("The app would wait for approval again")
        self.why = tuple(why)


@dataclass(frozen=True)
class Apps:
    """The apps of one developer. Every change is made to the app as the developer saw it: `app` is
    held against what is stored, and `ChangedSince` raised when somebody was faster (LookupError
    when it was deleted). Every change is audited."""

    core: Core
    tenant: TenantInfo
    developer: User

    def all(self) -> Sequence[Client]:
        """Oldest first."""
        return self.core.store.clients.owned(self.tenant.slug, self.developer.user_id)

    def get(self, client_id: str) -> Client | None:
        """One of them; None for another's."""
        if not client_id.isprintable():
            return None
        found = self.core.store.clients.get(self.tenant.slug, client_id)
        return found if found is not None and found.owner == self.developer.user_id else None

    def register(self, client_id: str, form: AppForm) -> CreatedClient:
        """Register an app; it is approved at once where apps are.

        Raises `InvalidForm`, or `AlreadyExists` when the form was sent before.
        """
        self._check(form)
        if len(self.all()) >= MOST_APPS:
            raise InvalidForm({"": f"You have {MOST_APPS} apps: delete one that is not used."})
        at_once = self.core.settings.app_approval == "automatic"
        try:
            created = admin.create_client(
                self.core.store,
                self.tenant.slug,
                metadata_of(form, self.tenant) | {"client_id": client_id},
                owner=self.developer.user_id,
                approved_by="automatic" if at_once else None,
                demo=self.core.settings.demo,
            )
        except InvalidClientMetadata as refused:
            raise InvalidForm({"": f"{refused}."}) from None
        self._acts.record("app registered", client_id=client_id)
        return created

    def edit(self, app: Client, form: AppForm, *, agreed: bool) -> None:
        """Change what the form holds, but not the kind. Raises `InvalidForm`, `ChangedSince`, or
        `NeedsApproval` when the app would wait for approval again and that is not `agreed`."""
        if form.kind != kind_of(app):
            raise InvalidForm({"kind": "The kind of an app stays: register another app."})
        self._check(form, known_jwks_uri=app.jwks_uri)
        changes = self._changes(app, form)
        waits = self._send_back(app, self._wider(app, changes), agreed, changes)
        self._change(app, "app changed and sent to approval" if waits else "app changed", **changes)

    def new_secret(self, app: Client) -> CreatedClient:
        """Replace the secret; the old one stops at once. ValueError for an app without one."""
        created = admin.new_client_secret(self.core.store, app, as_of=app.version)
        self._acts.record("app secret replaced", client_id=app.client_id)
        return created

    def may_resume(self, app: Client) -> bool:
        """Whether it was the developer, not the provider, who made the app inactive."""
        return bool(app.details.get(PAUSED_BY) == self.developer.user_id)

    def pause(self, app: Client) -> None:
        """Make the app inactive: no logins, no tokens, and those that are out stop."""
        details = {**app.details, PAUSED_BY: self.developer.user_id}
        if app.active:
            self._change(app, "app made inactive", active=False, details=details)

    def resume(self, app: Client) -> None:
        """Make it active again. PermissionError when the provider stopped it."""
        if app.active:
            return
        if not self.may_resume(app):
            raise PermissionError("The provider made this app inactive")
        self._change(app, "app made active", active=True)

    def delete(self, app: Client) -> None:
        """Remove the app; its tokens stop at once."""
        ended = admin.delete_client(self.core.store, self.tenant.slug, app.client_id)
        self._acts.record("app deleted", client_id=app.client_id)
        self._acts.record_ended(ended)

    def pick(self, app: Client, patients: Collection[str]) -> None:
        """Add patients to those the app may be used for. PermissionError when one of them is not
        assigned to the developer, or unknown."""
        new = frozenset(patients) - (app.patients or frozenset())
        if len(self.core.ports.patients(self.tenant.slug, new)) != len(new):
            raise PermissionError("A patient is unknown")
        self._put_patients(app, (app.patients or frozenset()) | new)
        for patient in sorted(new):
            self._acts.record(
                "patient given to an app", client_id=app.client_id, patient_id=patient
            )

    def drop(self, app: Client, patient: str) -> None:
        """Take a patient from the app's list, which stays a list when it is empty."""
        if app.patients is not None and patient in app.patients:
            self._put_patients(app, app.patients - {patient})
            self._acts.record(
                "patient taken from an app", client_id=app.client_id, patient_id=patient
            )

    def end_list(self, app: Client, *, agreed: bool) -> None:
        """Do without a list: an app that people launch then reaches whom they may see, a backend
        service the members of its Groups only. Raises `NeedsApproval` as `edit` does."""
        if app.patients is None:
            return
        changes: dict[str, Any] = {"patients": None}
        backend = kind_of(app) == "backend"
        self._send_back(app, [] if backend else ["no list of patients"], agreed, changes)
        self._change(app, "list of patients ended", **changes)

    def _put_patients(self, app: Client, patients: frozenset[str]) -> None:
        match self.core.store.clients.pick_patients(app, patients):
            case "not assigned":
                raise PermissionError("A patient is not assigned to the developer")
            case "changed":
                raise ChangedSince

    def _check(self, form: AppForm, known_jwks_uri: str | None = None) -> None:
        rules = FormRules(
            tenant=self.tenant,
            service=self.developer.service,
            parse=self.core.scopes,
            fetch=lambda url: jwks.fetch(url, network=network_of(self.core.settings.demo)).body,
            known_jwks_uri=known_jwks_uri,
        )
        if problems := problems_of(form, rules):
            raise InvalidForm(problems)

    def _changes(self, app: Client, form: AppForm) -> dict[str, Any]:
        metadata = metadata_of(form, self.tenant) | {"client_id": app.client_id}
        try:
            demo = self.core.settings.demo
            wanted, _ = client_from_metadata(self.tenant.slug, metadata, demo=demo)
        except InvalidClientMetadata as refused:
            raise InvalidForm({"": f"{refused}."}) from None
        kept = {name: one for name, one in app.details.items() if name not in PUBLIC_DETAILS}
        return {
            "name": wanted.name,
            "redirect_uris": wanted.redirect_uris,
            "launch_uri": wanted.launch_uri,
            "scope": wanted.scope,
            "jwks": wanted.jwks,
            "jwks_uri": wanted.jwks_uri,
            "valid_from": wanted.valid_from,
            "valid_to": wanted.valid_to,
            "details": kept | dict(wanted.details),
        }

    def _wider(self, app: Client, changes: dict[str, Any]) -> list[str]:
        return wider(app, replace(app, **changes), self.core.ports.scope_types())

    def _send_back(
        self, app: Client, wider: Sequence[str], agreed: bool, changes: dict[str, Any]
    ) -> bool:
        """Add to the changes that the app waits for approval, when that is what they lead to."""
        required = self.core.settings.app_approval == "required"
        if not wider or not required or app.approved_at is None:
            return False
        if not agreed:
            raise NeedsApproval(wider)
        changes |= {"approved_at": None, "approved_by": None}
        return True

    def _change(self, app: Client, act: str, **changes: Any) -> None:
        admin.change_client(self.core.store, app, as_of=app.version, **changes)
        self._acts.record(act, client_id=app.client_id)

    @property
    def _acts(self) -> Acts:
        return Acts(self.core.ports, self.tenant.slug, self.developer.user_id)
