"""A wrong setting stops the start with one sentence that names it, and shows no secret."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from typing import get_args

import pytest

from fhir_facade import provider_settings
from fhir_facade.app import build
from fhir_facade.authorization_settings import AuthorizationSettings, Role
from fhir_facade.errors import SettingsError
from fhir_facade.settings import load
from smart_auth import login_provider, records
from smart_auth.login_provider import LoginProvider
from smart_auth.settings import DEMO_LIMITS, AuthSettings, Lifetimes, Limits

KEY = "k3y-0f-thirty-two-characters-or-more-1234"


def environment(**changes: str | None) -> dict[str, str]:
    env: dict[str, str] = {
        "FACADE_PUBLIC_URL": "https://fhir.example.org/clinic",
        "FACADE_SECRET_KEYS": KEY,
        "FACADE_TENANTS__ACME__NAME": "Acme Imaging",
        "FACADE_TENANTS__ACME__TIMEZONE": "Australia/Sydney",
        "FACADE_TENANTS__ACME__QUBS__DOMAIN": "acme",
        "FACADE_TENANTS__ACME__QUBS__CLIENT_ID": "partner",
        "FACADE_TENANTS__ACME__QUBS__CLIENT_SECRET": "upstream-secret",
    }
    for name, value in changes.items():
        if value is None:
            del env[name]
        else:
            env[name] = value
    return env


def test_a_complete_environment_loads_and_builds_bases_under_the_prefix():
    settings = load(environment())
    assert settings.fhir_base("acme") == "https://fhir.example.org/clinic/fhir/acme"
    assert settings.tenants["acme"].qubs is not None
    assert settings.tenants["acme"].qubs.secret() == "upstream-secret"
    assert "upstream-secret" not in repr(settings)
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"FACADE_PUBLIC_URL": None}, "FACADE_PUBLIC_URL is missing"),
        ({"FACADE_PUBLIC_URL": "http://fhir.example.org"}, "FACADE_PUBLIC_URL must be"),
        ({"FACADE_PUBLIC_URL": "fhir.example.org"}, "FACADE_PUBLIC_URL"),
        ({"FACADE_PUBLIC_URL": "https://fhir.example.org/?a=b"}, "FACADE_PUBLIC_URL"),
        ({"FACADE_SECRET_KEYS": None}, "FACADE_SECRET_KEYS is missing"),
        ({"FACADE_SECRET_KEYS": "short"}, "FACADE_SECRET_KEYS holds a key that is too weak"),
        ({"FACADE_SECRET_KEYS": "a" * 40}, "FACADE_SECRET_KEYS holds a key that is too weak"),
        ({"FACADE_SECRET_KEYS_FILE": "/does/not/exist"}, "FACADE_SECRET_KEYS"),
        ({"FACADE_WEB_WORKERS": "many"}, "FACADE_WEB_WORKERS"),
        ({"FACADE_WEB_WORKERS": "0"}, "FACADE_WEB_WORKERS"),
        ({"FACADE_ENGINE": "celery"}, "FACADE_ENGINE"),
        ({"FACADE_APP_APPROVAL": "maybe"}, "FACADE_APP_APPROVAL"),
        ({"FACADE_REQUIRE_SECOND_FACTOR": "admin,boss"}, "FACADE_REQUIRE_SECOND_FACTOR"),
        ({"FACADE_LOGINS_PER_MINUTE": "0"}, "FACADE_LOGINS_PER_MINUTE"),
        ({"FACADE_ACCESS_TOKEN_MINUTES": "1440"}, "FACADE_ACCESS_TOKEN_MINUTES"),
        ({"FACADE_LOG_LEVEL": "chatty"}, "FACADE_LOG_LEVEL"),
        ({"FACADE_DATABSE_URL": "sqlite://"}, "FACADE_DATABSE_URL is not a setting"),
        ({"FACADE_TENANTS_FILE": "/does/not/exist.toml"}, "FACADE_TENANTS_FILE cannot be read"),
        ({"FACADE_TENANTS__ACME__TIMEZONE": "Mars/Olympus"}, "FACADE_TENANTS__ACME__TIMEZONE"),
        ({"FACADE_TENANTS__ACME__TIMEZONE": None}, "FACADE_TENANTS__ACME__TIMEZONE is missing"),
        ({"FACADE_TENANTS__ACME__COLOUR": "red"}, "FACADE_TENANTS__ACME__COLOUR"),
        (
            {"FACADE_TENANTS__ACME__QUBS__BASE_URL": "http://partners.qubs.io"},
            "FACADE_TENANTS__ACME__QUBS__BASE_URL must be",
        ),
        (
            {"FACADE_TENANTS__ACME__QUBS__CLIENT_SECRET": None},
            "FACADE_TENANTS__ACME__QUBS",
        ),
        (
            {"FACADE_TENANTS__ACME__QUBS__CLIENT_SECRET": ""},
            "FACADE_TENANTS__ACME__QUBS__CLIENT_SECRET is empty",
        ),
    ],
)
def test_one_sentence_names_the_setting(changes, named):
    with pytest.raises(SettingsError) as caught:
        load(environment(**changes))
    text = caught.value.text
    assert named in text
    assert text.endswith(".")
    assert "\n" not in text
    assert KEY not in text
    assert "upstream-secret" not in text


def test_no_tenant_is_refused():
    env = {k: v for k, v in environment().items() if "TENANTS" not in k}
    with pytest.raises(SettingsError, match="FACADE_TENANTS_FILE is missing"):
        load(env)


def test_tenants_come_from_a_file(tmp_path):
    path = tmp_path / "tenants.toml"
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    path.write_text(
        '[tenants.acme]\nname = "Acme"\ntimezone = "Australia/Perth"\n'
        '[tenants.acme.qubs]\ndomain = "acme"\nclient_id = "p"\n'
        f'client_secret_file = "{secret}"\n'
    )
    env = {k: v for k, v in environment().items() if "TENANTS" not in k}
    settings = load({**env, "FACADE_TENANTS_FILE": str(path)})
    source = settings.tenants["acme"].qubs
    assert source is not None
    assert source.secret() == "from-a-file"


@pytest.mark.parametrize(
    "text", ["not toml [", "other = 1", '[tenants.Bad_Name]\nname="x"\ntimezone="UTC"\n']
)
def test_a_broken_tenants_file_is_named(tmp_path, text):
    path = tmp_path / "tenants.toml"
    path.write_text(text)
    env = {k: v for k, v in environment().items() if "TENANTS" not in k}
    with pytest.raises(SettingsError, match="FACADE_TENANTS"):
        load({**env, "FACADE_TENANTS_FILE": str(path)})


def test_plain_http_is_for_the_demo_on_loopback_only():
    assert load(environment(FACADE_DEMO="true", FACADE_PUBLIC_URL="http://127.0.0.1:8000"))
    with pytest.raises(SettingsError, match="FACADE_PUBLIC_URL"):
        load(environment(FACADE_DEMO="true", FACADE_PUBLIC_URL="http://192.0.2.7"))


def test_the_server_does_not_start_with_a_wrong_setting():
    env = {**os.environ, **environment(FACADE_PUBLIC_URL="http://fhir.example.org")}
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "FACADE_PUBLIC_URL must be an absolute https address." in done.stderr
    assert "Traceback" not in done.stderr


def built(**changes: str | None) -> AuthSettings:
    files = {
        "FACADE_DATABASE_URL": "sqlite:///mirror.db",
        "FACADE_AUTH_DATABASE_URL": "sqlite:///auth.db",
    }
    facade = build(load(environment(**files, **changes)), check=False)
    facade.close()
    return facade.auth_settings


def test_what_is_set_of_logins_and_tokens_reaches_the_authorization_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = built(
        FACADE_APP_APPROVAL="automatic",
        FACADE_DEVELOPER_SIGN_UP="false",
        FACADE_REQUIRE_SECOND_FACTOR="admin, practitioner",
        FACADE_ACCESS_TOKEN_MINUTES="10",
        FACADE_REFRESH_TOKEN_DAYS="7",
        FACADE_SESSION_HOURS="2",
        FACADE_LOGINS_PER_MINUTE="3",
    )
    assert made.app_approval == "automatic"
    assert not made.sign_up
    assert made.require_second_factor == {"admin", "practitioner"}
    assert made.lifetimes.launch_access_token == 600
    assert made.lifetimes.refresh_token == 604_800
    assert made.lifetimes.session == made.lifetimes.online_grant == 7200
    assert made.effective_limits == replace(Limits(), logins_per_minute=3)


def test_what_is_not_set_of_logins_and_tokens_is_the_default_of_the_mode(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = built()
    assert plain.app_approval == "required"
    assert plain.lifetimes == Lifetimes()
    assert plain.effective_limits == Limits()
    demo = built(FACADE_DEMO="true")
    assert demo.app_approval == "automatic"
    assert demo.effective_limits == DEMO_LIMITS


def test_each_limit_and_role_of_the_authorization_server_can_be_set():
    limits = {f.name for f in fields(Limits)} - {"failures_before_delay", "longest_delay"}
    named = {name for name in AuthorizationSettings.model_fields if name.endswith("_per_minute")}
    assert named == limits
    assert get_args(Role) == get_args(records.Role)


PROVIDER = "FACADE_TENANTS__ACME__LOGIN_PROVIDERS__HOSPITAL__"
GOOD_PROVIDER = {
    f"{PROVIDER}LABEL": "Hospital account",
    f"{PROVIDER}ISSUER": "https://id.hospital.example/realm",
    f"{PROVIDER}CLIENT_ID": "facade",
    f"{PROVIDER}CLIENT_SECRET": "the-secret-of-the-provider",
}


def test_login_providers_reach_the_authorization_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    made = built(
        **{k: v for k, v in GOOD_PROVIDER.items() if not k.endswith("CLIENT_SECRET")},
        **{
            f"{PROVIDER}CLIENT_SECRET_FILE": str(secret),
            f"{PROVIDER}SCOPES": '["openid", "email"]',
            f"{PROVIDER}LINK": "username",
            f"{PROVIDER}USERNAME_CLAIM": "employee",
            f"{PROVIDER}TRUST_USERNAMES": "true",
            f"{PROVIDER}SECOND_FACTOR_ACR": '["urn:two"]',
        },
    )
    assert made.provider("acme", "hospital") == LoginProvider(
        name="hospital",
        label="Hospital account",
        issuer="https://id.hospital.example/realm",
        client_id="facade",
        client_secret="from a file",
        scopes=("openid", "email"),
        link="username",
        username_claim="employee",
        trust_usernames=True,
        second_factor_acr=("urn:two",),
    )
    assert made.provider("acme", "elsewhere") is None
    assert made.provider("beta", "hospital") is None
    assert "from a file" not in repr(made)


def test_the_defaults_of_a_login_provider_are_the_careful_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = built(**GOOD_PROVIDER).provider("acme", "hospital")
    assert made is not None
    assert (made.link, made.trust_usernames, made.second_factor_acr) == ("linked", False, ())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({f"{PROVIDER}LABEL": None}, "HOSPITAL__LABEL is missing"),
        ({f"{PROVIDER}ISSUER": "http://id.hospital.example"}, "HOSPITAL__ISSUER must be"),
        ({f"{PROVIDER}ISSUER": "https://id.hospital.example/?a=b"}, "HOSPITAL is not usable"),
        ({f"{PROVIDER}CLIENT_SECRET": None}, "HOSPITAL is not usable"),
        ({f"{PROVIDER}CLIENT_SECRET": ""}, "HOSPITAL__CLIENT_SECRET is empty"),
        ({f"{PROVIDER}SCOPES": '["email"]'}, "HOSPITAL is not usable"),
        ({f"{PROVIDER}LINK": "anybody"}, "HOSPITAL__LINK"),
        ({f"{PROVIDER}LINK": "username"}, "trust_usernames"),
        ({f"{PROVIDER}COLOUR": "red"}, "HOSPITAL__COLOUR"),
        (
            {name.replace("HOSPITAL", "EHR"): value for name, value in GOOD_PROVIDER.items()},
            "LOGIN_PROVIDERS__EHR is not usable",
        ),
        (
            {name.replace("HOSPITAL", "H" * 17): value for name, value in GOOD_PROVIDER.items()},
            "is not usable",
        ),
    ],
)
def test_a_bad_login_provider_stops_the_start(changes, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {
        name: value for name, value in {**GOOD_PROVIDER, **changes}.items() if value is not None
    }
    env = environment(**given)
    with pytest.raises(SettingsError) as caught:
        build(load(env), check=False)
    assert named in str(caught.value)
    assert "the-secret-of-the-provider" not in str(caught.value)


def test_a_login_provider_on_loopback_is_for_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    local = {**GOOD_PROVIDER, f"{PROVIDER}ISSUER": "http://127.0.0.1:9000"}
    with pytest.raises(SettingsError, match="ISSUER"):
        load(environment(**local))
    assert built(FACADE_DEMO="true", **local).provider("acme", "hospital") is not None


def test_the_link_rules_are_those_of_the_authorization_server():
    assert get_args(provider_settings.LinkRule) == get_args(login_provider.LinkRule)
