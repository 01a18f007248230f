"""Section `requests`: CPU of a read and of searches through gunicorn, against hello-world Flask."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import mirrors, servers
from benchmarks import resources as made
from benchmarks.load import Answers, Generator, Order
from benchmarks.report import Table, median, ratio
from benchmarks.servers import BASE, Server
from benchmarks.sizes import Sizes

_READS = 200
_MONTHS = ("date=2026-02", "date=2026-05", "date=2026-08")
_RANGES = ("date=ge2026-02-01&date=lt2026-05-01", "date=ge2026-06-01&date=lt2026-09-01")


@dataclass(frozen=True)
class _Case:
    """Requests of one kind; `aim` as times hello-world."""

    label: str
    kind: str
    paths: tuple[str, ...]
    aim: str = ""


def cases(patients: int) -> list[_Case]:
    """What is asked of a mirror with so many patients."""
    some = range(0, patients, max(patients // _READS, 1))
    ids = [made.patient_id(n) for n in some]
    appointments = [made.appointment_id(n % made.APPOINTMENTS, n) for n in some]
    reads = [f"Patient/{id_}" for id_ in ids] + [f"Appointment/{id_}" for id_ in appointments]
    own = [f"Appointment/{made.appointment_id(n, 0)}" for n in range(made.APPOINTMENTS)]
    return [
        _case("read", "practitioner", reads, "1.5"),
        _case("read, a patient's token", "patient", own, "1.5"),
        _case("search 20: all of a type", "practitioner", ["Appointment?_count=20"], "2"),
        _case(
            "search 20: reports of a patient",
            "practitioner",
            [f"DiagnosticReport?patient={id_}&_count=20" for id_ in ids],
            "2",
        ),
        _case(
            "search 20: appointments of a month",
            "practitioner",
            [f"Appointment?{month}&_count=20" for month in _MONTHS],
            "2",
        ),
        _case(
            "search 20: from one day to another",
            "practitioner",
            [f"Appointment?{days}&_count=20" for days in _RANGES],
            "2",
        ),
        _case("search 50: all of a type", "practitioner", ["Appointment?_count=50"], "2.5"),
    ]


def _case(label: str, kind: str, paths: list[str], aim: str = "") -> _Case:
    return _Case(label, kind, tuple(f"{BASE}/{path}" for path in paths), aim)


def section(sizes: Sizes) -> Table:
    """Interleaved rounds over 8 keep-alive connections, caches warm."""
    table = Table(
        f"Requests through gunicorn, {sizes.small:,} resources"
        " (CPU of gunicorn and its workers; token check and audit on)",
        ("", "us per request", "KB", "x hello", "aim"),
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=mirrors.place())))
        mirrors.copy_of(sizes.small, folder)
        hello = stack.enter_context(servers.hello(folder))
        facade = stack.enter_context(servers.facade(folder))
        generator = stack.enter_context(Generator())
        known = cases(made.patients_for(sizes.small))
        pause = sizes.settle_seconds
        runs: list[tuple[_Case, Callable[[int], tuple[float, float]]]] = [
            (_Case("hello-world", "", ("/",)), _measure(generator, hello, ("/",), {}, pause))
        ]
        runs += [
            (case, _measure(generator, facade, case.paths, facade.headers(case.kind), pause))
            for case in known
        ]
        found = _rounds(sizes, [run for _, run in runs])
    for (case, _), figures in zip(runs, found, strict=True):
        pairs = [(own[0], base[0]) for own, base in zip(figures, found[0], strict=True)]
        cpu = median([one[0] for one in figures], 1e6)
        table.add(case.label, cpu, f"{figures[0][1] / 1e3:.1f}", ratio(pairs), case.aim)
    return table


def _rounds(
    sizes: Sizes, runs: list[Callable[[int], tuple[float, float]]]
) -> list[list[tuple[float, float]]]:
    for run in runs:
        run(max(sizes.requests // 3, 1))
    found: list[list[tuple[float, float]]] = [[] for _ in runs]
    for number in range(sizes.rounds):
        # Every round in another order, so that nobody always runs after the same neighbour.
        for n in range(len(runs)):
            at = (n + number) % len(runs)
            found[at].append(runs[at](sizes.requests))
    return found


def _measure(
    generator: Generator,
    server: Server,
    paths: tuple[str, ...],
    headers: dict[str, str],
    pause: float,
) -> Callable[[int], tuple[float, float]]:
    """A function that sends requests and gives CPU seconds and body bytes per request."""

    def run(requests: int) -> tuple[float, float]:
        before = server.cpu()
        order = Order(server.port, paths, headers, requests=requests)
        answers: Answers = generator.send(order)
        time.sleep(pause)
        return (server.cpu() - before) / answers.count, answers.size / answers.count

    return run
