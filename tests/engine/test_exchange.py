"""One exchange: what the server read, what it did then, and what the caller is told.

Where aiohttp's C parser and its pure-Python parser rightly differ, the tests allow both outcomes
and say why.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.failing import (
    collecting_garbage,
    error_of,
    failing_call,
)
from support.raw_server import (
    SUCCESS,
    TOKEN,
    Connection,
    RawServer,
    answer,
    endless,
    fin,
    hang,
    head,
    read,
    receive,
    rst,
)
from support.users import USER, user

from fanvue_async import (
    FanvueClient,
    Limits,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RetryEvent,
    RetryPolicy,
    Timeout,
    TransportError,
    __version__,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.raw_server import Step

JSON = "Content-Type: application/json"
BODY = b'{"message":"created"}'
MEGABYTE = 1024 * 1024


@pytest.fixture
async def server(no_leaks: None) -> AsyncIterator[RawServer]:  # noqa: ARG001 - it watches over this one too
    """Run a server that leads the client into trouble, of which nothing must remain."""
    with collecting_garbage(), RawServer() as running:
        yield running


# What is sent


async def test_a_request_has_these_headers_and_no_others(server: RawServer) -> None:
    """A request with a body carries exactly the headers of the design."""
    async with server.client(user_agent="bot/1") as client:
        await client.chats.create(USER)

    (request,) = server.requests
    headers = request.headers
    agent = headers.pop("User-Agent")
    assert agent.startswith(f"fanvue-async/{__version__} ")
    assert agent.endswith(" bot/1")
    assert request.body == b'{"userUuid":"%s"}' % USER.encode()
    assert sorted(headers.items()) == [
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip"),
        ("Authorization", f"Bearer {TOKEN}"),
        ("Content-Length", str(len(request.body))),
        ("Content-Type", "application/json"),
        ("Host", server.url.removeprefix("http://")),
        ("X-Fanvue-API-Version", "2025-06-26"),
    ]


@pytest.mark.parametrize(
    ("method", "length"),
    [("GET", None), ("HEAD", None), ("POST", "0"), ("PUT", "0"), ("PATCH", "0"), ("DELETE", "0")],
)
async def test_a_body_is_framed_whatever_the_method(
    server: RawServer, method: str, length: str | None
) -> None:
    """What is sent has its length, or it would be read as the next request; no body claims none."""
    server.play(read, head(204), read, head(204))
    async with server.client() as client:
        await client.request(method, "/chats", json={"page": 1})
        await client.request(method, "/chats")

    first, second = server.requests
    assert first.body == b'{"page":1}'
    assert first.headers["Content-Type"] == "application/json"
    assert (second.method, second.target, second.body) == (method, "/chats", b"")
    assert second.headers.get("Content-Length") == length
    assert "Content-Type" not in second.headers


# Success


async def test_an_answer_may_end_with_its_connection(server: RawServer) -> None:
    """A body without a length ends where the connection ends (RFC 9112, 6.3)."""
    server.play(read, head(201, JSON), BODY[:5], BODY[5:], fin)
    async with server.client() as client:
        assert (await client.chats.create(USER)).message == "created"


async def test_a_success_of_just_the_cap(server: RawServer) -> None:
    """A body of exactly 1 MiB is taken."""
    server.play(read, answer(200, b"x" * MEGABYTE))
    async with server.client() as client:
        assert len((await client.request("GET", "/x")).content) == MEGABYTE


# The status decides


@pytest.mark.parametrize("steps", [(hang,), (endless(b"x", every=0.05),)], ids=["no", "drop"])
async def test_an_error_body_is_not_waited_for_longer_than_a_second(
    server: RawServer, steps: tuple[Step, ...]
) -> None:
    """A body that does not end keeps nobody: after a second the status is what counts."""
    server.play(read, head(404), b"not", *steps)
    started = time.monotonic()

    error = await failing_call(server)

    assert time.monotonic() - started > 0.9
    assert type(error) is NotFoundError
    assert error.body is not None
    assert error.body.startswith("not")
    assert len(server.requests) == 2


# It left, and no answer came


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize(("idempotent", "attempts"), [(True, 3), (False, 1)])
async def test_aiohttp_repeats_nothing_by_itself(
    server: RawServer,
    method: str,
    idempotent: bool,
    attempts: int,
) -> None:
    """On a kept connection that dies, the server reads as many requests as the error says."""
    server.play(read, head(204), read, fin)
    server.play(read, fin, times=attempts - 1)
    async with server.client() as client:
        await client.request(method, "/x")
        with pytest.raises(NoAnswerError) as caught:
            await client.request(method, "/x", idempotent=idempotent)

    assert caught.value.attempts == attempts
    assert len(server.requests) == 1 + attempts


LARGE = "x" * 8 * MEGABYTE
"""More than the buffers between client and server hold."""


async def test_a_large_body_is_sent_as_any_other(server: RawServer) -> None:
    """A body of some megabytes arrives whole, and nobody is warned about it."""
    async with server.client() as client:
        await client.request("PUT", "/x", json=LARGE)

    (request,) = server.requests
    assert request.body == b'"%b"' % LARGE.encode()


async def test_what_was_given_up_is_not_delivered_later() -> None:
    """A cancelled request does not reach a slow server out of the kernel's hands."""
    loop = asyncio.get_running_loop()
    size = 4 * 1024 * 1024
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with FanvueClient(TOKEN, base_url=url) as client:
            call = asyncio.create_task(client.request("POST", "/", json="x" * size))
            accepted, _ = await loop.sock_accept(listening)
            with accepted:
                await asyncio.sleep(0.1)  # by then the kernel has taken what it takes
                call.cancel()
                await asyncio.wait([call])
                delivered = 0
                with suppress(ConnectionResetError):
                    async with asyncio.timeout(5):
                        while piece := await loop.sock_recv(accepted, 1 << 16):
                            delivered += len(piece)

    assert delivered < size / 2


