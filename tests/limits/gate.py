"""What it costs to wait for the rate limit: CPU, memory, and the time to end it.

::

    python tests/limits/gate.py
    python tests/limits/gate.py --seconds 60 --waiting 1000

Measures the CPU of a call with the gate and without it, at 50 calls at once, in interleaved rounds;
then lets calls wait for a bucket that is used up. Exits with 1 if a promise was broken. On a busy
machine times say little: the ratio of a client to itself tells how little.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import random
import sys
import time
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.spread import Spread
from faults.scale import say
from support.users import USER

from fanvue_async import FanvueClient, RateLimitError, RateLimits, Timeout
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import FrameType

_AT_ONCE = 50
_CALLS = 8  # of each of those, in a sample
_WINDOW = 60
_MODULES = tuple(f"/engine/{name}.py" for name in ("gate", "shares", "turn", "window"))
_BODY = b'{"message":"Chat created successfully"}'
_FAILING = 200

_MOST_CPU = 0.05  # of a call
_MOST_BYTES = 4_096
_MOST_TO_CLOSE = 0.5
_MOST_TO_FAIL = 0.02


# The server, in a process of its own


class _Answering(asyncio.Protocol):
    """Answers whatever comes, out of a bucket that is never used up."""

    response = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data  # a request of this size comes as one
        self._transport.write(self.response)


async def serve() -> None:
    """Answer, and tell the time."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=1024)
    say(f"{server.sockets[0].getsockname()[1]}")
    while True:
        now = time.time()
        reset = (math.floor(now / _WINDOW) + 1) * _WINDOW
        headers = [
            b"HTTP/1.1 201 Created",
            b"Date: " + formatdate(now, usegmt=True).encode(),
            b"Content-Type: application/json; charset=utf-8",
            b"Content-Length: %d" % len(_BODY),
            b"X-RateLimit-Limit: 10000000",
            b"X-RateLimit-Remaining: 9999999",
            b"X-RateLimit-Reset: %d" % reset,
        ]
        _Answering.response = b"\r\n".join([*headers, b"", _BODY])
        await asyncio.sleep(1 - now % 1)


@asynccontextmanager
async def _server() -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


# The cost of a call


async def _calls(client: FanvueClient, each: int) -> None:
    async def call() -> None:
        for _ in range(each):
            await client.chats.create(USER)

    await asyncio.gather(*(call() for _ in range(_AT_ONCE)))


async def _sample(client: FanvueClient) -> float:
    """Return the microseconds of CPU of a call."""
    await _calls(client, 1)
    gc.collect()
    began = time.process_time()
    await _calls(client, _CALLS)
    return (time.process_time() - began) / (_AT_ONCE * _CALLS) * 1e6


async def _count_functions(client: FanvueClient) -> int:
    """Count how often calls enter the gate's modules."""
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.endswith(_MODULES)

    sys.setprofile(profile)
    try:
        await _calls(client, 1)
    finally:
        sys.setprofile(None)
    return count


async def cost(seconds: float) -> bool:
    """Compare calls with the gate, and without it."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_server())
        clients = {
            name: await stack.enter_async_context(
                FanvueClient("token", base_url=url, rate_limits=rate_limits)
            )
            for name, rate_limits in (("off", None), ("off again", None), ("on", RateLimits()))
        }
        rounds: list[dict[str, float]] = []
        began = time.monotonic()
        gc.collect()
        gc.freeze()
        while len(rounds) < 5 or time.monotonic() < began + seconds:
            order = random.sample(sorted(clients), len(clients))
            rounds.append({name: await _sample(clients[name]) for name in order})
        gc.unfreeze()
        entered = {name: await _count_functions(client) for name, client in clients.items()}
    base = Spread.of([each["off"] for each in rounds])
    say(f"{len(rounds)} rounds at {_AT_ONCE} calls at once: {base.median:.0f} µs of CPU a call")
    ratios = {name: Spread.of([each[name] / each["off"] for each in rounds]) for name in clients}
    for name in ("off again", "on"):
        ratio = ratios[name]
        say(f"{name}: {ratio.median - 1:+.1%} ({ratio.low - 1:+.1%} to {ratio.high - 1:+.1%})")
    say(f"functions of the gate entered by {_AT_ONCE} calls: {entered}")
    return ratios["on"].median <= 1 + _MOST_CPU and entered["off"] == 0


# Calls that wait


@asynccontextmanager
async def _waiting(
    count: int,
) -> AsyncGenerator[tuple[FakeFanvue, FanvueClient, list[asyncio.Task[object]]]]:
    """Let calls wait for a bucket that is used up; one of them before all others."""
    long = Timeout(total=3_600.0)
    used_up = {
        "X-RateLimit-Limit": "1000000",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{time.time() + 600:.0f}",
    }
    async with (
        FakeFanvue() as fake,
        fake.client(rate_limits=RateLimits(max_wait=3_600.0), timeout=long) as client,
    ):
        fake.reply(201, json={"message": "created"}, headers=used_up)
        await client.chats.create(USER)
        tasks: list[asyncio.Task[object]] = []
        for more in (1, count - 1):
            tasks += [asyncio.create_task(client.chats.create(USER)) for _ in range(more)]
            await asyncio.sleep(0.1)
            if more == 1:
                gc.collect()
                tracemalloc.reset_peak()
        assert not any(task.done() for task in tasks)
        yield fake, client, tasks


async def memory(count: int) -> bool:
    """Count the bytes of a call that waits."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    async with _waiting(count) as (_, client, tasks):
        each = (tracemalloc.get_traced_memory()[1] - before) / count
        tracemalloc.stop()
        await client.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)
    say(f"{count} waiting calls: {each:.0f} bytes each")
    return each <= _MOST_BYTES


async def waits(count: int) -> bool:
    """Let calls wait, let others fail, and close under those that wait."""
    async with _waiting(count) as (fake, client, tasks):
        began = time.process_time()
        await asyncio.sleep(3)
        busy = (time.process_time() - began) / 3
        hasty, times = client.with_options(timeout=Timeout(total=2.0)), list[float]()
        for _ in range(_FAILING):
            began = time.perf_counter()
            with suppress(RateLimitError):
                await hasty.chats.create(USER)
            times.append(time.perf_counter() - began)
        failing = Spread.of(times)
        sent = len(fake.requests) - 1
        began, cpu = time.perf_counter(), time.process_time()
        await client.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)
        closing, cpu = time.perf_counter() - began, time.process_time() - cpu
    say(
        f"{count} waiting calls: {busy:.1%} of a CPU while they wait,"
        f" closed in {closing:.3f} s ({cpu:.3f} s of CPU)"
    )
    say(
        f"{_FAILING} calls beside them that cannot go in time fail in {failing.median * 1e3:.2f} ms"
        f" (the slowest: {max(times) * 1e3:.2f} ms), {sent} requests sent"
    )
    return closing <= _MOST_TO_CLOSE and failing.median <= _MOST_TO_FAIL and sent == 0


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is measured")
    parser.add_argument("--waiting", type=int, default=10_000, help="how many calls wait")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
        return
    kept = [
        asyncio.run(cost(given.seconds)),
        asyncio.run(memory(given.waiting)),
        asyncio.run(waits(given.waiting)),
    ]
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()
