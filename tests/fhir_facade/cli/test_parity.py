"""Whatever the pages can do, a command can: a new act of a page needs its command here."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from flask import Flask

from fhir_facade.app import build, create_app
from fhir_facade.cli import main
from fhir_facade.settings import load
from tests.support.serving import facade_environment

COMMANDS: dict[str, tuple[str, ...]] = {
    "account/factor": ("user pin", "user totp", "user reset-factor"),
    "account/password": ("user password --own-password --end-apps --keep-apps",),
    "account/sessions": ("session list", "session end"),
    "manage": ("grant list --user", "grant end"),
    "signup": ("user add --role --service --name --profile",),
    "portal/apps/new": ("app add --owner --unapproved",),
    "portal/apps/<>/edit": (
        "app set --name --redirect-uri --launch-uri --scope --client-uri --policy-uri --contact"
        " --valid-from --valid-to",
        "app keys --jwks --jwks-uri",
    ),
    "portal/apps/<>/patients": ("app assign --patient", "app unassign --patient --no-list"),
    "portal/apps/<>/secret": ("app rotate-secret",),
    "portal/apps/<>/state": ("app activate", "app deactivate"),
    "portal/apps/<>/delete": ("app delete",),
    "console/users": ("user list --role", "user show"),
    "console/users/new": (
        "user add --role --service --name --fhir-user --patient --whole-tenant --scope",
    ),
    "console/users/<>": ("user set --name --role --service --fhir-user --whole-tenant",),
    "console/users/<>/state": ("user set --active --inactive",),
    "console/users/<>/patients": ("user assign", "user unassign"),
    "console/users/<>/limit": ("user set --scope",),
    "console/users/<>/password": ("user password --end-apps --keep-apps",),
    "console/users/<>/delete": ("user delete",),
    "console/users/<>/factor": ("user reset-factor",),
    "console/users/<>/end": ("session end", "grant end --user"),
    "console/apps/<>": (
        "app set --valid-from --valid-to --may-introspect --may-launch --whole-tenant",
        "app assign --group",
        "app unassign --group",
    ),
    "console/apps/<>/approval": ("app approve", "app withdraw"),
    "console/apps/<>/state": ("app activate", "app deactivate"),
    "console/apps/<>/limit": ("app limit --scope --none", "app export-types --all"),
    "console/apps/<>/patients": ("app assign --patient", "app unassign --patient --no-list"),
    "console/apps/<>/end": ("grant end --app",),
    "console/groups/new": ("group add --name --all --site --member",),
    "console/groups/<>": (
        "group set --name --all --site --listed",
        "group activate",
        "group deactivate",
    ),
    "console/groups/<>/members": ("group put --from --to --inactive", "group take"),
    "console/groups/<>/remove": ("group remove",),
    "console/grants": ("grant list --user --app --patient", "session list"),
    "console/grants/end": ("grant end", "session end --id"),
    "console/grants/end-all": ("grant end --user --app", "session end"),
    "console/tokens": ("app token add --days --uses --unlimited", "app token list"),
    "console/tokens/revoke": ("app token revoke",),
    "console/keys": ("key rotate", "key list"),
    "console/audit": (
        "audit search --from --to --app --user --patient --action --outcome --correlation-id",
    ),
    "launch": ("app launch --user --patient --encounter --context --intent",),
    "register": ("app add", "app token add"),
    "register/<>": ("app show", "app set", "app delete"),
}
"""Paths under `/auth/` to which a form or a client sends what changes something, with the commands
that do the same."""

OF_A_LOGIN = frozenset(
    {
        "authorize", "consent", "enrol", "factor", "introspect", "login", "logout", "new-password",
        "patient", "revoke", "token", "token/",
    }
)  # fmt: skip
"""Steps of one person's login or of one app's tokens: there is nothing to administer."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("parity")
    facade = build(load(facade_environment(folder, 1, DEMO="true")), check=False)
    facade.upgrade()
    yield create_app(facade=facade)
    facade.close()


def changing(app: Flask) -> set[str]:
    """The paths below `/auth/` that take a POST, or are not told to take none."""
    client = app.test_client()
    found = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.partition("/<tenant>/auth/")[2]
        allowed = client.delete(re.sub(r"<[^>]*>", "x", f"/fhir/acme/auth/{path}"))
        if path and "POST" in allowed.headers.get("Allow", "POST"):
            found.add(re.sub(r"<[^>]*>", "<>", path))
    return found


def test_each_act_of_the_pages_has_its_command(app: Flask) -> None:
    assert changing(app) == set(COMMANDS) | OF_A_LOGIN


@pytest.mark.parametrize("line", sorted({one for lines in COMMANDS.values() for one in lines}))
def test_the_command_has_the_options(line: str) -> None:
    command: click.Command = main
    words = line.split()
    for word in (word for word in words if not word.startswith("--")):
        assert isinstance(command, click.Group)
        command = command.commands[word]
    options = {
        name
        for one in command.params
        for name in (*one.opts, *one.secondary_opts)
        if not getattr(one, "hidden", False)
    }
    assert {word for word in words if word.startswith("--")} <= options


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[click.Command]:
    """Every command below this one."""
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from commands(one, (*words, name))
    else:
        yield command


@pytest.mark.parametrize("group", ["app", "user", "group", "key", "grant", "session", "audit"])
def test_each_command_says_what_it_does_and_takes_a_tenant(group: str) -> None:
    for command in commands(main.commands[group]):
        assert command.help
        assert "tenant" in {one.name for one in command.params}


@pytest.mark.parametrize("name", ["list", "show", "members", "links", "trace", "search"])
def test_what_shows_something_can_print_json(name: str) -> None:
    shown = [one for one in commands(main) if one.name == name]
    assert shown
    for command in shown:
        assert "as_json" in {one.name for one in command.params}
