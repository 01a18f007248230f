"""A fault of our own: an answer in the right form, and nothing of the fault's text in it or in the
log.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from smart_auth.ports import AccessEvent
from smart_auth.store import AuthStore
from tests.support.smart_auth import FakeFacade, make_app, make_server


@dataclass
class BrokenFacade(FakeFacade):
    """A house that fails whenever something is to be recorded."""

    def record(self, event: AccessEvent) -> None:
        raise RuntimeError("canary")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [("text/html", "text/html"), ("application/json", "application/json"), ("*/*", None)],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "authorize?client_id=x"), ("POST", "token"), ("POST", "register")]
)
def test_a_fault_is_answered_and_logged_without_its_text(
    store: AuthStore,
    capsys: pytest.CaptureFixture[str],
    method: str,
    path: str,
    accept: str,
    media_type: str | None,
) -> None:
    client = make_app(make_server(store, BrokenFacade())).test_client()
    answer = client.open(f"/fhir/acme/auth/{path}", method=method, headers={"Accept": accept})
    assert answer.status_code == 500
    assert media_type in (None, answer.mimetype)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.is_json:
        assert answer.get_json()["error"] == "server_error"
    printed = capsys.readouterr()
    assert "canary" not in answer.text + printed.out + printed.err
    assert "RuntimeError" in printed.out + printed.err
    assert "test_faults.py:" in printed.out + printed.err
