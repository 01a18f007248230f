"""A load generator in a process of its own: keep-alive connections, one thread each.

`python -m benchmarks.load` reads one order a line (JSON) from its standard input and answers each
with one line of figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True)
class Order:
    """What to send: the paths in turn over `connections` at once, `requests` in all or for
    `seconds`."""

    port: int
    paths: tuple[str, ...]
    headers: dict[str, str]
    connections: int = 8
    requests: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Answers:
    """What came back: status → count, bytes of bodies, latencies in seconds, sorted."""

    statuses: dict[str, int]
    size: int
    latencies: list[float]

    @property
    def count(self) -> int:
        """Requests answered."""
        return len(self.latencies)

    def quantile(self, share: float) -> float:
        """The latency that `share` of the requests did not exceed, in seconds."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Generator:
    """The process. Use as a context manager."""

    def __enter__(self) -> Generator:
        command = [sys.executable, "-m", "benchmarks.load"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(30)

    def send(self, order: Order) -> Answers:
        """Send the requests and wait for all answers. Raises RuntimeError for any that is not
        200."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        answers = Answers(**json.loads(self._process.stdout.readline()))
        if set(answers.statuses) != {"200"}:
            raise RuntimeError(f"answers by status: {answers.statuses}")
        return answers


class _Turns:
    """Hands out the numbers of requests until there are enough."""

    def __init__(self, order: Order) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._requests = order.requests
        self._deadline = None if order.seconds is None else time.monotonic() + order.seconds

    def next(self) -> int | None:
        """The number of the next request, None when it is over."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            return None
        with self._lock:
            number = self._next
            if self._requests is not None and number >= self._requests:
                return None
            self._next = number + 1
            return number


def _connection(order: Order, turns: _Turns, into: list[tuple[int, int, float]]) -> None:
    connection = HTTPConnection("127.0.0.1", order.port, timeout=60)
    while (number := turns.next()) is not None:
        path = order.paths[number % len(order.paths)]
        start = time.perf_counter()
        connection.request("GET", path, headers=order.headers)
        response = connection.getresponse()
        size = len(response.read())
        into.append((response.status, size, time.perf_counter() - start))
    connection.close()


def perform(order: Order) -> Answers:
    """Send the requests of an order from this process."""
    turns = _Turns(order)
    found: list[list[tuple[int, int, float]]] = [[] for _ in range(order.connections)]
    threads = [threading.Thread(target=_connection, args=(order, turns, into)) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [row for into in found for row in into]
    statuses = Counter(str(status) for status, _, _ in rows)
    return Answers(dict(statuses), sum(r[1] for r in rows), sorted(r[2] for r in rows))


def main() -> None:
    """Serve orders until the input ends."""
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        print(json.dumps(asdict(perform(Order(**order)))), flush=True)


if __name__ == "__main__":
    main()
