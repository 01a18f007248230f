"""`group`, `key` and `audit`."""

from __future__ import annotations

from pathlib import Path

from tests.fhir_facade.cli.conftest import PATIENTS, Clinic, register
from tests.support import exports


def now_in(clinic: Clinic, group_id: str) -> list[str]:
    return [row["patient"] for row in clinic.read("group", "members", group_id, "--now")]


def test_a_group_is_listed_from_a_file_and_changed(clinic: Clinic, tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_text(f"{PATIENTS[0]}\n\n{PATIENTS[1]}\n")
    words = ("group", "add", "two", "--name", "Two", "--from-file", str(file))
    (act,) = clinic.acts_of(*words)
    assert (act.reason, act.type, act.resource_id) == ("group defined", "Group", "two")
    assert now_in(clinic, "two") == list(PATIENTS[:2])
    clinic.done("group", "set", "two", "--name", "Everybody", "--all")
    shown = clinic.read("group", "show", "two")
    assert (shown["name"], shown["rule"], shown["members"]) == ("Everybody", "tenant", 4)
    clinic.done("group", "set", "two", "--listed")
    assert now_in(clinic, "two") == list(PATIENTS[:2])
    assert "exactly one" in clinic.misused("group", "set", "two", "--listed", "--all")
    assert "Say what" in clinic.misused("group", "set", "two")
    assert "no group" in clinic.refused("group", "set", "three", "--name", "Three")


def test_members_have_periods(clinic: Clinic) -> None:
    clinic.done("group", "add", "g", "--name", "G", "--member", PATIENTS[0])
    acts = clinic.acts_of("group", "put", "g", *PATIENTS[1:3], "--from", "2026-01-01")
    assert [row.patient_ids for row in acts] == [(PATIENTS[1],), (PATIENTS[2],)]
    clinic.done("group", "put", "g", PATIENTS[3], "--from", "2020-01-01", "--to", "2020-12-31")
    assert now_in(clinic, "g") == list(PATIENTS[:3])
    listed = {row["patient"]: row for row in clinic.read("group", "members", "g")}
    assert listed[PATIENTS[0]]["start"] is None
    assert listed[PATIENTS[3]]["start"] == "2020-01-01T00:00:00+11:00"
    assert listed[PATIENTS[3]]["end"] == "2021-01-01T00:00:00+11:00"
    clinic.done("group", "put", "g", PATIENTS[1], "--inactive")
    clinic.done("group", "take", "g", PATIENTS[2])
    assert now_in(clinic, "g") == [PATIENTS[0]]
    early = ("group", "put", "g", PATIENTS[0], "--from", "2026-02-01", "--to", "2026-01-01")
    assert "end after it starts" in clinic.refused(*early)
    assert "not known" in clinic.refused("group", "put", "g", "nobody")


def test_a_group_rests_and_goes(clinic: Clinic) -> None:
    clinic.done("group", "add", "g", "--name", "G", "--all")
    register(clinic, client_id="registry", jwks_uri="https://a.example/jwks", groups=["g"])
    assert clinic.read("group", "show", "g")["apps"] == ["registry"]
    assert clinic.acts_of("group", "deactivate", "g")[0].resource_id == "g"
    assert now_in(clinic, "g") == []
    clinic.done("group", "activate", "g")
    assert len(now_in(clinic, "g")) == 4
    clinic.done("group", "refresh")
    assert "apps that may export" in clinic.refused("group", "remove", "g", "--yes")
    clinic.done("app", "unassign", "registry", "--group", "g")
    assert clinic.acts_of("group", "remove", "g", "--yes")[0].reason == "group removed"
    assert [row["group_id"] for row in clinic.read("group", "list")] == [exports.GROUP]


def test_keys_are_listed(clinic: Clinic) -> None:
    before = clinic.read("key", "list")
    assert {key["alg"] for key in before} == {"ES256", "RS256"}
    assert clinic.acts_of("key", "rotate")[0].reason == "signing keys rotated"
    after = {key["kid"]: key for key in clinic.read("key", "list")}
    assert len(after) == 4
    for key in before:
        assert after[key["kid"]]["state"] == "verifies"
        assert after[key["kid"]]["removed_at"] is not None
    assert [key["state"] for key in after.values()].count("signs") == 2


def test_the_trail_is_searched_by_each_condition(clinic: Clinic, ada: str, chart: str) -> None:
    clinic.done("user", "assign", ada, PATIENTS[0])
    clinic.done("app", "deactivate", chart)

    created, registered = "user created", "app registered"
    given, paused = "patient assigned to a user", "app made inactive"
    looked = "audit trail read"

    def reasons(*words: str) -> list[str]:
        """What is found of what was done before."""
        found = [row["reason"] for row in clinic.read("audit", "search", *words)]
        return [reason for reason in found if reason != looked]

    assert reasons() == [paused, given, registered, created]
    assert [row["reason"] for row in clinic.read("audit", "search", "--limit", "2")] == [
        looked,
        paused,
    ]
    assert reasons("--user", ada) == [given, created]
    assert reasons("--app", chart) == [paused, registered]
    assert reasons("--patient", PATIENTS[0]) == [given]
    assert reasons("--action", "rest") == []
    assert reasons("--outcome", "refused") == []
    assert reasons("--actor", "operator", "--app", chart) == [paused, registered]
    assert reasons("--actor", ada) == []
    assert reasons("--to", "2020-01-01") == []
    assert reasons("--from", "2020-01-01", "--to", "2999-01-01") == reasons()
    shown = clinic.done("audit", "search", "--app", chart)
    assert shown.count("\n") == 2
    assert "operator" in shown
    assert clinic.acts()[-1].reason == looked
