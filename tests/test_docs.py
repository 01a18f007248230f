"""Documents are held to the code."""

import re
from pathlib import Path

import click
import pytest

from fhir_facade.cli import main
from fhir_facade.provider_settings import LoginProviderSettings
from fhir_facade.settings import QubsSource, Settings, TenantSettings

ROOT = Path(__file__).parents[1]
SETTINGS = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_documented(name):
    assert f"`FACADE_{name.upper()}`" in SETTINGS


@pytest.mark.parametrize("name", sorted(TenantSettings.model_fields))
def test_each_tenant_key_is_documented(name):
    assert f"`{name}`" in SETTINGS or f"`{name}." in SETTINGS


@pytest.mark.parametrize("name", sorted(QubsSource.model_fields))
def test_each_key_of_a_qubs_source_is_documented(name):
    assert f"`qubs.{name}`" in SETTINGS


@pytest.mark.parametrize("name", sorted(LoginProviderSettings.model_fields))
def test_each_key_of_a_login_provider_is_documented(name):
    assert f"`login_providers.{name}`" in SETTINGS


def test_no_setting_is_documented_that_is_not_there():
    named = set(re.findall(r"^\| `FACADE_([A-Z_]+)`", SETTINGS, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda p: p.stem)
def test_each_decision_record_has_its_headings(path):
    text = path.read_text(encoding="utf-8")
    for heading in ("## Context", "## Decision", "## Status", "## Consequences"):
        assert heading in text


PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    for target in targets:
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_commands_in_the_pages_exist(path):
    named = re.findall(r"fhir-facade ((?:[a-z][a-z-]* ?){1,2})", path.read_text(encoding="utf-8"))
    for words in named:
        first, *rest = words.split()
        assert first in main.commands, words
        command = main.commands[first]
        if isinstance(command, click.Group) and rest:
            assert rest[0] in command.commands, words
