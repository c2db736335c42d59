"""What a store promises, in earnest: many processes on one storage, and many keys.

::

    python tests/stores/soak.py sqlite
    python tests/stores/soak.py redis --processes 16 --increments 200
    python tests/stores/soak.py postgres --keys 10000

Starts the server that it needs. Prints what it measured; exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "docs" / "examples")]

from support.servers import (  # noqa: E402 - found by the line above
    DURABLE,
    postgres_server,
    redis_client,
    redis_server,
)

from fanvue_async.stores import ABSENT, RedisStore, SQLiteStore, Store  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

_LIFE = 0.5
_CLOCK = 0.05  # seconds by which two clocks may differ over such a time


@contextlib.asynccontextmanager
async def _store(kind: str, where: str) -> AsyncGenerator[Store]:
    if kind == "sqlite":
        async with SQLiteStore(where, busy_timeout=60) as store:
            yield store
    elif kind == "redis":
        async with redis_client(where) as client:
            yield RedisStore(client)
    else:
        import asyncpg  # noqa: PLC0415 - needed by this store only
        from postgres_store import PostgresStore  # noqa: PLC0415 - likewise

        async with asyncpg.create_pool(where, min_size=1, max_size=2) as pool:
            yield await PostgresStore.create(pool)


@contextlib.contextmanager
def _server(kind: str) -> Generator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/fanvue.db"
    elif kind == "redis":
        with redis_server(*DURABLE) as server:
            yield server.url
    else:
        with postgres_server() as url:
            yield url


# One process


async def _work(store: Store, increments: int) -> dict[str, Any]:
    """Increment the common key, and watch short entries of our own; report what was seen."""
    versions, waits, faults = list[str](), list[float](), list[str]()
    for _ in range(increments):
        began = time.monotonic()
        versions.append(await _increment(store))
        waits.append(time.monotonic() - began)
        if random.random() < 0.1:
            faults += await _expire(store, f"short:{random.random()}")
    return {"versions": versions, "slowest": max(waits), "faults": faults}


async def _increment(store: Store) -> str:
    while True:
        entry = await store.get("count")
        known = ABSENT if entry is None else entry.version
        value = b"%d" % (1 if entry is None else int(entry.value) + 1)
        version = await store.put("count", value, version=known)
        if version is not None:
            return version
        await asyncio.sleep(random.random() * 0.02)


async def _expire(store: Store, key: str) -> list[str]:
    began = time.monotonic()
    await store.put(key, b"1", expires_in=_LIFE)
    written = asked = time.monotonic()
    while await store.get(key) is not None:
        if asked > written + _LIFE + _CLOCK:
            return [f"read {asked - written:.3f} s after a put for {_LIFE} s"]
        await asyncio.sleep(0.02)
        asked = time.monotonic()
    gone = time.monotonic() - began
    return [f"gone after {gone:.3f} s of {_LIFE} s"] if gone < _LIFE - _CLOCK else []


async def _process(kind: str, where: str, increments: int) -> None:
    async with _store(kind, where) as store:
        print(json.dumps(await _work(store, increments)))  # noqa: T201 - read by the parent


# All of them


async def _soak(kind: str, where: str, processes: int, increments: int, keys: int) -> list[str]:
    began = time.monotonic()
    reports = await asyncio.gather(*(_start(kind, where, increments) for _ in range(processes)))
    took = time.monotonic() - began
    faults = [fault for report in reports for fault in report["faults"]]
    versions = [version for report in reports for version in report["versions"]]
    slowest = max(report["slowest"] for report in reports)
    async with _store(kind, where) as store:
        entry = await store.get("count")
        count = 0 if entry is None else int(entry.value)
        if count != processes * increments:
            faults.append(f"{processes * increments - count} increments were lost")
        if len(set(versions)) != len(versions):
            faults.append("a version came again")
        print(  # noqa: T201 - its purpose
            f"{kind}: {processes} processes x {increments} increments in {took:.1f} s, "
            f"slowest {slowest:.2f} s"
        )
        faults += await _list(store, kind, keys)
    return faults


async def _start(kind: str, where: str, increments: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, kind, "--increments", str(increments), "--join", where),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    report: dict[str, Any] = json.loads(output)
    return report


async def _list(store: Store, kind: str, keys: int) -> list[str]:
    names = {f"list:{number}*" for number in range(keys)}
    for start in range(0, keys, 500):
        part = sorted(names)[start : start + 500]
        await asyncio.gather(*(store.put(name, b"1") for name in part))
    began = time.monotonic()
    found = [key async for key in store.keys("list:")]
    took = time.monotonic() - began
    print(f"{kind}: {len(found)} of {keys} keys listed in {took:.2f} s")  # noqa: T201 - its purpose
    return [] if sorted(found) == sorted(names) else ["a listing was wrong"]


def main() -> None:
    """Soak one store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kind", choices=["sqlite", "redis", "postgres"])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--increments", type=int, default=200)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--join", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.join:
        asyncio.run(_process(given.kind, given.join, given.increments))
        return
    with _server(given.kind) as where:
        faults = asyncio.run(
            _soak(given.kind, where, given.processes, given.increments, given.keys)
        )
    for fault in faults:
        print(f"{given.kind}: {fault}")  # noqa: T201 - its purpose
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
