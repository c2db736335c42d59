"""One call: its attempts, waits, deadline and end, as the server and the caller see them."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Never

import pytest
from support import stages
from support.leaks import shown_by
from support.pace import Clock, paced
from support.raw_server import refusing_port
from support.stages import (
    PHASES,
    TURNS,
    CountingFake,
    LoopServer,
    Provider,
    answer,
    by_path,
    cut,
    stuck_in,
    turns,
    until,
    waits_of,
)
from support.users import USER

from fanvue_async import (
    APIError,
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    FanvueClient,
    Limits,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RetryEvent,
    RetryPolicy,
    ServerError,
    Timeout,
    TransportError,
)
from fanvue_async.engine.operation import Request
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.testing import DropAfter

TRANSIENT = [500, 502, 503, 504, *range(520, 528), 529, 530]
DROPS: list[DropAfter] = ["accept", "request", "headers"]
METHODS = ["POST", "PATCH", "PUT", "DELETE"]
REFUSALS = [400, 401, 403, 404, 408, 409, 410, 422, 425, 429]

# Whatever a call goes through, it leaves no task, connection or complaint behind.
pytestmark = pytest.mark.usefixtures("no_leaks")

# What must come to its end in a few turns of the loop may take so long on a busy machine.
SOON = 10.0


# How often the server is asked.


@pytest.mark.parametrize(
    ("status", "attempts"),
    [
        *((status, 1) for status in (*REFUSALS, 302, 304, 501, 505, 519, 528)),
        *((status, 3) for status in TRANSIENT),
    ],
)
async def test_a_transient_status_is_tried_three_times(
    client: FanvueClient, fake: FakeFanvue, status: int, attempts: int
) -> None:
    """A refusal is no better for being asked again, 401 of a fixed token and 429 included."""
    fake.reply(status, times=5)

    with pytest.raises(APIError) as caught:
        await client.chats.create(USER)

    assert isinstance(caught.value, ServerError) == (status >= 500)
    assert (caught.value.status, caught.value.attempts) == (status, attempts)
    assert len(fake.requests) == attempts


@pytest.mark.parametrize("after", DROPS)
async def test_a_lost_connection_is_tried_three_times(after: DropAfter) -> None:
    """A connection that dies before, during or after the request is opened anew, twice."""
    async with CountingFake() as fake, fake.client() as client:
        fake.drop(after, times=5)

        with pytest.raises(TransportError) as caught:
            await client.chats.create(USER)

        assert fake.connections == caught.value.attempts == 3
        assert len(fake.requests) == (0 if after == "accept" else 3)


@paced
async def test_an_attempt_without_an_answer_is_tried_three_times(*, pace: float) -> None:
    """An attempt that takes too long is given up, and counts like any other."""
    timeout = Timeout(attempt=0.05 * pace)
    async with LoopServer() as server, server.client(timeout=timeout) as client:
        with pytest.raises(NoAnswerError, match=rf"no response within {0.05 * pace:g} s") as caught:
            await client.chats.create(USER)

        await until(lambda: len(server.paths) == 3)
        assert caught.value.attempts == 3
        # The task that made the call is not left cancelling.
        assert (task := asyncio.current_task()) is not None
        assert task.cancelling() == 0


@paced
async def test_a_connection_that_is_not_made_in_time_is_tried_three_times(*, pace: float) -> None:
    """The clock of an attempt runs while it connects, and what it ends then never left."""
    async with LoopServer() as server:
        url = server.url.replace("http", "https")  # whose handshake the server never answers
        client = FanvueClient("token", base_url=url, timeout=Timeout(attempt=0.05 * pace))
        waits_of(client)

        async with client:
            with pytest.raises(NotSentError, match="no connection within") as caught:
                await client.chats.create(USER)

        assert server.connections == caught.value.attempts == 3
        assert not caught.value.maybe_processed


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_call_succeeds_when_the_trouble_passes(
    client: FanvueClient, fake: FakeFanvue, failures: int
) -> None:
    """Trouble that passes is nothing the caller hears of."""
    fake.reply(503, times=failures)
    fake.reply(200)

    response = await client.request("PUT", "/things", json={})

    assert response.attempts == len(fake.requests) == failures + 1


@pytest.mark.parametrize("status", TRANSIENT)
async def test_what_is_not_idempotent_is_sent_once(
    client: FanvueClient, fake: FakeFanvue, status: int
) -> None:
    """Nothing that may have been processed is repeated, DELETE and PUT included."""
    for method in METHODS:
        fake.reply(status)
        with pytest.raises(ServerError) as caught:
            await client.request(method, "/messages", json={"text": "x"}, idempotent=False)
        assert (caught.value.attempts, caught.value.maybe_processed) == (1, True)

    assert len(fake.requests) == len(METHODS)


@pytest.mark.parametrize(
    ("method", "requests"),
    [("GET", 3), ("HEAD", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1), ("PATCH", 1)],
)
async def test_by_default_the_method_says_what_is_idempotent(
    client: FanvueClient, fake: FakeFanvue, method: str, requests: int
) -> None:
    """RFC 9110, 9.2.2: a POST or PATCH is not repeated, the other methods are."""
    fake.reply(500, times=3)

    with pytest.raises(ServerError):
        await client.request(method, "/chats")

    assert len(fake.requests) == requests


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_never_left_is_repeated_whatever_it_is(*, idempotent: bool) -> None:
    """A refused connection harms nobody: even a message is tried again."""
    with refusing_port() as port:
        client = FanvueClient("token", base_url=f"http://127.0.0.1:{port}")
        waits = waits_of(client)
        async with client:
            with pytest.raises(NotSentError) as caught:
                await client.request("POST", "/messages", json={}, idempotent=idempotent)

    assert (caught.value.attempts, len(waits)) == (3, 2)
    assert not caught.value.maybe_processed


async def test_repeat_unknown_off_repeats_only_what_never_left(fake: FakeFanvue) -> None:
    """Who doubts that a call is idempotent can have it sent once."""
    careful = RetryPolicy(repeat_unknown=False)
    fake.reply(503, times=3)

    async with fake.client(retry=careful) as client:
        with pytest.raises(ServerError):
            await client.chats.create(USER)
    with refusing_port() as port:
        url = f"http://127.0.0.1:{port}"
        async with FanvueClient("token", base_url=url, retry=careful) as client:
            waits_of(client)
            with pytest.raises(NotSentError) as caught:
                await client.chats.create(USER)

    assert len(fake.requests) == 1
    assert caught.value.attempts == 3


# 401 and the provider of tokens.


async def test_a_refused_token_is_renewed_once() -> None:
    """After a 401 the provider hears which token was refused, and the call is sent once more."""
    provider = Provider("old", "new")

    async with (
        FakeFanvue(tokens=["new"]) as fake,
        fake.client(access_token=provider, retry=RetryPolicy.never()) as client,
    ):
        await client.chats.create(USER)

        sent = [request.headers["Authorization"] for request in fake.requests]
        assert sent == ["Bearer old", "Bearer new"]
        assert provider.refused == ["old"]


@pytest.mark.parametrize(
    ("statuses", "retry", "end", "maybe"),
    [
        ((401, 401), RetryPolicy(), AuthenticationError, False),
        ((401, 401), RetryPolicy.never(), AuthenticationError, False),
        # A transient failure after the renewal still gets all its retries, and no second renewal.
        ((401, 503, 503, 503), RetryPolicy(), ServerError, True),
        # A token may run out between two attempts; only the second 401 of a call is raised.
        ((503, 401, 503, 401), RetryPolicy(), AuthenticationError, True),
    ],
)
async def test_a_token_is_renewed_once_in_a_call(
    fake: FakeFanvue,
    statuses: tuple[int, ...],
    retry: RetryPolicy,
    end: type[APIError],
    *,
    maybe: bool,
) -> None:
    """The renewal takes no attempt away, and the second 401 is raised."""
    for status in (*statuses, 401):
        fake.reply(status)
    tokens = [f"token-{number}" for number in range(9)]
    provider = Provider(*tokens)

    async with fake.client(access_token=provider, retry=retry) as client:
        with pytest.raises(end) as caught:
            await client.chats.create(USER)

    assert len(fake.requests) == caught.value.attempts == provider.asked == len(statuses)
    assert provider.refused == [tokens[statuses.index(401)]]
    assert caught.value.maybe_processed is maybe


async def test_the_provider_is_asked_for_each_request(fake: FakeFanvue) -> None:
    """A token that was renewed elsewhere is used from the next request on, retries included."""
    fake.reply(503)
    provider = Provider("one", "two", fake.token)

    async with fake.client(access_token=provider) as client:
        fake.reply(201, json={"message": "created"})
        await client.chats.create(USER)
        await client.chats.create(USER)

    sent = [request.headers["Authorization"] for request in fake.requests]
    assert sent == ["Bearer one", "Bearer two", f"Bearer {fake.token}"]


@pytest.mark.parametrize("given", ["", "two words", "tökén", "line\n", None, 5, b"bytes"])
async def test_an_invalid_token_of_a_provider_is_not_sent(given: object) -> None:
    """What is no token is a ConfigurationError that opens no connection and quotes nothing."""
    async with (
        CountingFake() as fake,
        fake.client(access_token=Provider(given)) as client,
    ):
        with pytest.raises(ConfigurationError) as caught:
            await client.chats.create(USER)

        assert fake.connections == 0
        assert str(caught.value) == (
            "POST /chats: the token provider returned no valid token (RFC 6750)"
        )


class _OwnError(Exception):
    pass


@pytest.mark.parametrize("kind", [_OwnError, TimeoutError, asyncio.QueueEmpty, DecodeError])
@pytest.mark.parametrize("when", ["first", "invalidate", "second", "retry"])
async def test_what_a_provider_raises_reaches_the_caller_unchanged(
    fake: FakeFanvue, kind: type[Exception], when: str
) -> None:
    """Its TimeoutError too: it is not mistaken for one of our clocks."""
    raised = kind()
    fake.reply(503 if when == "retry" else 401)
    provider = {
        "first": Provider(raised),
        "invalidate": Provider("one", invalidate=raised),
        "second": Provider("one", raised),
        "retry": Provider("one", raised),
    }[when]

    async with fake.client(access_token=provider) as client:
        with pytest.raises(kind) as caught:
            await client.chats.create(USER)

    assert caught.value is raised
    assert len(fake.requests) == (0 if when == "first" else 1)


async def test_an_exception_that_nobody_expected_of_reading(
    client: FanvueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends in a typed error, and is logged once with its frames, without its text."""

    def stumble(_answer: Answer) -> Never:
        raise RuntimeError("words of the response")

    request = Request(
        "POST", "POST /chats", "/chats", stumble, body=b'{"userUuid":"%s"}' % USER.encode()
    )
    for _ in range(2):
        with pytest.raises(DecodeError, match="could not be read") as caught:
            await client._session.send(request)
        assert (caught.value.maybe_processed, caught.value.cause) == (True, "RuntimeError")
        assert caught.value.attempts == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "stumble" in record.getMessage()
    assert "words of the response" not in caplog.text


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_provider_that_swallows_the_deadline_gains_nothing(*, is_full: bool) -> None:
    """When total ran out while a provider was asked, its late token is not used.

    Nor does the call wait for a connection then.
    """

    class Deaf(Provider):
        async def get_token(self) -> Any:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return "late-token"

    limits = Limits(max_connections=1)
    async with CountingFake() as fake:
        async with fake.client(access_token=Deaf(), timeout=0.05, limits=limits) as client:
            if is_full:
                client._session.terms.pool.slots.take()
            with pytest.raises(DeadlineExceededError):
                await client.chats.create(USER)

        assert fake.connections == 0


