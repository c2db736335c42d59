"""Many creators and many processes on one store: the real gate in virtual time.

::

    python tests/limits/simulate.py                                  # 1,000 creators, 50 processes
    python tests/limits/simulate.py --creators 100 --processes 10 --windows 3

Prints how much of the buckets was used, how many requests were answered 429, and what it cost the
store. A call takes 80 ms, a call of the store 1 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import platform
import random
import sys
import time
from email.utils import formatdate
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.virtual import run

from fanvue_async.engine.answers import Answer
from fanvue_async.engine.gate import Family, Gates
from fanvue_async.stores import Entry, MemoryStore

LIMIT = 200
WINDOW = 60.0
_EPOCH = 1_800_000_000.0
_CALL = 0.08
_STORE = 0.001


class CountingStore(MemoryStore):
    """A store that takes its time, and counts."""

    def __init__(self) -> None:
        super().__init__(_clock=asyncio.get_running_loop().time)
        self.calls = 0

    async def get(self, key: str) -> Entry | None:
        """Read."""
        self.calls += 1
        await asyncio.sleep(_STORE)
        return await super().get(key)

    async def put(self, key: str, value: bytes, **options: object) -> str | None:
        """Write."""
        self.calls += 1
        await asyncio.sleep(_STORE)
        return await super().put(key, value, **options)  # type: ignore[arg-type] # passed on as they came


@attrs.define
class Creator:
    """One bucket of the API."""

    used: int = 0
    number: int = 0
    total: int = 0
    refused: int = 0

    def take(self, now: float) -> Answer:
        """Answer a request."""
        number = math.floor(now / WINDOW)
        if number != self.number:
            self.number, self.used = number, 0
        is_refused = self.used >= LIMIT
        self.used += not is_refused
        self.total += not is_refused
        self.refused += is_refused
        reset = (number + 1) * WINDOW
        headers = {
            "Date": formatdate(now, usegmt=True),
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(LIMIT - self.used),
            "X-RateLimit-Reset": f"{reset:.0f}",
        }
        if is_refused:
            headers["Retry-After"] = str(math.ceil(reset - now))
        return Answer(429 if is_refused else 200, headers)


async def _call(family: Family, creator: Creator, latency: float) -> None:
    loop, again = asyncio.get_running_loop(), False
    while True:
        gate = family.gate("GET /chats")
        if not gate.try_enter():
            await gate.enter(math.inf, first=again)
        sent = loop.time()
        await asyncio.sleep(latency / 2)
        answer = creator.take(_EPOCH + loop.time())
        await asyncio.sleep(latency / 2)
        family.note("GET /chats", answer, sent)
        gate.leave()
        if answer.status == 200:
            return
        again = True
        gate.refuse(float(answer.headers["Retry-After"]))


async def simulate(creators: int, processes: int, windows: int, busy: int) -> str:
    """Let processes use the buckets for some windows, and say what it came to."""
    loop, store = asyncio.get_running_loop(), CountingStore()
    everyone = [Gates(loop.time, store) for _ in range(processes)]
    buckets = {str(number): Creator() for number in range(creators)}
    chance = random.Random(2026)
    end = windows * WINDOW

    async def use(gates: Gates, account: str) -> None:
        creator, family = buckets[account], gates.family(account, None)
        while loop.time() < end:
            await _call(family, creator, _CALL * chance.uniform(0.5, 1.5))

    users = [
        asyncio.create_task(use(gates, account))
        for account in buckets
        for gates in chance.sample(everyone, busy)
    ]
    await asyncio.sleep(end)
    calls = store.calls
    for user in users:
        user.cancel()
    await asyncio.gather(*users, return_exceptions=True)
    for gates in everyone:
        gates.close()
    total = sum(creator.total for creator in buckets.values())
    refused = sum(creator.refused for creator in buckets.values())
    return (
        f"{creators} creators, {processes} processes, {busy} of them at work for each creator,"
        f" {windows} windows of {LIMIT} in {WINDOW:.0f} s\n"
        f"{total:,} requests, {total / (creators * windows * LIMIT):.1%} of what the API allows,"
        f" {refused} answered 429\n"
        f"{calls:,} calls of the store: {calls / total:.2f} a request, {calls / end:,.0f} a second,"
        f" {creators} keys"
    )


def main() -> None:
    """Simulate, and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creators", type=int, default=1_000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--busy", type=int, default=3)
    arguments = parser.parse_args()
    began = time.perf_counter()
    print(run(simulate(**vars(arguments))))
    print(f"in {time.perf_counter() - began:.0f} s, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
