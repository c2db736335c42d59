"""What calls leave behind, what a bomb costs, and what it costs to wait."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from asyncio.trsock import TransportSocket
from collections import Counter, deque
from contextlib import ExitStack, asynccontextmanager
from contextvars import Context
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING

import attrs
import pytest
from benchmarks import TESTS
from benchmarks.server import running
from faults.scale import TOLERANCE, many, say
from support.chaos_server import Peer, Server, saying, succeed
from support.failing import kilobytes
from support.pace import Clock, no_time
from support.raw_server import answer, head
from support.users import USER

from fanvue_async import (
    APIError,
    BadRequestError,
    DeadlineExceededError,
    DecodeError,
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

pytestmark = pytest.mark.usefixtures("no_leaks")

TOKEN = "memory-token"
_MEASURE = ("-m", "benchmarks.fresh", "memory")

_TIMEOUT, _RETRY = Timeout(), RetryPolicy()


@attrs.frozen
class Kind:
    """A kind of call: what the server does, and how it ends."""

    behaviour: Behaviour
    end: type[BaseException] | None
    """How it ends; a short attempt may not even get to the server of a busy machine."""
    timeout: Timeout = _TIMEOUT
    retry: RetryPolicy = _RETRY
    patience: float | None = None
    """Seconds after which the caller gives up."""
    is_there: bool = True
    """Whether there is a server."""
    share: float = 1
    """How many of these calls are made, compared to others."""
    is_left_by_aiohttp: bool = False
    """Whether aiohttp leaves a cycle behind, of which nothing is ours."""


_SHORT = 0.01
_JSON = "Content-Type: application/json"
_SUCCESS = answer(201, b'{"message":"done"}', _JSON)
_CHUNKED = head(201, "Transfer-Encoding: chunked")
KINDS = {
    "success": Kind(saying(_SUCCESS), None, share=15),
    "success, then closed": Kind(saying(_SUCCESS, then=Peer.fin), None),
    "500": Kind(saying(answer(500, b'{"error":"no"}', _JSON)), ServerError),
    "503, closed": Kind(saying(answer(503, b"", "Connection: close")), ServerError),
    "302": Kind(saying(answer(302)), APIError),
    "400": Kind(saying(answer(400)), BadRequestError),
    "404": Kind(saying(answer(404, b'{"message":"no"}', _JSON)), NotFoundError),
    "refused": Kind(succeed, NotSentError, is_there=False),
    "FIN": Kind(saying(then=Peer.fin), NoAnswerError),
    "RST": Kind(saying(then=Peer.rst), NoAnswerError),
    "body cut": Kind(
        saying(head(201, "Content-Length: 9") + b"{", then=Peer.fin), NoAnswerError, share=0.3
    ),
    # aiohttp's response waits for the end of a body that had failed when it came with its head, by
    # a callback that nobody takes back: response.content._eof_callbacks holds a method of response.
    # https://github.com/aio-libs/aiohttp/blob/v3.14.4/aiohttp/streams.py#L188-L213
    "no gzip": Kind(
        saying(answer(201, b"no", "Content-Encoding: gzip")), NoAnswerError, is_left_by_aiohttp=True
    ),
    "no gzip later": Kind(
        saying(head(201, "Content-Encoding: gzip", "Content-Length: 2"), b"no"),
        NoAnswerError,
        share=0.3,
        is_left_by_aiohttp=True,  # when a busy machine reads both pieces at once
    ),
    "no HTTP": Kind(saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), ProtocolError),
    "bad chunk": Kind(saying(_CHUNKED + b"no size\r\n"), ProtocolError),
    "bad chunk later": Kind(saying(_CHUNKED, b"no size\r\n"), ProtocolError, share=0.3),
    "no JSON": Kind(saying(answer(201, b"<html>")), DecodeError),
    "too long": Kind(saying(answer(201, b" " * 1_100_000)), DecodeError, share=0.3),
    "attempt": Kind(
        saying(),
        NoAnswerError,
        timeout=Timeout(attempt=_SHORT),
        retry=RetryPolicy.never(),
        share=0.3,
    ),
    "total": Kind(saying(), DeadlineExceededError, timeout=Timeout(_SHORT), share=0.3),
    "cancelled": Kind(saying(), TimeoutError, patience=_SHORT, share=0.3),
}


@pytest.fixture
def uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Switch off the garbage collector, and logging, whose records pytest keeps."""
    monkeypatch.setattr(logging.getLogger("fanvue_async"), "disabled", True)
    gc.collect()
    gc.freeze()  # and never again looked through: all that is there after thousands of tests
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def _garbage() -> Counter[type[object]]:
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
        referents: list[object] = gc.get_referents(within.pop())
        new = [part for part in referents if id(part) not in parts and _is_in_a_transport(part)]
        parts.update(map(id, new))
        within += new
    left: list[object] = gc.garbage
    counted = Counter(type(thing) for thing in left if id(thing) not in parts)
    gc.garbage.clear()
    gc.collect()  # this time for good
    return counted


