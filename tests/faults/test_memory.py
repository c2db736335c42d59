"""What calls leave behind, what a bomb costs, and what it costs to wait."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
import tracemalloc
import zlib
from asyncio.trsock import TransportSocket
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING

import attrs
import pytest
from faults.scale import TOLERANCE, many, say
from support.chaos_server import Peer, Server, saying, succeed
from support.raw_server import answer, head
from support.users import USER

from fanvue_async import (
    ClientStateError,
    CreatedChat,
    DecodeError,
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    ProtocolError,
    RetryPolicy,
    ServerError,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from support.chaos_server import Behaviour

TOKEN = "memory-token"


@attrs.frozen
class Kind:
    """A kind of call: what the server does, and how it ends."""

    behaviour: Behaviour
    end: type[BaseException] | None
    timeout: Timeout = Timeout()
    retry: RetryPolicy = RetryPolicy()
    patience: float | None = None
    """Seconds after which the caller gives up."""
    is_there: bool = True
    """Whether there is a server."""
    share: float = 1.0
    """How many of these calls are made, compared to others."""


_SHORT = 0.01
_JSON = "Content-Type: application/json"
_SUCCESS = answer(201, b'{"message":"done"}', _JSON)
_CHUNKED = head(201, "Transfer-Encoding: chunked")
KINDS = {
    "success": Kind(saying(_SUCCESS), None, share=15),
    "success, then closed": Kind(saying(_SUCCESS, then=Peer.fin), None),
    "500": Kind(saying(answer(500, b'{"error":"no"}', _JSON)), ServerError),
    "503, closed": Kind(saying(answer(503, b"", "Connection: close")), ServerError),
    "404": Kind(saying(answer(404, b'{"message":"no"}', _JSON)), NotFoundError),
    "refused": Kind(succeed, NotSentError, is_there=False),
    "FIN": Kind(saying(then=Peer.fin), NoAnswerError),
    "RST": Kind(saying(then=Peer.rst), NoAnswerError),
    "body cut": Kind(saying(head(201, "Content-Length: 9") + b"{", then=Peer.fin), NoAnswerError),
    "no gzip": Kind(saying(answer(201, b"no", "Content-Encoding: gzip")), NoAnswerError),
    "no HTTP": Kind(saying(b"SSH-2.0-OpenSSH_9.6\r\n"), ProtocolError),
    "bad chunk": Kind(saying(_CHUNKED + b"no size\r\n"), ProtocolError),
    "bad chunk later": Kind(saying(_CHUNKED, b"no size\r\n"), ProtocolError),
    "no JSON": Kind(saying(answer(201, b"<html>")), DecodeError),
    "too long": Kind(saying(answer(201, b" " * 1_100_000)), DecodeError, share=0.5),
    "attempt": Kind(
        saying(),
        NoAnswerError,
        timeout=Timeout(attempt=_SHORT),
        retry=RetryPolicy.never(),
        share=0.5,
    ),
    "total": Kind(saying(), DeadlineExceededError, timeout=Timeout(_SHORT), share=0.5),
    "cancelled": Kind(saying(), TimeoutError, patience=_SHORT, share=0.5),
}


class _HurriedClock:
    """A clock by which so much time is between two calls that there is always quota."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


async def _no_time(_: float) -> None:
    """Wait for a retry without waiting."""


