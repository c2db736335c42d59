"""Every fault of ``table.py``, and what a call makes of it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from aiohttp import helpers
from faults.table import FAULTS, SECRETS, STATUSES, TLS, Fault, fine
from support.failing import collecting_garbage
from support.leaks import shown_by
from support.pace import paced
from support.raw_server import PURE_PYTHON, SUCCESS, RawServer, answer, read, soon
from support.tls import TRUST, serving
from support.users import USER

from fanvue_async import (
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
    from collections.abc import AsyncGenerator, Callable, Generator

    from support.raw_server import Step

TOLERANCE = 5.0  # seconds: what is late waits for a clock of at least three times as many
LARGE = "x" * 8 * 1024 * 1024
"""More than the network buffers."""
LENIENT = not (helpers.DEBUG or PURE_PYTHON)
"""Whether aiohttp's C parser is lenient, as it is outside of Python's development mode."""


@pytest.fixture(autouse=True)
def _nothing_remains(no_leaks: None) -> Generator[None]:
    """Fail if a task, a descriptor or a report to the loop comes of a test."""
    del no_leaks
    with collecting_garbage():
        yield


def rows(choose: Callable[[Fault], object], *, cut: bool = False) -> list[Any]:
    """List the faults, over each transport, cut in each way."""
    return [
        pytest.param(fault, over, way, id=f"{fault.name}, {over}, {way}")
        for fault in FAULTS
        if choose(fault)
        for over in fault.over
        for way in (fault.cuts() if cut else ["whole"])
    ]


def test_the_table_is_whole() -> None:
    """There are more than a hundred faults, and no two of them are the same."""
    names = [fault.name for fault in FAULTS]
    worlds = [
        repr((fault.steps, fault.over, fault.route, fault.context, fault.reused, fault.idle))
        for fault in FAULTS
    ]
    assert len(names) == len(set(names)) == len(set(worlds)) > 100


@attrs.frozen
class End:
    """What a call came to."""

    error: FanvueError | None
    elapsed: float
    requests: int
    """How many the server had read by then."""
    next_error: FanvueError | None
    """What the next call of the same client came to."""


async def end_of(
    fault: Fault, over: str, way: str, *, idempotent: bool, bounds: Timeout | None = None
) -> End:
    """Make the call, then a simple one for which the client has to have its only place free."""
    attempts = attempts_of(fault, way)
    if bounds is not None or (fault.left and not idempotent):
        attempts = 1
    options: dict[str, Any] = {
        "retry": RetryPolicy(max_attempts=2),
        "timeout": bounds or fault.timeout,
    }
    async with facing(fault, over, fault.script(way), attempts, **options) as (server, client):
        started = time.monotonic()
        error = await error_of(client, idempotent=idempotent, body=LARGE if fault.large else None)
        elapsed = time.monotonic() - started
        requests = len(server.requests)
        if fault.spills:
            assert await soon(lambda: server.has_said_all or not server._open)
        timeout = fault.timeout if fault.lasts else Timeout(15)
        patient = client.with_options(timeout=timeout, retry=RetryPolicy.never())
        started = time.monotonic()
        next_error = await error_of(patient, idempotent=True)
        assert time.monotonic() - started < limit_of(fault, 1)
    return End(error, elapsed, requests, next_error)


class Server(RawServer):
    """A server that knows when it has said all of a script but the last step."""

    has_said_all = False

    def note(self, *_: object) -> None:
        """Take note of it; a step of a script."""
        self.has_said_all = True


@asynccontextmanager
async def facing(
    fault: Fault, over: str, script: tuple[Step, ...], attempts: int, **options: Any
) -> AsyncGenerator[tuple[Server, FanvueClient]]:
    """Run the server of a fault, and a client that has one place for a connection."""
    context = (fault.context or serving)() if over in TLS else None
    route = fault.route or _directly
    with Server(tls=context) as server:
        async with route(server) as how:
            given = {
                "ssl": TRUST,
                "limits": Limits(max_connections=1),
                **options,
                **how,
            }
            async with server.client(**given) as client:
                if fault.spills:
                    script = (*script[:-1], server.note, script[-1])
                if fault.reused or fault.idle:
                    server.play(read, SUCCESS, *(fault.idle or script))
                    assert (await client.chats.create(USER)).message == "created"
                    if fault.idle:
                        await asyncio.sleep(0.02)  # in which the client learns of it
                    server.requests.clear()
                server.play(*script, times=attempts + fault.lasts - fault.reused)
                yield server, client
        if not fault.large:  # which the server has not read, so it does not see the end
            assert await server.all_closed()


@asynccontextmanager
async def _directly(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    yield {}


async def error_of(
    client: FanvueClient, *, idempotent: bool, body: str | None = None
) -> FanvueError | None:
    """Make a call and return its error, which must be a typed one."""
    try:
        if idempotent and body is None:
            assert (await client.chats.create(USER)).message == "created"
        else:
            await client.request("POST", "/chats", json=body or USER, idempotent=idempotent)
    except FanvueError as error:
        return error
    return None


def check_secrets(error: FanvueError | None, log: str) -> None:
    """Look for the token and the proxy's password wherever somebody could read them."""
    shown = log
    if error is not None:
        assert error.__cause__ is None
        assert error.__context__ is None
        report = TracebackException.from_exception(error, capture_locals=True)
        shown += shown_by(error) + "".join(report.format())
    assert [secret for secret in SECRETS if secret in shown] == []