def _is_in_a_transport(thing: object) -> bool:
    return isinstance(thing, deque | dict | tuple | MethodType | socket.socket | TransportSocket)


def _in_use() -> Counter[type[object]]:
    """Count all objects by type, but for what asyncio keeps of up to a hundred old timers."""
    things: list[object] = gc.get_objects()
    counted = Counter(type(thing) for thing in things)
    del counted[asyncio.TimerHandle], counted[Context]
    return counted


def _is_ours(of: type[object]) -> bool:
    return of.__module__.partition(".")[0] in {"fanvue_async", "tenacity"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("uncollected")
async def test_calls_leave_nothing_to_the_garbage_collector(kind: str) -> None:
    """Whether they succeed or fail, no object is left, neither in use nor in a cycle."""
    how = KINDS[kind]
    calls = int(many(60, 900) * how.share)
    asyncio.get_running_loop().set_debug(False)  # which keeps a stack for each timer
    ends = Counter[type[BaseException] | None]()

    with ExitStack() as stack:
        server = Server(how.behaviour)
        if how.is_there:
            stack.enter_context(server)
        else:
            stack.callback(server.close)
        client = FanvueClient(TOKEN, base_url=server.url, timeout=how.timeout, retry=how.retry)
        client._session.terms.pool.clockwork.clock = clock = Clock()
        client._session.terms.pool.clockwork.sleep = no_time

        async def call() -> None:
            clock.now += 600  # so that there is always quota
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
            before = _in_use()
            for _ in range(calls):
                await call()
            await asyncio.sleep(0.02)  # for connections to be lost on the server's side, too
            garbage = _garbage()
            grown = _in_use() - before

    say(f"{calls} calls, {kind}: {grown.total():+} objects in use, {garbage.total()} garbage")
    late = ends[NotSentError] if how.timeout.attempt == _SHORT else 0
    assert ends[how.end] + late > 0.9 * sum(ends.values())
    if how.is_left_by_aiohttp:
        garbage = Counter({of: count for of, count in garbage.items() if _is_ours(of)})
    for left in (garbage, grown):
        assert {of: count for of, count in left.items() if count > 10 + 0.1 * calls} == {}


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """Compress 256 MiB of nothing, in both forms that HTTP knows; each MiB is the same anew."""
    mebibyte, count = bytes(1024 * 1024), 256
    compressor = zlib.compressobj(wbits=-15)
    piece = compressor.compress(mebibyte) + compressor.flush(zlib.Z_FULL_FLUSH)
    content = piece * count + zlib.compressobj(wbits=-15).flush()
    crc, adler = 0, 1
    for _ in range(count):
        crc, adler = zlib.crc32(mebibyte, crc), zlib.adler32(mebibyte, adler)
    return {
        "gzip": gzip.compress(b"")[:10] + content + struct.pack("<LL", crc, count * len(mebibyte)),
        "deflate": b"\x78\x9c" + content + struct.pack(">L", adler),
    }


def _start_measuring() -> int:
    """Let VmHWM start from what the process takes now, and return that."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return kilobytes()


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
async def test_a_bomb_does_not_go_off(bombs: dict[str, bytes], form: str, status: int) -> None:
    """Of 256 MiB that are a quarter of one on the wire, no more is unpacked than is allowed.

    In under 8 MB of memory, and, alone, without holding up others for more than 50 ms.
    """
    content = answer(status, bombs[form], f"Content-Encoding: {form}")
    with Server(saying(content)) as server:
        async with FanvueClient(TOKEN, base_url=server.url, retry=RetryPolicy.never()) as client:
            before = _start_measuring()
            async with longest_turn() as turns:
                with pytest.raises(DecodeError if status == 201 else ServerError):
                    await client.chats.create(USER)
            took = kilobytes("VmHWM") - before

    say(f"a {form} bomb with {status}: {took:,} kB, a turn of {turns[-1] * 1000:.0f} ms")
    assert took < 8_000
    assert turns[-1] < 0.05 * TOLERANCE


def test_what_it_costs_to_wait() -> None:
    """Each of 10,000 calls at once takes at most 4 kB, its task included.

    It is measured as the benchmark does, in a process without coverage and development mode.
    """
    pytest.importorskip("httpx", reason="what requirements-bench.txt lists is not installed")
    count = 10_000
    with running() as url:
        measured = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, *_MEASURE, "fanvue_async", f"{url}/hold", str(count)],
            cwd=TESTS,
            env={**os.environ, "PYTHONDEVMODE": ""},
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )

    assert measured.returncode == 0, measured.stderr
    taken = int(measured.stdout) / count
    say(f"each of {count:,} calls at once takes {taken:,.0f} bytes")
    assert taken < 3_500
