"""Launches that a host EHR orders in one call: what it may ask for, and what it gets.

The EHR says which of our users opens which app, and about what; it vouches for the user's login by
a ticket, good once, that its page sends the user's browser to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from smart_auth import clock, keyring
from smart_auth.consent import may_choose
from smart_auth.core import Core
from smart_auth.launches import Launches
from smart_auth.oauth.errors import OAuthRefusal
from smart_auth.ports import Step, TenantInfo
from smart_auth.records import Client, LoginTicket, User

MEMBERS = frozenset(
    {
        "user",
        "fhirUser",
        "client_id",
        "patient",
        "encounter",
        "fhirContext",
        "need_patient_banner",
        "intent",
        "client_assertion",
        "client_assertion_type",
    }
)
CONTEXT_MEMBERS = ("reference", "canonical", "identifier", "type", "role")
MOST_CONTEXT = 20
LONGEST_TEXT = 500

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64}")


@dataclass(frozen=True)
class MadeLaunch:
    """A launch as the host EHR gets it. `launch_url` starts the app in a browser where the user is
    logged in here already; `open_url` logs the user in and goes on to it."""

    user: User
    patient: str | None
    launch: str = field(repr=False)
    launch_url: str = field(repr=False)
    open_url: str = field(repr=False)
    expires_in: int


def order(
    core: Core, tenant: TenantInfo, caller: Client, document: Mapping[str, Any]
) -> MadeLaunch:
    """Make the launch a document describes; raises `OAuthRefusal`, and makes nothing then."""
    if not caller.may_launch:
        raise OAuthRefusal(
            "unauthorized_client",
            "This client may not make launches: the provider has to allow it",
            "client",
            expected="a client that may make launches",
            status_code=403,
        )
    if not MEMBERS.issuperset(document):
        raise _bad("The body may hold only " + ", ".join(sorted(MEMBERS)))
    user = _user(core, tenant, document)
    app = _app(core, tenant, document, user)
    patient = _patient(core, tenant, document, app, user)
    encounter = _encounter(core, tenant, document, patient)
    context = _contexts(core, tenant, document, patient)
    launch = Launches(core).create(
        tenant.slug,
        user.user_id,
        app.client_id,
        patient,
        encounter,
        context,
        need_patient_banner=_banner(document),
        intent=_text(document, "intent"),
    )
    query = urlencode({"iss": tenant.issuer, "launch": launch})
    mark = "&" if "?" in str(app.launch_uri) else "?"
    launch_url = f"{app.launch_uri}{mark}{query}"
    return MadeLaunch(
        user=user,
        patient=patient,
        launch=launch,
        launch_url=launch_url,
        open_url=_ticket(core, tenant, caller, user, launch_url),
        expires_in=core.settings.lifetimes.launch,
    )


def _ticket(core: Core, tenant: TenantInfo, caller: Client, user: User, url: str) -> str:
    value = keyring.random_token()
    now = clock.now()
    ticket = LoginTicket(
        user_id=user.user_id,
        made_by=caller.client_id,
        wrapped=core.ring.wrap(tenant.slug, url),
        created_at=now,
        expires_at=now + core.settings.lifetimes.launch,
    )
    core.store.tickets.add(tenant.slug, keyring.hash_token(value), ticket)
    return f"{tenant.issuer}/auth/open?ticket={value}"


def _user(core: Core, tenant: TenantInfo, document: Mapping[str, Any]) -> User:
    username, reference = _text(document, "user"), _text(document, "fhirUser")
    if (username is None) == (reference is None):
        raise _bad("Send either user (a user name) or fhirUser (a relative reference)")
    if username is not None:
        found = core.store.users.by_username(tenant.slug, username)
        users = [] if found is None else [found]
    else:
        relative = str(reference).removeprefix(f"{tenant.issuer}/")
        users = list(core.store.users.by_fhir_user(tenant.slug, relative))
    active = [user for user in users if user.active]
    if len(active) > 1:
        raise _bad("Several users have this fhirUser: name the user by user")
    if not active:
        raise _bad("No active user of this name or fhirUser is here", "login")
    return active[0]


def _app(core: Core, tenant: TenantInfo, document: Mapping[str, Any], user: User) -> Client:
    client_id = _text(document, "client_id")
    if client_id is None:
        raise _bad("client_id is missing: the app to launch")
    app = core.store.clients.get(tenant.slug, client_id)
    if app is None or not app.usable(clock.now()):
        raise _bad("No app of this client_id is registered and active here", "client")
    if not app.check_grant_type("authorization_code") or app.launch_uri is None:
        raise _bad("The app has no launch_uri: it cannot be launched from an EHR", "redirect")
    if app.approved_at is None and app.owner != user.user_id:
        raise _bad("The app awaits approval: only its developer may launch it", "approval")
    return app


def _patient(
    core: Core, tenant: TenantInfo, document: Mapping[str, Any], app: Client, user: User
) -> str | None:
    patient = _logical_id(document, "patient")
    if patient is not None and not may_choose(core, tenant, app, user, patient):
        raise OAuthRefusal(
            "access_denied",
            "The patient is unknown here, or not one this user and this app may see",
            "compartment",
            expected="a patient of the user and of the app",
            status_code=403,
        )
    return patient


def _encounter(
    core: Core, tenant: TenantInfo, document: Mapping[str, Any], patient: str | None
) -> str | None:
    encounter = _logical_id(document, "encounter")
    if encounter is not None:
        _check_subject(core, tenant, f"Encounter/{encounter}", patient, "encounter")
    return encounter


def _contexts(
    core: Core, tenant: TenantInfo, document: Mapping[str, Any], patient: str | None
) -> Sequence[Mapping[str, Any]]:
    """As SMART App Launch 2.2 has it: objects with a reference, canonical or identifier."""
    given = document.get("fhirContext")
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_CONTEXT:
        raise _bad(f"fhirContext must be a list of at most {MOST_CONTEXT} objects")
    return [_context(core, tenant, item, patient) for item in given]


def _context(core: Core, tenant: TenantInfo, item: Any, patient: str | None) -> Mapping[str, Any]:
    if not isinstance(item, dict) or not set(item) <= set(CONTEXT_MEMBERS):
        raise _bad("Each of fhirContext must be an object of " + ", ".join(CONTEXT_MEMBERS))
    if not {"reference", "canonical", "identifier"} & set(item):
        raise _bad("Each of fhirContext needs a reference, a canonical or an identifier")
    found: dict[str, Any] = {
        name: _text(item, name) for name in ("canonical", "type", "role") if name in item
    }
    identifier = item.get("identifier")
    if identifier is not None:
        if not isinstance(identifier, dict) or len(json.dumps(identifier)) > LONGEST_TEXT:
            raise _bad("The identifier of a fhirContext must be a small Identifier object")
        found["identifier"] = identifier
    reference = _text(item, "reference")
    if reference is None:
        return found
    relative = reference.removeprefix(f"{tenant.issuer}/")
    if not _REFERENCE.fullmatch(relative):
        raise _bad("The reference of a fhirContext must be relative, as DiagnosticReport/1")
    kind = relative.partition("/")[0]
    if kind in ("Patient", "Encounter") and found.get("role", "launch") == "launch":
        raise _bad("In fhirContext a Patient or Encounter needs a role other than launch")
    if found.get("type", kind) != kind:
        raise _bad("The type of a fhirContext must be that of its reference")
    _check_subject(core, tenant, relative, patient, "fhirContext")
    return {"reference": relative, **found}


def _check_subject(
    core: Core, tenant: TenantInfo, reference: str, patient: str | None, member: str
) -> None:
    """What goes with a launch is there, and about the patient of the launch or about none."""
    about = core.ports.patients_of(tenant.slug, reference)
    if about is None:
        raise _bad(f"A resource of {member} is not on this server", "launch")
    if about and patient is None:
        raise _bad(f"A resource of {member} is about a patient: send patient too", "launch")
    if about and patient not in about:
        raise _bad(f"A resource of {member} is about another patient", "compartment")


def _banner(document: Mapping[str, Any]) -> bool:
    value = document.get("need_patient_banner", True)
    if not isinstance(value, bool):
        raise _bad("need_patient_banner must be true or false")
    return value


def _logical_id(document: Mapping[str, Any], name: str) -> str | None:
    value = _text(document, name)
    if value is not None and not _ID.fullmatch(value):
        raise _bad(f"{name} must be an id without type")
    return value


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT or not value.isprintable():
        raise _bad(f"{name} must be a text of 1 to {LONGEST_TEXT} printable characters")
    return value


def _bad(description: str, step: Step = "request") -> OAuthRefusal:
    return OAuthRefusal("invalid_request", description, step)