@pytest.fixture
def uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Switch off the garbage collector, and logging, whose records pytest keeps."""
    monkeypatch.setattr(logging.getLogger("fanvue_async"), "disabled", True)
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def _garbage() -> Counter[str]:
    """Count, by type, what only the garbage collector could free, but for closed transports.

    A transport of asyncio holds a method of its own, so that every connection, the server's side
    included, leaves a transport, what is in it, and nothing else.
    """
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    within: list[object] = [thing for thing in gc.garbage if isinstance(thing, asyncio.Transport)]
    parts = {id(transport) for transport in within}
    while within:
        for part in gc.get_referents(within.pop()):
            if id(part) not in parts and isinstance(part, _PARTS_OF_A_TRANSPORT):
                parts.add(id(part))
                within.append(part)
    counted = Counter(type(thing).__qualname__ for thing in gc.garbage if id(thing) not in parts)
    gc.garbage.clear()
    gc.collect()  # this time for good
    return counted


_PARTS_OF_A_TRANSPORT = (dict, tuple, MethodType, socket.socket, TransportSocket)


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_leave_nothing_to_the_garbage_collector(
    no_leaks: None, uncollected: None, kind: str
) -> None:
    """Whether they succeed or fail, no object is left, neither in use nor in a cycle."""
    how = KINDS[kind]
    calls = int(many(60, 700) * how.share)
    ends = Counter[type[BaseException] | None]()

    with ExitStack() as stack:
        server = Server(how.behaviour)
        if how.is_there:
            stack.enter_context(server)
        else:
            stack.callback(server.close)
        client = FanvueClient(TOKEN, base_url=server.url, timeout=how.timeout, retry=how.retry)
        client._session.pool.seams.clock = clock = _HurriedClock()
        client._session.pool.seams.sleep = _no_time

        async def call() -> None:
            clock.now += 600
            try:
                async with asyncio.timeout(how.patience):
                    await client.chats.create(USER)
            except (FanvueError, TimeoutError) as error:
                ends[type(error)] += 1
            else:
                ends[None] += 1

        async with client:
            for _ in range(20):  # fills caches
                await call()
            await asyncio.sleep(0.02)
            _garbage()
            before = len(gc.get_objects())
            for _ in range(calls):
                await call()
            await asyncio.sleep(0.02)  # for connections to be lost on the server's side, too
            garbage = _garbage()
            grown = len(gc.get_objects()) - before

    say(f"{calls} calls, {kind}: {grown:+} objects in use, garbage: {dict(garbage)}")
    assert ends[how.end] > 0.9 * sum(ends.values())
    assert {name: count for name, count in garbage.items() if count > 0.1 * calls} == {}
    assert grown < 50 + 0.1 * calls


def _bomb(form: int) -> bytes:
    """Compress 256 MiB of nothing."""
    compressor = zlib.compressobj(wbits=form)
    mebibyte = bytes(1024 * 1024)
    return b"".join([*(compressor.compress(mebibyte) for _ in range(256)), compressor.flush()])


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """Make a bomb of each kind."""
    return {"gzip": _bomb(31), "deflate": _bomb(15)}


def _kilobytes(of: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{of}:")[2].split()[0])


@asynccontextmanager
async def longest_turn() -> AsyncGenerator[list[float]]:
    """Watch the loop; the longest that a turn of it took is the last of the list."""
    longest = [0.0]

    async def watch() -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0)
            now = time.monotonic()
            if now - before > longest[-1]:
                longest.append(now - before)
            before = now

    watching = asyncio.create_task(watch())
    yield longest
    watching.cancel()
    await asyncio.wait([watching])


@pytest.mark.parametrize("status", [201, 500])
@pytest.mark.parametrize("form", ["gzip", "deflate"])
async def test_a_bomb_does_not_go_off(
    no_leaks: None, bombs: dict[str, bytes], form: str, status: int
) -> None:
    """Of 256 MiB that are a quarter of one on the wire, no more is unpacked than is allowed.

    In under 8 MB of memory, and without holding up others for more than 50 ms.
    """
    content = answer(status, bombs[form], f"Content-Encoding: {form}")
    with Server(saying(content)) as server:
        async with FanvueClient(TOKEN, base_url=server.url, retry=RetryPolicy.never()) as client:
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts from here
            before = _kilobytes("VmRSS")
            async with longest_turn() as turns:
                with pytest.raises(DecodeError if status == 201 else ServerError):
                    await client.chats.create(USER)
            took = _kilobytes("VmHWM") - before

    say(f"a {form} bomb with {status}: {took:,} kB, a turn of {turns[-1] * 1000:.0f} ms")
    assert took < 8_000
    assert turns[-1] < 0.05 * TOLERANCE


async def test_what_it_costs_to_wait(no_leaks: None) -> None:
    """A call in the queue takes at most 4 kB, its task included."""
    count = many(1_000, 10_000)
    asyncio.get_running_loop().set_debug(False)  # which keeps a stack for each task
    with Server(saying()) as server:
        async with FanvueClient(TOKEN, base_url=server.url) as client:

            async def start(calls: int) -> list[asyncio.Task[CreatedChat]]:
                started = [asyncio.create_task(client.chats.create(USER)) for _ in range(calls)]
                await asyncio.sleep(0.1)
                return started

            sent = await start(100)
            gc.collect()
            tracemalloc.start()
            queued = await start(count)
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(client._session.pool.places._waiters) == count
        ends = await asyncio.gather(*sent, *queued, return_exceptions=True)

    assert {type(end) for end in ends} == {ClientStateError}
    say(f"each of {count:,} calls that wait for a connection takes {taken / count:,.0f} bytes")
    assert taken < 4 * 1024 * count
