"""Several processes on one bucket of the rate limit, in earnest.

::

    python tests/limits/shared.py                      # without a store, with SQLite, with Redis
    python tests/limits/shared.py --calls 200          # as many calls from each of the processes
    python tests/limits/shared.py --others 0.25        # another program draws a quarter

Prints for each store how long it took, how many calls succeeded, and how many requests were
answered 429. Exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.servers import DURABLE, redis_client, redis_server

from fanvue_async import FanvueClient, FanvueError, RateLimits, RetryPolicy, Timeout
from fanvue_async.stores import RedisStore, SQLiteStore
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async.stores import Store

LIMIT = 40
WINDOW = 3
_USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


@attrs.frozen
class Result:
    """What a run came to."""

    succeeded: int
    failed: int
    refused: int
    requests: int
    seconds: float
    """From the first window's start, by the fake's clock."""


@contextlib.asynccontextmanager
async def _store(kind: str, where: str) -> AsyncGenerator[Store | None]:
    if kind == "sqlite":
        async with SQLiteStore(where) as store:
            yield store
    elif kind == "redis":
        async with redis_client(where) as client:
            yield RedisStore(client)
    else:
        yield None


async def work(url: str, kind: str, where: str, calls: int, begin: float) -> tuple[int, int, float]:
    """Be one of the processes: count the calls that succeed and fail, and say when all ended."""
    async with (
        _store(kind, where) as store,
        FanvueClient(
            "fake-token",
            base_url=url,
            timeout=Timeout(total=600.0),
            retry=RetryPolicy.never(),
            rate_limits=RateLimits(max_wait=600.0, store=store),
        ) as client,
    ):
        await asyncio.sleep(max(0.0, begin - time.time()))
        results = await asyncio.gather(
            *(client.chats.create(_USER) for _ in range(calls)), return_exceptions=True
        )
        ended = time.time()
    failed = sum(isinstance(result, FanvueError) for result in results)
    assert failed == sum(isinstance(result, BaseException) for result in results)
    return len(results) - failed, failed, ended


async def run(  # noqa: PLR0913 - what is measured
    kind: str,
    where: str,
    *,
    processes: int,
    calls: int,
    others: float = 0.0,
    limit: tuple[int, float] = (LIMIT, WINDOW),
) -> Result:
    """Let processes make calls on one bucket."""
    async with FakeFanvue(rate_limit=limit) as fake:
        fake.buckets.others = others
        begin = math.ceil(time.time() + 1.5 + 0.15 * processes)
        workers = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, __file__, "--work", fake.url, kind, where, str(calls)),
                str(begin),
                stdout=asyncio.subprocess.PIPE,
            )
            for _ in range(processes)
        ]
        outputs = await asyncio.gather(*(worker.communicate() for worker in workers))
        counts = [json.loads(output) for output, _ in outputs]
        return Result(
            succeeded=sum(succeeded for succeeded, _, _ in counts),
            failed=sum(failed for _, failed, _ in counts),
            refused=fake.buckets.refused,
            requests=len(fake.requests),
            seconds=max(ended for _, _, ended in counts) - begin,
        )


def ideal(processes: int, calls: int, others: float = 0.0) -> float:
    """Return the seconds after which the last window begins in which a call must be sent."""
    windows = math.ceil(processes * calls / (LIMIT * (1 - others)))
    return float((windows - 1) * WINDOW)


async def _measure(kind: str, processes: int, calls: int, others: float) -> bool:
    with contextlib.ExitStack() as stack:
        where = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "limits.db")
        if kind == "redis":
            where = stack.enter_context(redis_server(*DURABLE)).url
        result = await run(kind, where, processes=processes, calls=calls, others=others)
    least = ideal(processes, calls, others)
    share = result.refused / result.requests
    print(
        f"{kind:8} {result.succeeded} of {processes * calls} succeeded, {result.refused} answered"
        f" 429 ({share:.1%}), {result.seconds:.1f} s (ideal {least:.0f} s)",
        flush=True,
    )
    is_kept = result.succeeded >= 0.99 * processes * calls
    if kind == "none":
        return is_kept and share <= 0.1
    if others:
        return is_kept
    return is_kept and result.refused == 0 and result.seconds <= 1.1 * least


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--stores", nargs="*", default=["none", "sqlite", "redis"])
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--others", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.work:
        url, kind, where, calls, begin = arguments.work
        print(json.dumps(asyncio.run(work(url, kind, where, int(calls), float(begin)))))
        return
    kept = [
        asyncio.run(_measure(kind, arguments.processes, arguments.calls, arguments.others))
        for kind in arguments.stores
    ]
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()
