"""Situations from bug reports: connections, deadlines, closing, and foreign code around a call."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import logging
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from aiohttp import ClientSession, TraceConfig
from aiohttp_socks import ProxyConnector, ProxyType
from faults import gap
from support.raw_server import PURE_PYTHON, SUCCESS, RawServer, answer, fin, read, refusing_port
from support.stages import LoopServer, Provider, nothing, turns, until
from support.stages import answer as answer_in_loop
from support.users import USER

from fanvue_async import (
    ClientStateError,
    CreatedChat,
    DeadlineExceededError,
    DecodeError,
    FanvueClient,
    Limits,
    NoAnswerError,
    NotSentError,
    ProtocolError,
    RetryPolicy,
    ServerError,
    Timeout,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.raw_server import Connection

    from fanvue_async.testing import FakeFanvue


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
async def test_idle_connections_whose_backend_is_gone(*, at_once: bool) -> None:
    """One dead connection tells of its neighbours: the repeat goes over a fresh one."""
    ends, requests = await gap.replaced_behind(gap.IDLE, gap.AFTERWARDS, at_once=at_once)
    assert ends == {"done": gap.AFTERWARDS}
    assert requests <= (2 * gap.AFTERWARDS if at_once else gap.AFTERWARDS + 1)


async def test_a_server_that_is_gone_for_a_moment() -> None:
    """0.3 s without a server under 30 callers fail at most one call in a hundred."""
    ends = await gap.gone_for(gap.SECONDS, gap.CALLERS, gap.CALLS)
    assert ends["done"] >= 0.99 * ends.total()


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "5"}], ids=["back-off", "Retry-After"])
async def test_a_wait_that_would_end_behind_the_deadline(
    fake: FakeFanvue, headers: dict[str, str]
) -> None:
    """It is not begun: the error that is known is raised at once."""
    fake.reply(503, headers=headers, times=2)
    policy = RetryPolicy(wait_initial=80_000, wait_max=80_000)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with fake.client(timeout=Timeout(total=1), retry=policy) as client:
        client._session.terms.pool.clockwork.random = lambda: 0.7
        client._session.terms.pool.clockwork.sleep = sleep
        with pytest.raises(ServerError):
            await client.chats.create(USER)
    assert (slept, len(fake.requests)) == ([], 1)


class _Held:
    """Something that a caller keeps in its context, such as its request."""


HELD: contextvars.ContextVar[_Held] = contextvars.ContextVar("HELD")


async def _call_with(held: _Held, client: FanvueClient) -> None:
    HELD.set(held)
    await client.chats.create(USER)


@pytest.mark.parametrize("opens", [True, False], ids=["new connection", "reused connection"])
async def test_the_context_of_a_call_that_is_over(fake: FakeFanvue, *, opens: bool) -> None:
    """It is gone with the call, although others overlap it and its connection lives on."""
    async with fake.client() as client:
        if not opens:
            await asyncio.gather(*(client.chats.create(USER) for _ in range(2)))
            await turns(5)
        fake.delay(0.05)
        held = _Held()
        gone = weakref.ref(held)
        call = asyncio.create_task(_call_with(held, client))
        del held
        await until(lambda: len(fake.requests) == (1 if opens else 3))
        fake.delay(0.5)
        other = asyncio.create_task(client.chats.create(USER))
        await call
        del call
        await turns(5)
        gc.collect()
        assert not other.done()
        assert gone() is None
        await other


def _write_into_headers(monkeypatch: pytest.MonkeyPatch, baggage: Callable[[], str]) -> None:
    """Do as ddtrace and elastic-apm do: wrap aiohttp's method, and write into what it is given."""
    request = ClientSession._request

    async def traced(self: ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        for mapping in (kwargs["headers"], kwargs.get("proxy_headers")):
            if mapping is not None and (value := baggage()):
                mapping["baggage"] = value
        return await request(self, *args, **kwargs)

    monkeypatch.setattr(ClientSession, "_request", traced)


async def test_a_tracer_that_writes_headers_into_the_mapping_it_is_given(
    fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call has a mapping of its own: what is written during one is not sent by another."""
    said = iter(["user.id=alice", ""])
    _write_into_headers(monkeypatch, lambda: next(said))
    async with fake.client() as client:
        await client.chats.create(USER)
        await client.chats.create(USER)
    sent = [request.headers.get("baggage") for request in fake.requests]
    assert sent == ["user.id=alice", None]


async def test_a_cancel_scope_that_ends_async_with() -> None:
    """The connections are closed, although every wait of the closing is cancelled."""
    outside: asyncio.Task[CreatedChat] | None = None
    async with LoopServer(answer_in_loop(201)) as server:
        client = server.client()
        with anyio.CancelScope() as scope:
            async with client:
                await asyncio.gather(*(client.chats.create(USER) for _ in range(3)))
                server.answer = nothing
                outside = asyncio.create_task(client.chats.create(USER))
                await until(lambda: len(server.heads) == 4)
                scope.cancel()
                await asyncio.sleep(1)
        await until(lambda: not server.open)
        assert outside is not None
        with pytest.raises(ClientStateError):
            await outside
        with pytest.raises(ClientStateError):
            await client.chats.create(USER)
        await client.aclose()
    del client
    gc.collect()  # what was left open would warn


def _socks(*replies: bytes) -> tuple[Callable[[Connection], object], ...]:
    """Make the steps of a SOCKS5 proxy that says this, each after something was read."""

    def step(reply: bytes) -> Callable[[Connection], object]:
        def talk(connection: Connection) -> None:
            connection.receive()
            connection.run(reply)

        return talk

    return (*(step(reply) for reply in replies), fin)


_SOCKS: dict[str, tuple[tuple[bytes, ...], str | None, bool]] = {
    "refuses": ((), None, True),
    "refuses the login": ((b"\x05\x02", b"\x01\x01"), "anna", False),
    "offers no login": ((b"\x05\xff",), None, False),
    "cannot reach the target": ((b"\x05\x00", b"\x05\x04\x00\x01\0\0\0\0\0\0"), None, True),
    "may not": ((b"\x05\x00", b"\x05\x02\x00\x01\0\0\0\0\0\0"), None, False),
    "is none": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), None, False),
}


@pytest.mark.parametrize("what", _SOCKS)
async def test_a_socks_proxy_that(what: str) -> None:
    """Whatever fails before the request left is NotSentError, and transient where it is."""
    replies, login, transient = _SOCKS[what]
    with RawServer(*_socks(*replies)) as proxy, refusing_port() as refusing:
        connector = ProxyConnector(
            "127.0.0.1",
            proxy.port if replies else refusing,
            ProxyType.SOCKS5,
            username=login,
            password=login,
        )
        async with ClientSession(connector=connector) as session:
            client = proxy.client(base_url="http://127.0.0.1:9", session=session)
            async with client:
                with pytest.raises(NotSentError) as caught:
                    await client.request("POST", "/messages")
    error = caught.value
    assert (error.transient, error.attempts) == (transient, 3 if transient else 1)
    assert not error.maybe_processed


class _CyclicError(RuntimeError):
    """An exception that is its own cause, once removed."""

    def __init__(self) -> None:
        super().__init__("cyclic")
        other = ValueError("other")
        self.__cause__, other.__cause__ = other, self


async def _raise_cyclic(*_: object) -> None:
    raise _CyclicError


async def _raise_key_error(*_: object) -> None:
    raise KeyError("x")


def _with_hook(hook: Any, *, after: bool = False) -> TraceConfig:
    config = TraceConfig()
    (config.on_request_end if after else config.on_request_start).append(hook)
    return config


async def test_a_cyclic_cause(fake: FakeFanvue) -> None:
    """An exception with a cycle of causes becomes an error; the loop goes on."""
    async with ClientSession(trace_configs=[_with_hook(_raise_cyclic)]) as session:
        client = fake.client(session=session)
        with pytest.raises(TransportError) as caught:
            await client.chats.create(USER)
        await client.aclose()
    assert caught.value.cause is not None
    assert "_CyclicError" in caught.value.cause


@pytest.mark.parametrize(("after", "error"), [(False, NotSentError), (True, TransportError)])
async def test_a_trace_hook_that_raises(
    fake: FakeFanvue,
    caplog: pytest.LogCaptureFixture,
    error: type[TransportError],
    *,
    after: bool,
) -> None:
    """It is logged once with the frames it came through, without texts and locals."""
    hook = _with_hook(_raise_key_error, after=after)
    async with ClientSession(trace_configs=[hook]) as session:
        client = fake.client(session=session)
        for _ in range(2):
            with pytest.raises(error) as caught:
                await client.chats.create(USER)
            assert caught.value.maybe_processed is after
            assert caught.value.attempts == 1
        await client.aclose()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    text = record.getMessage()
    assert record.exc_info is None
    assert "KeyError" in text
    assert "_raise_key_error" in text
    assert __file__.rpartition("/")[2] in text
    assert fake.token not in text


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_event_loop_that_was_blocked(method: str) -> None:
    """What the kernel knows of an idle connection is looked at before a request is sent."""
    is_closed = threading.Event()

    def close(connection: Connection) -> None:
        connection.socket.shutdown(socket.SHUT_RDWR)
        is_closed.set()

    async def call(server: RawServer) -> None:
        async with server.client(retry=RetryPolicy.never()) as client:
            await client.request(method, "/chats")
            is_closed.wait(5)  # and the loop is blocked, and sees nothing of the end
            await client.request(method, "/chats")

    with RawServer() as server:
        server.play(read, SUCCESS, close)
        asyncio.run(call(server))
        assert len(server.requests) == 2


_BODY = gzip.compress(b'{"message":"created"}')


@pytest.mark.parametrize(
    ("behind", "value"),
    [(b"\0" * 512, "created"), (b"junk", None), (b"", "created")],
    ids=["zero padding", "junk", "nothing"],
)
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
async def test_gzip_with_something_behind_it(
    encoding: str, behind: bytes, value: str | None
) -> None:
    """Zero padding is allowed (RFC 1952); what was answered is never repeated."""
    content = answer(201, _BODY + behind, f"Content-Encoding: {encoding}")
    with RawServer(read, content) as server:
        async with server.client() as client:
            if value is None:
                with pytest.raises(DecodeError) as caught:
                    await client.chats.create(USER)
                assert caught.value.maybe_processed
            else:
                assert (await client.chats.create(USER)).message == value
        assert len(server.requests) == 1


@pytest.mark.skipif(PURE_PYTHON, reason="aiohttp's parser in pure Python allows it")
async def test_two_equal_content_lengths() -> None:
    """As aiohttp has it: ProtocolError, and said in the documentation."""
    content = answer(201, b"{}", "Content-Length: 2")
    with RawServer(read, content) as server:
        async with server.client() as client:
            with pytest.raises(ProtocolError):
                await client.chats.create(USER)


def test_a_client_whose_loop_is_over(recwarn: pytest.WarningsRecorder) -> None:
    """Closing it elsewhere drops its connections, with one clear error."""
    with RawServer() as server:
        client = server.client()
        asyncio.run(_use(client))
        assert server.connections == 1
        with pytest.raises(ClientStateError, match="event loop"):
            asyncio.run(client.aclose())
        assert asyncio.run(server.all_closed())
        asyncio.run(client.aclose())
        del client
        gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


async def _use(client: FanvueClient) -> None:
    await client.chats.create(USER)


class _Stubborn(Provider):
    """A provider that swallows cancels, and takes its time then."""

    def __init__(self) -> None:
        super().__init__("token-of-anna")
        self.was_asked = asyncio.Event()
        self.may_go = asyncio.Event()

    async def get_token(self) -> Any:
        """Wait until it may go, whatever comes."""
        self.was_asked.set()
        while not self.may_go.is_set():
            try:
                await self.may_go.wait()
            except asyncio.CancelledError:
                continue
        return await super().get_token()


async def test_closing_while_a_provider_swallows_cancels(fake: FakeFanvue) -> None:
    """Closing is bounded; the call ends when its provider comes back."""
    provider = _Stubborn()
    client = fake.client(access_token=provider)
    call = asyncio.create_task(client.chats.create(USER))
    await provider.was_asked.wait()
    closing = asyncio.create_task(client.aclose())
    await asyncio.wait([closing], timeout=5)
    is_closed = closing.done()
    provider.may_go.set()
    with pytest.raises(ClientStateError):
        await call
    assert is_closed
    assert fake.requests == []


async def test_a_deadline_is_no_reason_to_wait_for_a_provider_that_is_slow(
    fake: FakeFanvue,
) -> None:
    """A slow provider of one account holds no connection of another's."""
    provider = _Stubborn()
    async with fake.client(limits=Limits(max_connections=1)) as client:
        slow = client.with_options(access_token=provider, timeout=0.01)
        call = asyncio.create_task(slow.chats.create(USER))
        await provider.was_asked.wait()
        assert (await client.chats.create(USER)).message
        await asyncio.sleep(0.02)
        provider.may_go.set()
        with pytest.raises(DeadlineExceededError):
            await call


async def test_a_get_whose_answer_is_lost(fake: FakeFanvue) -> None:
    """Nothing can have been done by it, and nothing else is said."""
    fake.drop(after="request", times=3)
    async with fake.client() as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.request("GET", "/chats")
    assert not caught.value.maybe_processed
    assert "processed" not in str(caught.value)
