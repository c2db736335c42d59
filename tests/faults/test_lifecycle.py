"""The end of calls and clients, in every phase at once, often, and in time."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver
from faults.scale import ALONE, TOLERANCE, many, say
from support.chaos_server import Peer, Request, Server, saying, succeed
from support.raw_server import SUCCESS, RawServer, answer, head, read
from support.stages import StuckProvider, until
from support.tls import TRUST, serving
from support.users import USER

from fanvue_async import (
    ClientStateError,
    DeadlineExceededError,
    FanvueClient,
    Limits,
    Response,
    RetryPolicy,
    Timeout,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable

    from support.chaos_server import Behaviour


pytestmark = pytest.mark.usefixtures("no_leaks")

TOKEN = "lifecycle-token"
EACH = 6  # calls in each phase

# What a call can wait for, and whether the API may have acted by then. In this order they can be
# brought about one after the other: what comes later needs connections that are not there yet.
PHASES = {
    "back-off": True,
    "invalidate": False,
    "token": False,
    "upload": True,
    "headers": True,
    "body": True,
    "error body": True,
    "TLS": False,
    "connect": False,
    "queue": False,
}
WITH_CONNECTION = ("upload", "headers", "body", "error body", "TLS", "connect")

_BEHAVIOURS: dict[str, Behaviour] = {
    "/back-off": saying(answer(503)),
    "/invalidate": saying(answer(401)),
    "/upload": saying(then=Peer.be_deaf),
    "/headers": saying(),
    "/body": saying(head(201, "Content-Length: 50"), b"{"),
    "/error-body": saying(head(500, "Content-Length: 50"), b"{"),
}
_LARGE = "x" * 4_000_000  # of which the kernel takes a quarter of a million, and TLS another


def _after(seconds: float) -> Behaviour:
    async def behave(peer: Peer, request: Request) -> None:
        await asyncio.sleep(seconds)
        await succeed(peer, request)

    return behave


async def _behave(peer: Peer, request: Request) -> None:
    await _BEHAVIOURS[request.path](peer, request)


async def _for_ever(_: float = 0) -> None:
    await asyncio.Event().wait()


@attrs.frozen
class Stage:
    """A client with ``EACH`` calls in each phase."""

    server: Server
    client: FanvueClient
    calls: dict[str, list[asyncio.Task[Response]]]

    async def what_goes_on(self) -> list[str]:
        """Name what is not over: an upload on its way, a connection, an attempt at one."""
        read = self.server.requests
        facts = {
            "a connection is open": not await self.server.has_heard_all(),
            "a request was read to its end": self.server.requests != read,
            "the client has a socket": bool(self.server.clients_sockets),
        }
        return [name for name, holds in facts.items() if holds]

    @property
    def all_calls(self) -> list[asyncio.Task[Response]]:
        """Those of all phases."""
        return [call for calls in self.calls.values() for call in calls]


@asynccontextmanager
async def calls_in_all_phases() -> AsyncGenerator[Stage]:
    """Bring the calls of one client to all phases."""
    is_muted = False

    async def greet(_connection: socket.socket, _number: int) -> bool:
        return not is_muted

    with Server(_behave, greet=greet, tls=serving(), small_buffers=True) as server:
        client = FanvueClient(
            TOKEN,
            base_url=server.url,
            ssl=TRUST,
            limits=Limits(max_connections=EACH * len(WITH_CONNECTION)),
        )
        pool = client._session.terms.pool
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await _for_ever()

        pool.clockwork.sleep = sleep
        providers = {name: StuckProvider(name, TOKEN) for name in ("token", "invalidate")}
        stage = Stage(server, client, {})

        async def start(phase: str, is_reached: Callable[[], bool]) -> None:
            provider = providers.get(phase)
            view = client.with_options(access_token=provider) if provider else client
            path = f"/{phase.replace(' ', '-')}"
            json = _LARGE if phase == "upload" else "hello"
            stage.calls[phase] = [
                asyncio.create_task(view.request("POST", path, json=json, idempotent=True))
                for _ in range(EACH)
            ]
            await until(is_reached)

        def shown(count: int) -> Callable[[], bool]:
            return lambda: server.shown >= count * EACH

        async with client:
            await start("back-off", lambda: len(slept) == EACH)
            await start("invalidate", lambda: providers["invalidate"].stuck == EACH)
            await start("token", lambda: providers["token"].stuck == EACH)
            await start("upload", shown(3))
            await start("headers", shown(4))
            await start("body", shown(5))
            await start("error body", shown(6))
            is_muted, connections = True, server.connections
            await start("TLS", lambda: server.connections == connections + EACH)
            server.stop_accepting()
            await start("connect", lambda: len(pool.scopes.open) == len(stage.all_calls))
            await start("queue", lambda: len(pool.slots.waiters) == EACH)
            assert list(stage.calls) == list(PHASES)
            assert not any(call.done() for call in stage.all_calls)
            yield stage


async def test_closing_ends_calls_in_all_phases() -> None:
    """All 60 end within 100 ms, with what is known of each, and nobody gets a foreign cancel."""
    slowest = 0.0
    for _ in range(many(3, 100)):
        async with calls_in_all_phases() as stage:
            started = time.monotonic()
            await stage.client.aclose()
            await asyncio.wait(stage.all_calls)
            slowest = max(slowest, time.monotonic() - started)
            assert await stage.what_goes_on() == []

        assert len(stage.all_calls) == 60
        for phase, calls in stage.calls.items():
            for call in calls:
                error = call.exception()
                assert isinstance(error, ClientStateError), phase
                assert error.maybe_processed is PHASES[phase], phase
    say(f"closing with 60 calls in all phases: {slowest * 1000:.0f} ms at the most")
    assert slowest < 0.1 * TOLERANCE


async def test_cancels_are_honoured_in_all_phases() -> None:
    """Each ends as cancelled within 10 ms, concerns nobody else, and frees its connection."""
    slowest = dict.fromkeys(PHASES, 0.0)
    for _ in range(many(2, 17)):  # of six calls each
        async with calls_in_all_phases() as stage:
            places = stage.client._session.terms.pool.slots
            # Those behind in the queue first, or they would be given the connections of others.
            for phase in reversed(PHASES):
                for call in stage.calls[phase]:
                    done = sum(call.done() for call in stage.all_calls)
                    started = time.monotonic()
                    call.cancel()
                    await asyncio.wait([call])
                    slowest[phase] = max(slowest[phase], time.monotonic() - started)
                    assert call.cancelled(), phase
                    assert sum(call.done() for call in stage.all_calls) == done + 1
                assert not places.waiters
            assert sum(places.take() for _ in range(99)) == EACH * len(WITH_CONNECTION)
            assert not stage.client._session.terms.pool.scopes.open
            await stage.client.aclose()
            assert await stage.what_goes_on() == []
    for phase, seconds in slowest.items():
        say(f"cancelling in the phase {phase!r}: {seconds * 1000:.1f} ms at the most")
    assert max(slowest.values()) < 0.01 * TOLERANCE


@pytest.mark.parametrize(("count", "seconds"), [(1_000, 0.1), *([(10_000, 0.5)] if ALONE else [])])
async def test_closing_with_many_calls_in_the_queue(count: int, seconds: float) -> None:
    """1,000 calls end within 100 ms, and 10,000 within half a second."""
    with Server(saying()) as server:
        slowest = 0.0
        for _ in range(many(1, 5)):
            server.requests = 0
            async with FanvueClient(TOKEN, base_url=server.url) as client:
                places = client._session.terms.pool
                calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(count)]
                await until(lambda: server.requests == 100)
                assert len(places.slots.waiters) == count - 100

                started = time.monotonic()
                await client.aclose()
                await asyncio.wait(calls)
                slowest = max(slowest, time.monotonic() - started)

            errors = [call.exception() for call in calls]
            assert all(isinstance(error, ClientStateError) for error in errors)
            assert sum(getattr(error, "maybe_processed", False) for error in errors) == 100
    say(f"closing with {count:,} calls: {slowest * 1000:.0f} ms at the most")
    assert slowest < seconds * TOLERANCE


class _NoAddress(AbstractResolver):
    """Looks names up for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        del host, port, family
        self.asked.set()
        await _for_ever()

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("end", ["close", "cancel", "deadline"])
async def test_a_call_that_looks_up_a_name_ends(end: str) -> None:
    """DNS is a phase like any other, though it is the connector's owner who provides it."""
    resolver = _NoAddress()
    connector = aiohttp.TCPConnector(resolver=resolver)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = FanvueClient(TOKEN, base_url="https://nowhere.test", session=session)
        async with client:
            view = client.with_options(timeout=0.05) if end == "deadline" else client
            call = asyncio.create_task(view.chats.create(USER))
            await resolver.asked.wait()

            started = time.monotonic()
            if end == "close":
                await client.aclose()
            elif end == "cancel":
                call.cancel()
            await asyncio.wait([call])

            assert time.monotonic() - started < 0.1 * TOLERANCE
            assert call.cancelled() == (end == "cancel")
            if not call.cancelled():
                error = call.exception()
                kind = ClientStateError if end == "close" else DeadlineExceededError
                assert isinstance(error, kind)
                assert not error.maybe_processed


