"""`make demo`: start the emulator, sync two tenants, seed people and apps, serve, and stop it all
together.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from fhir_facade.app import Facade, build
from fhir_facade.cli.data import bars
from fhir_facade.errors import FacadeError
from fhir_facade.fhir.ids import resource_id
from fhir_facade.mirror.versions import current_revision, read
from fhir_facade.settings import load
from fhir_facade.sync import runner
from sandbox.demo import seed as seeding
from sandbox.demo.contract import demo_contract, say_where
from sandbox.demo.processes import Child
from sandbox.demo.state import (
    DemoPaths,
    port_is_free,
    read_json,
    secret_key,
    write_json,
    write_private,
)
from sandbox.qubs.control import EmulatorControl
from sandbox.qubs.settings import DEFAULT_CREDENTIAL

ROOT = Path(__file__).resolve().parents[2]
EMULATOR_PORT = 9001
SYNC_SECONDS = 15
APPOINTMENTS = 2000
PATIENTS = 300
START_SECONDS = 90

TENANTS = """\
[tenants.{slug}]
name = "{name}"
timezone = "{zone}"

[tenants.{slug}.qubs]
domain = "{slug}"
client_id = "sandbox-{slug}"
client_secret = "{secret}"
base_url = "{qubs}"
token_url = "{qubs}/oauth2/token"
calls_per_hour = 1000000
sync_interval_seconds = {pause}
history_days = 30
future_days = 30
"""
PRACTICES = (
    ("acme", "Acme Imaging", "Australia/Sydney"),
    ("zenith", "Zenith Radiology", "Australia/Adelaide"),
)


class DemoFailed(Exception):
    """The demo cannot go on; the text says why in one sentence."""


def run(*, port: int, state: str, scale: float = 1.0, clients: str | None = None) -> int:
    """Run the demo until Ctrl-C, SIGTERM or until a part of it ends. Returns the exit status."""
    console = Console()
    paths = DemoPaths(Path(state).resolve())
    paths.root.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in a background job
        signal.signal(number, _interrupt)
    children: list[Child] = []
    try:
        with _only_one(paths):
            _run(console, paths, port, scale, clients, children)
    except KeyboardInterrupt:
        console.print("Stopping.")
        return 0
    except (DemoFailed, FacadeError, RuntimeError) as error:
        console.print(f"The demo stopped: {error}", style="bold red", highlight=False)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # impatience must not leave one behind
            signal.signal(number, signal.SIG_IGN)
        for child in reversed(children):
            child.stop()
    return 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _only_one(paths: DemoPaths) -> Iterator[None]:
    with paths.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo uses {paths.root}.") from None
        yield


def _run(
    console: Console,
    paths: DemoPaths,
    port: int,
    scale: float,
    clients: str | None,
    children: list[Child],
) -> None:
    if not port_is_free(port):
        raise DemoFailed(f"port {port} is in use; choose another with PORT=….")
    listed = _more_clients(Path(clients)) if clients else []
    remembered = read_json(paths.seed)
    remembered.setdefault("reference_date", dt.date.today().isoformat())
    console.print("Starting the emulated QUBS…")
    emulator = _emulator(paths, remembered, scale)
    children.append(emulator[0])
    environment = _environment(paths, port, emulator[1])
    os.environ.update(environment)
    facade = build(load(), check=False)
    try:
        facade.upgrade()
        with EmulatorControl(emulator[1]) as control:
            _fill(console, paths, facade, control, remembered)
        if listed:
            first, group = PRACTICES[0][0], remembered["tenants"][PRACTICES[0][0]]["group_id"]
            seeding.more_clients(facade, first, listed, group)
            console.print(f"{len(listed)} more app(s) registered from DEMO_CLIENTS.")
        contract = demo_contract(facade, remembered["tenants"], remembered["removed"], emulator[1])
    finally:
        facade.close()
    console.print("Starting the server…")
    server = Child("server", _server_command(), environment, paths.logs)
    children.append(server)
    root = f"http://127.0.0.1:{port}"
    server.wait_ready(f"{root}/readyz", START_SECONDS)
    write_json(paths.contract, contract)
    say_where(console, root, paths.contract, contract)
    while emulator[0].alive() and server.alive():
        time.sleep(0.5)
    ended = server if emulator[0].alive() else emulator[0]
    raise DemoFailed(f"the {ended.name} ended; its log is {ended.log_path}")


def _emulator(paths: DemoPaths, remembered: Mapping[str, Any], scale: float) -> tuple[Child, str]:
    wished = int(os.environ.get("SANDBOX_PORT", EMULATOR_PORT))
    port = wished if wished and port_is_free(wished) else _free_port()
    command = [sys.executable, "-m", "sandbox.qubs", "--port", str(port)]
    command += ["--reference-date", str(remembered["reference_date"]), "--patient-ids", "demo"]
    command += ["--appointments", str(max(60, int(APPOINTMENTS * scale)))]
    command += ["--patients", str(max(20, int(PATIENTS * scale)))]
    child = Child("qubs-emulator", command, {"PYTHONPATH": str(ROOT)}, paths.logs)
    url = f"http://127.0.0.1:{port}"
    try:
        child.wait_ready(f"{url}/_control/health", START_SECONDS)
    except RuntimeError:
        child.stop()
        raise
    return child, url


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(paths: DemoPaths, port: int, qubs: str) -> dict[str, str]:
    secret_key(paths)
    pause = int(os.environ.get("SANDBOX_SYNC_SECONDS", SYNC_SECONDS))
    tables = [
        TENANTS.format(
            slug=slug, name=name, zone=zone, qubs=qubs, secret=DEFAULT_CREDENTIAL, pause=pause
        )
        for slug, name, zone in PRACTICES
    ]
    write_private(paths.tenants, "\n".join(tables))
    return {
        "FACADE_DEMO": "true",
        "FACADE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FACADE_BIND": f"127.0.0.1:{port}",
        "FACADE_DATABASE_URL": f"sqlite:///{paths.root}/mirror.db",
        "FACADE_AUTH_DATABASE_URL": f"sqlite:///{paths.root}/auth.db",
        "FACADE_FILES_URL": f"file:{paths.root}/files",
        "FACADE_SECRET_KEYS_FILE": str(paths.secret_key),
        "FACADE_TENANTS_FILE": str(paths.tenants),
        "FACADE_LOG_LEVEL": os.environ.get("FACADE_LOG_LEVEL", "warning"),
        "DEMO_STATE": str(paths.root),
        "PYTHONPATH": str(ROOT),
    }


def _server_command() -> list[str]:
    config = str(ROOT / "gunicorn.conf.py")
    return [sys.executable, "-m", "gunicorn", "-c", config, "sandbox.demo.wsgi:application"]


def _fill(
    console: Console,
    paths: DemoPaths,
    facade: Facade,
    control: EmulatorControl,
    remembered: dict[str, Any],
) -> None:
    """Sync, choose and plant; what was done by an earlier start is only brought up to date."""
    removed: dict[str, str] = remembered.setdefault("removed", {})
    for tenant, reference in removed.items():
        control.remove("appointment", tenant, remembered["removed_keys"][tenant])
        console.print(f"{tenant}: {reference} was removed at an earlier start.", highlight=False)
    if remembered.get("fhir_root") not in (None, facade.settings.public_url):
        for job in facade.jobs:
            runner.remap(facade.sync, job)
    remembered["fhir_root"] = facade.settings.public_url
    _sync(console, facade)
    tenants: dict[str, Any] = remembered.setdefault("tenants", {})
    for tenant, settings in facade.settings.tenants.items():
        seeding.complete(facade, tenant, tenants.setdefault(tenant, {}))
        write_json(paths.seed, remembered)  # before anything of it is stored
        seeding.plant(facade, tenant, tenants[tenant], facade.settings.public_url)
        tenants[tenant] |= {"name": settings.name, "fhir_base": facade.settings.fhir_base(tenant)}
    for tenant in tenants:
        if tenant not in removed:
            _remove_one(console, facade, control, tenant, remembered)
    write_json(paths.seed, remembered)


def _sync(console: Console, facade: Facade) -> None:
    console.print("Syncing both practices…")
    display, show = bars(console)
    with display:
        for job in facade.jobs:
            report = runner.sync_once(facade.sync, job, full=True, progress=show)
            if not report.ok:
                raise DemoFailed(f"{job.tenant} could not be synced: {report.error}")


def _remove_one(
    console: Console,
    facade: Facade,
    control: EmulatorControl,
    tenant: str,
    remembered: dict[str, Any],
) -> None:
    """Remove an appointment of the demo's patient upstream, and sync until the mirror knows it."""
    seed = remembered["tenants"][tenant]
    job = next(job for job in facade.jobs if job.tenant == tenant)
    row = next(
        row
        for row in seeding.rows(facade, tenant, "Appointment")
        if seed["patient_id"] in row.facts.patients
    )
    key = _upstream_key(facade, tenant, row.id)
    console.print(f"{tenant}: removing an appointment upstream, so that a deletion can be seen…")
    control.remove("appointment", tenant, key)
    for _ in range(4):
        with console.status("Syncing all of it again, twice: one sweep alone deletes nothing."):
            runner.sync_once(facade.sync, job, full=True)
        with facade.database.read() as conn:
            revision, _ = current_revision(conn, tenant)
            now = read(conn, tenant, "Appointment", row.id, revision)
        if now is not None and now.deleted:
            remembered["removed"][tenant] = f"Appointment/{row.id}"
            remembered.setdefault("removed_keys", {})[tenant] = key
            return
    raise DemoFailed(f"{tenant}: the removed appointment did not become a tombstone.")


def _upstream_key(facade: Facade, tenant: str, appointment: str) -> str:
    """The upstream id behind a resource id, by the identifier it carries."""
    from fhir_facade.fhir.json import loads

    with facade.database.read() as conn:
        revision, _ = current_revision(conn, tenant)
        row = read(conn, tenant, "Appointment", appointment, revision)
    assert row is not None  # noqa: S101  it was just listed
    assert row.body is not None  # noqa: S101  and is not deleted
    for identifier in loads(row.body)["identifier"]:
        if resource_id("qubs", identifier["value"]) == appointment:
            return str(identifier["value"])
    raise DemoFailed(f"{tenant}: an appointment carries no upstream id.")


def _more_clients(path: Path) -> list[dict[str, Any]]:
    try:
        listed = seeding.read_clients(path)
    except (OSError, ValueError) as error:
        raise DemoFailed(f"DEMO_CLIENTS cannot be used: {error}.") from None
    known = {slug for slug, _, _ in PRACTICES}
    if any(str(one.get("tenant", PRACTICES[0][0])) not in known for one in listed):
        raise DemoFailed(f"DEMO_CLIENTS names a tenant that is not one of {sorted(known)}.")
    return listed
