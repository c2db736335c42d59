"""The command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

import uvloop

from benchmarks import TESTS, chart, fresh, report, server, speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DOCS = TESTS.parent / "docs"

# Seconds for each number of calls at once, and what share of them uvloop gets.
_FULL = {1: 12.0, 50: 35.0, 1_000: 20.0, 10_000: 110.0}
_QUICK = {1: 2.0, 50: 6.0, 1_000: 3.0, 10_000: 4.0}
_UVLOOP_SHARE = 0.45


def main() -> None:
    """Measure, show, and write if asked to."""
    arguments = _arguments()
    if sys.flags.dev_mode:
        sys.exit("Python's development mode is on (PYTHONDEVMODE, -X dev): nothing to measure in")
    load, _, _ = os.getloadavg()
    quick: bool = arguments.quick
    with server.running() as url:
        cells = list(_speed(url, _QUICK if quick else _FULL, uvloop_too=arguments.uvloop))
        _say("memory")
        memory = fresh.memory(url, quick=quick)
        _say("import time")
        aiohttp, imports = fresh.imports(rounds=5 if quick else 15)
        instructions = None
        if arguments.instructions:
            _say("instructions")
            instructions = fresh.instructions(url)
    result = report.Result(
        cells=cells,
        memory=memory,
        aiohttp_import=aiohttp,
        imports=imports,
        instructions=instructions,
        load=load,
        quick=quick,
    )
    sys.stdout.write(f"{report.markdown(result)}\n")
    if arguments.write:
        report.write(result, _DOCS / "performance.md")
        (_DOCS / "performance.svg").write_text(chart.draw(result), "utf-8")


def _speed(url: str, plan: dict[int, float], *, uvloop_too: bool) -> Iterator[speed.Cell]:
    factories: dict[str, tuple[Callable[[], asyncio.AbstractEventLoop], float]]
    factories = {"asyncio": (asyncio.new_event_loop, 1.0)}
    if uvloop_too:
        factories["uvloop"] = uvloop.new_event_loop, _UVLOOP_SHARE
    for loop, (factory, share) in factories.items():
        for concurrency, seconds in plan.items():
            _say(f"{loop}, {concurrency:,} at once")
            with asyncio.Runner(loop_factory=factory) as runner:
                rounds = runner.run(speed.measure(url, concurrency, seconds * share))
            yield speed.Cell(loop, concurrency, rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks/run.py", description="Measure what a call costs."
    )
    parser.add_argument("--quick", action="store_true", help="under a minute, and coarser")
    parser.add_argument("--uvloop", action="store_true", help="measure under uvloop too")
    parser.add_argument("--instructions", action="store_true", help="count them, with valgrind")
    parser.add_argument("--write", action="store_true", help="write docs/performance.*")
    return parser.parse_args()


def _say(what: str) -> None:
    sys.stderr.write(f"{what} …\n")


if __name__ == "__main__":
    main()
