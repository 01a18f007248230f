"""Users, apps and groups of the demo: made once, kept in `seed.json`, put back where something is
missing.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from fhir_facade.app import Facade
from fhir_facade.mirror.find import FindRequest, find
from fhir_facade.mirror.groups import GroupDefinition, listed
from fhir_facade.mirror.versions import Row, current_revision
from fhir_facade.policy import AllPatients, Grant, Letter, Reach
from fhir_facade.resources.registry import REGISTRY
from sandbox.demo.people import MORE, PLAIN, new_person, plant_people
from smart_auth import admin
from smart_auth.client_metadata import client_from_metadata

LAUNCH_SCOPE = (
    "launch launch/patient openid fhirUser profile offline_access online_access "
    "patient/*.rs user/*.rs"
)
PUBLIC_SCOPE = "launch launch/patient openid fhirUser offline_access patient/*.rs"
CONFIDENTIAL_SCOPE = f"{PUBLIC_SCOPE} user/*.rs"
APP_BASE = "http://localhost:8765"
EVERYONE = "all-patients"
BACKENDS = {
    "backend": "backend",
    "second_backend": "second-backend",
    "other_key_backend": "rsa-backend",
}
"""Backend services by their names in the contract, with the ends of their client ids."""


def everything() -> Reach:
    """The operator's reach: reads all of a tenant."""
    letters: frozenset[Letter] = frozenset({"r", "s"})
    grant = Grant("system", "*", letters, AllPatients())
    return Reach((grant,), {name: one.reach for name, one in REGISTRY.items()})


def rows(facade: Facade, tenant: str, resource_type: str, limit: int = 5000) -> list[Row]:
    """Current resources of a type."""
    with facade.database.read() as conn:
        revision, _ = current_revision(conn, tenant)
        request = FindRequest(tenant, resource_type, (), everything(), revision, None, limit)
        return find(conn, request)


def choose_patients(facade: Facade, tenant: str) -> list[str]:
    """Patients with the most data, best first; each has appointments and a report."""
    appointments: Counter[str] = Counter()
    reports: Counter[str] = Counter()
    for row in rows(facade, tenant, "Appointment"):
        appointments.update(row.facts.patients)
    for row in rows(facade, tenant, "DiagnosticReport"):
        reports.update(row.facts.patients)
    named = {row.id for row in rows(facade, tenant, "Patient") if b'"family"' in (row.body or b"")}
    both = [p for p in appointments if reports[p] and p in named]
    return sorted(both, key=lambda p: (-min(reports[p], 3), -appointments[p], p))


def private_key(kind: str) -> dict[str, Any]:
    """A fresh private JWK for a backend client: EC P-384 (ES384) or RSA (RS384)."""
    kid = secrets.token_hex(8)
    if kind == "EC":
        key: ECKey | RSAKey = ECKey.generate_key("P-384", {"kid": kid, "alg": "ES384"})
    else:
        key = RSAKey.generate_key(2048, {"kid": kid, "alg": "RS384"})
    return dict(key.as_dict(private=True))


