"""The far ends of the kinds that bug reports told of."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import logging
import os
import select
import threading
import weakref
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock, Mock

import aiohttp
import pytest
from support.chaos_server import Server, succeed
from support.leaks import shown_by
from support.raw_server import SUCCESS, RawServer, answer, fin, head, read
from support.stages import LoopServer, Provider, nothing, turns, until
from support.tls import NOT_UNDER_UVLOOP, TRUST, serving
from support.users import USER

from fanvue_async import (
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    DecodeError,
    FanvueClient,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fanvue_async import RetryEvent
    from fanvue_async.testing import FakeFanvue


async def test_a_hook_that_has_to_be_awaited(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be seen when it was given is told once; nothing stays unawaited."""

    async def later() -> None:
        """Never run."""

    def hook(_: RetryEvent) -> Any:
        return later()

    fake.reply(503, times=2)
    async with fake.client(on_retry=hook) as client:
        assert (await client.chats.create(USER)).message
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "on_retry must be a plain function" in told[0].getMessage()


def _end_it(*_: object) -> Any:
    raise GeneratorExit


async def _end_it_later(*_: object) -> None:
    raise GeneratorExit


async def _by_hook(fake: FakeFanvue) -> None:
    async with fake.client(on_retry=_end_it) as client:
        await client.chats.create(USER)


async def _by_filter(fake: FakeFanvue) -> None:
    logger = logging.getLogger("fanvue_async")
    logger.addFilter(_end_it)
    try:
        async with fake.client() as client:
            await client.chats.create(USER)
    finally:
        logger.removeFilter(_end_it)


async def _by_trace(fake: FakeFanvue) -> None:
    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(_end_it_later)
    async with (
        aiohttp.ClientSession(trace_configs=[traces]) as session,
        fake.client(session=session) as client,
    ):
        await client.chats.create(USER)


@pytest.mark.parametrize("way", [_by_hook, _by_filter, _by_trace])
async def test_what_ends_a_program_or_a_task_passes(
    fake: FakeFanvue, way: Callable[[FakeFanvue], Any]
) -> None:
    """It is not the result of a call, and nobody keeps it from its end."""
    fake.reply(503)
    call = asyncio.create_task(way(fake))
    await asyncio.wait([call])
    assert isinstance(call.exception(), GeneratorExit)


class _Cancelling:
    """Cancels the task that it runs in, once: as hook, filter, tracer and provider."""

    def __init__(self) -> None:
        self.left = 1

    def __call__(self, *_: object) -> Any:
        if self.left:
            self.left = 0
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    async def later(self, *_: object) -> None:
        self()

    async def get_token(self) -> str:
        self()
        return "fake-token"

    async def invalidate(self, token: str, /) -> None:
        """Never asked to."""


async def test_a_task_that_was_cancelled_before_it_calls(fake: FakeFanvue) -> None:
    """Its cancel comes out of its first wait, which is the call; it is not taken for aiohttp's."""

    async def call() -> None:
        _Cancelling()()
        await client.chats.create(USER)

    async with fake.client() as client:
        with pytest.raises(asyncio.CancelledError) as caught:
            await asyncio.create_task(call())
        assert fake.token not in shown_by(caught.value)
    assert fake.requests == []


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("place", ["on_retry", "filter", "tracer", "provider"])
async def test_a_hook_that_cancels_the_task_it_runs_in(fake: FakeFanvue, place: str) -> None:
    """The call ends as if its caller had cancelled it, and later ones are as before."""
    act, traces = _Cancelling(), aiohttp.TraceConfig()
    options: dict[str, Any] = {}
    if place == "on_retry":
        options["on_retry"] = act
    elif place == "tracer":
        traces.on_request_headers_sent.append(act.later)
    elif place == "provider":
        options["access_token"] = act
    logger = logging.getLogger("fanvue_async")
    fake.reply(503)
    async with (
        aiohttp.ClientSession(trace_configs=[traces]) as session,
        fake.client(session=session, **options) as client,
    ):
        if place == "filter":
            logger.addFilter(act)
        try:
            call = asyncio.create_task(client.chats.create(USER))
            await asyncio.wait([call])
        finally:
            logger.removeFilter(act)
        assert call.cancelled()
        assert (await client.chats.create(USER)).message


async def test_a_cancel_that_a_hook_replaces_by_an_exception() -> None:
    """It stays a cancel, for the caller asked for it."""

    async def replace(*_: object) -> None:
        raise KeyError("x")

    traces = aiohttp.TraceConfig()
    traces.on_request_exception.append(replace)
    async with (
        LoopServer(nothing) as server,
        aiohttp.ClientSession(trace_configs=[traces]) as session,
        server.client(session=session) as client,
    ):
        call = asyncio.create_task(client.chats.create(USER))
        await until(lambda: server.heads)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


_HALVES = gzip.compress(b'{"message":') + gzip.compress(b'"created"}')


