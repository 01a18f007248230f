"""Client keys by URL: fetched over real sockets, kept, fetched again, and refused when unsafe."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.oauth import jwks
from smart_auth.oauth.jwks import fetch
from smart_auth.outbound import Unreachable, fresh_seconds, is_public
from smart_auth.server import AuthServer
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    FakeFacade,
    assertion,
    backend_form,
    backend_key,
    make_app,
    make_server,
    public_jwks,
)

TOKEN = "/fhir/acme/auth/token"
FIRST = backend_key("ES384", "first")
SECOND = backend_key("RS384", "second")


class KeyHost(ThreadingHTTPServer):
    """Serves whatever `body` and `headers` are now, and counts."""

    body: bytes = b""
    status = 200
    headers: dict[str, str]
    requests = 0
    hosts: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jwks.json?x=1"


class _Handler(BaseHTTPRequestHandler):
    server: KeyHost

    def do_GET(self) -> None:
        self.server.requests += 1
        self.server.hosts.append(self.headers["Host"])
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[KeyHost]:
    server = KeyHost(("127.0.0.1", 0), _Handler)
    server.headers = {}
    server.hosts = []
    server.body = json.dumps(public_jwks(FIRST)).encode()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def by_url(store: AuthStore, host: KeyHost) -> None:
    admin.create_client(store, "acme", {"client_id": "remote", "jwks_uri": host.url}, demo=True)


def ask(http: FlaskClient, key: Any, **header: Any) -> Any:
    return http.post(TOKEN, data=backend_form(assertion(key, "remote", header=header)))


def test_keys_are_fetched_once_for_all_workers(
    http: FlaskClient, store: AuthStore, host: KeyHost, by_url: None
) -> None:
    other = make_app(make_server(store)).test_client()
    for worker in (http, other, http):
        assert ask(worker, FIRST).status_code == 200
    assert host.requests == 1
    assert host.hosts == [host.url.split("/")[2]]


def test_an_unknown_kid_fetches_again_but_not_at_once(
    http: FlaskClient, host: KeyHost, by_url: None
) -> None:
    assert ask(http, FIRST).status_code == 200
    host.body = json.dumps(public_jwks(SECOND)).encode()
    assert ask(http, SECOND).get_json()["error"] == "invalid_client"
    assert host.requests == 1
    with time_machine.travel(time.time() + jwks.REFETCH_FLOOR + 1, tick=True):
        assert ask(http, SECOND).status_code == 200
        assert ask(http, FIRST).get_json()["error"] == "invalid_client"
    assert host.requests == 2


def test_a_host_without_keys_is_left_alone_for_a_while_by_all_workers(
    http: FlaskClient, store: AuthStore, host: KeyHost, by_url: None
) -> None:
    good, host.body = host.body, b"{}"
    other = make_app(make_server(store)).test_client()
    for worker in (http, other, http):
        assert ask(worker, FIRST).get_json()["error"] == "invalid_client"
    assert host.requests == 1
    host.body = good
    with time_machine.travel(time.time() + jwks.REFETCH_FLOOR + 1, tick=True):
        assert ask(http, FIRST).status_code == 200


def test_keys_are_not_kept_beyond_cache_control(
    http: FlaskClient, host: KeyHost, by_url: None
) -> None:
    host.headers = {"Cache-Control": "max-age=20"}
    assert ask(http, FIRST).status_code == 200
    host.body = json.dumps(public_jwks(SECOND)).encode()
    with time_machine.travel(time.time() + 21, tick=True):
        assert ask(http, FIRST).get_json()["error"] == "invalid_client"
    assert host.requests == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 300),
        ("max-age=60", 60),
        ("public, max-age=86400", 3600),
        ("max-age=0", 5),
        ("no-store", 5),
        ("no-cache, max-age=100", 5),
        ("max-age=abc", 300),
    ],
)
def test_how_long_keys_are_fresh(value: str, seconds: int) -> None:
    assert fresh_seconds(value) == seconds


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"{}", {}),
        (404, b"", {}),
        (302, b"", {"Location": "http://127.0.0.1:1/"}),
        (200, b"not json", {}),
        (200, b"[]", {}),
        (200, b'{"keys": 5}', {}),
        (200, b'{"keys": ["x"]}', {}),
        (200, b"\xff\xfe", {}),
        (200, b" " * 300_000, {}),
    ],
)
def test_a_bad_answer_is_the_clients_fault(
    http: FlaskClient,
    host: KeyHost,
    by_url: None,
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    host.status, host.body, host.headers = status, body, headers
    answer = ask(http, FIRST)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")
    assert "JWKS URL" in answer.get_json()["error_description"]


def test_a_host_that_is_gone(http: FlaskClient, store: AuthStore) -> None:
    metadata = {"client_id": "remote", "jwks_uri": "http://127.0.0.1:1/jwks"}
    admin.create_client(store, "acme", metadata, demo=True)
    assert ask(http, FIRST).get_json()["error"] == "invalid_client"


def test_jku_must_be_the_registered_url(http: FlaskClient, host: KeyHost, by_url: None) -> None:
    assert ask(http, FIRST, jku=host.url).status_code == 200
    assert ask(http, FIRST, jku=host.url + "2").get_json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/jwks", "https"),
        ("https://127.0.0.1/jwks", "private"),
        ("https://localhost/jwks", "private"),
        ("https://10.0.0.1/jwks", "private"),
        ("https://169.254.169.254/latest", "private"),
        ("https://[::1]/jwks", "private"),
        ("https://[::ffff:10.0.0.1]/jwks", "private"),
        ("https://0.0.0.0/", "private"),
        ("https://224.0.0.1/", "private"),
        ("https://[ff02::1]/", "private"),
        ("https://[::127.0.0.1]/", "private"),
        ("https://[2002:7f00:1::]/", "private"),
        ("https://[64:ff9b::a00:1]/", "private"),
        ("https://[64:ff9b:1::a00:1]/", "private"),
        ("https://[fec0::1]/", "private"),
        ("https://100.64.0.1/", "private"),
        ("file:///etc/passwd", "https"),
        ("https:///nowhere", "https"),
    ],
)
def test_private_addresses_are_refused_outside_the_demo(url: str, says: str) -> None:
    with pytest.raises(Unreachable, match=says):
        fetch(url, network="public")


def test_production_does_not_ask_loopback(store: AuthStore, host: KeyHost, by_url: None) -> None:
    settings = AuthSettings("https://fhir.example", ("a test secret of some length",))
    http = make_app(AuthServer(store, FakeFacade(), settings)).test_client()
    answer = ask(http, FIRST)
    assert answer.get_json()["error"] == "invalid_client"
    assert host.requests == 0


def test_a_changed_url_is_fetched_anew(
    http: FlaskClient, store: AuthStore, host: KeyHost, by_url: None
) -> None:
    assert ask(http, FIRST).status_code == 200
    client = store.clients.get("acme", "remote")
    assert client is not None
    admin.change_client(store, client, jwks_uri=host.url + "&y=2")
    assert ask(http, FIRST).status_code == 200
    assert host.requests == 2


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"]
)
def test_public_addresses_may_be_asked(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("age", "seconds"), [("", 60), ("20", 40), ("500", 5), ("x", 60)])
def test_time_in_other_caches_counts(age: str, seconds: int) -> None:
    assert fresh_seconds("max-age=60", age) == seconds