def expected_of(fault: Fault, way: str) -> type[FanvueError] | None:
    """Choose the end that holds for this parser and for an answer in these pieces."""
    if PURE_PYTHON and way in fault.pure_python:
        return fault.pure_python[way]
    if LENIENT and not isinstance(fault.lenient, str):
        return fault.lenient
    if way != "whole" and not isinstance(fault.in_pieces, str):
        return fault.in_pieces
    return fault.ends


def attempts_of(fault: Fault, way: str) -> int:
    """Give the number of attempts; one that is merely lost with another parser has a second."""
    return 2 if expected_of(fault, way) is NoAnswerError else fault.attempts


def limit_of(fault: Fault, attempts: int) -> float:
    """Give the seconds that a call may take."""
    clock = min(fault.timeout.attempt, fault.timeout.connect) if fault.slow else 0.0
    return attempts * (clock + TOLERANCE)


def check(
    end: End, fault: Fault, expected: type[FanvueError] | None, *, attempts: int, requests: int
) -> None:
    """Compare what a call came to with what the table says."""
    if fault.races and type(end.error) is NotSentError:
        assert end.requests == 0
        # An attempt before the last may have ended the other way, so that its outcome is unknown.
        assert not end.error.maybe_processed or end.error.attempts > 1
        return
    assert type(end.error) is (expected or type(None))
    if end.error is not None and not fault.races:
        assert end.error.maybe_processed is fault.maybe_processed
        assert end.error.attempts == attempts
    assert end.requests == requests
    assert end.elapsed < limit_of(fault, attempts)
    assert (end.next_error is not None) is fault.lasts


@pytest.mark.parametrize(("fault", "over", "way"), rows(lambda fault: not fault.slow, cut=True))
async def test_a_fault(fault: Fault, over: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """It ends as the table says, at once, nothing is left behind, and the next call succeeds."""
    caplog.set_level(1)

    end = await end_of(fault, over, way, idempotent=True)

    expected = expected_of(fault, way)
    attempts = attempts_of(fault, way)
    requests = fault.requests + attempts - fault.attempts
    check(end, fault, expected, attempts=attempts, requests=requests)
    check_secrets(end.error, caplog.text)


@pytest.mark.skipif(PURE_PYTHON, reason="this is the parser that all tests run with")
async def test_a_fault_for_the_parser_in_pure_python() -> None:
    """What aiohttp's other parser reads in two pieces ends as the table says for it.

    The short form; .ci/run has all of the suite with that parser.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov"),
        *(__file__, "-k", "test_a_fault and plain and behind"),
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
    assert b"passed" in said


@pytest.mark.parametrize(("fault", "over", "way"), rows(lambda fault: not fault.slow))
async def test_a_fault_of_what_must_not_be_repeated(
    fault: Fault, over: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a call that is not idempotent the server reads one request at the most."""
    caplog.set_level(1)

    end = await end_of(fault, over, way, idempotent=False)

    expected = expected_of(fault, way)
    if expected is DecodeError and end.error is None:
        expected = None  # request() hands bodies over as they are, up to its cap
    attempts = 1 if fault.left else fault.attempts
    check(end, fault, expected, attempts=attempts, requests=min(fault.requests, 1))
    check_secrets(end.error, caplog.text)


@pytest.mark.parametrize(("fault", "over", "way"), rows(lambda fault: fault.slow))
@paced
async def test_a_fault_that_takes_time(
    fault: Fault, over: str, way: str, caplog: pytest.LogCaptureFixture, *, pace: float
) -> None:
    """An attempt's clock ends it as the table says; the deadline does too, and knows as much."""
    caplog.set_level(1)
    fault = fault.slower(pace)
    deadline = Timeout(total=0.2 * pace, attempt=15)

    async with asyncio.TaskGroup() as both:
        attempt = both.create_task(end_of(fault, over, way, idempotent=True))
        whole = both.create_task(end_of(fault, over, way, idempotent=False, bounds=deadline))

    end = attempt.result()
    check(end, fault, fault.ends, attempts=fault.attempts, requests=fault.requests)
    check_secrets(end.error, caplog.text)
    expected = fault.ends
    if expected in {NotSentError, NoAnswerError}:  # no status had come
        expected = DeadlineExceededError
    end = whole.result()
    check(end, fault, expected, attempts=1, requests=min(fault.requests, 1))
    check_secrets(end.error, caplog.text)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_mere_status(status: int) -> None:
    """It is no fault of the connection, which serves the next call."""
    data = answer(status, b"" if status == 304 else b'{"message":"no"}')
    end = await end_of(fine("a status", data), "plain", "whole", idempotent=False)

    assert end.error is not None
    assert type(end.error) is STATUSES[status]
    assert end.error.maybe_processed is not (400 <= status < 500)
    assert (end.requests, end.next_error) == (1, None)
