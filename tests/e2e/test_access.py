"""A tenant whose domain the token may not read: named at the start and by doctor, and only its sync
stops.
"""

from __future__ import annotations

import signal
from pathlib import Path

from fhir_facade.mirror.state import StateStore
from fhir_facade.sync.report import LAST
from sandbox.qubs.settings import world_settings
from tests.support.processes import wait_for, wait_gone
from tests.support.qubs import CLIENT_SECRET, REFERENCE, emulator_thread
from tests.support.serving import Server


def tenant(slug: str, url: str) -> dict[str, str]:
    """Settings of a tenant with the credential of acme."""
    source = {
        "DOMAIN": slug,
        "CLIENT_ID": "sandbox-acme",
        "CLIENT_SECRET": CLIENT_SECRET,
        "BASE_URL": url,
        "TOKEN_URL": f"{url}/oauth2/token",
        "HISTORY_DAYS": "1",
        "FUTURE_DAYS": "1",
    }
    where = f"TENANTS__{slug.upper()}__"
    named = {f"{where}QUBS__{name}": value for name, value in source.items()}
    return {f"{where}NAME": slug, f"{where}TIMEZONE": "Australia/Adelaide", **named}


def test_only_the_tenant_without_access_stops(tmp_path: Path) -> None:
    world = world_settings(REFERENCE, appointments=60, patients=20)
    with emulator_thread(world) as qubs:
        settings = {"DEMO": "true", **tenant("acme", qubs.url), **tenant("zenith", qubs.url)}
        server = Server(tmp_path, settings)
        facade = server.facade()
        try:
            facade.upgrade()
            state = StateStore(facade.database)
            process = server.spawn("-m", "fhir_facade.cli", "worker")
            try:
                wait_for(lambda: state.get("zenith", "qubs", LAST), 60, "zenith has no report")
                wait_for(lambda: state.get("acme", "qubs", LAST), 60, "acme has no report")
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
                assert wait_gone([process.pid], 5) == []
            assert state.get("acme", "qubs", LAST)["ok"] is True
            assert facade.sync.records.counts("acme", "qubs")["operational"] > 0
            assert facade.sync.records.counts("zenith", "qubs") == {}
        finally:
            facade.close()
        said = [line for line in server.log.read_text().splitlines() if "zenith" in line]
        assert any("does not grant us" in line and "warning" in line for line in said), said
        done = server.run("-m", "fhir_facade.cli", "doctor")
        server.http.close()
    assert done.returncode == 1
    findings = done.stdout.splitlines()
    named = [line for line in findings if line.startswith("zenith: qubs:")]
    assert any("does not grant us" in line and "'zenith'" in line for line in named), findings
    assert not [line for line in findings if "acme" in line and "grant" in line]
