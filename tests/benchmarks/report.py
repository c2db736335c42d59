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
_CPU_LIMITS = {("asyncio", 50): 1.05, ("asyncio", 10_000): 1.05}
_HTTPX_LIMIT = 8.0
_MEMORY_LIMIT = 4_000
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
    yield from _table(["", "measured", "quartiles", "ruler off by", "allowed", ""], _claims(result))
    for loop in dict.fromkeys(cell.loop for cell in result.cells):
        yield f"\n## Calls on {loop}\n"
        head = ["at once", "call", "µs of CPU", "ratio", "calls per second", "ratio", "rounds"]
        cells = [cell for cell in result.cells if cell.loop == loop]
        yield from _table(head, _speed_rows(cells))
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
        name = f"CPU against aiohttp by hand, {cell.concurrency:,} at once, {cell.loop}"
        ratio = cell.cpu_ratio(SDK)
        limit = _CPU_LIMITS.get((cell.loop, cell.concurrency))
        verdict = _verdict(met=ratio.median <= limit) if limit and cell.is_fine else ""
        yield [name, *_claim(cell, ratio), f"{limit or ''}", verdict]
        if cell.concurrency == 50 and cell.has(HTTPX):
            ratio = cell.cpu_ratio(HTTPX, base=SDK)
            verdict = _verdict(met=ratio.median >= _HTTPX_LIMIT) if cell.is_fine else ""
            name = f"CPU of httpx against fanvue_async, 50 at once, {cell.loop}"
            yield [name, *_claim(cell, ratio), f"at least {_HTTPX_LIMIT:g}", verdict]
    size = result.memory[SDK]
    met = _verdict(met=size <= _MEMORY_LIMIT)
    yield ["bytes per waiting call", f"{size:,.0f}", "", "", f"{_MEMORY_LIMIT:,}", met]
    time = result.imports["fanvue_async"]
    met = _verdict(met=time.median <= _IMPORT_LIMIT)
    quartiles = f"{time.low:.1f} to {time.high:.1f}"
    name = "milliseconds of import over aiohttp"
    yield [name, f"{time.median:.1f}", quartiles, "", f"{_IMPORT_LIMIT}", met]


def _claim(cell: Cell, ratio: Spread) -> list[str]:
    off = f"{abs(cell.cpu_ratio(RULER).median - 1):.1%}"
    if not cell.is_fine:
        return ["no claim", "", off]
    return [f"**{ratio.median:.2f}**", f"{ratio.low:.2f} to {ratio.high:.2f}", off]


def _verdict(*, met: bool) -> str:
    return "kept" if met else "**exceeded**"


def _speed_rows(cells: list[Cell]) -> Iterator[list[str]]:
    for cell in cells:
        for contender in CONTENDERS:
            if not cell.has(contender):
                continue
            cpu, rate = cell.cpu(contender), cell.rate(contender)
            yield [
                f"{cell.concurrency:,}" if contender is SDK else "",
                _shown(contender),
                _spread(cpu, ",.0f"),
                _ratio(cell.cpu_ratio(contender), contender),
                _spread(rate, ",.0f"),
                _ratio(cell.rate_ratio(contender), contender),
                str(cpu.count),
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
