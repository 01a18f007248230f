"""Commands on a deployment with two tenants and without upstreams."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fhir_facade.app import Facade, build
from fhir_facade.audit.query import AuditQuery, AuditRow
from fhir_facade.cli import main
from fhir_facade.settings import load
from tests.support import exports
from tests.support.serving import facade_environment

Run = Callable[..., Result]
OTHER = {"TENANTS__OTHER__NAME": "Other", "TENANTS__OTHER__TIMEZONE": "Europe/Berlin"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; its settings are those of a demo in a folder of its own."""
    environment = facade_environment(tmp_path, 1, DEMO="true", **OTHER)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=given)

    return invoke


@pytest.fixture
def upgraded(run: Run) -> Run:
    """With current tables."""
    assert run("db", "upgrade").exit_code == 0
    return run


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the databases of a clinic of four patients with appointments, to be copied."""
    folder = tmp_path_factory.mktemp("clinic")
    facade = build(load(facade_environment(folder, 1, DEMO="true", **OTHER)), check=False)
    facade.upgrade()
    exports.seed(facade.database, 4, 8)
    facade.close()
    return folder


@dataclass
class Clinic:
    """Commands at the tenant acme, and its parts in this process to look at."""

    run: Run
    facade: Facade

    def done(self, *words: str, given: str | None = None) -> str:
        """What a command that succeeds prints."""
        result = self._at_acme(words, given)
        assert result.exit_code == 0, (words, result.output)
        return result.stdout

    def read(self, *words: str) -> Any:
        """The same of a command that prints JSON."""
        return json.loads(self.done(*words, "--json"))

    def refused(self, *words: str, given: str | None = None) -> str:
        """The sentence of a command that is refused: one line, and nothing else printed."""
        result = self._at_acme(words, given)
        assert (result.exit_code, result.stdout) == (1, ""), (words, result.output)
        assert result.stderr.count("\n") == 1
        return result.stderr.strip()

    def misused(self, *words: str) -> str:
        """The same of a command whose options do not go together (exit status 2)."""
        result = self._at_acme(words, None)
        assert result.exit_code == 2, (words, result.output)
        return result.stderr

    def acts(self) -> list[AuditRow]:
        """Administrative acts in the trail, oldest first."""
        rows = self.facade.audit.trail.find(AuditQuery("acme", limit=500, oldest_first=True))
        return [row for row in rows if row.action == "admin"]

    def acts_of(self, *words: str, given: str | None = None) -> list[AuditRow]:
        """The acts that a command leaves, all of them the operator's."""
        before = len(self.acts())
        self.done(*words, given=given)
        made = self.acts()[before:]
        assert {row.actor for row in made} <= {"operator"}
        return made

    def _at_acme(self, words: tuple[str, ...], given: str | None) -> Result:
        deep = 3 if words[:2] == ("app", "token") else 2
        return self.run(*words[:deep], "--tenant", "acme", *words[deep:], given=given)


@pytest.fixture
def clinic(run: Run, filled: Path, tmp_path: Path) -> Iterator[Clinic]:
    """With four patients and their appointments."""
    for file in filled.iterdir():
        shutil.copy(file, tmp_path)
    facade = build(load())
    try:
        yield Clinic(run, facade)
    finally:
        facade.close()


PATIENTS = tuple(exports.patient(number)["id"] for number in range(4))


@pytest.fixture
def ada(clinic: Clinic) -> str:
    """A practitioner's user name."""
    clinic.done(
        "user", "add", "ada", "--role", "practitioner", "--stdin", given="a-long-password\n"
    )
    return "ada"


def register(clinic: Clinic, **metadata: Any) -> dict[str, str]:
    """Register an app by command; gives what that printed."""
    metadata.setdefault("client_id", "chart")
    made: dict[str, str] = json.loads(clinic.done("app", "add", "-", given=json.dumps(metadata)))
    return made


@pytest.fixture
def chart(clinic: Clinic) -> str:
    """The client_id of a public app that is launched."""
    launch = {"redirect_uris": ["https://a.example/cb"], "launch_uri": "https://a.example/launch"}
    return register(clinic, **launch)["client_id"]
