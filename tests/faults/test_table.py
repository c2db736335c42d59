"""Every fault of ``table.py``, and what a call makes of it.

Where a connection is lost and found again, the server tells in ``requests`` what it has read, and
``no_leaks`` tells what remains: tasks, descriptors, reports to the loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from faults.table import (
    AUTHORITY,
    FAULTS,
    PLAIN,
    SECRETS,
    SLOW,
    STATUSES,
    TLS,
    TRUST,
    Fault,
    not_sent,
)
from support.failing import collecting_garbage
from support.leaks import shown_by
from support.raw_server import (
    PURE_PYTHON,
    SUCCESS,
    TOKEN,
    RawServer,
    answer,
    hang,
    read,
)
from support.tls import serving
from support.users import USER

from fanvue_async import (
    ClientStateError,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    FanvueClient,
    FanvueError,
    Limits,
    NoAnswerError,
    NotSentError,
    RetryPolicy,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

TOLERANCE = 0.5  # seconds: 50 ms, and ten times as many for a machine that does other things too
TWICE = RetryPolicy(max_attempts=2)
STRICT = aiohttp.helpers.DEBUG and not PURE_PYTHON
"""Whether aiohttp's C parser is strict, as it is in Python's development mode."""

pytestmark = pytest.mark.usefixtures("no_leaks")


def _rows(
    choose: Callable[[Fault], bool] = lambda _: True, *, cut: bool = False
) -> list[Any]:
    return [
        pytest.param(fault, over, way, id=f"{fault.source}: {fault.name}-{over}-{way}")
        for fault in FAULTS
        if choose(fault)
        for over in fault.over
        for way in (fault.cuts() if cut else ["whole"])
    ]


def test_the_table_is_whole() -> None:
    """There are more than a hundred faults, and no two of them are the same."""
    names = [(fault.source, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names) > 100
    what = [
        (fault.steps, fault.over, fault.route, fault.context, fault.reused, fault.idle)
        for fault in FAULTS
    ]
    assert len(set(map(repr, what))) == len(what)


@asynccontextmanager
async def facing(
    fault: Fault, over: str, way: str, attempts: int, **options: Any
) -> AsyncGenerator[tuple[RawServer, FanvueClient]]:
    """Run the server of a fault, and a client that has one place for a connection."""
    context = (fault.context or (lambda: serving(AUTHORITY)))() if over == TLS else None
    route = fault.route or _directly
    with collecting_garbage(), RawServer(tls=context) as server:
        async with route(server) as how:
            given = {
                "ssl": TRUST,
                "limits": Limits(max_connections=1),
                "retry": TWICE,
                "timeout": fault.timeout,
                **options,
                **how,
            }
            async with server.client(**given) as client:
                script = fault.script(way)
                if fault.reused or fault.idle:
                    server.play(read, SUCCESS, *(fault.idle or script))
                    await client.chats.create(USER)
                    if fault.idle:
                        await asyncio.sleep(0.02)  # in which the client learns of it
                    server.requests.clear()
                if fault.lasts:
                    server.play(*script, times=attempts + 1)
                else:
                    server.play(*script, times=attempts - fault.reused)
                yield server, client
        if not fault.large:  # which the server has not read, so it does not see the end
            assert await server.all_closed()


@asynccontextmanager
async def _directly(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    yield {}


async def error_of(client: FanvueClient, fault: Fault, *, idempotent: bool) -> FanvueError | None:
    """Make the call and return its error, which must be a typed one."""
    try:
        if idempotent and not fault.large:
            assert (await client.chats.create(USER)).message == "created"
        else:
            body = "x" * (8 * 1024 * 1024 if fault.large else 10)
            await client.request("POST", "/chats", json=body, idempotent=idempotent)
    except FanvueError as error:
        return error
    return None


def check_secrets(error: FanvueError | None, client: FanvueClient, log: str) -> None:
    """Look for the token and the proxy's password wherever somebody could read them."""
    shown = f"{log} {client!r} {client._session!r}"
    if error is not None:
        assert error.__cause__ is None
        assert error.__context__ is None
        report = TracebackException.from_exception(error, capture_locals=True)
        shown += shown_by(error) + "".join(report.format())
    assert [secret for secret in SECRETS if secret in shown] == []


