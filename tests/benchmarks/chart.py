"""What was measured, as a picture that a phone shows whole."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.calls import BEST, HTTPX, NAIVE, SDK, TENACITY
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.calls import Contender
    from benchmarks.report import Result
    from benchmarks.speed import Cell

_WIDTH, _MARGIN = 400, 20
_ROOM = _WIDTH - 2 * _MARGIN
_ROW, _BAR = 18, 12
_CLASSES = {SDK: "sdk", NAIVE: "naive", BEST: "best", TENACITY: "tenacity", HTTPX: "httpx"}
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933 }
.title { font-size: 18px; font-weight: 600 }
.head { font-size: 14px; font-weight: 600 }
.quiet { fill: #5d6773; font-size: 12px }
.strong { font-weight: 600 }
.card { fill: #ffffff; stroke: #dfe3e8 }
.line { stroke: #b9c1cb }
.whisker { stroke: #1f2933; stroke-opacity: .6 }
.sdk { fill: #0b8f6a } .naive { fill: #5f86b8 } .best { fill: #a5c0de }
.tenacity { fill: #b7a3d0 } .httpx { fill: #d9a441 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6eaef } .quiet { fill: #9ba6b3 }
  .card { fill: #131416; stroke: #303335 } .line { stroke: #465160 }
  .whisker { stroke: #e6eaef }
  .sdk { fill: #2fc598 } .naive { fill: #6f98cc } .best { fill: #3f5f87 }
  .tenacity { fill: #7b659c } .httpx { fill: #c08f37 }
}
"""


def draw(result: Result) -> str:
    """Draw the calls on asyncio and the memory, readable on light and on dark pages."""
    cells = [cell for cell in result.cells if cell.loop == "asyncio"]
    (fifty,) = (cell for cell in cells if cell.concurrency == 50)
    picture = _Picture()
    picture.text("The client's cost of one call", "title", room=40)
    picture.text("Less is better. Thin lines: half of all rounds.", "quiet", room=22)
    picture.room(6)
    for contender in _CLASSES:
        picture.legend(contender)
    picture.text("CPU per call in µs, by calls at once", "head", room=36)
    picture.cells(cells)
    picture.text("The same with httpx, 50 at once", "head", room=38)
    picture.bars(_cpu(fifty, _CLASSES), " µs")
    picture.text("Memory per waiting call, 10,000 at once", "head", room=38)
    picture.bars({c: Spread.of([value]) for c, value in result.memory.items()}, " bytes")
    if HTTPX in result.memory:
        picture.text(f"httpx: {HTTPX.most_at_once:,} at once", "quiet", room=20)
    return picture.svg()


def _cpu(cell: Cell, contenders: Iterable[Contender]) -> dict[Contender, Spread]:
    return {c: cell.cpu(c) for c in contenders if cell.has(c)}


class _Picture:
    """A column of texts and bars, from the top down."""

    def __init__(self) -> None:
        self._y = 0
        self._parts: list[str] = []

    def room(self, height: int) -> None:
        """Leave some room."""
        self._y += height

    def text(self, text: str, style: str, room: int) -> None:
        """Write a line that takes so much height."""
        self._y += room
        self._parts.append(_text(_MARGIN, self._y, text, style))

    def legend(self, contender: Contender) -> None:
        """Say which colour a contender has."""
        self._y += 20
        self._bar(contender, self._y - 11, _BAR)
        self._parts.append(_text(_MARGIN + 20, self._y, contender.name, _weight(contender)))

    def cells(self, cells: list[Cell]) -> None:
        """Draw a group of bars for each number of calls at once, on one scale, without httpx."""
        groups = [_cpu(cell, [c for c in _CLASSES if c is not HTTPX]) for cell in cells]
        scale = (_ROOM - 44) / max(cpu.high for group in groups for cpu in group.values())
        for cell, group in zip(cells, groups, strict=True):
            at_once = "one at a time" if cell.concurrency == 1 else f"{cell.concurrency:,} at once"
            self.text(at_once, "", room=26)
            if not cell.is_fine:
                noisy = _text(_MARGIN + _ROOM, self._y, "too noisy to claim", "quiet", "end")
                self._parts.append(noisy)
            self._rows(group, scale, "")

    def bars(self, values: Mapping[Contender, Spread], unit: str) -> None:
        """Draw a bar for each contender."""
        self.room(4)
        self._rows(values, (_ROOM - 100) / max(value.high for value in values.values()), unit)

    def _rows(self, values: Mapping[Contender, Spread], scale: float, unit: str) -> None:
        self._y += 4
        top = self._y
        for contender, value in values.items():
            low, length, high = (scale * each for each in (value.low, value.median, value.high))
            self._bar(contender, self._y + 3, length)
            self._parts += [
                f'<path class="whisker" d="M{_MARGIN + low:.1f} {self._y + 9}h{high - low:.1f}"/>',
                _text(
                    _MARGIN + max(length, high) + 6,
                    self._y + 13.5,
                    f"{value.median:,.0f}{unit}",
                    _weight(contender),
                ),
            ]
            self._y += _ROW
        self._parts.append(f'<path class="line" d="M{_MARGIN}.5 {top}V{self._y}"/>')

    def _bar(self, contender: Contender, y: float, length: float) -> None:
        self._parts.append(
            f'<rect class="{_CLASSES[contender]}" x="{_MARGIN}" y="{y}"'
            f' width="{length:.1f}" height="{_BAR}" rx="2"/>'
        )

    def svg(self) -> str:
        """Put the picture together."""
        height = self._y + 24
        label = "Bar charts of the cost of one call; performance.md has the numbers"
        card = (
            f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            f' width="{_WIDTH}" height="{height}" role="img" aria-label="{label}">\n'
            f"<style>{_STYLE}</style>\n" + "\n".join([card, *self._parts]) + "\n</svg>\n"
        )


def _weight(contender: Contender) -> str:
    return "strong" if contender is SDK else ""


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
