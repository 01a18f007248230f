"""Requests to addresses that others gave: TLS by the host's own name, a deadline, no detours."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smart_auth import outbound
from smart_auth.login_provider import LoginProvider
from smart_auth.outbound import Unreachable
from tests.support.login_provider import dribbling
from tests.support.scripted_http import Reply, serve

NAME = "id.example.test"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def certificate(folder: Path) -> Path:
    """A certificate for NAME that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    """A TLS server on loopback that is NAME, and is trusted; its port and the hosts asked for."""
    path = certificate(tmp_path)
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(path))
    found = socket.getaddrinfo

    def lookup(host: str, *arguments: Any, **more: Any) -> Any:
        loopback = "127.0.0.1" if host.endswith(".test") else host
        return found(loopback, *arguments, **more)

    monkeypatch.setattr(outbound.socket, "getaddrinfo", lookup)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hosts = []  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1], server.hosts  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_tls_asks_for_the_name_and_not_for_the_address(tls: tuple[int, list[str]]) -> None:
    port, hosts = tls
    assert outbound.get(f"https://{NAME}:{port}/", network="any").body == b"{}"
    assert hosts == [f"{NAME}:{port}"]


def test_a_certificate_of_another_name_is_refused(tls: tuple[int, list[str]]) -> None:
    port, hosts = tls
    with pytest.raises(Unreachable, match="did not answer"):
        outbound.get(f"https://other.example.test:{port}/", network="any")
    assert hosts == []


def test_a_certificate_nobody_vouches_for_is_refused(
    tls: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(Unreachable):
        outbound.get(f"https://localhost:{tls[0]}/", network="any")
    assert tls[1] == []


def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "DEADLINE", 0.5)
    with dribbling() as url, pytest.raises(Unreachable, match="in time"):
        outbound.get(url, network="any")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with serve(lambda _: Reply(200)) as target:
        moved = Reply(status, b"", {"Location": target.url})
        with serve(lambda _: moved) as running, pytest.raises(Unreachable, match="redirect"):
            outbound.get(running.url, network="any")
    assert target.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_proxies_and_credentials_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with serve(lambda _: Reply(200)) as running:
        outbound.get(running.url, network="any")
    assert "authorization" not in running.requests[0].headers


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nowhere",
        "https://",
        "https://[x",
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        "https://x:port/",
        "http://127.0.0.1:99999/",
        "gopher://127.0.0.1/",
        "https://exa mple/",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unreachable):
        outbound.get(url, network="any")


def test_nothing_of_the_answer_stands_in_the_error() -> None:
    replies: list[Callable[[Any], Reply | None]] = [
        lambda _: Reply(500, b"secret words"),
        lambda _: Reply(200, b"secret words" * 40_000),
        lambda _: None,
    ]
    for reply in replies:
        with serve(reply) as running, pytest.raises(Unreachable) as caught:
            outbound.get(f"{running.url}/secret", network="any")
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("network", "url", "why"),
    [
        ("public", "https://10.0.0.1/", "private address"),
        ("public", "http://10.0.0.1/", "not an https address"),
        ("private", "http://10.0.0.1/", "not an https address"),
    ],
)
def test_an_inner_network_is_asked_by_https_and_only_where_the_operator_says(
    network: outbound.Network, url: str, why: str
) -> None:
    with pytest.raises(Unreachable, match=why):
        outbound.get(url, network=network)


def test_an_operator_may_name_a_provider_on_an_inner_network() -> None:
    def provider(**more: bool) -> LoginProvider:
        return LoginProvider("inner", "Inner", "https://id.internal", "id", "secret", **more)

    assert provider().network(demo=False) == "public"
    assert provider(private_network=True).network(demo=False) == "private"
    assert provider().network(demo=True) == "any"