# What is known of the outcome.


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_refusal_after_an_unknown_outcome_is_no_comfort(
    client: FanvueClient, fake: FakeFanvue, status: int, *, is_lost: bool
) -> None:
    """A 4xx says nothing about an earlier attempt: its answer was lost, or 503 after the deed."""
    if is_lost:
        fake.drop("request")
    else:
        fake.reply(503)
    fake.reply(status)

    with pytest.raises(APIError) as caught:
        await client.chats.create(USER)

    assert caught.value.maybe_processed
    assert str(caught.value).endswith(", after 2 attempts; it may already have been processed")


async def test_a_refusal_after_what_never_left_stays_one() -> None:
    """An attempt that never left leaves nothing unknown behind."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:{1}".format(*reserved.getsockname())
        async with AsyncExitStack() as stack, FanvueClient("token", base_url=url) as client:

            async def listen_at_last(_: float) -> None:
                await stack.enter_async_context(LoopServer(answer(404), reserved))

            client._session.terms.pool.clockwork.sleep = listen_at_last
            with pytest.raises(NotFoundError) as caught:
                await client.chats.create(USER)

    assert caught.value.attempts == 2
    assert not caught.value.maybe_processed


async def test_what_never_left_after_an_unknown_outcome_may_have_been_processed() -> None:
    """The last attempt was refused at the door, but the first was not."""

    def answer_and_leave(path: str, transport: asyncio.Transport) -> None:
        server.stop_listening()
        cut(path, transport)

    async with LoopServer(answer_and_leave) as server, server.client() as client:
        with pytest.raises(NotSentError) as caught:
            await client.chats.create(USER)

    assert caught.value.attempts == 3
    assert caught.value.maybe_processed


# Waits.


@pytest.mark.parametrize("drawn", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(
    ("initial", "highest", "caps"),
    [
        (0.5, 8.0, [0.5, 1, 2, 4, 8, 8, 8, 8, 8]),
        (1, 3, [1, 2, 3, 3]),
        (0, 8, [0, 0, 0]),
        (5, 2, [2, 2]),
        (5, 0, [0, 0]),
        (3_600, 3_600, [3_600] * 9),
    ],
)
async def test_full_jitter(
    fake: FakeFanvue, initial: float, highest: float, caps: list[float], drawn: float
) -> None:
    """Retry k waits a random part of wait_initial doubled k-1 times, of wait_max at the most."""
    attempts = len(caps) + 1
    fake.reply(503, times=attempts)
    events: list[RetryEvent] = []
    policy = RetryPolicy(max_attempts=attempts, wait_initial=initial, wait_max=highest)

    async with fake.client(retry=policy, on_retry=events.append, timeout=86_400) as client:
        noted = waits_of(client)
        client._session.terms.pool.clockwork.clock = Clock()
        client._session.terms.pool.clockwork.random = lambda: drawn
        with pytest.raises(ServerError):
            await client.chats.create(USER)

    waits = [cap * drawn for cap in caps]
    assert [event.wait for event in events] == waits
    assert noted == [wait for wait in waits if wait]  # waiting for 0 s is not waiting


@pytest.mark.parametrize(
    ("header", "drawn", "wait"),
    [("3", 0.0, 3.0), ("3", 1.0, 3.0), ("0", 1.0, 0.5), ("30", 1.0, 30.0), ("nan", 1.0, 0.5)],
)
async def test_retry_after_is_a_floor(
    fake: FakeFanvue, header: str, drawn: float, wait: float
) -> None:
    """The server's word makes a wait longer, never shorter; what is no number is no word."""
    fake.reply(503, headers={"Retry-After": header})

    async with fake.client() as client:
        noted = waits_of(client)
        client._session.terms.pool.clockwork.random = lambda: drawn
        await client.chats.create(USER)

    assert noted == [wait]
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("31", {}),
        ("999999999", {}),
        ("3", {"retry": RetryPolicy(retry_after_max=2)}),
        ("6", {"timeout": 5}),
        ("5", {"timeout": 5}),
    ],
)
async def test_a_wait_that_is_too_long_is_not_begun(
    fake: FakeFanvue, header: str, options: dict[str, Any]
) -> None:
    """Over retry_after_max, or past the deadline, the error is raised at once, with the wait."""
    fake.reply(503, headers={"Retry-After": header})

    async with fake.client(**options) as client:
        noted = waits_of(client)
        with pytest.raises(ServerError) as caught:
            await client.chats.create(USER)

    assert caught.value.retry_after == float(header)
    assert len(fake.requests) == 1
    assert noted == []


