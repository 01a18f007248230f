"""The worker: one process per export slot and one for syncs, each started again when it ends.

The worker itself does no work, so it can always answer a signal. Its children claim leased rows, so
a child that was killed loses nothing: another claims what it held when the lease has lapsed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess

from fhir_facade import telemetry
from fhir_facade.serving import end_with_parent
from fhir_facade.settings import Settings, load

POLL_SECONDS = 0.5
RESTART_SECONDS = 1.0


@dataclass
class _Slot:
    """One child that must always run."""

    name: str
    target: Callable[[int], None]
    process: SpawnProcess | None = None


def run(parent: int | None = None) -> None:
    """Keep the children running until SIGTERM or SIGINT, or until process `parent` is gone.

    Raises SettingsError when the settings are wrong or the tables are not current; with `parent`
    that was looked at before.
    """
    settings = load()
    telemetry.configure(settings.log_level)
    if parent is None:
        from fhir_facade.app import build

        build(settings).close()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        end_with_parent(parent, stop)
    context = multiprocessing.get_context("spawn")
    slots = [_Slot(f"export-{n}", _export) for n in range(1, settings.export_workers + 1)]
    if settings.sync:
        slots.append(_Slot("sync", _sync))
    while not stop.is_set():
        for slot in slots:
            _keep(context, slot)
        stop.wait(POLL_SECONDS)
    _end(slots, settings)


def _keep(context: SpawnContext, slot: _Slot) -> None:
    if slot.process is not None and slot.process.is_alive():
        return
    if slot.process is not None:
        telemetry.log("worker").warning(
            "child.ended", child=slot.name, exit_code=slot.process.exitcode
        )
        slot.process.close()
        threading.Event().wait(RESTART_SECONDS)
    slot.process = context.Process(target=slot.target, args=(os.getpid(),), name=slot.name)
    slot.process.start()


def _end(slots: list[_Slot], settings: Settings) -> None:
    """SIGTERM to all, SIGKILL to those still there after the drain time."""
    running = [slot.process for slot in slots if slot.process is not None]
    for process in running:
        process.terminate()
    for process in running:
        process.join(settings.drain_seconds)
        if process.is_alive():
            process.kill()
            process.join()


def _child(parent: int) -> threading.Event:
    """The stop flag of a child: set by SIGTERM, or when the worker is gone."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the worker, which tells us
    end_with_parent(parent, stop)
    return stop


def _export(parent: int) -> None:
    from fhir_facade.app import build
    from fhir_facade.bulk.worker import run_worker
    from fhir_facade.housekeeping import keep_house

    stop = _child(parent)
    facade = build(load())
    housekeeping = keep_house(facade, stop)
    try:
        run_worker(facade.bulk, stop)
        housekeeping.join()
    finally:
        facade.close()


def _sync(parent: int) -> None:
    from fhir_facade.app import build

    stop = _child(parent)
    facade = build(load())
    try:
        facade.bring_index_up_to_date()
        facade.run_syncs(stop)
    finally:
        facade.close()
