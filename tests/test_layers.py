"""The layers hold, and a planted wrong import is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fhir_facade", "smart_auth", "sandbox")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(command), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def copy(tmp_path):
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fhir_facade/fhir/ids.py", "import fhir_facade.mirror.tables"),
        ("fhir_facade/resources/patient.py", "import fhir_facade.search"),
        ("fhir_facade/search/__init__.py", "import flask"),
        ("fhir_facade/search/__init__.py", "import sqlalchemy"),
        ("fhir_facade/rest/__init__.py", "import requests"),
        ("smart_auth/scopes/scope.py", "import fhir_facade.errors"),
        ("fhir_facade/settings.py", "import sandbox.qubs"),
    ],
)
def test_a_planted_import_is_refused(copy, module, line):
    path = copy / module
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(copy)
    assert done.returncode != 0
    assert "BROKEN" in done.stdout
