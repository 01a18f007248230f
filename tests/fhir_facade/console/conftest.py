"""One house for a test, copied from one that was furnished once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console import Browser, House, fill, open_facade


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("console")
    facade = open_facade(folder)
    fill(facade)
    facade.close()
    return folder


@pytest.fixture
def house(furnished: Path, tmp_path: Path) -> Iterator[House]:
    folder = tmp_path / "house"
    shutil.copytree(furnished, folder)
    opened = House.open(folder)
    yield opened
    opened.close()


@pytest.fixture
def chief(house: House) -> Browser:
    """The browser of an administrator."""
    return house.browser("chief")
