"""What was measured, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.calls import BEST, HTTPX, NAIVE, SDK, TENACITY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.calls import Contender
    from benchmarks.report import Result
    from benchmarks.speed import Cell
    from benchmarks.spread import Spread

_WIDTH, _HEIGHT, _MARGIN = 880, 660, 36
_COLUMNS_TOP, _COLUMNS_BOTTOM = 132, 336
_BARS_TOP = 432
_CLASSES = {SDK: "sdk", NAIVE: "naive", BEST: "best", TENACITY: "tenacity", HTTPX: "httpx"}
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933 }
.title { font-size: 20px; font-weight: 600 }
.head { font-size: 14px; font-weight: 600 }
.quiet { fill: #66707c; font-size: 12px }
.strong { font-weight: 600 }
.card { fill: #ffffff; stroke: #dfe3e8 }
.line { stroke: #b9c1cb }
.whisker { stroke: #1f2933; stroke-opacity: .55 }
.sdk { fill: #0b8f6a } .naive { fill: #7c8b9d } .best { fill: #a9b5c2 }
.tenacity { fill: #d0d7df } .httpx { fill: #d9a441 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6eaef } .quiet { fill: #97a3b0 }
  .card { fill: #11161d; stroke: #2a323d } .line { stroke: #465160 }
  .whisker { stroke: #e6eaef }
  .sdk { fill: #2fc598 } .naive { fill: #8796a8 } .best { fill: #637183 }
  .tenacity { fill: #455262 } .httpx { fill: #c08f37 }
}
"""


def draw(result: Result) -> str:
    """Draw the calls on asyncio and the memory, readable on light and on dark pages."""
    cells = [cell for cell in result.cells if cell.loop == "asyncio"]
    (fifty,) = (cell for cell in cells if cell.concurrency == 50)
    cpu = {c: fifty.cpu(c).median for c in _CLASSES if fifty.has(c)}
    right = _WIDTH / 2 + _MARGIN / 2
    width = _WIDTH / 2 - 1.5 * _MARGIN
    parts = [
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="10"/>',
        _text(_MARGIN, 48, "What one call costs the client", "title"),
        *_legend(_MARGIN, 80),
        *_columns(cells),
        *_bars(_MARGIN, width, "CPU per call, 50 at once", "µs", cpu),
        *_bars(right, width, "Memory per waiting call, 10,000 at once", "bytes", result.memory),
    ]
    label = "Bar charts of what one call costs, the numbers of which stand in performance.md"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}">\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _legend(x: float, y: float) -> Iterator[str]:
    for contender, style in _CLASSES.items():
        yield f'<rect class="{style}" x="{x:.1f}" y="{y - 10}" width="12" height="12" rx="2"/>'
        yield _text(x + 18, y, contender.name, "strong" if contender is SDK else "")
        x += 44 + (8.0 if contender is SDK else 6.7) * len(contender.name)


def _columns(cells: list[Cell]) -> Iterator[str]:
    """Draw a group of columns for each number of calls at once, without httpx."""
    yield _text(_MARGIN, _COLUMNS_TOP - 12, "CPU per call in µs, by calls at once", "head")
    contenders = [c for c in _CLASSES if c is not HTTPX]
    top = max(cell.cpu(c).high for cell in cells for c in contenders if cell.has(c))
    scale = (_COLUMNS_BOTTOM - _COLUMNS_TOP - 24) / top
    group = (_WIDTH - 2 * _MARGIN) / len(cells)
    width = 36.0
    for index, cell in enumerate(cells):
        left = _MARGIN + group * (index + 0.5) - (width + 6) * len(contenders) / 2
        for position, contender in enumerate(contenders):
            if cell.has(contender):
                x = left + (width + 6) * position
                yield from _column(x, width, scale, contender, cell.cpu(contender))
        at_once = "one at a time" if cell.concurrency == 1 else f"{cell.concurrency:,} at once"
        middle = _MARGIN + group * (index + 0.5)
        yield _text(middle, _COLUMNS_BOTTOM + 20, at_once, anchor="middle")
        if not cell.is_fine:
            yield _text(
                middle, _COLUMNS_BOTTOM + 36, "too noisy to claim", "quiet", anchor="middle"
            )
    yield (
        f'<path class="line" d="M{_MARGIN} {_COLUMNS_BOTTOM}.5H{_WIDTH - _MARGIN}" fill="none"/>'
    )
    note = "Less is better. Thin lines: a quarter of the rounds lies below, a quarter above."
    yield _text(_MARGIN, _COLUMNS_BOTTOM + 60, note, "quiet")


def _column(
    x: float, width: float, scale: float, contender: Contender, cpu: Spread
) -> Iterator[str]:
    low, height, high = (scale * value for value in (cpu.low, cpu.median, cpu.high))
    style = _CLASSES[contender]
    yield (
        f'<rect class="{style}" x="{x:.1f}" y="{_COLUMNS_BOTTOM - height:.1f}"'
        f' width="{width}" height="{height:.1f}" rx="2"/>'
    )
    middle = x + width / 2
    yield (
        f'<path class="whisker" d="M{middle:.1f} {_COLUMNS_BOTTOM - low:.1f}'
        f'V{_COLUMNS_BOTTOM - high:.1f}"/>'
    )
    weight = "strong" if contender is SDK else ""
    y = _COLUMNS_BOTTOM - max(height, high) - 7
    yield _text(middle, y, f"{cpu.median:,.0f}", weight, anchor="middle")


def _bars(
    x: float, width: float, title: str, unit: str, values: Mapping[Contender, float]
) -> Iterator[str]:
    """Draw a bar for each contender, its name above it."""
    yield _text(x, _BARS_TOP, title, "head")
    scale = (width - 90) / max(values.values())
    for index, (contender, value) in enumerate(values.items()):
        y = _BARS_TOP + 20 + 38 * index
        weight = "strong" if contender is SDK else ""
        length = scale * value
        name = contender.name
        if unit == "bytes" and contender is HTTPX:
            name += f" ({contender.most_at_once:,} at once)"
        yield _text(x, y + 10, name, f"quiet {weight}")
        yield (
            f'<rect class="{_CLASSES[contender]}" x="{x}" y="{y + 15}"'
            f' width="{length:.1f}" height="12" rx="2"/>'
        )
        yield _text(x + length + 8, y + 26, f"{value:,.0f} {unit}", weight)


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{style.strip()}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
