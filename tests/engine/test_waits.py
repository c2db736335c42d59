"""What a call waits in: the queue for a connection, and the scopes that end a wait in time."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import aiohttp
import pytest
from support.stages import LoopServer, turns, until
from support.users import USER

from fanvue_async import FanvueClient, FanvueError, Limits, RetryPolicy, Timeout
from fanvue_async.engine.call import Call
from fanvue_async.engine.transport import Connections, RequestBody
from fanvue_async.engine.waits import Scope, Scopes, Timer, this_task

_CREATED = b'HTTP/1.1 201 Created\r\nContent-Length: 19\r\n\r\n{"message":"hello"}'

# The queue. That calls go through it in their order is in test_pool.py.

_ALONE = Limits(max_connections=1)
_ONCE = RetryPolicy.never()


@pytest.mark.parametrize("cancelled_first", [True, False])
@pytest.mark.parametrize("others", [0, 1])
async def test_a_slot_is_not_lost_with_who_gave_up(*, cancelled_first: bool, others: int) -> None:
    """Who is cancelled in the queue, or with the slot in hand, leaves it to the next."""
    async with LoopServer() as server:
        async with server.client(limits=_ALONE) as client:
            slots = client._session.terms.pool.slots
            assert slots.take()
            calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(1 + others)]
            await until(lambda: len(slots.waiters) == len(calls))

            if cancelled_first:
                calls[0].cancel()
            slots.release()
            calls[0].cancel()
            await asyncio.wait(calls[:1])
            assert calls[0].cancelled()
            await until(lambda: len(server.paths) == others)
            assert slots.take() is (not others)
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_waiter_that_is_thrown_away_takes_no_slot() -> None:
    """A task that nobody holds any more is closed where it waits; its slot goes to others."""
    async with LoopServer() as server, server.client(limits=_ALONE) as client:
        slots = client._session.terms.pool.slots
        assert slots.take()
        call = client.chats.create(USER)
        call.send(None)
        assert slots.waiters
        call.close()

        slots.release()

        assert slots.take()


class _Holding(LoopServer):
    """Reads requests, and leaves the answers to the test."""

    def __init__(self) -> None:
        super().__init__(lambda _, transport: self.unanswered.append(transport))
        self.unanswered: list[asyncio.Transport] = []

    def say(self, *pieces: bytes) -> None:
        """Send each of these to one of those who wait longest, and look no more at them."""
        for piece in pieces:
            self.unanswered.pop(0).write(piece)


def _tracing(signal: str, receiver: Any) -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()
    getattr(tracing, signal).append(receiver)
    tracing.freeze()
    return tracing


async def test_requests_leave_one_by_one_as_responses_are_read() -> None:
    """Who waits for a connection is called as soon as a response is there, not after all of them.

    A crowd that begins at once has the garbage collector look at all that wait, again and again.
    """
    order: list[str] = []

    async def call(client: FanvueClient) -> None:
        await client.chats.create(USER)
        order.append("read")

    async def on_start(*_: object) -> None:
        order.append("sent")

    async with _Holding() as server, server.client(limits=Limits(max_connections=2)) as client:
        http = client._session.terms.pool.http
        assert http is not None
        http.trace_configs.append(_tracing("on_request_start", on_start))
        calls = [asyncio.create_task(call(client)) for _ in range(8)]
        for _ in range(4):
            await until(lambda: len(server.unanswered) == 2)
            order.append("|")
            server.say(_CREATED, _CREATED)
        await asyncio.gather(*calls)

    # The first two could not know that others would wait behind them.
    waves = "".join(event[0] for event in order).split("|")
    assert waves == ["ss", "rrss", "rsrs", "rsrs", "rr"]


async def test_a_slot_goes_on_with_the_last_byte_of_a_response() -> None:
    """Neither with an early hint nor with the first half of a body."""
    async with _Holding() as server, server.client(limits=_ALONE) as client:
        slots = client._session.terms.pool.slots
        calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(3)]
        await until(lambda: server.unanswered)
        server.say(_CREATED)
        await until(lambda: server.unanswered)
        (second,) = server.unanswered

        for piece in (b"HTTP/1.1 103 Early Hints\r\n\r\n", _CREATED[:-5]):
            second.write(piece)
            await turns(10)
            assert len(slots.waiters) == 1

        server.say(_CREATED[-5:])
        await until(lambda: server.unanswered)
        server.say(_CREATED)
        await asyncio.gather(*calls)


async def test_a_response_that_comes_before_its_request_has_left_hands_nothing_on() -> None:
    """Its connection is of no use to who waits, and held as long as a tracer looks at it."""
    go_on = asyncio.Event()

    async def on_end(*_: object) -> None:
        await go_on.wait()

    async with _Holding() as server, server.client(limits=_ALONE) as client:
        pool = client._session.terms.pool
        first = asyncio.create_task(client.chats.create(USER))
        await until(lambda: server.unanswered)
        large = {"text": "x" * 8_000_000}  # more than the kernel takes
        upload = asyncio.create_task(client.request("POST", "/x", json=large, idempotent=False))
        last = asyncio.create_task(client.chats.create(USER))
        await until(lambda: len(pool.slots.waiters) == 2)
        assert pool.http is not None
        pool.http.trace_configs.append(_tracing("on_request_end", on_end))
        (transport,) = server.unanswered
        server.say(_CREATED)
        await first
        transport.pause_reading()
        await turns(10)

        transport.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await turns(10)
        assert len(pool.slots.waiters) == 1

        go_on.set()
        with pytest.raises(FanvueError):
            await upload
        await until(lambda: server.unanswered)
        server.say(_CREATED)
        await last


async def test_a_response_that_ends_after_its_attempt_hands_nothing_on() -> None:
    """The slot may be that of the next attempt by then."""
    told: list[str] = []
    body = RequestBody(b"", "", Connections(), lambda: told.append("ended"))
    body.note_response()
    body.end()

    body.note_response()

    assert told == ["ended"]


@pytest.mark.parametrize("answer", [_CREATED, b""], ids=["answered", "reset"])
async def test_calls_of_a_crowd_leave_no_cycle(answer: bytes) -> None:
    """With the garbage collector off, nothing is left of them."""

    def reply(_: str, transport: asyncio.Transport) -> None:
        transport.write(answer) if answer else transport.abort()

    gc.collect()
    gc.disable()
    try:
        limits = Limits(max_connections=2)
        async with LoopServer(reply) as server, server.client(limits=limits, retry=_ONCE) as client:
            calls = [client.chats.create(USER) for _ in range(20)]
            await asyncio.gather(*calls, return_exceptions=True)
            del calls
            await turns(3)
            left = sum(type(item) in {Call, RequestBody} for item in gc.get_objects())
    finally:
        gc.enable()
    assert left == 0


# Scopes and timers. A test's waits end by the timer or never, so that no bound is needed.


def _scope(scopes: Scopes, timer: Timer) -> Scope:
    task = this_task()
    assert task is not None
    return Scope(scopes, timer, task)


async def _wait_in(scopes: Scopes, timer: Timer) -> float | None:
    """Wait for ever, and return when the timer ended that, if it did."""
    with _scope(scopes, timer) as scope:
        await asyncio.Event().wait()
    return asyncio.get_running_loop().time() if scope.expired else None


def _handles() -> int:
    loop = asyncio.get_running_loop()
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])  # uvloop shows none
    return sum(not handle.cancelled() for handle in scheduled)


@pytest.mark.usefixtures("no_leaks")
async def test_each_wait_ends_at_its_own_time() -> None:
    """Waits that began one after the other end so, none before the timer's time."""
    scopes, timer = Scopes(), Timer(0.03)
    loop = asyncio.get_running_loop()
    began: list[float] = []
    waits: list[asyncio.Task[float | None]] = []
    for _ in range(4):
        began.append(loop.time())
        waits.append(asyncio.create_task(_wait_in(scopes, timer)))
        await asyncio.sleep(0.01)
    ended = [end for end in await asyncio.gather(*waits) if end]

    assert all(end - begin > 0.028 for begin, end in zip(began, ended, strict=True))
    assert ended == sorted(ended)
    assert scopes.open == []
    assert not scopes.timers


