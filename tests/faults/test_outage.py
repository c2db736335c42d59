"""An outage: what it costs the API, when it is over, and whom it concerns."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import pytest
from faults.scale import ALONE, many, say
from support.chaos_server import Peer, Request, Server, saying, succeed
from support.pace import Clock, no_time
from support.raw_server import answer
from support.users import user

from fanvue_async import FanvueClient, FanvueError, NoAnswerError, NotSentError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.chaos_server import Behaviour

pytestmark = pytest.mark.usefixtures("no_leaks")

CONCURRENCY = 50

# What a server does in an outage, and what its callers get.
OUTAGES: dict[str, tuple[Behaviour, type[FanvueError]]] = {
    "reset": (saying(then=Peer.rst), NoAnswerError),
    "500": (saying(answer(500)), ServerError),
    "503": (saying(answer(503, b"", "Retry-After: 0")), ServerError),
}


def client_on(
    server: Server, session: aiohttp.ClientSession | None = None
) -> tuple[FanvueClient, Clock]:
    """Make a client that never waits, and the clock that it goes by."""
    client, clock = FanvueClient("outage-token", base_url=server.url, session=session), Clock()
    client._session.terms.pool.clockwork.clock = clock
    client._session.terms.pool.clockwork.sleep = no_time
    return client, clock


def users(count: int, first: int = 0) -> list[str]:
    """Make the UUIDs of so many users."""
    return [user(first + number) for number in range(count)]


async def errors_of(client: FanvueClient, users: Iterable[str]) -> list[FanvueError]:
    """Create the chats, ``CONCURRENCY`` at a time, and return the errors."""
    left = iter(users)
    errors: list[FanvueError] = []

    async def call_one_by_one() -> None:
        for to in left:
            try:
                await client.chats.create(to)
            except FanvueError as error:
                errors.append(error)

    await asyncio.gather(*(call_one_by_one() for _ in range(CONCURRENCY)))
    return errors


class Switch:
    """A behaviour that can be exchanged while the server runs."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    async def __call__(self, peer: Peer, request: Request) -> None:
        """Behave as it is now."""
        await self.behaviour(peer, request)


class Flaky:
    """Fails a share of the requests, the same ones for a seed, whatever their order."""

    def __init__(self, share: float, seed: int) -> None:
        self.failed = 0
        self._share = share
        self._seed = seed
        self._asked = Counter[str]()

    async def __call__(self, peer: Peer, request: Request) -> None:
        """Answer, or fail as in one of the outages."""
        self._asked[request.user] += 1
        draw = random.Random(f"{self._seed} {request.user} {self._asked[request.user]}")
        behave: Behaviour = succeed
        if draw.random() < self._share:
            self.failed += 1
            behave, _ = OUTAGES[draw.choice(["reset", "500", "503"])]
        await behave(peer, request)


# Calls, and how many requests each of them may cost. In the suite, few calls are enough but once.
LOADS = [(200, 1.55), (2_000, 1.06)]
CALLS, ALLOWED = LOADS[ALONE]


@pytest.mark.parametrize(
    ("kind", "calls", "allowed"),
    [
        (kind, *load)
        for kind in OUTAGES
        for load in (LOADS if ALONE or kind == "503" else LOADS[:1])
    ],
)
async def test_an_outage_costs_the_api_a_few_percent(kind: str, calls: int, allowed: float) -> None:
    """However many calls fail, they add a few percent to the load on a server in trouble.

    Every caller is told what happened, and how often it was tried.
    """
    behaviour, error = OUTAGES[kind]
    with Server(behaviour) as server:
        client, _ = client_on(server)
        async with client:
            errors = await errors_of(client, users(calls))

    say(f"an outage, {kind}: {server.requests / calls:.3f} requests for each of {calls:,} calls")
    assert calls < server.requests <= allowed * calls
    assert Counter(type(error) for error in errors) == {error: calls}
    assert sum(error.attempts for error in errors) == server.requests


@pytest.mark.parametrize(("calls", "allowed"), LOADS)
async def test_an_outage_of_a_server_that_is_gone(calls: int, allowed: float) -> None:
    """Nor are connections tried more often that are refused."""
    traces = aiohttp.TraceConfig()
    tried = Counter[str]()

    async def note(*_: object) -> None:
        tried["connections"] += 1

    traces.on_connection_create_start.append(note)
    gone = Server(succeed)
    async with aiohttp.ClientSession(trace_configs=[traces]) as session:
        client, _ = client_on(gone, session=session)
        async with client:
            errors = await errors_of(client, users(calls))
    gone.close()

    assert calls < tried["connections"] <= allowed * calls
    assert Counter(type(error) for error in errors) == {NotSentError: calls}
    assert sum(error.attempts for error in errors) == tried["connections"]
    assert not any(error.maybe_processed for error in errors)


async def test_an_outage_that_closes_its_connections_unannounced() -> None:
    """What is lost on a connection that dies in the pool is no load; what is read is counted."""
    with Server(saying(answer(500), then=Peer.fin)) as server:
        client, _ = client_on(server)
        async with client:
            errors = await errors_of(client, users(CALLS))

    assert len(errors) == CALLS
    assert server.requests <= ALLOWED * CALLS


async def test_an_outage_that_finds_connections_in_the_pool() -> None:
    """Each of them may cost one request more, once: it may as well have died of its age."""
    outage = Switch(succeed)
    with Server(outage) as server:
        client, _ = client_on(server)
        async with client:
            assert await errors_of(client, users(200)) == []
            warm, before = server.connections, server.requests
            outage.behaviour, error = OUTAGES["reset"]
            errors = await errors_of(client, users(CALLS, first=200))

    assert Counter(type(error) for error in errors) == {error: CALLS}
    assert 0 < warm <= CONCURRENCY
    assert server.requests - before <= ALLOWED * CALLS + warm


@pytest.mark.parametrize("seed", range(many(2, 30)))
@pytest.mark.parametrize("kind", OUTAGES)
async def test_after_an_outage_nearly_every_call_succeeds(kind: str, seed: int) -> None:
    """Once the quota is back, one failure in twenty is none that callers notice."""
    behaviour, _ = OUTAGES[kind]
    flaky = Flaky(share=0.05, seed=seed)
    outage = Switch(behaviour)
    with Server(outage) as server:
        client, clock = client_on(server)
        async with client:
            assert len(await errors_of(client, users(200))) == 200
            outage.behaviour = flaky
            clock.now += 600  # a minute for each token of the quota
            errors = await errors_of(client, users(200, first=200))

    say(f"after an outage, {kind}, seed {seed}: {200 - len(errors)} of 200 calls succeed")
    assert flaky.failed > 0
    assert len(errors) <= 0.005 * 200
