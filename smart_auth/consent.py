"""From a pending request to a code: what this user may grant this app now, and what they decided.

Nothing is carried from step to step but the pending row: client, user, patient and limits are read
again each time, so a change in between counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from smart_auth import clock, consent_choices, keyring
from smart_auth.authorization import AuthorizationRequest, Refused
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import (
    AuthorizationCode,
    Client,
    ConsentRecord,
    Launch,
    LaunchContext,
    PendingAuthorization,
    Session,
    User,
)
from smart_auth.scopes import ScopeSet


@dataclass(frozen=True)
class Question:
    """What is put to the user. `scope` is the most that can be granted; without `patient` one has
    to be chosen first when `needs_patient`."""

    client: Client
    user: User
    scope: ScopeSet
    launch: Launch | None
    patient: str | None
    needs_patient: bool


def keep_pending(core: Core, tenant: TenantInfo, request: AuthorizationRequest) -> str:
    """Keep a judged request until it is decided; returns the value that names it."""
    value = keyring.random_token()
    now = clock.now()
    parameters = {
        "redirect_uri": request.redirect_uri,
        "raw_state": request.raw_state,
        "asked_scope": request.asked_scope,
        "scope": str(request.scope),
    }
    if request.nonce is not None:
        parameters["nonce"] = request.nonce
    if request.code_challenge is not None:
        parameters["code_challenge"] = request.code_challenge
    pending = PendingAuthorization(
        request_hash=keyring.hash_token(value),
        client_id=request.client.client_id,
        parameters=parameters,
        launch_hash=None if request.launch is None else request.launch.launch_hash,
        browser_hash=None,
        login_after=request.login_after,
        new_login=request.new_login,
        user_id=None,
        patient_id=None,
        expires_at=now + core.settings.lifetimes.pending_authorization,
        decided_at=None,
    )
    core.store.pending.add(tenant.slug, pending, now)
    return value


def question(core: Core, tenant: TenantInfo, pending: PendingAuthorization, user: User) -> Question:
    """What to ask this user; raises `Refused` when nothing can be granted."""
    client = core.store.clients.get(tenant.slug, pending.client_id)
    if client is None or not client.usable(clock.now()):
        raise Refused("unauthorized_client", "The app is inactive or outside its validity window")
    if client.approved_at is None and client.owner != user.user_id:
        raise Refused(
            "unauthorized_client",
            "The app awaits approval: only its developer may launch",
            "approval",
        )
    launch = _launch(core, tenant, pending, user)
    scope = core.scopes(pending.parameters["scope"]).intersect(core.allowed_to(client))
    if user.scope is not None:
        scope = scope.limit(core.scopes(user.scope))
    if not scope.meaningful:
        raise Refused("invalid_scope", "No scope is left that this user may grant")
    needs_patient = scope.has_level("patient") or "launch/patient" in scope
    patient = _patient(core, tenant, pending, client, user, launch, needs_patient)
    return Question(client, user, scope, launch, patient, needs_patient)


def allow(
    core: Core,
    tenant: TenantInfo,
    pending: PendingAuthorization,
    asked: Question,
    session: Session,
    ticked: Collection[str],
) -> str:
    """The user's yes to what they left ticked; returns the code. Raises `Refused`.

    The decision counts once, whichever worker or tab is first, and uses up the launch.
    """
    granted = consent_choices.granted(consent_choices.choices_of(core, tenant, asked.scope), ticked)
    if not granted.meaningful:
        deny(core, tenant, pending, asked.user)
        raise Refused("access_denied", "The user left nothing to grant")
    now = clock.now()
    value = keyring.random_token()
    code = _code(core, pending, asked, session, granted, keyring.hash_token(value))
    consent = _record(pending, asked.user, "granted", str(granted), code.context.patient, now)
    if not core.store.pending.decide(tenant.slug, pending.request_hash, now):
        raise Refused("invalid_request", "The request was answered before: launch the app again")
    if not core.store.grants.add_code(tenant.slug, code, consent, pending.launch_hash):
        raise Refused(
            "invalid_request", "The launch value was used before: launch the app again", "launch"
        )
    core.audit(
        tenant.slug,
        "consent",
        "success",
        client_id=pending.client_id,
        user_id=asked.user.user_id,
        patient_id=code.context.patient,
    )
    return value


def _code(
    core: Core,
    pending: PendingAuthorization,
    asked: Question,
    session: Session,
    granted: ScopeSet,
    code_hash: str,
) -> AuthorizationCode:
    return AuthorizationCode(
        code_hash=code_hash,
        client_id=pending.client_id,
        user_id=asked.user.user_id,
        session_hash=session.session_hash,
        redirect_uri=pending.parameters["redirect_uri"],
        scope=str(granted),
        context=_context(asked, granted),
        nonce=pending.parameters.get("nonce"),
        code_challenge=pending.parameters.get("code_challenge"),
        auth_time=session.auth_time,
        methods=session.methods,
        expires_at=clock.now() + core.settings.lifetimes.authorization_code,
    )


def deny(core: Core, tenant: TenantInfo, pending: PendingAuthorization, user: User) -> None:
    """The user's no."""
    now = clock.now()
    if core.store.pending.decide(tenant.slug, pending.request_hash, now):
        core.store.grants.add_denial(tenant.slug, _record(pending, user, "denied", "", None, now))
        core.audit(
            tenant.slug,
            "consent",
            "refused",
            client_id=pending.client_id,
            user_id=user.user_id,
            reason="the user denied access",
        )


