"""The call that is measured, ``POST /chats`` for one user, made in each of the ways."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import httpx
from multidict import CIMultiDict
from tenacity import (
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from yarl import URL

from fanvue_async import FanvueClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Call = Callable[[], Awaitable[str]]

TOKEN = "benchmark-token"
USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
CONNECTIONS = 100
"""What each way opens at most, by default."""

_HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Fanvue-API-Version": "2025-06-26"}


@attrs.frozen
class Contender:
    """One way to make the call."""

    name: str
    open: Callable[[str], AbstractAsyncContextManager[Call]]
    """Gives the call to a server at this address."""
    most_at_once: int = 10_000
    """How many calls at once it can be asked for."""


@asynccontextmanager
async def _sdk(base: str) -> AsyncGenerator[Call]:
    async with FanvueClient(TOKEN, base_url=base) as fanvue:

        async def call() -> str:
            return (await fanvue.chats.create(USER)).message

        yield call


@asynccontextmanager
async def _naive(base: str) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(headers=_HEADERS) as session:

        async def call() -> str:
            async with session.post(f"{base}/chats", json={"userUuid": USER}) as response:
                response.raise_for_status()
                return _message(await response.json())

        yield call


@asynccontextmanager
async def _best(base: str) -> AsyncGenerator[Call]:
    url = URL(f"{base}/chats")
    headers = CIMultiDict({**_HEADERS, "Content-Type": "application/json"})
    body = json.dumps({"userUuid": USER}).encode()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def call() -> str:
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                response.raise_for_status()
                return _message(json.loads(await response.read()))

        yield call


@asynccontextmanager
async def _tenacity(base: str) -> AsyncGenerator[Call]:
    async with _naive(base) as naive:
        yield retry(
            stop=stop_after_attempt(3),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            retry=retry_if_exception_type((aiohttp.ClientConnectionError, TimeoutError)),
            reraise=True,
        )(naive)


@asynccontextmanager
async def _httpx(base: str) -> AsyncGenerator[Call]:
    # It keeps 20 connections open; with all 100 kept, a call costs it twice as much. Its default
    # timeout of 5 seconds includes the queue, which would end calls here.
    async with httpx.AsyncClient(
        base_url=base, headers=_HEADERS, timeout=60, trust_env=False
    ) as client:

        async def call() -> str:
            response = await client.post("/chats", json={"userUuid": USER})
            response.raise_for_status()
            return _message(response.json())

        yield call


def _message(document: Any) -> str:
    message: str = document["message"]
    return message


SDK = Contender("fanvue_async", _sdk)
NAIVE = Contender("hand-written aiohttp", _naive)
RULER = Contender("the same again", _naive)
BEST = Contender("hand-tuned aiohttp", _best)
TENACITY = Contender("aiohttp in tenacity", _tenacity)
# Its pool looks at all waiting requests whenever one comes or goes, so time grows as the square.
HTTPX = Contender("httpx", _httpx, most_at_once=1_000)

CONTENDERS = (SDK, NAIVE, RULER, BEST, TENACITY, HTTPX)