def public_part(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """The JWK without its private members."""
    return {k: v for k, v in jwk.items() if k not in ("d", "p", "q", "dp", "dq", "qi", "oth")}


def complete(facade: Facade, tenant: str, seed: dict[str, Any]) -> None:
    """Add the names, secrets and choices of one tenant that the seed lacks, before anything of them
    is stored. What is there stays.
    """
    if "patient_id" not in seed:
        patients = choose_patients(facade, tenant)[:3]
        seed.update(
            zip(("patient_id", "other_patient_id", "patient_user_id"), patients, strict=True)
        )
    if "second_practitioner_id" not in seed:
        staff = [row.id for row in rows(facade, tenant, "Practitioner", 2)]
        seed.setdefault("practitioner_id", staff[0])
        seed["second_practitioner_id"] = staff[1] if len(staff) > 1 else None
    seed.setdefault("group_id", EVERYONE)
    for name, words in (("public", "public-app"), ("sample", "sample-app")):
        seed.setdefault(name, {"client_id": f"{tenant}-{words}"})
    for name, words in (("confidential", "confidential-app"), ("ehr", "ehr")):
        if name not in seed:
            secret = secrets.token_urlsafe(24)
            seed[name] = {"client_id": f"{tenant}-{words}", "client_secret": secret}
    for name, words in BACKENDS.items():
        if name not in seed:
            kind = "RSA" if name == "other_key_backend" else "EC"
            seed[name] = {"client_id": f"{tenant}-{words}", "jwk": private_key(kind)}
    for name in (*PLAIN, *MORE):
        if name not in seed:
            seed[name] = new_person(name)


def plant(facade: Facade, tenant: str, seed: dict[str, Any], root: str) -> None:
    """Store what the seed names, where it is not stored yet. Adds `user_id` to its people."""
    groups = facade.groups
    known = {group.group_id for group in groups.list(tenant, members=False)}
    two = listed((seed["patient_id"], seed["other_patient_id"]))
    wanted = [
        GroupDefinition(EVERYONE, "All patients", "tenant"),
        GroupDefinition("two-patients", "Two patients", "listed", "", two),
    ]
    for row in rows(facade, tenant, "Location"):
        site = f"site-{row.id}"[:64]
        wanted.append(GroupDefinition(site, "Patients of a site", "site", row.id))
    for group in wanted:
        if group.group_id not in known:
            groups.define(tenant, group)
    groups.refresh(tenant)
    plant_people(facade, tenant, seed)
    for metadata in client_metadata(seed, root):
        put_client(facade, tenant, metadata)


def client_metadata(seed: Mapping[str, Any], root: str) -> list[dict[str, Any]]:
    """RFC 7591 metadata of the demo's apps."""
    apps: list[dict[str, Any]] = [
        {
            "client_id": seed["sample"]["client_id"],
            "client_name": "Sample app",
            "redirect_uris": [f"{root}/demo/app/index.html"],
            "launch_uri": f"{root}/demo/app/launch.html",
            "scope": LAUNCH_SCOPE,
        },
        {
            "client_id": seed["public"]["client_id"],
            "client_name": "Public app",
            "redirect_uris": [f"{APP_BASE}/app.html"],
            "launch_uri": f"{APP_BASE}/launch.html",
            "scope": LAUNCH_SCOPE,
        },
        {
            "client_id": seed["confidential"]["client_id"],
            "client_secret": seed["confidential"]["client_secret"],
            "client_name": "Confidential app",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": [f"{APP_BASE}/cb"],
            "scope": LAUNCH_SCOPE,
            "may_introspect": True,
        },
        {
            "client_id": seed["ehr"]["client_id"],
            "client_secret": seed["ehr"]["client_secret"],
            "client_name": "Demo EHR",
            "token_endpoint_auth_method": "client_secret_basic",
            "may_launch": True,
        },
    ]
    for name in BACKENDS:
        apps.append(
            {
                "client_id": seed[name]["client_id"],
                "client_name": name.replace("_", " ").capitalize(),
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["client_credentials"],
                "scope": "system/*.rs",
                "jwks": {"keys": [public_part(seed[name]["jwk"])]},
                "groups": [seed["group_id"]],
            }
        )
    return apps


DECIDED_LATER = (
    "version",
    "created_at",
    "active",
    "owner",
    "approved_at",
    "approved_by",
    "scope_limit",
    "patients",
    "registration_hash",
)
"""Fields of a client that no metadata speak of."""


def put_client(facade: Facade, tenant: str, metadata: Mapping[str, Any]) -> None:
    """Register an app, or bring its registration up to these metadata; tokens stay good, and so
    does what people decided about it since.
    """
    store = facade.auth_store
    client_id = str(metadata["client_id"])
    known = store.clients.get(tenant, client_id)
    if known is None:
        admin.create_client(store, tenant, metadata, demo=True)
        return
    wanted, _ = client_from_metadata(tenant, metadata, demo=True)
    decided = {name: getattr(known, name) for name in DECIDED_LATER}
    wanted = replace(wanted, details={**known.details, **wanted.details}, **decided)
    if wanted != known:
        store.clients.replace(wanted)


def read_clients(path: Path) -> list[dict[str, Any]]:
    """The apps of a DEMO_CLIENTS file: a list of RFC 7591 metadata objects, checked.

    `launch_url` and `initiate_login_uri` are taken for `launch_uri`; `tenant` says which practice
    (the first unless given). Raises OSError, or ValueError that says which entry is wrong.
    """
    listed = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError("it must hold a list of objects")
    for number, metadata in enumerate(listed, 1):
        for name in ("launch_url", "initiate_login_uri"):
            if launch := metadata.pop(name, None):
                metadata.setdefault("launch_uri", launch)
        if "client_id" not in metadata:
            raise ValueError(f"entry {number} has no client_id")
        try:
            client_from_metadata("", metadata, demo=True)
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None
    return listed


def more_clients(facade: Facade, tenant: str, listed: list[dict[str, Any]], group_id: str) -> None:
    """Register the apps of `read_clients`; backend apps get the demo group by default."""
    for metadata in listed:
        one = dict(metadata)
        if "redirect_uris" not in one:
            one.setdefault("groups", [group_id])
        put_client(facade, str(one.pop("tenant", tenant)), one)