def _launch(
    core: Core, tenant: TenantInfo, pending: PendingAuthorization, user: User
) -> Launch | None:
    if pending.launch_hash is None:
        return None
    launch = core.store.launches.get(tenant.slug, pending.launch_hash)
    if launch is None or launch.used_at is not None:
        raise Refused(
            "invalid_request", "The launch value was used before: launch the app again", "launch"
        )
    if launch.user_id != user.user_id:
        raise Refused("access_denied", "The launch was made for another user", "launch")
    return launch


def _patient(
    core: Core,
    tenant: TenantInfo,
    pending: PendingAuthorization,
    client: Client,
    user: User,
    launch: Launch | None,
    needed: bool,
) -> str | None:
    """The patient of the launch, the one the user picked, or a patient's own."""
    patient = None if launch is None else launch.context.patient
    if patient is None and pending.user_id == user.user_id:
        patient = pending.patient_id
    if patient is None and needed:
        if not user.whole_tenant and not user.patients:
            raise Refused("access_denied", "No patient is assigned to this user", "compartment")
        if len(user.own_patients) == 1:
            patient = next(iter(user.own_patients))
    if patient is not None and not may_choose(core, tenant, client, user, patient):
        raise Refused("access_denied", "The patient is not one this user may see", "compartment")
    return patient


def may_choose(core: Core, tenant: TenantInfo, client: Client, user: User, patient: str) -> bool:
    """Whether the user may put this patient into a token for this app."""
    return (
        user.may_see(patient)
        and client.may_see(patient)
        and core.ports.patient_exists(tenant.slug, patient)
    )


def choosable(client: Client, user: User) -> frozenset[str] | None:
    """The patients this user may choose for this app; None for all of the tenant."""
    seen = None if user.whole_tenant else user.patients
    if client.patients is None:
        return seen
    return client.patients if seen is None else seen & client.patients


def _context(asked: Question, granted: ScopeSet) -> LaunchContext:
    """What of the launch goes into the token: a patient scope always carries its patient."""
    with_launch = "launch" in granted
    with_patient = with_launch or "launch/patient" in granted or granted.has_level("patient")
    context = LaunchContext() if asked.launch is None else asked.launch.context
    with_encounter = with_launch or "launch/encounter" in granted
    return replace(
        context,
        patient=asked.patient if with_patient else None,
        encounter=context.encounter if with_encounter else None,
        fhir_context=context.fhir_context if with_launch else (),
        intent=context.intent if with_launch else None,
    )


def _record(
    pending: PendingAuthorization,
    user: User,
    decision: str,
    granted: str,
    patient: str | None,
    now: int,
) -> ConsentRecord:
    return ConsentRecord(
        user_id=user.user_id,
        client_id=pending.client_id,
        decision="granted" if decision == "granted" else "denied",
        asked_scope=pending.parameters["asked_scope"],
        granted_scope=granted,
        patient_id=patient,
        decided_at=now,
    )
