"""Where the demo keeps its state, and how it writes files that hold secrets."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DemoPaths:
    """Files of one demo under its state folder."""

    root: Path

    @property
    def secret_key(self) -> Path:
        return self.root / "secret.key"

    @property
    def tenants(self) -> Path:
        return self.root / "tenants.toml"

    @property
    def seed(self) -> Path:
        return self.root / "seed.json"

    @property
    def contract(self) -> Path:
        return self.root / "contract.json"

    @property
    def lock(self) -> Path:
        return self.root / "demo.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, mode 0600: a reader sees the old text or the new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_private` of pretty JSON."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file, or {} when there is none yet."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return value if isinstance(value, dict) else {}


def secret_key(paths: DemoPaths) -> None:
    """Make the demo's secret key once."""
    if not paths.secret_key.exists():
        write_private(paths.secret_key, secrets.token_urlsafe(48) + "\n")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
