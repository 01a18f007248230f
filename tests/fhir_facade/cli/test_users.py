"""`user`, `session` and `grant`, by what they change and by the acts they leave."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from fhir_facade.audit.query import AuditQuery
from smart_auth import factors, keyring
from smart_auth.records import Grant, LaunchContext, User
from tests.fhir_facade.cli.conftest import PATIENTS, Clinic


def stored(clinic: Clinic, username: str) -> User:
    user = clinic.facade.auth_store.users.by_username("acme", username)
    assert user is not None
    return user


def granted(clinic: Clinic, username: str, client_id: str, patient: str | None = None) -> str:
    """Store a grant as a launch would; gives its id."""
    now = int(time.time())
    grant = Grant(
        grant_id=keyring.random_token(22),
        kind="backend" if not username else "launch",
        client_id=client_id,
        user_id=stored(clinic, username).user_id if username else None,
        session_hash=None,
        scope="patient/*.rs",
        context=LaunchContext(patient=patient),
        auth_time=now,
        created_at=now,
        expires_at=now + 3600,
        last_used_at=now,
    )
    clinic.facade.auth_store.grants.add("acme", grant)
    return grant.grant_id


@pytest.mark.parametrize("text", [PATIENTS[2], "gone Nobody", "x" * 9_000, ""])
def test_patients_are_found_and_each_look_leaves_a_row(clinic: Clinic, text: str) -> None:
    found = [one["id"] for one in clinic.read("patient", "find", text)]
    assert found == {PATIENTS[2]: [PATIENTS[2]], "": sorted(PATIENTS)}.get(text, [])
    (row,) = clinic.facade.audit.trail.find(AuditQuery("acme"))
    assert (row.action, row.actor, row.patients) == ("patient-search", "operator", "")


def test_everything_that_can_be_said_of_a_new_user_is_kept(clinic: Clinic) -> None:
    words = ("user", "add", "dev", "--role", "developer", "--service", "provider")
    words += ("--name", "Dee Veloper", "--patient", PATIENTS[0], "--scope", "patient/*.rs")
    words += ("--profile", "email=dev@example.org", "--profile", "city=Perth")
    (act,) = clinic.acts_of(*words, "--stdin", given="a-long-password\n")
    shown = clinic.read("user", "show", "dev")
    assert (act.reason, act.user_id) == ("user created", shown["user_id"])
    assert shown["name"] == "Dee Veloper"
    assert shown["service"] == "provider"
    assert shown["patients"] == [PATIENTS[0]]
    assert shown["scope"] == "patient/*.rs"
    assert shown["password"] == "temporary"
    assert "a-long-password" not in str(shown)
    assert clinic.read("user", "list", "--role", "developer") == [shown]
    assert clinic.read("user", "list", "--role", "admin") == []
    assert shown["profile"] == {"email": "dev@example.org", "city": "Perth"}
    clinic.done("user", "set", "dev", "--profile", "city=", "--profile", "state=WA")
    profile = clinic.read("user", "show", "dev")["profile"]
    assert profile == {"email": "dev@example.org", "state": "WA"}
    assert "colour" in clinic.refused("user", "set", "dev", "--profile", "colour=red")


def test_a_password_is_asked_for_twice(clinic: Clinic) -> None:
    words = ("user", "add", "ada", "--role", "practitioner")
    assert clinic.done(*words, given="a-long-password\na-long-password\n")
    assert clinic.facade.auth_store.users.by_username("acme", "ada")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--role", "admin"), "at least 12 characters"),
        (("--role", "patient"), "own record"),
        (("--role", "patient", "--whole-tenant", "--patient", PATIENTS[0]), "every patient"),
        (("--role", "practitioner", "--service", "patient"), "Only a developer"),
        (("--role", "developer"), "for whom"),
        (("--role", "practitioner", "--fhir-user", "Location/1"), "such as Practitioner/123"),
        (("--role", "practitioner", "--scope", "patient/*.rs nonsense"), "nonsense"),
        (("--role", "practitioner", "--patient", "nobody"), "not known"),
    ],
)
def test_a_wrong_user_is_refused(clinic: Clinic, words: tuple[str, ...], said: str) -> None:
    refused = clinic.refused("user", "add", "eve", *words, "--stdin", given="8-letters\n")
    assert said in refused
    assert clinic.facade.auth_store.users.by_username("acme", "eve") is None
    assert clinic.acts() == []


@pytest.mark.parametrize(
    "own", [("--patient", PATIENTS[0]), ("--fhir-user", f"Patient/{PATIENTS[0]}")]
)
def test_a_patients_own_record_is_said_once(clinic: Clinic, own: tuple[str, str]) -> None:
    words = ("user", "add", "pat", "--role", "patient", *own, "--stdin")
    clinic.done(*words, given="a-long-password\n")
    user = stored(clinic, "pat")
    assert user.fhir_user == f"Patient/{PATIENTS[0]}"
    assert user.patients == {PATIENTS[0]}
    assert "own record" in clinic.refused("user", "assign", "pat", PATIENTS[1])
    assert clinic.refused("user", "unassign", "pat", PATIENTS[0])
    assert stored(clinic, "pat").patients == {PATIENTS[0]}


def test_set_changes_what_is_given_and_raises_the_version(clinic: Clinic, ada: str) -> None:
    before = stored(clinic, ada)
    words = ("--name", "Ada L", "--fhir-user", "Practitioner/1", "--scope", "user/*.rs")
    (act,) = clinic.acts_of("user", "set", ada, *words, "--whole-tenant", "--inactive")
    after = stored(clinic, ada)
    assert (act.reason, act.user_id) == ("user changed", before.user_id)
    assert (after.name, after.fhir_user, after.scope) == ("Ada L", "Practitioner/1", "user/*.rs")
    assert after.whole_tenant
    assert not after.active
    assert after.version == before.version + 1
    clinic.done("user", "set", ada, "--fhir-user", "", "--scope", "", "--active")
    again = stored(clinic, ada)
    assert (again.fhir_user, again.scope, again.active) == (None, None, True)
    assert again.name == "Ada L"
    assert "Say what to change" in clinic.misused("user", "set", ada)
    assert "no user" in clinic.refused("user", "set", "eve", "--active")
    assert "No scopes" in clinic.refused("user", "set", ada, "--scope", "user/Nothing.rs")


def test_a_patient_is_never_given_the_whole_tenant(clinic: Clinic, ada: str) -> None:
    clinic.done("user", "set", ada, "--whole-tenant")
    assert "every patient" in clinic.refused("user", "set", ada, "--role", "patient")
    assert stored(clinic, ada).role == "practitioner"


def test_only_developers_have_a_service(clinic: Clinic, ada: str) -> None:
    assert "Only a developer" in clinic.refused("user", "set", ada, "--service", "patient")
    assert "for whom" in clinic.refused("user", "set", ada, "--role", "developer")
    clinic.done("user", "set", ada, "--role", "developer", "--service", "patient")
    assert stored(clinic, ada).service == "patient"
    clinic.done("user", "set", ada, "--role", "practitioner")
    assert stored(clinic, ada).service is None


def test_patients_are_assigned_and_taken_one_act_each(clinic: Clinic, ada: str) -> None:
    acts = clinic.acts_of("user", "assign", ada, *PATIENTS[:2])
    assert [row.patient_ids for row in acts] == [(PATIENTS[0],), (PATIENTS[1],)]
    assert clinic.acts_of("user", "assign", ada, PATIENTS[0]) == []
    (act,) = clinic.acts_of("user", "unassign", ada, PATIENTS[0], "qubs-other")
    assert (act.reason, act.patient_ids) == ("patient taken from a user", (PATIENTS[0],))
    assert stored(clinic, ada).patients == {PATIENTS[1]}
    assert "not known" in clinic.refused("user", "assign", ada, PATIENTS[2], "nobody")
    assert stored(clinic, ada).patients == {PATIENTS[1]}


def test_a_new_password_ends_sessions(clinic: Clinic, ada: str) -> None:
    sessions = clinic.facade.auth.sessions
    old = stored(clinic, ada)
    sessions.start("acme", old.user_id)
    kept = clinic.read("user", "show", ada)["password"]
    (act,) = clinic.acts_of("user", "password", ada, "--stdin", given="another-password\n")
    assert act.reason == "password reset"
    assert [kept, clinic.read("user", "show", ada)["password"]] == ["temporary", "temporary"]
    assert stored(clinic, ada).password_hash != old.password_hash
    assert clinic.read("session", "list", ada) == []
    assert "at least 8" in clinic.refused("user", "password", ada, "--stdin", given="short\n")


def test_a_new_password_ends_the_access_of_apps_unless_told(
    clinic: Clinic, ada: str, chart: str
) -> None:
    one, two = (granted(clinic, ada, chart, patient) for patient in PATIENTS[:2])
    words = ("user", "password", ada, "--stdin")
    clinic.done(*words, "--keep-apps", "--own-password", given="another-password\n")
    assert {grant["grant_id"] for grant in clinic.read("grant", "list")} == {one, two}
    assert clinic.read("user", "show", ada)["password"] == "own"
    reset, *ended = clinic.acts_of(*words, given="one-more-password\n")
    assert (reset.reason, {row.reason for row in ended}) == ("password reset", {"grant ended"})
    assert {row.patient_ids for row in ended} == {(PATIENTS[0],), (PATIENTS[1],)}
    assert clinic.read("grant", "list") == []


def test_a_deleted_user_is_named_by_the_trail_only(clinic: Clinic, ada: str, chart: str) -> None:
    user_id = stored(clinic, ada).user_id
    granted(clinic, ada, chart, PATIENTS[0])
    deleted, ended = clinic.acts_of("user", "delete", ada, "--yes")
    assert (deleted.reason, deleted.user_id) == ("user deleted", user_id)
    assert (ended.reason, ended.patient_ids) == ("grant ended", (PATIENTS[0],))
    assert "no user" in clinic.refused("user", "show", ada)
    assert user_id in {row["user_id"] for row in clinic.read("audit", "search", "--user", ada)}
    words = ("user", "add", ada, "--role", "practitioner", "--stdin")
    assert "another user's" in clinic.refused(*words, given="a-long-password\n")


def test_the_last_administrator_stays(clinic: Clinic) -> None:
    words = ("user", "add", "boss", "--role", "admin", "--stdin")
    clinic.done(*words, given="a-long-password\n")
    assert "Nobody would be left" in clinic.refused("user", "delete", "boss", "--yes")
    assert stored(clinic, "boss").active


def test_second_factors_are_given_and_forgotten(clinic: Clinic, ada: str) -> None:
    assert "no second factor" in clinic.refused("user", "reset-factor", ada)
    (act,) = clinic.acts_of("user", "pin", ada, "--stdin", given="493028\n")
    assert "493028" not in str(act)
    assert clinic.read("user", "show", ada)["second_factor"] == "pin"
    uri = clinic.done("user", "totp", ada)
    seed = parse_qs(urlsplit(uri.strip()).query)["secret"][0]
    assert len(factors.code_at(seed, int(time.time()))) == 6
    assert clinic.read("user", "show", ada)["second_factor"] == "totp"
    clinic.facade.auth.sessions.start("acme", stored(clinic, ada).user_id)
    (act,) = clinic.acts_of("user", "reset-factor", ada)
    assert act.reason == "second factor reset"
    assert clinic.read("user", "show", ada)["second_factor"] is None
    assert clinic.read("session", "list", ada) == []


def test_sessions_are_listed_and_ended(clinic: Clinic, ada: str) -> None:
    user_id = stored(clinic, ada).user_id
    for _ in range(3):
        clinic.facade.auth.sessions.start("acme", user_id)
    first, *_ = clinic.read("session", "list", ada)
    assert clinic.done("session", "end", ada, "--id", first["session_id"]) == "1\n"
    assert "no session" in clinic.refused("session", "end", ada, "--id", first["session_id"])
    (act,) = clinic.acts_of("session", "end", ada)
    assert (act.reason, act.user_id) == ("sessions ended", user_id)
    assert clinic.read("session", "list", ada) == []


def test_grants_are_found_and_ended(clinic: Clinic, ada: str, chart: str) -> None:
    one = granted(clinic, ada, chart, PATIENTS[0])
    two = granted(clinic, ada, chart, PATIENTS[1])
    backend = granted(clinic, "", "backend")

    def ids(*words: str) -> set[str]:
        return {grant["grant_id"] for grant in clinic.read("grant", "list", *words)}

    assert ids() == {one, two, backend}
    assert ids("--user", ada) == ids("--app", chart) == {one, two}
    assert ids("--patient", PATIENTS[1]) == {two}
    (act,) = clinic.acts_of("grant", "end", one)
    assert (act.reason, act.client_id, act.patient_ids) == ("grant ended", chart, (PATIENTS[0],))
    assert clinic.done("grant", "end", one) == "0\n"
    assert "no grant" in clinic.refused("grant", "end", two, "unknown")
    assert ids() == {two, backend}
    assert clinic.done("grant", "end", "--user", ada, "--app", chart) == "1\n"
    assert ids() == {backend}
    assert "--user or --app" in clinic.misused("grant", "end")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a login provider of the tenant, which is never asked here."""
    settings = {
        "LABEL": "Hospital account",
        "ISSUER": "https://id.hospital.example",
        "CLIENT_ID": "facade",
        "CLIENT_SECRET": "a-secret-of-the-provider",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"FACADE_TENANTS__ACME__LOGIN_PROVIDERS__HOSPITAL__{name}", value)
    return "hospital"


def test_identities_are_linked_and_unlinked(clinic: Clinic, ada: str, provider: str) -> None:
    words = ("user", "link", ada, "--provider", provider)
    for subject in ("one", "two"):
        (act,) = clinic.acts_of(*words, "--subject", subject)
        assert (act.reason, act.user_id) == ("identity linked", stored(clinic, ada).user_id)
    links = clinic.read("user", "links", ada)
    assert {link["subject"] for link in links} == {"one", "two"}
    assert {link["issuer"] for link in links} == {"https://id.hospital.example"}
    assert clinic.refused(*words, "--subject", "one")
    unknown = ("user", "link", ada, "--provider", "nobody", "--subject", "one")
    assert "no login provider" in clinic.refused(*unknown)
    clinic.facade.auth.sessions.start("acme", stored(clinic, ada).user_id)
    (act,) = clinic.acts_of("user", "unlink", ada, "--subject", "one")
    assert act.reason == "identity unlinked"
    assert clinic.read("session", "list", ada) == []
    clinic.done("user", "unlink", ada)
    assert clinic.read("user", "links", ada) == []
    assert "no such link" in clinic.refused("user", "unlink", ada)