# What ends these calls by itself, after 50 ms, just when they are cancelled.
RACES: dict[str, tuple[Timeout, Behaviour]] = {
    "attempt": (Timeout(attempt=0.05), saying()),
    "total": (Timeout(0.05), saying()),
    "connect": (Timeout(connect=0.05), succeed),
    "error body": (Timeout(attempt=0.05), saying(head(404, "Content-Length: 50"), b"{")),
    "back-off": (Timeout(0.05), saying(answer(503, b"", "Connection: close"))),
    "answer": (Timeout(), _after(0.035)),
}


@pytest.mark.parametrize("race", RACES)
async def test_cancels_that_race_our_own_clocks_are_honoured(race: str) -> None:
    """A call that was cancelled before it was done ends as cancelled, in the very moment too."""
    timeout, behaviour = RACES[race]
    retry = RetryPolicy() if race == "back-off" else RetryPolicy.never()
    loop = asyncio.get_running_loop()
    draw = random.Random(race)
    calls: list[asyncio.Task[Response]] = []
    asked: set[asyncio.Task[Response]] = set()

    with Server(behaviour) as server:
        if race == "connect":
            server.stop_accepting()
        async with FanvueClient(TOKEN, base_url=server.url, timeout=timeout, retry=retry) as client:
            client._session.terms.pool.clockwork.sleep = _for_ever

            async def call() -> Response:
                task = cast("asyncio.Task[Response]", asyncio.current_task())
                loop.call_later(draw.gauss(0.05, draw.choice((0.001, 0.05))), cancel, task)
                return await client.request("POST", "/", idempotent=True)

            def cancel(task: asyncio.Task[Response]) -> None:
                if task.cancel():
                    asked.add(task)

            for number in range(many(3, 26)):
                batch = [asyncio.create_task(call()) for _ in range(50)]
                if number % 2:  # a loop that is busy then finds both due in one turn
                    loop.call_later(0.03, time.sleep, 0.04)
                await asyncio.wait(batch)
                calls += batch

    assert {task for task in calls if task.cancelled()} == asked
    say(f"of {len(calls)} calls that raced {race!r}, {len(asked)} were cancelled in time")
    if ALONE:  # else a busy machine may let one side win all of them
        assert 0 < len(asked) < len(calls)