async def test_a_dead_kept_connection_is_a_failure_to_what_is_not_idempotent(
    client: FanvueClient, fake: FakeFanvue
) -> None:
    """Whether the server read it is not known, so it is not sent again."""
    await client.chats.create(USER)
    fake.drop("accept")

    with pytest.raises(NoAnswerError) as caught:
        await client.request("POST", "/messages", json={})

    assert caught.value.attempts == 1
    assert caught.value.maybe_processed


# The quota.


async def failing_calls(client: FanvueClient, count: int) -> list[int]:
    """Make calls that fail, in no time, and tell how many requests each took."""
    if client._session.terms.pool.clockwork.clock is time.monotonic:
        client._session.terms.pool.clockwork.clock = Clock()
    attempts: list[int] = []
    for _ in range(count):
        with pytest.raises(ServerError) as caught:
            await client.chats.create(USER)
        attempts.append(caught.value.attempts)
    return attempts


async def test_an_account_does_not_use_up_the_retries_of_another(fake: FakeFanvue) -> None:
    """One creator's outage leaves others theirs, up to the cap of the whole pool."""
    fake.reply(503, times=1_000)

    async with fake.client() as client:
        calls = [
            await failing_calls(view, 51)
            for view in (
                client.with_options(account="anna"),
                client.with_options(access_token="of-ben"),
                client,
            )
        ]

    assert calls == [[3] * 50 + [1], [3] * 50 + [1], [1] * 51]