def expected_of(fault: Fault, way: str) -> type[FanvueError] | None:
    """Choose the end that holds for this parser and for an answer in these pieces."""
    ends = fault.ends
    if way != "whole" and not isinstance(fault.in_pieces, str):
        ends = fault.in_pieces
    if STRICT and not isinstance(fault.strict, str):
        ends = fault.strict
    if PURE_PYTHON and not isinstance(fault.pure_python, str):
        ends = fault.pure_python
    return ends


def limit_of(fault: Fault, attempts: int) -> float:
    """Give the seconds that a call may take."""
    clock = min(fault.timeout.attempt, fault.timeout.connect) if fault.slow else 0.0
    return attempts * (clock + TOLERANCE)


@pytest.mark.parametrize(("fault", "over", "way"), _rows(cut=True))
async def test_a_fault(
    fault: Fault, over: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends as the table says, in time, nothing is left behind, and the next call succeeds."""
    caplog.set_level(1)
    expected = expected_of(fault, way)
    async with facing(fault, over, way, fault.attempts) as (server, client):
        started = time.monotonic()
        error = await error_of(client, fault, idempotent=True)
        elapsed = time.monotonic() - started
        read_by_then = len(server.requests)
        check_secrets(error, client, caplog.text)
        next_error = await error_of(client, fault, idempotent=True)

    assert type(error) is (expected or type(None))
    if error is not None:
        assert error.maybe_processed is fault.maybe_processed
        assert error.attempts == fault.attempts
    assert read_by_then == fault.requests
    assert type(next_error) is (expected if expected and fault.lasts else type(None))
    assert elapsed < limit_of(fault, fault.attempts)


@pytest.mark.parametrize(("fault", "over", "way"), _rows())
async def test_a_fault_of_what_must_not_be_repeated(
    fault: Fault, over: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a call that is not idempotent the server reads one request at the most."""
    caplog.set_level(1)
    expected = expected_of(fault, way)
    if expected is DecodeError and fault.requests:
        expected = None  # request() hands bodies over as they are, up to its cap
    attempts = 1 if fault.left else fault.attempts
    async with facing(fault, over, way, attempts) as (server, client):
        started = time.monotonic()
        error = await error_of(client, fault, idempotent=False)
        elapsed = time.monotonic() - started
        read_by_then = len(server.requests)
        check_secrets(error, client, caplog.text)

    if not (type(error) is DecodeError and "longer" in error.message):
        assert type(error) is (expected or type(None))
    if error is not None:
        assert error.maybe_processed is fault.maybe_processed
        assert error.attempts == attempts
    assert read_by_then == min(fault.requests, 1)
    assert elapsed < limit_of(fault, attempts)


@pytest.mark.parametrize(("fault", "over", "way"), _rows(lambda fault: fault.slow))
async def test_a_fault_that_outlasts_the_deadline(fault: Fault, over: str, way: str) -> None:
    """The deadline ends whatever is under way, and says whether the request had left."""
    deadline = Timeout(total=0.2, attempt=5)
    async with facing(fault, over, way, 1, timeout=deadline) as (_, client):
        started = time.monotonic()
        error = await error_of(client, fault, idempotent=False)
        elapsed = time.monotonic() - started

    assert error is not None
    if fault.ends in {NotSentError, NoAnswerError}:
        assert type(error) is DeadlineExceededError
    else:  # its status had come
        assert type(error) is fault.ends
    assert error.maybe_processed is fault.maybe_processed
    assert 0.15 < elapsed < 0.2 + TOLERANCE


@pytest.mark.parametrize("status", STATUSES)
async def test_a_mere_status(status: int) -> None:
    """1c: a status is no fault of the connection, which serves the next call."""
    with collecting_garbage(), RawServer() as server:
        server.play(read, answer(status, b"" if status == 304 else b'{"message":"no"}'))
        async with server.client(retry=RetryPolicy.never()) as client:
            fault = not_sent("1c", "a status")
            error = await error_of(client, fault, idempotent=False)
            await client.chats.create(USER)

    assert type(error) is STATUSES[status]
    assert error.maybe_processed is not (400 <= status < 500)
    assert (server.connections, len(server.requests)) == (1, 2)