async def test_who_leaves_early_holds_nobody_else_up() -> None:
    """The timer was set for the first of them; the second has the whole of its own time."""
    scopes, timer = Scopes(), Timer(0.1)
    with _scope(scopes, timer) as first:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    ended = await _wait_in(scopes, timer)

    assert not first.expired
    assert ended is not None
    assert ended - began > 0.09


async def test_a_timer_has_one_handle_and_only_while_somebody_waits() -> None:
    """A thousand waits cost the loop no more than one, and nothing is left of them."""
    scopes, timer = Scopes(), Timer(60)
    before = _handles()
    waits = [asyncio.create_task(_wait_in(scopes, timer)) for _ in range(1_000)]
    await turns(2)
    assert len(scopes.open) == 1_000
    assert _handles() <= before + 1

    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    assert _handles() == before


async def test_a_timer_can_be_changed_under_a_wait() -> None:
    """Then the new one holds, from now, and the old one no longer."""
    scopes = Scopes()
    with _scope(scopes, Timer(0.01)) as scope:
        scope.change_to(Timer(60))
        await asyncio.sleep(0.03)
        assert not scope.expired
        scope.change_to(Timer(0.01))
        await asyncio.Event().wait()
    assert scope.expired


async def test_a_cancel_of_the_callers_goes_through_a_scope() -> None:
    """Also if the timer has asked for the end of the wait in the same turn."""
    for seconds in (0.0, 60.0):
        wait = asyncio.create_task(_wait_in(Scopes(), Timer(seconds)))
        await turns(1)
        if not seconds:
            time.sleep(0.001)  # noqa: ASYNC251 - the timer is due, and has not fired
            asyncio.get_running_loop().call_soon(wait.cancel)
            await turns(1)
        else:
            wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()


async def test_scoped_clients_share_the_timers_of_their_parent() -> None:
    """But for one that has a timeout of its own."""
    client = FanvueClient("token")
    scoped, hasty = client.with_options(access_token="other"), client.with_options(timeout=5)

    bounds = client._session.terms.bounds
    assert scoped._session.terms.bounds is bounds
    assert hasty._session.terms.bounds.timeout == Timeout(5)
    assert hasty._session.terms.bounds.total_timer is not bounds.total_timer
