"""Client CPU per call and calls per second, measured in interleaved rounds.

In each round, each way makes its calls once, in an order drawn anew, so that what disturbs the
machine disturbs all of them alike. Ratios are taken within a round.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs

from benchmarks.calls import CONNECTIONS, CONTENDERS, NAIVE, RULER, SDK
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from benchmarks.calls import Call, Contender

_CORE = (SDK, NAIVE, RULER)
_SIDE_SHARE = 1 / 12
_CALLS = 200
_FINE = 0.02
_ENOUGH = 5


@attrs.frozen
class Sample:
    """What the calls of one way cost in one round."""

    cpu: float
    """Microseconds of this process's CPU time per call."""
    rate: float
    """Calls per second."""


@attrs.frozen
class Cell:
    """All rounds at one number of calls at once, on one event loop."""

    loop: str
    concurrency: int
    rounds: list[dict[Contender, Sample]]
    """Of each round, what was measured in it."""

    def has(self, contender: Contender) -> bool:
        """Tell whether that way was measured here."""
        return any(contender in measured for measured in self.rounds)

    def cpu(self, contender: Contender) -> Spread:
        """Sum up the microseconds per call."""
        return Spread.of([m[contender].cpu for m in self.rounds if contender in m])

    def rate(self, contender: Contender) -> Spread:
        """Sum up the calls per second."""
        return Spread.of([m[contender].rate for m in self.rounds if contender in m])

    def cpu_ratio(self, contender: Contender, base: Contender = NAIVE) -> Spread:
        """Sum up the ratios to ``base`` of the same round."""
        both = [m for m in self.rounds if contender in m and base in m]
        return Spread.of([m[contender].cpu / m[base].cpu for m in both])

    @property
    def is_fine(self) -> bool:
        """Whether the ruler, laid against itself, is off by 2 % at most, and not by luck."""
        return len(self.rounds) >= _ENOUGH and abs(self.cpu_ratio(RULER).median - 1) <= _FINE


async def measure(url: str, concurrency: int, seconds: float) -> list[dict[Contender, Sample]]:
    """Run rounds for about that time, at least one."""
    contenders = [c for c in CONTENDERS if concurrency <= c.most_at_once]
    order = random.Random(concurrency)
    rounds: list[dict[Contender, Sample]] = []
    spent = dict.fromkeys(contenders, 0.0)
    async with AsyncExitStack() as stack:
        calls = {c: await stack.enter_async_context(c.open(url)) for c in contenders}
        gc.collect()
        gc.freeze()  # what is imported need not be looked at before each sample
        begin = time.perf_counter()
        while not rounds or time.perf_counter() < begin + seconds:
            # The others are there to compare with, and must not take the time from what counts.
            allowance = (time.perf_counter() - begin) * _SIDE_SHARE if rounds else 0
            measured: dict[Contender, Sample] = {}
            for contender in order.sample(contenders, len(contenders)):
                started = time.perf_counter()
                if contender in _CORE or spent[contender] < allowance:
                    measured[contender] = await _sample(calls[contender], concurrency)
                    spent[contender] += time.perf_counter() - started
            rounds.append(measured)
    gc.unfreeze()
    return rounds


async def _sample(call: Call, concurrency: int) -> Sample:
    """Make the calls, with connections open and the garbage of others collected before."""
    await _run(call, min(concurrency, CONNECTIONS), 2)
    gc.collect()
    each = max(1, _CALLS // concurrency)
    wall, cpu = time.perf_counter(), time.process_time()
    await _run(call, concurrency, each)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    count = concurrency * each
    return Sample(cpu / count * 1e6, count / wall)


async def _run(call: Call, concurrency: int, each: int) -> None:
    async def caller() -> None:
        for _ in range(each):
            await call()

    await asyncio.gather(*(caller() for _ in range(concurrency)))