async def test_retries_come_back_with_successes_and_with_time(fake: FakeFanvue) -> None:
    """A success gives back a tenth of a retry, a minute ten, and never more than there were."""
    async with fake.client(retry=RetryPolicy(max_attempts=2)) as client:
        client._session.terms.pool.clockwork.clock = clock = Clock()
        for _ in range(20):
            await client.chats.create(USER)
        fake.reply(503, times=202)
        assert await failing_calls(client, 101) == [2] * 100 + [1]
        assert await failing_calls(client.with_options(timeout=5), 1) == [1]  # the same account

        for _ in range(9):
            await client.chats.create(USER)
        fake.reply(503)
        assert await failing_calls(client, 1) == [1]
        await client.chats.create(USER)
        fake.reply(503, times=3)
        assert await failing_calls(client, 2) == [2, 1]

        clock.now += 60
        fake.reply(503, times=21)
        assert await failing_calls(client, 11) == [2] * 10 + [1]


# Hook and logs.


async def test_on_retry_is_told_everything(fake: FakeFanvue) -> None:
    """One event before each wait, with all that a user's metrics need."""
    events: list[RetryEvent] = []
    clock = Clock()
    fake.drop("request")
    fake.reply(503, headers={"Retry-After": "3"})

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    async with fake.client(on_retry=events.append) as client:
        clockwork = client._session.terms.pool.clockwork
        clockwork.clock, clockwork.sleep, clockwork.random = clock, sleep, lambda: 0.5
        await client.chats.create(USER)

    assert events == [  # operation, attempt, wait, status, error, elapsed
        RetryEvent("POST /chats", 1, 0.25, None, "NoAnswerError", 0.0),
        RetryEvent("POST /chats", 2, 3.0, 503, "ServerError", 0.25),
    ]


