"""A typed client of the control API (``/_control/...``), for tests and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import requests

TIMEOUT_S = 30


class ControlError(Exception):
    """The control API refused; the message says why."""


class EmulatorControl:
    """Steers one running emulator. Use as a context manager, or call ``close``."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/") + "/_control"
        self._session = requests.Session()

    def __enter__(self) -> EmulatorControl:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def health(self) -> dict[str, Any]:
        """Seed, reference date, sizes and sites of the world."""
        answer: dict[str, Any] = self._call("GET", "/health")
        return answer

    def add_fault(self, kind: str, **parameters: Any) -> str:
        """Switch a fault on; returns its id. ``faults.Fault`` names the parameters."""
        answer = self._call("POST", "/faults", {"kind": kind, **parameters})
        return str(answer["ids"][0])

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are on, each with ``hits`` and ``fired``."""
        answer: list[dict[str, Any]] = self._call("GET", "/faults")
        return answer

    def remove_fault(self, fault_id: str) -> None:
        """Switch one fault off."""
        self._call("DELETE", f"/faults/{fault_id}")

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._call("DELETE", "/faults")

    def edit(self, script: Sequence[dict[str, Any]]) -> list[str]:
        """Apply an edit script (``edits.py`` has its form), all or nothing; the id of each edit."""
        return [str(item) for item in self._call("POST", "/edits", list(script))["ids"]]

    def edit_at_random(self, domain: str, seed: int, count: int) -> list[dict[str, Any]]:
        """Apply ``count`` random edits to a domain; returns the script."""
        body = {"domain": domain, "seed": seed, "count": count}
        script: list[dict[str, Any]] = self._call("POST", "/edits/random", body)["script"]
        return script

    def add(self, kind: str, domain: str, record_id: str | None, **values: Any) -> str:
        """Add one record; returns its id."""
        return self._one("add", kind, domain, record_id, values)

    def change(self, kind: str, domain: str, record_id: str, **values: Any) -> None:
        """Change fields of one record."""
        self._one("change", kind, domain, record_id, values)

    def remove(self, kind: str, domain: str, record_id: str, **values: Any) -> None:
        """Remove one record."""
        self._one("remove", kind, domain, record_id, values)

    def calls(self, recent: int = 0) -> dict[str, Any]:
        """``total``, ``operations`` and ``statuses`` counted, and the ``recent`` calls."""
        answer: dict[str, Any] = self._call("GET", f"/calls?recent={recent}")
        return answer

    def clear_calls(self) -> None:
        """Start counting anew."""
        self._call("DELETE", "/calls")

    def advance_clock(self, seconds: float) -> None:
        """Let tokens, links, cursors and idempotency keys grow older."""
        self._call("POST", "/clock", {"advance_s": seconds})

    def withdraw_site(self, domain: str, site_name: str, status: int = 403) -> None:
        """Withdraw a site: off every list, ``status`` (403 or 404) by id."""
        body = {"domain": domain, "siteName": site_name, "status": status}
        self._call("POST", "/sites/withdraw", body)

    def restore_site(self, domain: str, site_name: str) -> None:
        """Give a withdrawn site back."""
        body = {"domain": domain, "siteName": site_name, "status": None}
        self._call("POST", "/sites/withdraw", body)

    def settings(self) -> dict[str, Any]:
        """The switches that can be changed."""
        answer: dict[str, Any] = self._call("GET", "/settings")
        return answer

    def change_settings(self, **values: Any) -> None:
        """Change switches of ``ServiceSettings``."""
        self._call("PATCH", "/settings", values)

    def record(self, domain: str, appointment_id: str) -> dict[str, Any] | None:
        """All that is known of an appointment, its patient in lean sites too."""
        answer: dict[str, Any] | None = self._call("GET", f"/records/{domain}/{appointment_id}")
        return answer

    def report(self, domain: str, appointment_id: str) -> dict[str, Any] | None:
        """The report submitted last for an appointment."""
        answer: dict[str, Any] | None = self._call("GET", f"/reports/{domain}/{appointment_id}")
        return answer

    def reset(self) -> None:
        """Back to the start: no edits, submissions, faults or counts, real time."""
        self._call("POST", "/reset")

    def _one(
        self, op: str, kind: str, domain: str, record_id: str | None, values: dict[str, Any]
    ) -> str:
        edit = {"op": op, "kind": kind, "domain": domain, "id": record_id, "set": values}
        return self.edit([edit])[0]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._session.request(method, self._base + path, json=body, timeout=TIMEOUT_S)
        if response.status_code != 200:
            raise ControlError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()
