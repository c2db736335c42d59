"""Fixtures of all tests: a fake server, a client on it, and a look at what a test leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest
import uvloop
from support.failing import descriptors

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from fanvue_async import FanvueClient

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _eager_loop() -> asyncio.AbstractEventLoop:
    """Make a loop whose tasks begin where they are made, until they first wait."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - of Python 3.12
    return loop


_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "eager": _eager_loop,
}

if (_loop := os.environ.get("FANVUE_TEST_LOOP")) in _LOOPS:

    def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Run the suite under another loop than asyncio's usual one."""
        return {str(_loop): _LOOPS[str(_loop)]}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what is imported: a test that runs it would wait for that."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own token and proxies out of the tests."""
    for name in ("FANVUE_ACCESS_TOKEN", "FANVUE_BASE_URL", "NETRC", "SSLKEYLOGFILE", *_PROXIES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def fake() -> AsyncIterator[FakeFanvue]:
    """Run a fake server."""
    async with FakeFanvue() as server:
        yield server


@pytest.fixture
async def client(fake: FakeFanvue) -> AsyncIterator[FanvueClient]:
    """Make a client on the fake server, whose waits for a retry take no time."""
    async with fake.client() as made:
        yield made


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fail if the test leaves a task or a descriptor behind, or a report to the loop."""
    loop = asyncio.get_running_loop()
    reports: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    tasks, opened = len(asyncio.all_tasks()), descriptors()
    yield
    for _ in range(20):
        if len(asyncio.all_tasks()) <= tasks and descriptors() <= opened:
            break
        await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) <= tasks
    assert descriptors() <= opened
    assert reports == []
