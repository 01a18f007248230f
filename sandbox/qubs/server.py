"""A small threaded HTTP/1.1 server for the emulator.

Werkzeug's closes every connection and gunicorn's does not run in a thread of a test; a sync makes
thousands of small calls over a few kept connections, and faults must be able to cut one. One thread
serves one connection. Chunked request bodies are taken; answers always carry Content-Length.
"""

from __future__ import annotations

import io
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

DROP = "sandbox.drop"
MAX_LINE = 65536
MAX_HEADERS = 200
MAX_BODY = 32 * 1024 * 1024
IDLE_S = 120.0

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _BadRequest(Exception):
    """The bytes on the connection are not HTTP as we take it."""


class EmulatorServer:
    """Serves a WSGI app on ``host:port`` (0: any free port) until stopped."""

    def __init__(self, app: WSGIApp, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._listener = socket.create_server((host, port), backlog=128)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._stopping = False
        self._acceptor: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> EmulatorServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._acceptor = threading.Thread(target=self.serve_forever, daemon=True, name="emulator")
        self._acceptor.start()

    def serve_forever(self) -> None:
        """Serve in this thread, until ``stop`` is called in another or a signal interrupts."""
        while not self._stopping:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), daemon=True)
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def stop(self) -> None:
        """Close the listener and every connection; returns when their threads have ended."""
        self._stopping = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        if self._acceptor is not None:
            self._acceptor.join(10)
        with self._lock:
            connections = dict(self._open)
        for connection, thread in connections.items():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join(10)

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        try:
            connection.settimeout(IDLE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as stream:
                while not self._stopping and self._exchange(connection, stream, address):
                    pass
        except (OSError, _BadRequest):
            pass
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def _exchange(
        self, connection: socket.socket, stream: io.BufferedReader, address: tuple[str, int]
    ) -> bool:
        """Answer one request; False when the connection is to be closed."""
        try:
            environ = self._read(connection, stream, address)
        except _BadRequest:
            _refuse(connection, stream)
            return False
        if environ is None:
            return False
        status, headers, body = self._run(environ)
        mode = environ.get(DROP)
        if mode in ("before", "after"):
            _reset(connection)
            return False
        keep = _keep_alive(environ)
        connection.sendall(_head(environ, status, headers, len(body), keep))
        if environ["REQUEST_METHOD"] != "HEAD" and body:
            connection.sendall(body[: len(body) // 2] if mode == "mid_body" else body)
        return keep and mode is None

    def _read(
        self, connection: socket.socket, stream: io.BufferedReader, address: tuple[str, int]
    ) -> dict[str, Any] | None:
        """The WSGI environment of the next request, its body read whole; None at the end."""
        line = stream.readline(MAX_LINE)
        if not line:
            return None
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise _BadRequest
        method, target, version = parts
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "SERVER_NAME": self.host,
            "SERVER_PORT": str(self.port),
            "SERVER_PROTOCOL": version,
            "SCRIPT_NAME": "",
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "REMOTE_ADDR": address[0],
            "REMOTE_PORT": str(address[1]),
        }
        _read_headers(stream, environ)
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ["wsgi.input"] = io.BytesIO(_read_body(stream, environ))
        return environ

    def _run(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> None:
            started[:] = [status, headers]

        result = self._app(environ, start_response)
        try:
            body = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return started[0], started[1], body


def _read_headers(stream: io.BufferedReader, environ: dict[str, Any]) -> None:
    for _ in range(MAX_HEADERS):
        line = stream.readline(MAX_LINE)
        if line in (b"\r\n", b"\n"):
            return
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not line.endswith(b"\n") or "_" in name:
            raise _BadRequest
        key = name.strip().upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.strip()
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    raise _BadRequest


def _read_body(stream: io.BufferedReader, environ: dict[str, Any]) -> bytes:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return _read_chunks(stream)
    text = environ.get("CONTENT_LENGTH", "0")
    if not text.isdecimal() or int(text) > MAX_BODY:
        raise _BadRequest
    body = stream.read(int(text))
    if len(body) != int(text):
        raise _BadRequest
    return body


def _read_chunks(stream: io.BufferedReader) -> bytes:
    body = bytearray()
    while True:
        size_text = stream.readline(MAX_LINE).split(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise _BadRequest from None
        if size < 0 or len(body) + size > MAX_BODY:
            raise _BadRequest
        body += stream.read(size)
        if size == 0:
            while stream.readline(MAX_LINE) not in (b"\r\n", b"\n", b""):
                pass
            return bytes(body)
        stream.readline(MAX_LINE)


def _head(
    environ: dict[str, Any], status: str, headers: list[tuple[str, str]], size: int, keep: bool
) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not any(name.lower() == "content-length" for name, _ in headers):
        lines.append(f"Content-Length: {size}")
    lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _keep_alive(environ: dict[str, Any]) -> bool:
    wished = environ.get("HTTP_CONNECTION", "").lower()
    if environ["SERVER_PROTOCOL"] == "HTTP/1.0":
        return "keep-alive" in wished
    return "close" not in wished


def _refuse(connection: socket.socket, stream: io.BufferedReader) -> None:
    """Answer 400, and read what still comes for a while: closing with bytes unread would reset the
    connection before the peer has read the answer."""
    connection.sendall(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(1)
    for _ in range(MAX_BODY // MAX_LINE):
        if not stream.read1(MAX_LINE):
            return


def _reset(connection: socket.socket) -> None:
    """Close so that the peer sees a reset, not an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
