"""Two workers on one store, over real sockets, with an ordinary HTTP client."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.serving import BaseWSGIServer, make_server

from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    PASSWORD,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    authorize_query,
    code_form,
    make_app,
)


@pytest.fixture
def workers(store: AuthStore, people: dict[str, User]) -> Iterator[list[str]]:
    """Addresses of two workers that answer for one public address, the first's."""
    facade = FakeFacade()
    servers: list[BaseWSGIServer] = []
    threads = []
    for _ in range(2):
        app = make_app(AuthServer(store, facade, SETTINGS))
        server = make_server("127.0.0.1", 0, app, threaded=True)
        servers.append(server)
        threads.append(threading.Thread(target=server.serve_forever, args=(0.02,)))
    facade.public_url = f"http://127.0.0.1:{servers[0].server_port}"
    for thread in threads:
        thread.start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def _submit(session: requests.Session, base: str, page: requests.Response, **fields: Any) -> Any:
    action = re.search(r'<form method="post" action="([^"]+)"', page.text)
    assert action is not None, page.text
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    data = {name: html.unescape(value) for name, value in hidden} | fields
    return session.post(base + action[1], data=data, allow_redirects=False, timeout=10)


def test_a_launch_whose_every_step_meets_another_worker(workers: list[str]) -> None:
    one, two = workers
    with requests.Session() as session:
        session.trust_env = False
        said = session.get(f"{two}/fhir/acme/.well-known/smart-configuration", timeout=10).json()
        assert said["authorization_endpoint"] == f"{one}/fhir/acme/auth/authorize"
        query = authorize_query(aud=f"{one}/fhir/acme")
        page = session.get(f"{one}/fhir/acme/auth/authorize", params=query, timeout=10)
        step = _submit(session, two, page, username="doctor", password=PASSWORD)
        assert step.status_code == 303
        page = session.get(one + step.headers["Location"], timeout=10)
        step = _submit(session, two, page, patient="p2", action="continue")
        page = session.get(one + step.headers["Location"], timeout=10)
        ticked = [html.unescape(v) for v in re.findall(r'name="scope" value="([^"]*)"', page.text)]
        back = _submit(session, two, page, scope=ticked, decision="allow")
        assert back.headers["Location"].startswith(REDIRECT)
        code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
        token = f"{one}/fhir/acme/auth/token"
        body = session.post(token, data=code_form(code), timeout=10).json()
        assert body["patient"] == "p2"
        form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        refreshed = session.post(token.replace(one, two), data=form, timeout=10).json()
        replay = session.post(token.replace(one, two), data=code_form(code), timeout=10)
        assert replay.status_code == 400
        form = {"grant_type": "refresh_token", "refresh_token": refreshed["refresh_token"]}
        assert session.post(token, data=form, timeout=10).json()["error"] == "invalid_grant"
