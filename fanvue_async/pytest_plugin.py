"""Fixtures for the tests of programs that use this package: a fake API, and a client on it.

Opt in, in the ``conftest.py`` at the root of your tests::

    pytest_plugins = ["fanvue_async.pytest_plugin"]

Then, under pytest-asyncio, anyio (on asyncio) or in a test without a framework::

    async def test_greeting(fake_fanvue, fanvue_client):
        fake_fanvue.reply(503)
        await fanvue_client.chats.create("3fa85f64-5717-4562-b3fc-2c963f66afa6")
        assert len(fake_fanvue.requests) == 2

The mark ``fake_fanvue`` takes the settings of :class:`~fanvue_async.testing.FakeFanvue`::

    @pytest.mark.fake_fanvue(not_contactable=["3fa85f64-5717-4562-b3fc-2c963f66afa6"])
    async def test_refusal(fake_fanvue): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import pytest

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from fanvue_async.client import FanvueClient

_T = TypeVar("_T")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers", "fake_fanvue(**settings): the settings of the fixture fake_fanvue's FakeFanvue."
    )


@pytest.fixture
def fake_fanvue(request: pytest.FixtureRequest) -> Iterator[FakeFanvue]:
    """Run a FakeFanvue in its own thread, so that it serves any test, async or not.

    Its methods and lists may be used from the test as they are.
    """
    mark = request.node.get_closest_marker("fake_fanvue")
    fake = FakeFanvue(**mark.kwargs) if mark else FakeFanvue()
    with _on_own_thread(fake):
        yield fake


@pytest.fixture
def fanvue_client(fake_fanvue: FakeFanvue) -> Iterator[FanvueClient]:
    """Make a client on ``fake_fanvue``; its waits for a retry take no time.

    It belongs to the event loop of its first call, as every client does, and is closed when that
    loop ends; ``async with`` closes it sooner.
    """
    client = fake_fanvue.client()
    with _closed_with_its_loop(client):
        yield client


@contextmanager
def _on_own_thread(fake: FakeFanvue) -> Generator[None]:
    """Serve in an event loop on another thread.

    What a test does with the fake meanwhile needs no lock: each step on its lists and dicts is
    atomic, though a request answered at that moment may see only some of them, and what needs the
    loop (deliveries, connections) is handed over to it.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        loop = runner.get_loop()

        def run(coroutine: Coroutine[None, None, _T]) -> _T:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        thread = Thread(target=loop.run_forever, name="fake-fanvue", daemon=True)
        thread.start()
        try:
            run(fake.__aenter__())
            try:
                yield
            finally:
                run(fake.__aexit__(None, None, None))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


@contextmanager
def _closed_with_its_loop(client: FanvueClient) -> Generator[None]:
    """Close the client at the end of the event loop of its first call.

    A fixture cannot ``await client.aclose()`` for every kind of test: pytest-asyncio and anyio end
    a test's loop before its plain fixtures, and ``asyncio.run`` ends it within the test. But all
    of them let the loop's asynchronous generators come to their end first (PEP 525). A loop that
    goes on, such as one of a whole module or one on a thread, is used here for the last time.
    """
    loops: list[asyncio.AbstractEventLoop] = []
    waiting: list[AsyncGenerator[None]] = []  # a loop holds its generators weakly
    starting: list[asyncio.Task[None]] = []

    async def close_at_the_end() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await client.aclose()

    def close_with_loop() -> None:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        waiting.append(close_at_the_end())
        starting.append(loop.create_task(anext(waiting[-1]), context=Context()))

    client._session.terms.pool.when_opened = close_with_loop  # noqa: SLF001 - of this package
    yield
    for loop in loops:
        if loop.is_closed():
            continue
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(client.aclose(), loop).result()
        else:
            loop.run_until_complete(client.aclose())