# The client as a thing that is made, used and forgotten.


async def test_closing_may_be_repeated_and_interrupted() -> None:
    """Many may close at once, one of them may be cancelled: the calls end, and so does the rest."""
    with Server(saying()) as server:
        client = FanvueClient(TOKEN, base_url=server.url)
        calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(200)]
        await until(lambda: server.requests == 100)

        closings = [asyncio.create_task(client.aclose()) for _ in range(3)]
        await asyncio.sleep(0)
        closings[0].cancel()
        ends = await asyncio.gather(*closings, return_exceptions=True)
        await client.aclose()

        assert [type(end) for end in ends] == [asyncio.CancelledError, type(None), type(None)]
        assert all(call.done() for call in calls)
        assert {type(call.exception()) for call in calls} == {ClientStateError}
        with pytest.raises(ClientStateError):
            await client.chats.create(USER)
        assert server.requests == 100


async def test_who_closes_second_waits_until_all_is_closed() -> None:
    """Over TLS that takes a moment, in which a program might end."""
    with RawServer(read, SUCCESS, tls=serving()) as server:
        client = FanvueClient(TOKEN, base_url=server.url, ssl=TRUST)
        await client.chats.create(USER)

        first, second = (asyncio.create_task(client.aclose()) for _ in range(2))
        await second

        assert first.done()