@pytest.mark.parametrize(
    ("body", "value"),
    [(_HALVES, "created"), (_HALVES + gzip.compress(b"") * 200, None)],
    ids=["two", "too many"],  # bodies that hold the time of their making name no tests
)
async def test_gzip_in_many_members(body: bytes, value: str | None) -> None:
    """They are one body (RFC 1952, 2.2), up to a number that nobody needs."""
    with RawServer(read, answer(201, body, "Content-Encoding: gzip")) as server:
        async with server.client() as client:
            if value is None:
                with pytest.raises(DecodeError):
                    await client.chats.create(USER)
            else:
                assert (await client.chats.create(USER)).message == value


@pytest.mark.parametrize(
    "invalidate", [Mock(return_value=None), AsyncMock(side_effect=asyncio.CancelledError)]
)
async def test_a_provider_that_cannot_be_told(fake: FakeFanvue, invalidate: Any) -> None:
    """Its next token is asked for all the same."""
    provider = MagicMock(get_token=AsyncMock(return_value="wrong"), invalidate=invalidate)
    async with fake.client(access_token=provider) as client:
        with pytest.raises(AuthenticationError):
            await client.chats.create(USER)
    assert len(fake.requests) == 2
    invalidate.assert_called_once_with("wrong")


async def test_a_plain_method_that_says_it_can_be_awaited(fake: FakeFanvue) -> None:
    """It is as good as an async one."""

    class Own(Provider):
        def get_token(self) -> Awaitable[Any]:  # type: ignore[override] # a user may err
            return super().get_token()

    async with fake.client(access_token=Own("fake-token")) as client:
        assert (await client.chats.create(USER)).message


async def test_closing_in_a_forked_child(fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It touches nothing of the parent's."""
    async with fake.client() as client:
        await client.chats.create(USER)
        process = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: process + 1)
        with pytest.raises(ClientStateError):
            await client.aclose()
        monkeypatch.undo()
        await client.chats.create(USER)


@NOT_UNDER_UVLOOP
@pytest.mark.parametrize("borrowed", [False, True])
def test_a_client_whose_loop_is_over_with_tls(
    recwarn: pytest.WarningsRecorder, *, borrowed: bool
) -> None:
    """Its sockets are closed; those of a lent session are its owner's."""
    tls = None if borrowed else serving()  # whose end aiohttp does not wait for

    async def use() -> FanvueClient:
        session = aiohttp.ClientSession() if borrowed else None
        client = FanvueClient(
            "token-of-anna",
            base_url=server.url,
            ssl=TRUST if tls else None,
            session=session,
        )
        await client.chats.create(USER)
        if session is not None:
            await session.close()
        return client

    with Server(succeed, tls=tls) as server:
        client = asyncio.run(use())
        with pytest.raises(ClientStateError, match="event loop is closed"):
            asyncio.run(client.aclose())
        del client
        gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_the_repr_of_a_creators_client() -> None:
    """It says for whom it acts."""
    assert USER in repr(FanvueClient("token-of-anna").creator(USER))


async def test_a_system_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are looked at there, too, with select."""
    monkeypatch.delattr(select, "poll")
    with RawServer() as server:
        server.play(read, SUCCESS, read, SUCCESS)
        async with server.client() as client:
            for _ in range(2):
                assert (await client.chats.create(USER)).message
        assert server.connections == 1


class _Held:
    """Something that a caller keeps in its context."""


HELD: contextvars.ContextVar[_Held] = contextvars.ContextVar("HELD")


async def test_the_context_of_a_call_that_read_a_large_body(fake: FakeFanvue) -> None:
    """Its connection was paused and resumed in the call's context, and keeps none of it."""

    async def call() -> None:
        held = _Held()
        gone.append(weakref.ref(held))
        HELD.set(held)
        await client.request("GET", "/chats")

    gone: list[weakref.ref[_Held]] = []
    fake.reply(200, body=b" " * 900_000 + b"{}")
    async with fake.client() as client:
        await asyncio.create_task(call())
        await turns(5)
        gc.collect()
        assert gone[0]() is None


async def test_a_large_body_that_ends_with_its_connection() -> None:
    """There is nothing left of it to forget anything."""
    with RawServer(read, head(200) + b" " * 300_000 + b"{}", fin) as server:
        async with server.client() as client:
            assert len((await client.request("GET", "/x")).content) == 300_002


@pytest.mark.parametrize("running", [True, False])
def test_a_loop_that_outlives_the_pytest_fixture(*, running: bool) -> None:
    """A client of the plugin is closed on it, whether it rests or runs on a thread."""
    with RawServer() as server:
        client = server.client()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        # Not at the top: pytest is to rewrite the plugin for the tests of it.
        from fanvue_async.pytest_plugin import _closed_with_its_loop  # noqa: PLC0415 - as pytest does

        with _closed_with_its_loop(client):
            if running:
                thread.start()
                call = client.chats.create(USER)
                assert asyncio.run_coroutine_threadsafe(call, loop).result().message
            else:
                assert loop.run_until_complete(client.chats.create(USER)).message
        if running:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        assert asyncio.run(server.all_closed())


def test_allow_http_is_a_switch() -> None:
    """Nothing else is taken for one."""
    with pytest.raises(ConfigurationError):
        FanvueClient("token-of-anna", allow_http="yes")  # type: ignore[arg-type] # what is refused
