"""`contract.json`: what a client of the demo needs to know, written last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from fhir_facade.app import Facade
from sandbox.demo.people import MORE, PLAIN
from sandbox.demo.seed import APP_BASE, BACKENDS, CONFIDENTIAL_SCOPE, PUBLIC_SCOPE


def demo_contract(
    facade: Facade, seeds: Mapping[str, Mapping[str, Any]], removed: Mapping[str, str], qubs: str
) -> dict[str, Any]:
    """The whole contract: the first tenant under `demo`, the others under its `tenants`."""
    first, *others = seeds
    base = facade.settings.fhir_base(first)
    demo = _tenant(facade, first, seeds[first], removed[first], qubs)
    demo["tenants"] = {
        slug: {
            "fhir_base": facade.settings.fhir_base(slug),
            **_tenant(facade, slug, seeds[slug], removed[slug], qubs),
        }
        for slug in others
    }
    return {"fhir_base": base, "demo": demo}


def _tenant(
    facade: Facade, slug: str, seed: Mapping[str, Any], removed: str, qubs: str
) -> dict[str, Any]:
    root, base = facade.settings.public_url, facade.settings.fhir_base(slug)
    backends = {
        name: {"client_id": seed[name]["client_id"], "jwk": seed[name]["jwk"]} for name in BACKENDS
    }
    people = {
        name: {key: value for key, value in seed[name].items() if key != "user_id"}
        for name in (*PLAIN, *MORE)
    }
    assert urlsplit(root).scheme  # noqa: S101  an address, checked by the settings
    return {
        "ehr_launch_url": f"{root}/demo/ehr?patient={{patient_id}}&client={{client_id}}",
        "clients": {
            "public": {
                "client_id": seed["public"]["client_id"],
                "redirect_uri": f"{APP_BASE}/app.html",
                "launch_url": f"{APP_BASE}/launch.html",
                "scope": PUBLIC_SCOPE,
            },
            "confidential": {
                "client_id": seed["confidential"]["client_id"],
                "client_secret": seed["confidential"]["client_secret"],
                "redirect_uri": f"{APP_BASE}/cb",
                "scope": CONFIDENTIAL_SCOPE,
            },
            "sample": {
                "client_id": seed["sample"]["client_id"],
                "redirect_uri": f"{root}/demo/app/index.html",
                "launch_url": f"{root}/demo/app/launch.html",
                "scope": PUBLIC_SCOPE,
            },
            "backend": backends["backend"],
        },
        "users": {
            "practitioner": people["practitioner"],
            "patient": {**people["patient"], "patient_id": seed["patient_user_id"]},
        },
        "group_id": seed["group_id"],
        "patient_id": seed["patient_id"],
        "other_patient_id": seed["other_patient_id"],
        "second_backend": backends["second_backend"],
        "other_key_backend": backends["other_key_backend"],
        "timezone": facade.settings.tenants[slug].timezone,
        "deleted": removed,
        "patient_types": ["Appointment", "DiagnosticReport"],
        "sandbox": {"qubs": qubs},
        "admin": people["admin"],
        "developer": people["developer"],
        "practitioner_totp": people["practitioner_totp"],
        "patient_pin": {**people["patient_pin"], "patient_id": seed["patient_id"]},
        "host_ehr": {**seed["ehr"], "launch_endpoint": f"{base}/auth/launch"},
    }


def say_where(console: Console, root: str, path: Path, contract: Mapping[str, Any]) -> None:
    """Print where to click, and who can log in."""
    demo = contract["demo"]
    base = contract["fhir_base"]
    places = {
        "EHR with the sample app": f"{root}/demo/ehr",
        "developer portal": f"{base}/auth/portal",
        "provider console": f"{base}/auth/console",
        "FHIR base": base,
    }
    console.print()
    console.print(f"Ready. Open {root}/ and click; Ctrl-C stops everything.", style="bold")
    for name, url in places.items():
        console.print(f"  {name:<25} {url}", highlight=False, soft_wrap=True)
    for name in (*PLAIN, *MORE):
        person = demo["users"].get(name) or demo[name]
        words = [person["username"], person["password"]]
        words += [f"{kind} {person[kind]}" for kind in ("pin", "totp_secret") if kind in person]
        console.print(
            f"  {name.replace('_', ' '):<25} {' / '.join(words)}", highlight=False, soft_wrap=True
        )
    console.print(f"  everything else           {path}", highlight=False, soft_wrap=True)
