"""``python -m sandbox.qubs``: serve the emulator in this process until it is told to stop."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.qubs.app import create_app
from sandbox.qubs.server import EmulatorServer
from sandbox.qubs.settings import (
    ACME_SITES,
    DEFAULT_CREDENTIAL,
    DEMO_PATIENT_ID_SITES,
    ZENITH_SITES,
    ClientSpec,
    ServiceSettings,
    default_clients,
    world_settings,
)
from sandbox.qubs.world import World


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.qubs", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=9001, help="0 takes any free port")
    add("--seed", type=int, default=7)
    add("--reference-date", type=dt.date.fromisoformat, default=None, help="default: today, UTC")
    add("--appointments", type=int, default=2000, help="of acme; zenith has 300")
    add("--patients", type=int, default=300, help="of acme; zenith has 60")
    add("--days-back", type=int, default=90)
    add("--days-ahead", type=int, default=30)
    add(
        "--patient-ids",
        choices=("none", "demo", "all"),
        default="none",
        help="sites whose operational view carries patientId; demo: all but Northside Imaging",
    )
    add("--clients", type=Path, help="JSON list of clients: client_id, secret, domains, grants")
    add("--token-ttl", type=int, default=3600, help="seconds")
    add("--refresh-tokens", action="store_true")
    add("--id-tokens", action="store_true")
    add("--patient-list", action="store_true", help="serve GET /patients")
    add("--status-after-final", help="where a final report moves its appointment")
    add("--public-url", help="base of presigned links; default: the Host header")
    return parser


def read_clients(path: Path) -> tuple[ClientSpec, ...]:
    """Clients from a JSON file; raises ValueError that names the file."""
    try:
        return tuple(
            ClientSpec(
                item["client_id"],
                item["secret"],
                tuple(item["domains"]),
                billing=bool(item.get("billing", False)),
                provider_numbers=tuple(item.get("provider_numbers", ())),
                sites={name: tuple(sites) for name, sites in item.get("sites", {}).items()},
            )
            for item in json.loads(path.read_text())
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a list of clients ({type(error).__name__})") from None


def _carrying(choice: str) -> frozenset[tuple[str, str]]:
    if choice == "all":
        acme = {("acme", site.name) for site in ACME_SITES}
        return frozenset(acme | {("zenith", site.name) for site in ZENITH_SITES})
    return DEMO_PATIENT_ID_SITES if choice == "demo" else frozenset()


def _service(options: argparse.Namespace) -> ServiceSettings:
    secret = os.environ.get("QUBS_SANDBOX_SECRET") or DEFAULT_CREDENTIAL
    clients = read_clients(options.clients) if options.clients else default_clients(secret)
    return ServiceSettings(
        clients,
        token_ttl_s=options.token_ttl,
        refresh_tokens=options.refresh_tokens,
        id_tokens=options.id_tokens,
        patient_list=options.patient_list,
        status_after_final=options.status_after_final,
        public_url=options.public_url,
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. The client secret is read from ``QUBS_SANDBOX_SECRET``."""
    options = _parser().parse_args(arguments)
    try:
        settings = world_settings(
            options.reference_date or dt.datetime.now(dt.UTC).date(),
            seed=options.seed,
            appointments=options.appointments,
            patients=options.patients,
            days_back=options.days_back,
            days_ahead=options.days_ahead,
            patient_id_sites=_carrying(options.patient_ids),
        )
        app = create_app(World(settings), _service(options))
        server = EmulatorServer(app, options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"sandbox.qubs: {error}", file=sys.stderr)
        return 2

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGTERM, stop)
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
