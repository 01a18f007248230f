"""DEMO_CLIENTS is checked as a whole before anything is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.demo.seed import read_clients


def given(folder: Path, content: str) -> Path:
    path = folder / "clients.json"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Expecting property name"),
        ('{"client_id": "x"}', "list of objects"),
        ('["x"]', "list of objects"),
        ('[{"redirect_uris": ["https://app.example.org/"]}]', "entry 1 has no client_id"),
        ('[{"client_id": "a", "redirect_uris": ["http://a.example.org/"]}]', "entry 1: Each"),
        ('[{"client_id": "a", "redirect_uris": "https://a/"}]', "entry 1: redirect_uris"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_clients(given(tmp_path, content))


@pytest.mark.parametrize("name", ["launch_uri", "launch_url", "initiate_login_uri"])
def test_the_launch_address_goes_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    launch = "http://localhost:1234/launch.html"
    content = f'[{{"client_id": "a", "redirect_uris": ["https://a.b/"], "{name}": "{launch}"}}]'
    assert read_clients(given(tmp_path, content))[0]["launch_uri"] == launch