# It never left


@pytest.mark.parametrize(("method", "body"), [("POST", {"page": 1}), ("GET", None)])
async def test_a_connection_that_closes_when_the_request_is_to_be_written(
    server: RawServer, method: str, body: dict[str, int] | None
) -> None:
    """What is not written to a closing connection was not sent, and its address is not shown."""
    closing: list[asyncio.Task[None]] = []

    async def close(*_: object) -> None:
        closing.append(asyncio.create_task(session.close()))
        await asyncio.sleep(0)  # it begins to close, and is written to before it is closed

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(close)
    session = borrowed(trace_configs=[tracing])
    async with server.client(session=session, retry=RetryPolicy.never()) as client:
        with pytest.raises(NotSentError) as caught:
            await client.request(method, "/x", json=body, params={"key": "secret"})
    await closing[0]

    assert (caught.value.attempts, caught.value.maybe_processed) == (1, False)
    assert "secret" not in f"{caught.value} {vars(caught.value)}"
    assert server.requests == []


@pytest.mark.parametrize("end", [fin, rst])
@pytest.mark.parametrize(("method", "body"), [("POST", {"page": 1}), ("GET", None)])
async def test_a_race_between_the_request_and_the_end_of_its_connection(
    server: RawServer, end: Step, method: str, body: dict[str, int] | None
) -> None:
    """Whoever wins, the error says whether the request left, and nothing of the query."""
    rounds = 50
    server.play(end, times=rounds)
    options = {"retry": RetryPolicy.never(), "limits": Limits(max_connections=1)}
    async with server.client(**options) as client:
        for _ in range(rounds):
            with pytest.raises((NotSentError, NoAnswerError)) as caught:
                await client.request(method, "/x", json=body, params={"key": "secret"})
            error = caught.value
            has_left = isinstance(error, NoAnswerError)
            assert error.maybe_processed is (has_left and method == "POST")  # a GET does nothing
            assert "secret" not in f"{error} {vars(error)}"
        await client.chats.create(USER)

    assert len(server.requests) == 1


# A connection that is used again


