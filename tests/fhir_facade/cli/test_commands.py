"""The commands of an operator, on a deployment with two tenants and without upstreams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_facade.app import build, create_app
from fhir_facade.cli.doctor import file_system
from fhir_facade.mirror.versions import current_revision, read
from fhir_facade.settings import load
from tests.fhir_facade.cli.conftest import Run
from tests.support import exports


def test_upgrade_and_check(run: Run) -> None:
    refused = run("db", "check")
    assert refused.exit_code == 1
    assert "fhir-facade db upgrade" in refused.stderr
    assert run("db", "upgrade").stdout == "The tables are current.\n"
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "check").exit_code == 0


def test_a_wrong_setting_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACADE_BIND_TO", "x")
    for command in (("db", "upgrade"), ("doctor",), ("sync",), ("user", "list")):
        refused = run(*command)
        assert refused.exit_code == 1
        assert refused.stderr == "FACADE_BIND_TO is not a setting of this server.\n"


def test_the_tenant_must_be_named(upgraded: Run) -> None:
    assert upgraded("user", "list").stderr == ("Name a tenant with --tenant: one of acme, other.\n")
    assert "There is no tenant" in upgraded("user", "list", "--tenant", "nobody").stderr


def test_users(upgraded: Run) -> None:
    add = ("user", "add", "--tenant", "acme", "ada", "--role", "practitioner")
    weak = upgraded(*add, "--password", "short")
    assert weak.exit_code == 1
    assert "at least 8 characters" in weak.stderr
    made = upgraded(*add, "--whole-tenant", given="a-long-password\na-long-password\n")
    assert made.exit_code == 0
    assert "a-long-password" not in made.output
    again = upgraded(*add, "--password", "a-long-password")
    assert (again.exit_code, again.stderr) == (1, "There is a user of that name.\n")
    listed = upgraded("user", "list", "--tenant", "acme").stdout.strip().split("\t")
    assert listed[1:] == ["ada", "practitioner", "active"]
    assert upgraded("user", "list", "--tenant", "other").stdout == ""


def test_apps(upgraded: Run, tmp_path: Path) -> None:
    file = tmp_path / "app.json"
    file.write_text(json.dumps({"client_id": "app", "redirect_uris": ["https://a.example/cb"]}))
    add = ("app", "add", "--tenant", "acme")
    assert json.loads(upgraded(*add, str(file)).stdout) == {"client_id": "app"}
    assert "There is an app" in upgraded(*add, str(file)).stderr
    secret = {
        "client_id": "secret",
        "redirect_uris": ["https://a.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    shown = json.loads(upgraded(*add, "-", given=json.dumps(secret)).stdout)
    assert len(shown["client_secret"]) > 20
    for bad, said in (
        ("{", "not valid JSON"),
        ("[]", "one JSON object"),
        ('{"redirect_uris": ["http://a.example/cb"]}', "redirect_uri must be"),
    ):
        refused = upgraded(*add, "-", given=bad)
        assert refused.exit_code == 1
        assert said in refused.stderr
    assert upgraded("app", "deactivate", "--tenant", "acme", "app").exit_code == 0
    assert "app\tapp\tnone\tinactive" in upgraded("app", "list", "--tenant", "acme").stdout
    gone = upgraded("app", "deactivate", "--tenant", "other", "app")
    assert "There is no app" in gone.stderr


def test_groups_and_the_purge_of_a_patient(upgraded: Run) -> None:
    facade = build(load())
    try:
        exports.seed(facade.database, 4, 8)
        patient = exports.patient(0)["id"]
        add = ("group", "add", "--tenant", "acme")
        two = upgraded(*add, "two", "--name", "Two", "--all", "--member", patient)
        assert two.exit_code == 2
        assert "exactly one" in two.stderr
        assert upgraded(*add, "all", "--name", "Everyone", "--all").exit_code == 0
        assert "all\tEveryone\ttenant" in upgraded("group", "list", "--tenant", "acme").stdout
        purge = ("purge", "--tenant", "acme", patient)
        assert upgraded(*purge, given="n\n").exit_code == 1
        with facade.database.read() as conn:
            assert read(conn, "acme", "Patient", patient) is not None
        done = upgraded(*purge, "--yes")
        assert done.exit_code == 0
        assert json.loads(done.stdout)["versions"] >= 3
        with facade.database.read() as conn:
            revision = current_revision(conn, "acme")[0]
            assert read(conn, "acme", "Patient", patient) is None
            for group in ("all", exports.GROUP):
                row = read(conn, "acme", "Group", group, revision)
                assert row is not None
                assert patient.encode() not in (row.body or b"")
        assert json.loads(upgraded(*purge, "--yes").stdout)["versions"] == 0
    finally:
        facade.close()


def test_keys_rotate_and_old_ones_stay_for_a_while(upgraded: Run) -> None:
    def signing() -> set[str]:
        facade = build(load())
        try:
            app = create_app(facade=facade)
            answer = app.test_client().get("/fhir/acme/.well-known/jwks.json")
            return {key["kid"] for key in answer.get_json()["keys"]}
        finally:
            facade.close()

    before = signing()
    assert upgraded("key", "rotate", "--tenant", "acme").exit_code == 0
    after = signing()
    assert before
    assert before < after


def test_doctor_without_sources(upgraded: Run) -> None:
    assert upgraded("doctor").stdout == "Nothing is wrong.\n"
    assert "There is no source to sync." in upgraded("sync").stderr


def test_file_systems_are_told_apart() -> None:
    assert file_system(Path("/proc/self")) == "proc"
