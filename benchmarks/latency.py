"""Section `latency`: how long a read takes while an export runs, against an idle server."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import mirrors, servers
from benchmarks import resources as made
from benchmarks.load import Answers, Generator, Order
from benchmarks.report import Table, median, ratio
from benchmarks.requests import cases
from benchmarks.servers import Server
from benchmarks.sizes import Sizes

_JOBS = 8
"""Exports at once: one after the other they last longer than a measurement."""
_POLL_SECONDS = 0.05


def section(sizes: Sizes) -> Table:
    """Interleaved rounds of one client that reads without a pause."""
    table = Table(
        f"Reads by one client while an export runs, {sizes.large:,} resources (wall time)",
        ("", "p50 ms", "p99 ms", "p99 x idle"),
    )
    idle: list[Answers] = []
    busy: list[Answers] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=mirrors.place())))
        mirrors.copy_of(sizes.large, folder)
        facade = stack.enter_context(servers.facade(folder))
        generator = stack.enter_context(Generator())
        paths = cases(made.patients_for(sizes.large))[0].paths
        headers = facade.headers("practitioner")
        seconds = sizes.latency_seconds
        order = Order(facade.port, paths, headers, connections=1, seconds=seconds)
        generator.send(order)
        for _ in range(sizes.latency_rounds):
            idle.append(generator.send(order))
            busy.append(_while_exporting(facade, generator, order))
    for label, rounds in (("idle", idle), ("an export runs", busy)):
        p99 = [one.quantile(0.99) for one in rounds]
        pairs = list(zip(p99, [one.quantile(0.99) for one in idle], strict=True))
        p50 = median([one.quantile(0.5) for one in rounds], 1e3, 2)
        table.add(label, p50, median(p99, 1e3, 2), ratio(pairs))
    table.notes.append(
        "Aim: 1.5 x. Client, server and export share the machine's cores; with two of them the"
        " three of them wait for each other."
    )
    return table


def _while_exporting(server: Server, generator: Generator, order: Order) -> Answers:
    jobs = [server.kick_off() for _ in range(_JOBS)]
    # The plan is made in a moment; from the first file on the worker is at full speed.
    _until_progress(server, jobs[0])
    answers = generator.send(order)
    if server.manifest(jobs[-1]) is not None:
        raise RuntimeError("the exports ended before the reads: use a larger mirror")
    for job in jobs:
        server.call("DELETE", job, "backend")
    return answers


def _until_progress(server: Server, job: str) -> None:
    while True:
        response, _ = server.call("GET", job, "backend")
        if response.status != 202 or "planning" not in str(response.headers["X-Progress"]):
            return
        time.sleep(_POLL_SECONDS)