async def test_a_dead_kept_connection_costs_no_wait(server: RawServer) -> None:
    """A call whose kept connection died without a byte is sent again at once, and for nothing."""
    events: list[RetryEvent] = []
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    rounds = 25  # the quota would be used up after 10
    server.play(read, SUCCESS, read, fin)
    server.play(read, SUCCESS, read, rst, times=rounds)
    async with server.client(on_retry=events.append) as client:
        client._session.terms.pool.clockwork.sleep = sleep
        await client.chats.create(USER)
        for _ in range(rounds):
            assert (await client.request("PUT", "/x")).attempts == 2

    assert [(event.attempt, event.wait) for event in events] == [(1, 0)] * rounds
    assert not any(sleeps)
    assert len(server.requests) == 1 + 2 * rounds


# Two of this kind are not here, because aiohttp does not tell that a byte came: half a head and a
# reset, and an interim answer and the end. Both count as dead and are repeated without a wait.
@pytest.mark.parametrize(
    "steps",
    [(b"HTTP/1.1 201 Cre", fin), (head(201, "Content-Length: 64"), fin), (answer(503),)],
    ids=["half a head", "half an answer", "answer"],
)
async def test_a_kept_connection_that_spoke_was_not_dead(
    server: RawServer, steps: tuple[Step, ...]
) -> None:
    """What failed after a byte of the answer waits like any failure."""
    events: list[RetryEvent] = []
    server.play(read, SUCCESS, read, *steps)
    async with server.client(on_retry=events.append) as client:
        client._session.terms.pool.clockwork.random = lambda: 1.0
        await client.chats.create(USER)
        await client.chats.create(USER)

    assert [event.wait for event in events] == [0.5]


def echo(connection: Connection) -> None:
    """Answer with the user whom the request is about."""
    message = json.loads(connection.server.requests[-1].body)["userUuid"]
    connection.run(answer(201, json.dumps({"message": message}).encode()))


UNASKED = {
    "an answer": answer(201, b'{"message":"not yours"}'),
    "408": answer(408),
    "408 and close": answer(408, b"", "Connection: close"),
    "an interim answer": head(100),
    "garbage": b"garbage\r\n\r\n",
    "half an answer": answer(201, b'{"message":"not yours"}')[:-4],
    "an unfinished line": b"HTTP/1.1 2",
    "an unfinished head": b"HTTP/1.1 400 Bad Request\r\nX-Half: ",
}


@pytest.mark.parametrize("unasked", UNASKED)
@pytest.mark.usefixtures("no_leaks")
async def test_what_nobody_asked_for_answers_nobody(unasked: str) -> None:
    """A pooled connection on which the server spoke out of turn is not used again.

    If it had only begun to, the connection may be, but the beginning is in nobody's answer.
    """
    rounds = 100
    with RawServer(read, echo) as server:
        limits = Limits(max_connections=1)
        async with server.client(limits=limits, retry=RetryPolicy.never()) as client:
            for number in range(rounds):
                assert (await client.chats.create(user(number))).message == user(number)
                await server.say(UNASKED[unasked])

        assert len(server.requests) == rounds
        assert server.connections == rounds or "unfinished" in unasked


async def test_what_comes_while_a_tracer_waits_answers_nobody() -> None:
    """An idle connection is looked at after the last code of others, not before it."""
    with RawServer(read, echo) as server:

        async def on_reuse(*_: object) -> None:
            await server.say(UNASKED["an answer"])
            await asyncio.sleep(0.01)

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(on_reuse)
        tracing.freeze()
        async with server.client(limits=Limits(max_connections=1)) as client:
            http = client._session.terms.pool.http
            assert http is not None
            http.trace_configs.append(tracing)
            for number in range(4):
                assert (await client.chats.create(user(number))).message == user(number)

        assert len(server.requests) == server.connections == 4


# Code of others in the middle of an exchange: tracing, and the owner of a borrowed session


