"""`make demo-check` without a demo says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.demo import check
from tests.support.demo import free_port


@pytest.mark.parametrize("stopped", [False, True])
def test_without_a_demo_it_says_what_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    contract = tmp_path / "contract.json"
    if stopped:
        base = f"http://127.0.0.1:{free_port()}/fhir/acme"
        contract.write_text(json.dumps({"fhir_base": base}), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["check", str(contract)])
    with pytest.raises(SystemExit, match="start `make demo` first"):
        check.main()