@pytest.mark.parametrize("status", [201, 503])
async def test_a_hook_that_raises_changes_nothing(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """A bug in the hook is logged once per client; the call ends as it would have."""

    def hook(_: RetryEvent) -> None:
        raise LookupError("a bug")

    fake.reply(503, times=2)
    fake.reply(status, json={"message": "the last word"})

    async with fake.client(on_retry=hook) as client:
        if status == 201:
            assert (await client.chats.create(USER)).message == "the last word"
        else:
            with pytest.raises(ServerError, match="the last word") as caught:
                await client.chats.create(USER)
            assert caught.value.__context__ is None

    assert len(fake.requests) == 3
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    first, *frames = record.getMessage().splitlines()
    assert first == "the on_retry hook raised; further failures are not logged"
    assert frames[-1] == "LookupError: a bug"


async def test_a_hook_that_would_have_to_be_awaited_is_told_of(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture
) -> None:
    """What a plain function returns is looked at, as the function itself was."""

    async def later(_: RetryEvent) -> None:
        """Do nothing about it."""

    def hook(event: RetryEvent) -> Any:
        return later(event)

    fake.reply(503)
    async with fake.client(on_retry=hook) as client:
        await client.chats.create(USER)

    assert "on_retry must be a plain function" in caplog.text


async def test_a_retry_is_a_warning(fake: FakeFanvue, caplog: pytest.LogCaptureFixture) -> None:
    """Who watches warnings sees each retry: what, why, which, when."""
    fake.drop("request")
    fake.reply(503)

    async with fake.client() as client:
        client._session.terms.pool.clockwork.random = lambda: 0.5
        await client.chats.create(USER)

    assert [(record.levelno, record.name) for record in caplog.records] == [
        (logging.WARNING, "fanvue_async")
    ] * 2
    assert caplog.messages == [
        "POST /chats failed (NoAnswerError), attempt 1; next in 0.25 s",
        "POST /chats failed (503), attempt 2; next in 0.50 s",
    ]


async def test_an_exchange_is_a_debug_line(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, path, status, milliseconds, attempt: no query, header or body."""
    caplog.set_level(logging.DEBUG, "fanvue_async")
    fake.reply(503, times=1)
    fake.reply(200, json={"secret": "answered"}, headers={"X-Secret": "header"})

    async with fake.client() as client:
        await client.request("PUT", "/things", json={"secret": "sent"}, params={"secret": "asked"})

    lines = [record for record in caplog.records if record.levelno == logging.DEBUG]
    assert [record.name for record in lines] == ["fanvue_async"] * 2
    assert re.fullmatch(r"PUT /things -> 503 in \d+ ms, attempt 1", lines[0].getMessage())
    assert re.fullmatch(r"PUT /things -> 200 in \d+ ms, attempt 2", lines[1].getMessage())
    assert "secret" not in caplog.text.lower()


# Deadlines.


@pytest.mark.parametrize("phase", PHASES)
@paced
async def test_total_bounds_every_phase(phase: str, *, pace: float) -> None:
    """When total runs out the call ends, whatever it waits for, and says what is known."""
    async with stuck_in(phase) as stage:
        view = stage.client.with_options(timeout=0.1 * pace)

        with pytest.raises((DeadlineExceededError, ServerError)) as caught:
            await view.chats.create(USER)

        if phase == "error body":  # whose status is known by then
            assert type(caught.value) is ServerError
        else:
            assert f"not done within {0.1 * pace:g} s" in str(caught.value)
        assert caught.value.maybe_processed is PHASES[phase]
        assert caught.value.attempts == (0 if phase in {"queue", "token"} else 1)
        assert await stage.free_slots() == 1


@paced
async def test_total_bounds_attempts_and_waits_together(*, pace: float) -> None:
    """Attempts that are each short enough do not add up past the deadline."""
    timeout = Timeout(total=0.15 * pace, attempt=0.06 * pace)
    async with LoopServer() as server, server.client(timeout=timeout) as client:
        client._session.terms.pool.clockwork.random = lambda: 0.0
        with pytest.raises((DeadlineExceededError, NoAnswerError)) as caught:  # whatever came last
            await client.request("GET", "/slow")

    assert caught.value.attempts == len(server.paths) > 1


@paced
async def test_a_wait_that_the_deadline_ended_is_followed_by_nothing(*, pace: float) -> None:
    """Whatever a clock says then, the call is over: no further request is sent."""
    async with stuck_in("back-off") as stage:
        stage.client._session.terms.pool.clockwork.clock = Clock()

        call = await stage.call(total=0.1 * pace)
        with pytest.raises(DeadlineExceededError) as caught:
            await call

    assert caught.value.attempts == 1


@paced
async def test_the_queue_does_not_count_as_an_attempt(*, pace: float) -> None:
    """A call may wait for a connection much longer than one attempt may take."""
    timeout = Timeout(attempt=0.15 * pace)
    options = {"limits": Limits(max_connections=1), "retry": RetryPolicy.never()}
    async with FakeFanvue() as fake, fake.client(timeout=timeout, **options) as client:
        fake.delay(0.04 * pace, times=5)
        calls = [client.chats.create(USER) for _ in range(5)]
        ends = await asyncio.gather(*calls, return_exceptions=True)

    assert not any(isinstance(end, BaseException) for end in ends)
    assert len(fake.requests) == 5


@paced
async def test_what_is_queued_is_given_its_own_clock(*, pace: float) -> None:
    """An attempt that had to wait for its connection is ended by its own clock all the same."""
    timeout = Timeout(attempt=0.05 * pace)
    options = {"limits": Limits(max_connections=1), "retry": RetryPolicy.never()}
    async with LoopServer() as server, server.client(timeout=timeout, **options) as client:
        calls = [client.request("GET", path) for path in ("/first", "/queued")]
        ends = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(end) for end in ends] == [NoAnswerError, NoAnswerError]
    assert server.paths == ["/first", "/queued"]


# The caller's own clock, and the caller's cancel.


@pytest.mark.parametrize("phase", PHASES)
async def test_the_callers_own_timeout_stays_the_callers(phase: str) -> None:
    """asyncio.timeout around a call raises the builtin TimeoutError, in every phase.

    It comes by way of our frames, in whose locals a crash report finds no token.
    """
    async with stuck_in(phase) as stage:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await stage.client.chats.create(USER)

        assert type(caught.value) is TimeoutError
        assert stages.TOKEN not in shown_by(caught.value)
        assert await stage.free_slots() == 1


@pytest.mark.parametrize("queued", [False, True])
async def test_a_cancel_in_any_turn_of_the_loop_is_honoured(*, queued: bool) -> None:
    """There is no moment in which a cancel is lost, or takes a connection with it."""
    async with LoopServer(answer(201)) as server:
        for count in range(TURNS):
            async with server.client(limits=Limits(max_connections=1)) as client:
                first = asyncio.create_task(client.chats.create(USER))
                call = asyncio.create_task(client.chats.create(USER)) if queued else first
                await turns(count)
                call.cancel()
                await asyncio.wait([first, call])
                assert call.cancelled() or call.result().message == "hello"
                assert not queued or first.result().message == "hello"
                await client.chats.create(USER)  # the connection is free


# The end of a client, as a call in flight sees it.


@pytest.mark.parametrize("status", [201, 401, 503])
async def test_closing_in_any_turn_of_the_loop_ends_the_call(status: int) -> None:
    """There is no moment in which a call slips past the close into another wait."""

    async def for_ever(_: float = 0) -> None:
        await asyncio.Event().wait()

    class Stuck(Provider):
        async def invalidate(self, token: str) -> None:
            del token
            await for_ever()

    async with LoopServer(answer(status)) as server:
        for count in range(TURNS):
            client = FanvueClient(Stuck("token"), base_url=server.url)
            client._session.terms.pool.clockwork.sleep = for_ever
            call = asyncio.create_task(client.chats.create(USER))
            await turns(count)
            await client.aclose()
            await asyncio.wait([call], timeout=SOON)
            assert call.done(), f"closed in turn {count}"
            assert call.exception() is None or isinstance(call.exception(), ClientStateError)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks began to be eager in Python 3.12")
async def test_closing_from_within_a_call_cancels_nothing_behind_it(fake: FakeFanvue) -> None:
    """Not even if the close runs inside of the call's own task, as an eager task does."""

    class Closing(Provider):
        async def get_token(self) -> Any:
            eager: dict[str, Any] = {"eager_start": True}
            loop = asyncio.get_running_loop()
            self.closing: asyncio.Task[None] = asyncio.Task(client.aclose(), loop=loop, **eager)
            return await super().get_token()

    provider = Closing(fake.token)
    client = fake.client(access_token=provider)
    with pytest.raises(ClientStateError):
        await client.chats.create(USER)
    await asyncio.sleep(0)

    await provider.closing
    assert fake.requests == []


async def test_closing_in_any_turn_of_the_loop_ends_what_is_queued() -> None:
    """A call that is handed its connection in the moment of the close does not use it."""
    async with LoopServer(by_path({"/first": answer(200)})) as server:
        for count in range(TURNS):
            client = server.client(limits=Limits(max_connections=1))
            first = asyncio.create_task(client.request("GET", "/first"))
            queued = asyncio.create_task(client.request("GET", "/queued"))
            await turns(count)
            closing = asyncio.create_task(client.aclose())
            await asyncio.wait([first, queued, closing], timeout=SOON)
            assert closing.done(), f"closed in turn {count}"
            assert isinstance(queued.exception(), ClientStateError)
            assert first.exception() is None or isinstance(first.exception(), ClientStateError)