def borrowed(*, limit: int = 100, **options: Any) -> aiohttp.ClientSession:
    """Make a session for the client to borrow."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit), **options)


async def pause(*_: object) -> None:
    """Give the server time to go on."""
    await asyncio.sleep(0.05)


async def test_a_body_that_is_cut_while_somebody_traces(server: RawServer) -> None:
    """An answer whose connection was gone before its body could be read is a lost answer."""
    server.play(read, head(201, "Content-Length: 64"), BODY, fin)
    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(pause)
    async with (
        borrowed(trace_configs=[tracing], limit=1) as session,
        server.client(session=session, retry=RetryPolicy.never()) as client,
    ):
        error = await error_of(client)
        await client.chats.create(USER)

    assert type(error) is NoAnswerError
    assert (error.attempts, error.maybe_processed) == (1, True)
    assert len(server.requests) == 2


async def test_tracing_that_raises(server: RawServer) -> None:
    """What nobody foresaw is a plain TransportError that says what is known of the request."""

    async def fail(*_: object) -> None:
        raise LookupError("with secrets")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(fail)
    async with (
        borrowed(trace_configs=[tracing], limit=1) as session,
        server.client(session=session) as client,
    ):
        for _ in range(2):  # the second would wait for the place if the first had kept it
            error = await error_of(client)
            assert type(error) is TransportError
            assert (error.attempts, error.maybe_processed) == (1, True)
            assert error.cause == "LookupError"

    assert len(server.requests) == 2


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    ("body", "start", "patience"),
    [("", read, 5), (LARGE, receive(100_000), 0.1)],
    ids=["patient", "impatient"],  # a connection with much unsent takes long to close
)
async def test_an_owner_who_closes_the_session_in_the_middle_of_an_answer(
    server: RawServer, body: str, start: Step, patience: float
) -> None:
    """A call whose borrowed connection is closed ends as one that lost its answer."""
    has_begun = threading.Event()
    server.play(start, head(201, "Content-Length: 64"), BODY, lambda _: has_begun.set(), hang)
    session = borrowed()
    options = {"timeout": Timeout(attempt=25), "retry": RetryPolicy.never()}
    async with server.client(session=session, **options) as client:
        call = asyncio.create_task(client.request("POST", "/x", json=body))
        assert await asyncio.to_thread(has_begun.wait, 5)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await session.close()
        with pytest.raises(NoAnswerError) as caught:
            await call

    assert (caught.value.attempts, caught.value.maybe_processed) == (1, True)


@pytest.mark.parametrize("is_cleaning_up", [False, True])
async def test_an_owner_who_closes_the_session_while_a_call_waits_in_it(
    server: RawServer, *, is_cleaning_up: bool
) -> None:
    """A call that waits for the owner's only connection fails, and is not cancelled.

    Nor is one of a task that was cancelled before, and has something to do about it.
    """
    server.play(read, hang)
    session = borrowed(limit=1)
    async with server.client(session=session, retry=RetryPolicy.never()) as client:
        owners = asyncio.create_task(session.request("GET", server.url))
        assert await server.has_read(1)

        async def clean_up() -> Any:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return await error_of(client)

        call = asyncio.create_task(clean_up() if is_cleaning_up else error_of(client))
        await asyncio.sleep(0)
        if is_cleaning_up:
            call.cancel()
        for _ in range(5):  # it waits by then
            await asyncio.sleep(0)
        await session.close()
        error = await call
        with pytest.raises(aiohttp.ClientConnectionError):
            await owners

    assert type(error) is NotSentError
    assert (error.attempts, error.maybe_processed) == (1, False)
    assert len(server.requests) == 1


async def test_a_call_that_is_cancelled_late_cuts_nobody_off(server: RawServer) -> None:
    """The connection that a call has given back may serve another when the call is cancelled."""
    is_answered, may_answer = asyncio.Event(), threading.Event()

    async def linger(*_: object) -> None:
        if not is_answered.is_set():
            is_answered.set()
            await asyncio.sleep(60)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(linger)
    server.play(read, SUCCESS, read, lambda _: may_answer.wait(5), SUCCESS)
    async with (
        borrowed(trace_configs=[tracing]) as session,
        server.client(session=session, retry=RetryPolicy.never()) as client,
    ):
        cancelled = asyncio.create_task(client.chats.create(USER))
        await is_answered.wait()
        other = asyncio.create_task(client.chats.create(USER))
        assert await server.has_read(2)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        may_answer.set()
        assert (await other).message == "created"

    assert cancelled.cancelled()
    assert server.connections == 1
