"""People, and how they log in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["practitioner", "patient", "admin", "developer"]
Service = Literal["patient", "provider"]
FactorKind = Literal["pin", "totp"]


@dataclass(frozen=True)
class User:
    """A person who can log in; `fhir_user` is relative (`Patient/…`), `scope` limits grants.
    `password_temporary`: somebody else gave the password, so a login asks for another."""

    tenant: str
    user_id: str
    username: str
    role: Role
    fhir_user: str | None = None
    whole_tenant: bool = False
    patients: frozenset[str] = frozenset()
    scope: str | None = None
    active: bool = True
    version: int = 1
    password_hash: str = field(default="", repr=False)
    name: str = ""
    service: Service | None = None
    profile: Mapping[str, str] = field(default_factory=dict, repr=False)
    password_temporary: bool = False

    def may_see(self, patient_id: str) -> bool:
        """Whether the patient is one of the user's."""
        return self.whole_tenant or patient_id in self.patients

    @property
    def own_patients(self) -> frozenset[str]:
        """The records that are this user's own: a patient's, or those of a developer who builds for
        patients."""
        own = self.role == "patient" or (self.role == "developer" and self.service == "patient")
        return self.patients if own else frozenset()


@dataclass(frozen=True)
class FormerUser:
    """Who a deleted user was; `deleted_at` in epoch seconds."""

    user_id: str
    username: str
    name: str
    role: Role
    deleted_at: int


@dataclass(frozen=True)
class Session:
    """A login of a user in a browser. `origin` is who checked the person (login, ehr, an external
    provider), `methods` how, in the words of RFC 8176 (`pwd otp`)."""

    session_hash: str
    user_id: str
    origin: str
    auth_time: int
    expires_at: int
    methods: str = "pwd"


@dataclass(frozen=True)
class SecondFactor:
    """What a user shows besides the password: `secret` is a PIN's argon2 hash or a wrapped TOTP
    seed, `last_step` the time step last accepted."""

    user_id: str
    kind: FactorKind
    secret: str = field(repr=False)
    last_step: int | None
    created_at: int


@dataclass(frozen=True)
class LoginTicket:
    """A host EHR's word, `made_by` a client id, that this user is logged in there; `wrapped` is the
    address it is for, encrypted."""

    user_id: str
    made_by: str
    wrapped: str
    created_at: int
    expires_at: int
