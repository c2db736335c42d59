"""What reading a page of 50 messages into models costs, alone and as a whole call.

Run: ``python tests/benchmarks/reading.py``. Ways are measured by turns, in CPU time of this
process; ratios are taken within a round, and their medians compared.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the package `benchmarks` lies

import aiohttp
import httpx
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from benchmarks import server
from benchmarks.page import PAGE
from fanvue_async import FanvueClient, Message
from fanvue_async.engine.models import reader
from fanvue_async.paging import Numbered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_HEADERS = {"Authorization": "Bearer token", "X-Fanvue-API-Version": "2025-06-26"}
_QUERY = {"markAsRead": "false", "page": "1", "size": "50"}
_AT_ONCE = 50

_READING = 2.2  # times json.loads
_BY_HAND = 1.8  # times hand-written aiohttp that returns dicts
_HTTPX = 0.3  # times httpx with pydantic


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _Person(_Model):
    uuid: str
    handle: str


class _Price(_Model):
    price: int


class _Pricing(_Model):
    model_config = ConfigDict(alias_generator=str.upper, frozen=True)

    usd: _Price


class _Message(_Model):
    uuid: str
    text: str | None
    sent_at: Any
    sender: _Person
    recipient: _Person
    has_media: bool | None
    media_type: str | None
    media_uuids: tuple[str, ...]
    type: str
    pricing: _Pricing | None
    purchased_at: Any
    sent_by_user_id: str | None
    is_read: bool


class _Page(_Model):
    data: tuple[_Message, ...]


def reading_ratios(rounds: int) -> list[float]:
    """Return, for each round, what our reader takes as a multiple of ``json.loads``."""
    read = reader(Numbered[Message])
    return [_timed(lambda: read(PAGE)) / _timed(lambda: json.loads(PAGE)) for _ in range(rounds)]


def _timed(function: Callable[[], object], times: int = 100) -> float:
    started = time.process_time()
    for _ in range(times):
        function()
    return time.process_time() - started


async def _call_costs(url: str, rounds: int) -> dict[str, list[float]]:
    """Return microseconds of CPU per call of each way, round by round."""
    async with AsyncExitStack() as stack:
        fanvue = await stack.enter_async_context(FanvueClient("token", base_url=url))
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=_HEADERS))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, headers=_HEADERS, timeout=60, trust_env=False)
        )

        async def ours() -> None:
            await anext(fanvue.messages.list(_USER).pages())

        async def by_hand() -> None:
            path = f"{url}/chats/{_USER}/messages"
            async with session.get(path, params=_QUERY) as response:
                response.raise_for_status()
                await response.json()

        async def with_pydantic() -> None:
            response = await client.get(f"/chats/{_USER}/messages", params=_QUERY)
            response.raise_for_status()
            _Page.model_validate_json(response.content)

        ways = {"fanvue_async": ours, "by hand": by_hand, "httpx, pydantic": with_pydantic}
        costs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                costs[name].append(await _cost(way))
    return {name: taken[1:] for name, taken in costs.items()}  # without the first, which connects


async def _cost(way: Callable[[], Awaitable[None]], calls: int = 6) -> float:
    async def caller() -> None:
        for _ in range(calls):
            await way()

    gc.collect()
    started = time.process_time()
    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return (time.process_time() - started) / (calls * _AT_ONCE) * 1e6


def main() -> None:
    """Measure and say what is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    reading = statistics.median(reading_ratios(rounds))
    with server.running() as url:
        costs = asyncio.run(_call_costs(url, rounds))
    micros = {name: statistics.median(taken) for name, taken in costs.items()}
    ours = costs["fanvue_async"]
    by_hand, pydantic = (
        statistics.median(a / b for a, b in zip(ours, costs[name], strict=True))
        for name in ("by hand", "httpx, pydantic")
    )
    lines = [
        f"page of {len(PAGE):,} bytes; µs of CPU per call at {_AT_ONCE} at once: "
        + ", ".join(f"{name} {cost:,.0f}" for name, cost in micros.items()),
        f"reading, times json.loads: {reading:.2f} (at most {_READING})",
        f"call, times hand-written aiohttp: {by_hand:.2f} (at most {_BY_HAND})",
        f"call, times httpx with pydantic: {pydantic:.2f} (at most {_HTTPX})",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(reading > _READING or by_hand > _BY_HAND or pydantic > _HTTPX)


if __name__ == "__main__":
    main()
