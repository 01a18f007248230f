"""The server: kept connections, many clients, HTTP as clients send it, and the command line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.qubs.server import EmulatorServer
from tests.support.qubs import ROOT, QubsCaller, Running, emulator_process


def _connection(emulator: Running) -> HTTPConnection:
    return HTTPConnection(emulator.url.removeprefix("http://"), timeout=30)


def test_a_connection_is_kept(emulator: Running) -> None:
    connection = _connection(emulator)
    connection.connect()
    own = connection.sock.getsockname()
    for path in ("/_control/health", "/nothing", "/_control/faults"):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert connection.sock.getsockname() == own
        assert response.headers["Connection"] == "keep-alive"
    connection.request("HEAD", "/_control/health")
    head = connection.getresponse()
    assert int(head.headers["Content-Length"]) > 0
    assert head.read() == b""
    connection.request("GET", "/_control/health", headers={"Connection": "close"})
    connection.getresponse().read()
    assert connection.sock is None
    connection.close()


def test_eight_clients_at_once_get_whole_answers(emulator: Running) -> None:
    def read(_number: int) -> set[int]:
        with QubsCaller(emulator.url) as own:
            page = "/appointments/operational"
            return {len(own.api("acme", page, params={"take": 50}).json()) for _ in range(15)}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(read, range(8))) == {50}


def test_edits_under_load_never_break_a_list(emulator: Running, caller: QubsCaller) -> None:
    stop = threading.Event()
    failures: list[int] = []

    def read() -> None:
        with QubsCaller(emulator.url) as own:
            while not stop.is_set():
                page = own.api("acme", "/appointments/operational", params={"take": 200})
                if page.status_code != 200:
                    failures.append(page.status_code)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for seed in range(5):
        emulator.control.edit_at_random("acme", seed=seed, count=40)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_chunked_bodies_are_taken(emulator: Running) -> None:
    connection = _connection(emulator)
    body = iter([b'{"adv', b'ance_s"', b": 0}"])
    connection.request("POST", "/_control/clock", body=body, encode_chunked=True)
    assert connection.getresponse().read().startswith(b'{"now"')
    connection.request("GET", "/_control/health")
    assert connection.getresponse().status == 200
    connection.close()


def _raw(emulator: Running, data: bytes) -> bytes:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / FTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_server_lives(emulator: Running, data: bytes) -> None:
    assert _raw(emulator, data).startswith(b"HTTP/1.1 400 ")
    assert emulator.control.health()["ready"] is True


def test_pipelined_and_old_requests_are_answered(emulator: Running) -> None:
    two = b"GET /_control/health HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    assert _raw(emulator, two).count(b"HTTP/1.1 200 ") == 2
    old = _raw(emulator, b"GET /_control/health HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in old


def test_stop_ends_connections_and_threads() -> None:
    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    before = set(threading.enumerate())
    with EmulatorServer(app) as server, requests.Session() as session:
        assert session.get(server.url, timeout=10).text == "ok"
        url = server.url
    assert set(threading.enumerate()) <= before
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_the_command_serves_a_sized_world() -> None:
    arguments = ("--appointments", "50", "--patients", "5", "--patient-ids", "all", "--seed", "3")
    with emulator_process(*arguments) as running:
        health = running.control.health()
        assert (health["seed"], health["referenceDate"]) == (3, "2026-11-21")
        assert health["domains"]["acme"]["appointments"] == 50
        with QubsCaller(running.url) as caller:
            rows = caller.api("acme", "/appointments/operational").json()
        assert len(rows) == 50
        assert all("patientId" in row for row in rows)


def test_the_command_reads_clients_from_a_file(tmp_path: Path) -> None:
    clients = tmp_path / "clients.json"
    clients.write_text('[{"client_id": "sandbox-all", "secret": "sandbox-secret", "domains": []}]')
    with emulator_process("--clients", str(clients)) as running, QubsCaller(running.url) as caller:
        assert caller.api("acme", "/sites").status_code == 403


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--appointments", "-1"], "appointments >= 0"),
        (["--clients", "/nowhere.json"], "No such file"),
        (["--reference-date", "soon"], "reference-date"),
    ],
)
def test_a_wrong_argument_stops_the_start(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "sandbox.qubs", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence(emulator: Running) -> None:
    port = emulator.url.rpartition(":")[2]
    command = [sys.executable, "-m", "sandbox.qubs", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "sandbox.qubs", "--port", "0", "--appointments", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on http://127.0.0.1:")
        process.send_signal(number)
        assert process.wait(20) == 0