_BEGINNING = """
import asyncio, logging, os, sys, time
from fanvue_async import ClientStateError, FanvueClient

logging.getLogger("asyncio").setLevel(logging.ERROR)  # no word about turns that take their time
url, user = sys.argv[1:]
client = FanvueClient("lifecycle-token", base_url=url, timeout=5)
"""

_NEVER_USED = ""

_NEVER_CLOSED = """
asyncio.run(client.chats.create(user))
print("done", flush=True)
"""

_INTERRUPTED = """
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

async def main():
    async with client:
        await client.chats.create(user)

asyncio.run(main())
"""

_FORKED = """
async def anew():
    async with FanvueClient("lifecycle-token", base_url=url) as another:
        await another.chats.create(user)

def refused(use):
    try:
        use()
    except ClientStateError:
        return True

def check_child(*uses):
    all_refused = all(map(refused, uses))
    asyncio.new_event_loop().run_until_complete(anew())
    os._exit(0 if all_refused else 1)
"""

_FORKED_IN_A_CALL = (
    _FORKED
    + """
async def main():
    async with client:
        await client.chats.create(user)
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            started = time.monotonic()
            await client.chats.create(user)
            print(time.monotonic() - started, flush=True)
            return
        another_loop = asyncio.new_event_loop()
        check_child(
            lambda: client.chats.create(user).send(None),  # the parent's loop is none here
            lambda: client.aclose().send(None),
            lambda: another_loop.run_until_complete(client.chats.create(user)),
        )

asyncio.run(main())
"""
)

_FORKED_BETWEEN_CALLS = (
    _FORKED
    + """
with asyncio.Runner() as runner:
    runner.run(client.chats.create(user))
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        started = time.monotonic()
        runner.run(client.chats.create(user))
        print(time.monotonic() - started, flush=True)
        runner.run(client.aclose())
    else:
        check_child(
            lambda: runner.run(client.chats.create(user)),  # the loop that the client belongs to
            lambda: runner.run(client.aclose()),
        )
"""
)


@asynccontextmanager
async def running(script: str, url: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run Python code in a process of its own, which shows all warnings."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "always", "-c", _BEGINNING + script, url, USER),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_client_that_is_never_used_says_nothing() -> None:
    """Making one opens nothing, so there is nothing to close."""
    async with running(_NEVER_USED, "http://127.0.0.1:1") as process:
        assert await process.communicate() == (b"", b"")
        assert process.returncode == 0


async def test_a_client_that_is_never_closed_holds_nothing_up() -> None:
    """The process ends as if nothing was; aiohttp tells the developer what was forgotten."""
    with Server(succeed) as server:
        async with running(_NEVER_CLOSED, server.url) as process:
            out, err = await process.communicate()

    assert out == b"done\n"
    assert process.returncode == 0
    assert b"Unclosed client session" in err
    assert b"Traceback" not in err
    assert b"lifecycle-token" not in err


async def test_an_interrupt_closes_the_client() -> None:
    """Ctrl-C during a call is a KeyboardInterrupt and nothing else."""
    with Server(saying()) as server:
        async with running(_INTERRUPTED, server.url) as process:
            await until(lambda: server.requests == 1)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()

    assert out == b""
    assert process.returncode == -signal.SIGINT
    assert err.count(b"Traceback") == 2  # the cancel of the task, and what it came from
    assert err.endswith(b"KeyboardInterrupt\n")
    assert b"Unclosed" not in err
    assert b"lifecycle-token" not in err


@pytest.mark.parametrize("script", [_FORKED_IN_A_CALL, _FORKED_BETWEEN_CALLS])
async def test_a_forked_child_is_refused_and_does_the_parent_no_harm(script: str) -> None:
    """Its calls are refused before they touch the parent's connections; its own client works."""
    with Server(succeed) as server:
        async with running(script, server.url) as process:
            out, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert float(out) < 0.1 * TOLERANCE
    assert server.requests == 3  # the parent's two and one of the child's own client
    assert server.connections == 2
