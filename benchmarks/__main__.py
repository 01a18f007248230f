"""`python -m benchmarks [--quick] [section ...]`: run sections and print a table for each."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks import export, latency, memory, requests, scale, sync
from benchmarks.report import Table
from benchmarks.sizes import FULL, QUICK, Sizes

SECTIONS: dict[str, Callable[[Sizes], Table]] = {
    "requests": requests.section,
    "export": export.section,
    "sync": sync.section,
    "latency": latency.section,
    "memory": memory.section,
    "scale": scale.section,
}
_VERSIONS = ("flask", "gunicorn", "sqlalchemy", "orjson", "jsonschema-rs", "joserfc", "requests")


def main() -> None:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--small", type=int, help="resources of the small mirror")
    parser.add_argument("--large", type=int, help="resources of the large mirror")
    options = parser.parse_args()
    if unknown := set(options.sections) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    sizes = QUICK if options.quick else FULL
    given = {name: getattr(options, name) for name in ("small", "large") if getattr(options, name)}
    sizes = replace(sizes, **given)
    print(machine(), flush=True)
    for name in options.sections or SECTIONS:
        start = time.monotonic()
        print(SECTIONS[name](sizes).text())
        print(f"({name}: {time.monotonic() - start:.0f} s)\n", flush=True)


def machine() -> str:
    """The machine and the versions that matter, in one line each."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _VERSIONS)
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {models[0] if models else platform.machine()}, load {load:.1f},"
        f" Python {platform.python_version()}\n{versions}\n"
    )


if __name__ == "__main__":
    main()
