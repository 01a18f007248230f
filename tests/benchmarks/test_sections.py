"""Each benchmark at its smallest: it runs, and its figures are there. No figure is judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import export, latency, memory, mirrors, processes, requests, scale, sync
from benchmarks import resources as made
from benchmarks.report import Table, ratio
from benchmarks.sizes import Sizes
from fhir_facade.fhir.validation import fast_check

TINY = Sizes(
    small=1,
    large=200,
    rounds=1,
    requests=24,
    settle_seconds=0.0,
    export_rounds=1,
    appointments=20,
    latency_rounds=1,
    latency_seconds=0.05,
)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "STATE", tmp_path / "bench")


def _ratios(table: Table, column: int) -> list[float]:
    return [float(row[column].split()[0]) for row in table.rows]


def test_made_resources_pass_the_gate() -> None:
    for resource in [*made.directory(), *made.patients(1)]:
        assert fast_check(resource) == []
        assert fast_check(made.provenance(resource)) == []


def test_a_mirror_is_built_once(tmp_path: Path) -> None:
    path = mirrors.kept(1)
    built = path.stat().st_mtime_ns
    assert mirrors.kept(1) == path
    assert path.stat().st_mtime_ns == built
    copy = mirrors.copy_of(1, tmp_path)
    assert copy.read_bytes() == path.read_bytes()


def test_a_mirror_of_other_code_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    old = mirrors.kept(1)
    monkeypatch.setattr(mirrors, "_version", lambda: "other")
    new = mirrors.kept(1)
    assert new.exists()
    assert not old.exists()


def test_work_is_counted_in_its_own_process() -> None:
    work = processes.run(_burn, 0.2)
    assert work.result == "done"
    assert work.cpu >= 0.2
    assert work.peak_mb > 5


def test_work_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended with status"):
        processes.run(sys.exit, 3)


def test_requests() -> None:
    table = requests.section(TINY)
    assert _ratios(table, 3)[0] == 1.0
    assert all(value > 0 for value in _ratios(table, 3))
    sizes = {row[0]: float(row[2]) for row in table.rows}
    assert sizes["search 20: all of a type"] > 10 * sizes["read"]


def test_export() -> None:
    table = export.section(TINY)
    assert [row[0] for row in table.rows][-1] == "export"
    assert all(value > 0 for value in _ratios(table, 4))


def test_sync() -> None:
    table = sync.section(TINY)
    records = {row[0]: int(row[1].replace(",", "")) for row in table.rows}
    assert all(count > 0 for count in records.values())
    assert all(value > 0 for value in _ratios(table, 4))


def test_latency() -> None:
    idle, busy = latency.section(TINY).rows
    assert float(idle[1]) > 0
    assert float(busy[1]) > 0


def test_memory() -> None:
    for row in memory.section(TINY).rows:
        exported = int(row[1].replace(",", ""))
        assert exported >= 92
        assert all(float(cell.split()[0]) > 10 for cell in row[2:4])


def test_a_section_must_be_known() -> None:
    command = [sys.executable, "-m", "benchmarks", "nonsense"]
    done = subprocess.run(command, cwd=mirrors.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such section: nonsense" in done.stderr


def test_a_table_is_markdown() -> None:
    table = Table("Figures", ("", "x"))
    table.add("one", ratio([(1.0, 2.0), (3.0, 2.0), (2.0, 2.0)]))
    lines = table.text().splitlines()
    assert lines[0] == "### Figures"
    assert "| one | 1.00 (0.50-1.50) |" in lines
    with pytest.raises(ValueError, match="2 cells"):
        table.add("one")


def _burn(seconds: float) -> str:
    start = processes.own_cpu()
    while processes.own_cpu() - start < seconds:
        pass
    return "done"


def test_scale() -> None:
    table = scale.section(TINY)
    assert len(table.rows) == len(list(scale.shapes(1))) * len(scale.reaches())
    assert all(float(row[-1].removesuffix("*")) > 0 for row in table.rows)
