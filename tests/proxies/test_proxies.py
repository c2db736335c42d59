"""Calls through proxies that misbehave as real ones do, against the ledger of the server behind.

In the suite a few hundred calls each; ``make proxies`` makes thousands.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs
import pytest
from faults.scale import many, say
from proxies.servers import haproxy, nginx, squid
from support.chaos_server import Server, succeed
from support.tls import TRUST, serving
from support.users import user

from fanvue_async import FanvueClient, FanvueError, Limits, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from support.chaos_server import Peer, Request

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("no_leaks")]

CALLS = many(400, 4_000)
CALLERS = 30
RELOAD_SECONDS = 0.3


@attrs.define(eq=False)
class Ledger:
    """What the server behind did, and what its callers were told."""

    acted: Counter[str] = attrs.field(factory=Counter[str])
    ends: dict[str, FanvueError | None] = attrs.field(factory=dict[str, "FanvueError | None"])

    async def answer(self, peer: Peer, request: Request) -> None:
        """Do what a request asks for, then say so."""
        self.acted[request.user] += 1
        await succeed(peer, request)

    def judge(self, name: str) -> None:
        """Hold what callers were told against what was done."""
        told = Counter(type(end).__name__ if end else "created" for end in self.ends.values())
        say(f"{name}: {len(self.ends):,} calls: {dict(told)}")
        assert len(self.ends) == CALLS
        for who, end in self.ends.items():
            acted, is_repeatable = self.acted[who], _is_repeatable(who)
            assert acted <= 1 or is_repeatable, f"{who} was acted on {acted} times"
            if end is None:
                assert acted >= 1, f"{who} was told of a success"
            elif not end.maybe_processed:
                assert acted == 0, f"{who}: {end!r}"
        assert told["created"] > CALLS / 2


def _is_repeatable(who: str) -> bool:
    """Tell whether a user is one whose chat is created, which may be repeated."""
    return int(who[-1], 16) % 4 == 0


async def _call(client: FanvueClient, who: str) -> None:
    if _is_repeatable(who):
        await client.chats.create(who)
    else:
        await client.request("POST", "/messages", json={"userUuid": who})


async def _call_all(client: FanvueClient, ledger: Ledger) -> None:
    """Make the calls, some at once, with pauses in which connections grow idle."""
    left = iter(range(CALLS))

    async def call_one_by_one() -> None:
        for number in left:
            who = user(number)
            try:
                await _call(client, who)
            except FanvueError as error:
                ledger.ends[who] = error
            else:
                ledger.ends[who] = None
            await asyncio.sleep(0.02 if number % 10 else 0.2)

    await asyncio.gather(*(call_one_by_one() for _ in range(CALLERS)))


@asynccontextmanager
async def _meanwhile(
    do: Callable[[asyncio.Event], Coroutine[None, None, None]],
) -> AsyncGenerator[None]:
    is_over = asyncio.Event()
    task = asyncio.create_task(do(is_over))
    try:
        yield
    finally:
        is_over.set()
        await task


async def _pause(is_over: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await is_over.wait()


def _client(url: str) -> FanvueClient:
    policy = RetryPolicy(wait_initial=0.05, wait_max=0.1)
    return FanvueClient("token-of-anna", base_url=url, retry=policy, limits=Limits(CALLERS))


async def test_nginx_that_is_reloaded_all_the_time() -> None:
    """Seven requests a connection, a second of keep-alive, new workers every 0.3 s."""
    ledger = Ledger()
    with Server(ledger.answer) as server, nginx(server.port) as proxy:

        async def reload(is_over: asyncio.Event) -> None:
            while not is_over.is_set():
                proxy.reload()
                await _pause(is_over, RELOAD_SECONDS)

        async with _client(proxy.url) as client, _meanwhile(reload):
            await _call_all(client, ledger)
    ledger.judge("nginx")


async def test_haproxy_whose_backend_comes_and_goes() -> None:
    """What was lost behind it is never called not processed."""
    ledger = Ledger()
    with Server(ledger.answer) as reserved:
        port = reserved.port
    with haproxy(port) as proxy:

        async def come_and_go(is_over: asyncio.Event) -> None:
            while not is_over.is_set():
                backend = Server(ledger.answer, port=port)
                await asyncio.to_thread(backend.__enter__)
                await _pause(is_over, 0.5)
                await asyncio.to_thread(backend.__exit__, None, None, None)
                await _pause(is_over, 0.1)

        async with _client(proxy.url) as client, _meanwhile(come_and_go):
            await _call_all(client, ledger)
    ledger.judge("HAProxy")


async def test_squid_in_front_of_tls() -> None:
    """Tunnels with TLS inside, to a server that closes one after every few requests."""
    ledger = Ledger()

    async def answer(peer: Peer, request: Request) -> None:
        await ledger.answer(peer, request)
        if peer.requests % 5 == 0:
            peer.fin()

    with Server(answer, tls=serving()) as server, squid() as proxy:
        client = FanvueClient(
            "token-of-anna",
            base_url=server.url,
            proxy=proxy.url,
            ssl=TRUST,
            limits=Limits(CALLERS),
        )
        async with client:
            await _call_all(client, ledger)
    ledger.judge("Squid")
