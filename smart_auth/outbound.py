"""HTTP to addresses that others gave: a client's JWKS URL, a login provider. The only `requests`.

TLS is verified. Redirects, proxies, cookies and credentials of the environment play no part. The
host's addresses are looked up once, and the checked one is connected to, so that a second DNS
answer cannot change it. An exchange ends after `DEADLINE` seconds, however slowly it is answered.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

LARGEST_BODY = 262_144
DEADLINE = 5.0
TIMEOUT = (2.0, 3.0)
LONGEST_FRESH = 3600
DEFAULT_FRESH = 300
SHORTEST_FRESH = 5

_CARRIERS = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))


class Unreachable(Exception):
    """There is no usable answer; the message is a fixed text about the address ("it …")."""


Network = Literal["public", "private", "any"]
"""What may be asked: https on the open internet; https on inner networks too, where an operator
names the address; or plain http as well, in demo mode."""


def network_of(demo: bool) -> Network:
    """What an address that a client or a developer gave may lead to."""
    return "any" if demo else "public"


@dataclass(frozen=True)
class Answer:
    """A body of at most `LARGEST_BODY` bytes that came with status 200; `fresh_seconds` is how long
    it may be used."""

    body: bytes
    fresh_seconds: int


def get(url: str, *, network: Network, headers: Mapping[str, str] | None = None) -> Answer:
    """Read an address on that network. Raises `Unreachable`."""
    _check_scheme(url, network)
    with requests.Session() as session:
        guard(session, network=network)
        wanted = {"Accept": "application/json", **(headers or {})}
        try:
            response = session.get(url, headers=wanted)
        except (requests.RequestException, ValueError):
            raise Unreachable("it is not a usable address") from None
        if response.status_code != 200:
            raise Unreachable("it did not answer 200")
        headers_back = response.headers
        fresh = fresh_seconds(headers_back.get("Cache-Control", ""), headers_back.get("Age", ""))
        return Answer(response.content, fresh)


def guard(session: requests.Session, *, network: Network) -> None:
    """Hold every request of a session to these rules: what fails on the way raises `Unreachable`
    from then on."""
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, _GuardedAdapter(network))


def fresh_seconds(cache_control: str, age: str = "") -> int:
    """How long an answer may be used (RFC 9111 section 4.2), within our bounds. `age` is for how
    long caches on the way have kept it."""
    directives = cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return SHORTEST_FRESH
    found = re.search(r"max-age=\"?(\d{1,9})", directives)
    seconds = int(found[1]) if found else DEFAULT_FRESH
    if re.fullmatch(r"[0-9]{1,9}", age.strip()):
        seconds -= int(age)
    return max(SHORTEST_FRESH, min(seconds, LONGEST_FRESH))


class _GuardedAdapter(HTTPAdapter):
    """Connects to a checked address while TLS still asks for, and checks, the host's name."""

    def __init__(self, network: Network) -> None:
        self._network = network
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools cut their connections at the deadline."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Where to connect: the address, and for TLS the name its certificate must carry."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = host["host"]
        host["host"] = _checked_address(str(request.url), self._network)
        return host, {**pool, "assert_hostname": name, "server_hostname": name}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """One exchange, with the whole body read. Raises `Unreachable`."""
        parts = urlsplit(str(request.url))
        request.headers["Host"] = parts.netloc.rpartition("@")[2]
        request.headers["Accept-Encoding"] = "identity"
        request.headers["Connection"] = "close"
        begun = time.monotonic()
        try:
            response = super().send(request, stream=True, timeout=TIMEOUT, verify=True)
            with response:
                body = _body(response)
        except (requests.RequestException, HTTPError, OSError):
            raise Unreachable("it did not answer") from None
        if time.monotonic() - begun >= DEADLINE:
            # What was cut off may look like a short answer that is whole.
            raise Unreachable("it did not answer in time")
        response.raw = BytesIO(body)
        return response


def _body(response: requests.Response) -> bytes:
    if 300 <= response.status_code < 400:
        raise Unreachable("it answered with a redirect")
    body = b""
    for chunk in response.raw.stream(16_384, decode_content=True):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Unreachable("its answer is too large")
    return body


def _checked_address(url: str, network: Network) -> str:
    host = _check_scheme(url, network)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("its host name is unknown") from None
    addresses = [str(entry[4][0]) for entry in found]
    if network == "public" and not all(map(is_public, addresses)):
        raise Unreachable("it leads to a private address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet; those that carry an IPv4 address within
    (RFC 4291 section 2.5.5, 6to4, NAT64) are as public as that one."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        carried = _carried(found)
        if carried is not None:
            return is_public(str(carried))
        if found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and any(address in network for network in _CARRIERS):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inside


def _check_scheme(url: str, network: Network) -> str:
    """The host, when the scheme may be used."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Unreachable("it is not a usable address") from None
    allowed = ("https", "http") if network == "any" else ("https",)
    if not parts.hostname or parts.scheme not in allowed:
        raise Unreachable("it is not an https address")
    return parts.hostname


class _Cut:
    """Shuts a connection at the deadline, TLS or not, whoever waits on it: the time limits of
    sockets count from byte to byte."""

    _twin: socket.socket | None = None
    _timer: threading.Timer | None = None

    def watch(self, connection: socket.socket) -> None:
        """Begin to count for this connection."""
        self._twin = connection.dup()
        self._timer = threading.Timer(DEADLINE, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
        if self._twin is not None:
            self._twin.close()

    def _shut(self) -> None:
        if self._twin is not None:
            with suppress(OSError):
                self._twin.shutdown(socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        self._cut = _Cut()
        connection = super()._new_conn()
        self._cut.watch(connection)
        return connection

    def close(self) -> None:
        if cut := getattr(self, "_cut", None):
            cut.end()
        super().close()


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
