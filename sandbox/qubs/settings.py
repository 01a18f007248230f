"""What a world holds and how the emulator behaves. The world settings are fixed for a run; the
service settings may be changed through the control API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """One site. ``time_zone`` (IANA) is where its local dates and times are computed;
    ``served_zone`` is what the settings summary says instead, when given (a Windows name, say).
    ``patient_ids`` makes the operational view carry ``patientId``; without it the site is lean."""

    name: str
    time_zone: str
    patient_ids: bool = False
    served_zone: str | None = None


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """One partner domain; days are counted from the reference date."""

    name: str
    sites: tuple[SiteSpec, ...]
    patients: int
    appointments: int
    days_back: int = 90
    days_ahead: int = 30
    first_patient_id: int = 220000

    def __post_init__(self) -> None:
        if not self.sites or len(self.sites) > 255:
            raise ValueError(f"domain {self.name}: between 1 and 255 sites are needed")
        if self.patients < 1 or self.appointments < 0:
            raise ValueError(f"domain {self.name}: patients must be >= 1, appointments >= 0")
        if not (0 <= self.days_back <= 20000 and 0 <= self.days_ahead <= 20000):
            raise ValueError(f"domain {self.name}: days must be between 0 and 20000")


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """Same settings, same world: nothing in it depends on the clock or the process."""

    reference_date: dt.date
    domains: tuple[DomainSpec, ...]
    seed: int = 7


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """One API client and its grants. ``sites`` restricts a domain to some sites."""

    client_id: str
    secret: str
    domains: tuple[str, ...]
    billing: bool = False
    provider_numbers: tuple[str, ...] = ()
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class ServiceSettings:
    """Switches of the service. Times are in seconds.

    ``last_page`` is how the last cursor page says so: ``missing``, ``null``, ``empty``, ``mixed``.
    ``status_after_final`` is where a final report moves its appointment; None leaves it.
    """

    clients: tuple[ClientSpec, ...]
    token_ttl_s: int = 3600
    refresh_tokens: bool = False
    id_tokens: bool = False
    patient_list: bool = False
    legacy_pending: bool = False
    status_after_final: str | None = None
    cursor_ttl_s: int = 3600
    last_page: str = "mixed"
    public_url: str | None = None

    CHANGEABLE = (
        "token_ttl_s",
        "refresh_tokens",
        "id_tokens",
        "patient_list",
        "legacy_pending",
        "status_after_final",
        "cursor_ttl_s",
        "last_page",
    )

    def change(self, values: Mapping[str, Any]) -> None:
        """Apply all of ``values`` or none; raises ValueError that names the wrong one."""
        for name, value in values.items():
            self._check(name, value)
        for name, value in values.items():
            setattr(self, name, value)

    def _check(self, name: str, value: Any) -> None:
        if name not in self.CHANGEABLE:
            raise ValueError(f"{name} cannot be changed while running")
        if name == "last_page":
            good = value in ("missing", "null", "empty", "mixed")
        elif name == "status_after_final":
            good = value is None or (isinstance(value, str) and value != "")
        elif name.endswith("_s"):
            good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        else:
            good = isinstance(value, bool)
        if not good:
            raise ValueError(f"{name} has a value it cannot take")

    def copy(self) -> ServiceSettings:
        """An independent copy, so that a reset can return to the start."""
        return replace(self)


ACME_SITES = (
    SiteSpec("Central Clinic", "Australia/Sydney"),
    SiteSpec("Northside Imaging", "Australia/Brisbane"),
    SiteSpec("Ōrākei Radiology", "Pacific/Auckland"),
    SiteSpec("Westgate MRI & CT", "Australia/Perth"),
)
ZENITH_SITES = (
    SiteSpec("Central Clinic", "Australia/Adelaide"),
    SiteSpec("Bayside Scans", "Australia/Perth"),
)
DEMO_PATIENT_ID_SITES = frozenset(
    {
        ("acme", "Central Clinic"),
        ("acme", "Ōrākei Radiology"),
        ("acme", "Westgate MRI & CT"),
        ("zenith", "Central Clinic"),
        ("zenith", "Bayside Scans"),
    }
)
"""Demo: only acme's Northside Imaging is lean."""

ALL_PROVIDERS = ("2147781A", "2147782B", "2300911F")


def world_settings(
    reference_date: dt.date,
    *,
    seed: int = 7,
    appointments: int = 2000,
    patients: int = 300,
    days_back: int = 90,
    days_ahead: int = 30,
    patient_id_sites: Iterable[tuple[str, str]] = (),
) -> WorldSettings:
    """The two demo domains; the sizes apply to ``acme``, ``zenith`` stays small.

    ``patient_id_sites`` are (domain, site) pairs whose operational view carries ``patientId``.
    """
    carrying = frozenset(patient_id_sites)

    def sites(domain: str, specs: tuple[SiteSpec, ...]) -> tuple[SiteSpec, ...]:
        return tuple(replace(spec, patient_ids=(domain, spec.name) in carrying) for spec in specs)

    acme = DomainSpec(
        "acme", sites("acme", ACME_SITES), patients, appointments, days_back, days_ahead
    )
    zenith = DomainSpec("zenith", sites("zenith", ZENITH_SITES), 60, 300)
    return WorldSettings(reference_date, (acme, zenith), seed)


def demo_world_settings(reference_date: dt.date, seed: int = 7) -> WorldSettings:
    """The world of the demo: 2,000 and 300 appointments, one lean site."""
    return world_settings(reference_date, seed=seed, patient_id_sites=DEMO_PATIENT_ID_SITES)


DEFAULT_CREDENTIAL = "sandbox-secret"


def default_clients(secret: str = DEFAULT_CREDENTIAL) -> tuple[ClientSpec, ...]:
    """Clients with different grants, all with the same secret."""
    return (
        ClientSpec(
            "sandbox-all", secret, ("acme", "zenith"), billing=True, provider_numbers=ALL_PROVIDERS
        ),
        ClientSpec("sandbox-acme", secret, ("acme",)),
        ClientSpec("sandbox-zenith", secret, ("zenith",)),
        ClientSpec("sandbox-referrer", secret, ("acme",), provider_numbers=ALL_PROVIDERS[:1]),
        ClientSpec("sandbox-site", secret, ("acme",), sites={"acme": ("Central Clinic",)}),
        ClientSpec("sandbox-elsewhere", secret, ("acme", "nowhere")),
    )
