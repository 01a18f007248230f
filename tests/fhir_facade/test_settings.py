"""A wrong setting stops the start with one sentence that names it, and shows no secret."""

import os
import subprocess
import sys

import pytest

from fhir_facade.errors import SettingsError
from fhir_facade.settings import load

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
