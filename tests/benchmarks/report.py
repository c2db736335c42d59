"""What was measured, as text."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks.calls import CONTENDERS, HTTPX, NAIVE, RULER, SDK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.calls import Contender
    from benchmarks.speed import Cell
    from benchmarks.spread import Spread

_BEGIN, _END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
_PACKAGES = ("fanvue-async", "aiohttp", "tenacity", "httpx", "uvloop")

# What a call may cost.
_CPU_LIMITS = {("asyncio", 50): 1.0, ("asyncio", 10_000): 0.75}
_HTTPX_LIMIT = 8.0
_MEMORY_LIMIT = 3_500
_IMPORT_LIMIT = 40


@attrs.frozen
class Result:
    """Everything that one run has measured."""

    cells: list[Cell]
    memory: dict[Contender, float]
    """Bytes per waiting call."""
    aiohttp_import: Spread
    """Milliseconds."""
    imports: dict[str, Spread]
    """Milliseconds on top of that."""
    instructions: dict[Contender, float] | None
    """Instructions per call, if they were counted."""
    load: float
    """How many processes ran on the machine before."""
    quick: bool


def write(result: Result, path: Path) -> None:
    """Put the result into a page, between its two marks."""
    before, _, rest = path.read_text("utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    path.write_text(f"{before}{_BEGIN}\n{markdown(result)}\n\n{_END}{after}", "utf-8")


def markdown(result: Result) -> str:
    """Give the tables."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    yield _circumstances(result)
    yield "\n## In short\n"
    yield from _table(["", "measured", "allowed"], _claims(result))
    for loop in dict.fromkeys(cell.loop for cell in result.cells):
        yield f"\n## Calls on {loop}"
        for cell in result.cells:
            if cell.loop == loop:
                yield f"\n### {_at_once(cell)}, {loop}\n"
                yield from _table(["call", "µs of CPU", "ratio", "calls per second"], _rows(cell))
    yield "\n## Memory of a waiting call\n"
    yield from _table(["call", "at once", "bytes per call", "ratio"], _memory_rows(result))
    yield "\n## Import\n"
    yield from _table(["import", "ms of CPU"], _import_rows(result))
    if result.instructions:
        yield "\n## Instructions\n"
        by_hand = result.instructions[NAIVE]
        rows = [
            [_shown(contender), f"{count:,.0f}", f"{count / by_hand:.3f}"]
            for contender, count in result.instructions.items()
        ]
        yield from _table(["call", "instructions per call", "ratio"], rows)


def _circumstances(result: Result) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    quick = " A quick run, coarser than the whole." if result.quick else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()} with {os.cpu_count()} cores,"
        f" {platform.system()} {platform.machine()}, load {result.load:.1f} before the run.\n"
        f"{platform.python_implementation()} {platform.python_version()}, {versions}.{quick}"
    )


def _processor() -> str:
    """Name the processor's model, where the system tells it."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _claims(result: Result) -> Iterator[list[str]]:
    """Hold the measured against what is allowed, where the ruler is fine enough."""
    for cell in result.cells:
        name = f"CPU vs hand-written aiohttp, {_at_once(cell)}, {cell.loop}"
        ratio = cell.cpu_ratio(SDK)
        limit = _CPU_LIMITS.get((cell.loop, cell.concurrency))
        # To the two decimals that are shown: the ruler is not finer.
        met = round(ratio.median, 2) <= limit if limit and cell.is_fine else None
        yield [name, _claim(cell, ratio), _verdict(f"{limit or ''}", met=met)]
        if cell.concurrency == 50 and cell.has(HTTPX):
            ratio = cell.cpu_ratio(HTTPX, base=SDK)
            met = ratio.median >= _HTTPX_LIMIT if cell.is_fine else None
            name = f"CPU of httpx vs fanvue_async, {_at_once(cell)}, {cell.loop}"
            yield [name, _claim(cell, ratio), _verdict(f"at least {_HTTPX_LIMIT:g}", met=met)]
    size = result.memory[SDK]
    met = size <= _MEMORY_LIMIT
    yield ["bytes per waiting call", f"{size:,.0f}", _verdict(f"{_MEMORY_LIMIT:,}", met=met)]
    time = result.imports["fanvue_async"]
    met = time.median <= _IMPORT_LIMIT
    yield ["ms of import over aiohttp", _spread(time, ".1f"), _verdict(f"{_IMPORT_LIMIT}", met=met)]


def _at_once(cell: Cell) -> str:
    return f"{cell.concurrency:,} at once"


def _claim(cell: Cell, ratio: Spread) -> str:
    if not cell.is_fine:
        off = abs(cell.cpu_ratio(RULER).median - 1)
        return f"no claim: the ruler is off by {off:.1%}"
    return f"**{ratio.median:.2f}** ({ratio.low:.2f} to {ratio.high:.2f})"


def _verdict(allowed: str, *, met: bool | None) -> str:
    if met is None:
        return allowed
    return f"{allowed}, kept" if met else f"{allowed}, **exceeded**"


def _rows(cell: Cell) -> Iterator[list[str]]:
    for contender in CONTENDERS:
        if cell.has(contender):
            yield [
                _shown(contender),
                _spread(cell.cpu(contender), ",.0f"),
                _ratio(cell.cpu_ratio(contender), contender),
                _spread(cell.rate(contender), ",.0f"),
            ]


def _ratio(ratio: Spread, contender: Contender) -> str:
    return "1" if contender is NAIVE else _spread(ratio, ".2f")


def _memory_rows(result: Result) -> Iterator[list[str]]:
    for contender, size in result.memory.items():
        ratio = size / result.memory[NAIVE]
        count = f"{contender.most_at_once:,}"
        yield [_shown(contender), count, f"{size:,.0f}", f"{ratio:.2f}"]


def _import_rows(result: Result) -> Iterator[list[str]]:
    yield ["aiohttp itself", _spread(result.aiohttp_import, ".1f")]
    for name, time in result.imports.items():
        yield [f"{name} on top of aiohttp", _spread(time, ".1f")]


def _spread(values: Spread, form: str) -> str:
    median = format(values.median, form)
    if values.count == 1:
        return median
    return f"{median} ({values.low:{form}} to {values.high:{form}})"


def _shown(contender: Contender) -> str:
    return f"**{contender.name}**" if contender is SDK else contender.name


def _table(head: list[str], rows: Iterator[list[str]] | list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
