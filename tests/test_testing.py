"""FakeFanvue itself: what it answers, what it records, how it is scripted and how it ends."""

from __future__ import annotations

import asyncio
import io
import math
import os
import runpy
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from support.by_hand import changed, connect, send
from support.users import USER, user

from fanvue_async import (
    AuthenticationError,
    ConflictError,
    CreatedChat,
    DecodeError,
    FanvueClient,
    FanvueError,
    NoAnswerError,
    NotContactableError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Timeout,
    TransportError,
    UnsupportedVersionError,
    VersionSunsetError,
    testing,
)
from fanvue_async.testing import DropAfter, Duplicates, FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from fanvue_async import RetryEvent

RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SOON = 2.0  # seconds in which what should take none is over on any machine


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.25

    def time(self) -> float:
        """Return the Unix time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the fake server's windows pass without waiting for them."""
    made = Clock()
    monkeypatch.setattr(testing, "time", SimpleNamespace(time=made.time))
    return made


# Life


async def test_the_example_of_the_module_works() -> None:
    """What the module's docstring shows is true."""
    async with FakeFanvue() as fanvue, fanvue.client() as client:
        fanvue.reply(503)
        await client.chats.create("3fa85f64-5717-4562-b3fc-2c963f66afa6")
        assert len(fanvue.requests) == 2


async def test_there_is_an_address_only_while_it_runs() -> None:
    """Before its start and after its end it names no address that somebody else may have."""
    fake = FakeFanvue()
    with pytest.raises(RuntimeError, match="not running"):
        _ = fake.url
    with pytest.raises(RuntimeError, match="not running"):
        fake.client()

    async with fake:
        assert fake.url.startswith("http://127.0.0.1:")

    with pytest.raises(RuntimeError, match="not running"):
        _ = fake.url


async def test_a_second_start_is_refused() -> None:
    """A running server cannot be started again, and goes on serving."""
    async with FakeFanvue() as fake:
        with pytest.raises(RuntimeError, match="running already"):
            await fake.__aenter__()

        assert (await send(fake.url)).status == 201


@pytest.mark.usefixtures("no_leaks")
async def test_it_starts_again_with_what_it_knew() -> None:
    """After its end it can be started again: an outage that is over, with all chats still there."""
    fake = FakeFanvue(duplicates=409)
    async with fake:
        await send(fake.url)
        fake.reply(503)

    async with fake:
        assert [(await send(fake.url)).status for _ in range(2)] == [503, 409]
        assert len(fake.requests) == 3


async def test_several_run_side_by_side() -> None:
    """Each has its own port and its own state."""
    async with FakeFanvue() as one, FakeFanvue() as other:
        await send(one.url)

        assert one.url != other.url
        assert (len(one.chats), len(other.chats)) == (1, 0)


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("state", ["idle", "kept alive", "half a request", "delayed"])
async def test_it_ends_at_once_with_connections_open(state: str) -> None:
    """Whatever its connections are doing, it ends soon and ends them."""
    async with FakeFanvue() as fake, connect(fake.url) as wire:
        if state == "kept alive":
            await wire.send()
            await wire.read_answer()
        elif state == "half a request":
            await wire.write(b"POST /chats HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        elif state == "delayed":
            fake.delay(30)
            await wire.send()
            await until(lambda: len(fake.requests) == 1)
        before = time.monotonic()
        await fake.__aexit__(None, None, None)

        assert time.monotonic() - before < SOON
        assert await wire.read_to_end() == b""
        await fake.__aenter__()  # for the end of the block


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_a_connection_that_is_just_being_made(turns: int) -> None:
    """A client that connects in the moment of the end is hung up on, not left waiting."""
    async with FakeFanvue() as fake:
        port = int(fake.url.rpartition(":")[2])
        late = socket.create_connection(("127.0.0.1", port))
        for _ in range(turns):
            await asyncio.sleep(0)

    with late:
        late.settimeout(0)  # as the loop wants it
        async with asyncio.timeout(SOON):
            with suppress(ConnectionResetError):  # hung up on as well
                assert await asyncio.get_running_loop().sock_recv(late, 1) == b""


@pytest.mark.usefixtures("no_leaks")
async def test_a_call_in_flight_at_its_end_loses_its_answer() -> None:
    """A client sees the end of the server as a lost answer, and leaves nothing behind."""
    async with FakeFanvue() as fake, fake.client(retry=RetryPolicy.never()) as client:
        fake.delay(30)
        call = asyncio.create_task(client.chats.create(USER))
        await until(lambda: len(fake.requests) == 1)
        await fake.__aexit__(None, None, None)

        with pytest.raises(NoAnswerError):
            await call
        await fake.__aenter__()  # for the end of the block


# What it records


async def test_it_records_what_it_read(fake: FakeFanvue) -> None:
    """Method, path with query, headers and body are there as they came, oldest first."""
    await send(fake.url, method="PUT", path="/a%20b?c=d&e", headers={"X-Own": "1"}, body=b'{"f":1}')
    await send(fake.url)

    first, second = fake.requests
    assert (first.method, first.path, first.body) == ("PUT", "/a%20b?c=d&e", b'{"f":1}')
    assert first.headers["x-own"] == first.headers["X-OWN"] == "1"
    assert first.json() == {"f": 1}
    assert (second.method, second.path, second.json()) == ("POST", "/chats", {"userUuid": USER})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN"])
async def test_a_recorded_body_that_is_no_json_says_so(fake: FakeFanvue, body: bytes) -> None:
    """json() of a request raises ValueError, as json.loads does."""
    await send(fake.url, body=body)

    with pytest.raises(ValueError, match=r".+"):
        fake.requests[0].json()


async def test_it_records_large_bodies_too(fake: FakeFanvue, client: FanvueClient) -> None:
    """What is too large for the real API is not documented, so it is not refused for its size."""
    with pytest.raises(FanvueError):
        await client.request("POST", "/chats", json="x" * 2_000_000)

    (request,) = fake.requests
    assert len(request.body) == 2_000_002


async def test_it_records_created_chats(fake: FakeFanvue, client: FanvueClient) -> None:
    """Chats are there by their user, oldest first; refused requests made none."""
    await client.chats.create(user(2))
    await send(fake.url, headers=changed({"Authorization": None}))
    await send(fake.url, body=b"{}")
    fake.reply(201, json={"message": "scripted"})
    await client.chats.create(user(3))
    await client.chats.create(user(1))

    assert fake.chats == [user(2), user(1)]
    assert len(fake.requests) == 5


# What it answers by itself


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"Authorization": None}, "Unauthorized"),
        ({"Authorization": ""}, "Unauthorized"),
        ({"Authorization": "fake-token"}, "Unauthorized"),
        ({"Authorization": "Basic fake-token"}, "Unauthorized"),
        ({"Authorization": "Bearer FAKE-TOKEN"}, "Unauthorized"),
        # Who is asked first, which version second.
        ({"Authorization": None, "X-Fanvue-API-Version": None}, "Unauthorized"),
    ],
)
async def test_it_refuses_what_is_not_authorized(
    fake: FakeFanvue, changes: dict[str, str | None], error: str
) -> None:
    """Without a token that it knows the answer is 401."""
    answer = await send(fake.url, headers=changed(changes))

    assert (answer.status, answer.json()) == (401, {"error": error})
    assert fake.chats == []


async def test_the_scheme_of_authorization_is_read_in_any_case(fake: FakeFanvue) -> None:
    """``bearer`` is ``Bearer`` (RFC 9110, 11.1)."""
    answer = await send(fake.url, headers=changed({"Authorization": "bearer fake-token"}))

    assert answer.status == 201


async def test_it_accepts_each_of_its_tokens() -> None:
    """Every token given is accepted, the first is ``token``, and the default is none of them."""
    async with FakeFanvue(tokens=iter(["first", "second"])) as fake:
        assert fake.token == "first"
        statuses = [
            (await send(fake.url, headers=changed({"Authorization": f"Bearer {token}"}))).status
            for token in ("first", "second", "fake-token")
        ]

    assert statuses == [201, 201, 401]


@pytest.mark.parametrize("version", [None, "", "latest", "2099-01-01", "2025-06-27", "2025-6-1"])
async def test_it_refuses_a_missing_or_unknown_version(
    fake: FakeFanvue, version: str | None
) -> None:
    """The answer is the documented 400 with error and message."""
    answer = await send(fake.url, headers=changed({"X-Fanvue-API-Version": version}))

    assert answer.status == 400
    assert answer.json().keys() == {"error", "message"}
    assert fake.chats == []


@pytest.mark.parametrize("version", ["2024-01-01", "2025-06-25"])
async def test_it_calls_an_earlier_version_retired(fake: FakeFanvue, version: str) -> None:
    """The answer is the documented 410, which names the version to change to."""
    answer = await send(fake.url, headers=changed({"X-Fanvue-API-Version": version}))

    assert answer.status == 410
    assert answer.json().keys() == {"error", "message", "nextVersion"}
    assert answer.json()["nextVersion"] == "2025-06-26"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b'{"userUuid":null}',
        b'{"userUuid":1}',
        b'{"userUuid":"1"}',
        b'{"user_uuid":"%s"}' % USER.encode(),
    ],
)
async def test_it_refuses_an_invalid_body(fake: FakeFanvue, body: bytes) -> None:
    """The answer is a 400 with a message, and no chat is made."""
    answer = await send(fake.url, body=body)

    assert answer.status == 400
    assert answer.json().keys() == {"message"}
    assert fake.chats == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/chats/", 404),
        ("POST", "/v1/chats", 404),
        ("GET", "/unknown?chats", 404),
        ("GET", "/chats", 405),
        ("DELETE", "/chats?further", 405),
        ("POST", "/chats?further=1", 201),
    ],
)
async def test_it_serves_one_operation(
    fake: FakeFanvue, method: str, path: str, status: int
) -> None:
    """Another path is not found, another method not allowed; a query changes nothing."""
    answer = await send(fake.url, method=method, path=path)

    assert answer.status == status
    assert ("Allow" in answer.headers) == (status == 405)
    assert answer.json().keys() == {"message"}


@pytest.mark.parametrize("listed", [UUID(user(10)), user(10), user(10).upper()])
@pytest.mark.parametrize("asked", [user(10), user(10).upper()])
async def test_users_who_may_not_be_contacted(listed: UUID | str, asked: str) -> None:
    """A UUID object and its text in any case name the same user; others may be contacted."""
    async with FakeFanvue(not_contactable=[listed]) as fake, fake.client() as client:
        with pytest.raises(NotContactableError, match="cannot be contacted"):
            await client.chats.create(asked)
        answer = await send(fake.url, body=b'{"userUuid":"%s"}' % asked.encode())
        await client.chats.create(user(1))

        assert answer.status == 400
        assert fake.chats == [user(1)]


@pytest.mark.parametrize(
    ("duplicates", "second"), [(201, None), (400, NotContactableError), (409, ConflictError)]
)
async def test_a_second_chat_is_answered_as_set(
    duplicates: Duplicates, second: type[FanvueError] | None
) -> None:
    """A second chat with the same user gets the status asked for, whoever the first was with."""
    async with FakeFanvue(duplicates=duplicates) as fake, fake.client() as client:
        await client.chats.create(USER)
        await client.chats.create(user(1))
        (outcome,) = await asyncio.gather(client.chats.create(USER), return_exceptions=True)

        assert type(outcome) is (second or CreatedChat)
        assert set(fake.chats) == {USER, user(1)}


async def test_a_second_chat_is_fine_by_default() -> None:
    """The default answers a second chat like the first, with 201."""
    async with FakeFanvue() as fake:
        assert [(await send(fake.url)).status for _ in range(3)] == [201, 201, 201]


def test_another_status_for_duplicates_is_refused() -> None:
    """What the fake could not mean is refused when it is built."""
    status: Any = 200
    with pytest.raises(ValueError, match="201, 400 or 409"):
        FakeFanvue(duplicates=status)


# The rate limit


@pytest.mark.parametrize(
    ("changes", "path", "status"),
    [
        ({}, "/chats", 201),
        ({"Authorization": None}, "/chats", 401),
        ({"X-Fanvue-API-Version": None}, "/chats", 400),
        ({"X-Fanvue-API-Version": "2024-01-01"}, "/chats", 410),
        ({}, "/unknown", 404),
    ],
)
async def test_every_answer_reports_the_documented_limit(
    fake: FakeFanvue, clock: Clock, changes: dict[str, str | None], path: str, status: int
) -> None:
    """Without a limit of its own the fake reports the documented one: 200 in 60 seconds."""
    answer = await send(fake.url, path=path, headers=changed(changes))

    assert answer.status == status
    assert rate_limit(answer.headers) == (200, 199, 1_000_061)
    assert clock.now == 1_000_000.25


async def test_a_scripted_answer_reports_the_limit_too(fake: FakeFanvue) -> None:
    """A reply carries the rate-limit headers unless it brings its own."""
    fake.reply(503)
    fake.reply(503, headers={"x-ratelimit-remaining": "7"})
    fake.reply(201, json={"message": ""}, headers={"X-RateLimit-Limit": "5"})

    given = [rate_limit((await send(fake.url)).headers)[:2] for _ in range(3)]

    assert given == [(200, 199), (200, 7), (5, 199)]


async def test_nobody_is_refused_without_a_limit(fake: FakeFanvue, client: FanvueClient) -> None:
    """A fake without a limit lets more requests through than the documented one would."""
    for _ in range(250):
        await client.chats.create(USER)

    assert len(fake.requests) == 250
    assert client.rate_limit is not None
    assert client.rate_limit.remaining == 199


async def test_the_bucket_empties_and_is_filled_again_as_a_whole(clock: Clock) -> None:
    """The limit holds within a window, whose end makes all of it free again."""
    async with FakeFanvue(rate_limit=(2, 60)) as fake:
        seen: list[tuple[int, int, int, str | None]] = []
        for seconds in (0, 20.5, 0.5, 38.75, 0.25, 0, 0, 600):
            clock.now += seconds
            answer = await send(fake.url)
            limit, remaining, reset = rate_limit(answer.headers)
            assert limit == 2
            seen.append((answer.status, remaining, reset, answer.headers.get("Retry-After")))
            if answer.status == 429:
                assert answer.json().keys() == {"error"}

    assert seen == [
        (201, 1, 1_000_061, None),
        (201, 0, 1_000_061, None),
        (429, 0, 1_000_061, "39"),
        (429, 0, 1_000_061, "1"),
        (201, 1, 1_000_121, None),  # exactly at the window's end
        (201, 0, 1_000_121, None),
        (429, 0, 1_000_121, "60"),
        (201, 1, 1_000_721, None),
    ]
    assert len(fake.chats) == 5


async def test_a_client_is_told_of_the_limit() -> None:
    """The 429 becomes a RateLimitError, and the limit is there before that."""
    async with FakeFanvue(rate_limit=(1, 60)) as fake, fake.client() as client:
        await client.chats.create(USER)
        assert client.rate_limit is not None
        assert (client.rate_limit.limit, client.rate_limit.remaining) == (1, 0)

        with pytest.raises(RateLimitError) as caught:
            await client.chats.create(USER)

        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 60
        assert len(fake.requests) == 2


async def test_each_token_has_its_own_bucket() -> None:
    """What one token used up, another still has; a wrong one is 401 however often it comes."""
    async with FakeFanvue(tokens=["one", "two"], rate_limit=(1, 60)) as fake:
        statuses = [
            (await send(fake.url, headers=changed({"Authorization": f"Bearer {token}"}))).status
            for token in ("one", "one", "two", "two", "wrong", "wrong", "wrong")
        ]

    assert statuses == [201, 429, 201, 429, 401, 401, 401]


# What it is told to do next


@pytest.mark.parametrize(
    ("given", "content", "content_type"),
    [
        ({}, b"", None),
        ({"json": {"a": ["é", None]}}, b'{"a": ["\\u00e9", null]}', "application/json"),
        ({"json": []}, b"[]", "application/json"),
        ({"json": False}, b"false", "application/json"),
        ({"body": "<p>é"}, "<p>é".encode(), "text/plain; charset=utf-8"),
        ({"body": b"\x00\xff"}, b"\x00\xff", "text/plain; charset=utf-8"),
        ({"body": b""}, b"", None),
    ],
)
async def test_a_reply_has_the_body_it_was_given(
    fake: FakeFanvue, given: dict[str, Any], content: bytes, content_type: str | None
) -> None:
    """JSON, text and bytes are sent as they are; without any the body is empty."""
    fake.reply(418, **given)

    answer = await send(fake.url)

    assert (answer.status, answer.content) == (418, content)
    if content_type is not None:
        assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
@pytest.mark.parametrize("given", [{"body": "<p>"}, {"json": {}}])
async def test_the_headers_of_a_reply_win(
    fake: FakeFanvue, name: str, given: dict[str, Any]
) -> None:
    """Headers given by the user replace those of the fake, in whatever case they are written."""
    fake.reply(502, headers={name: "text/html", "X-Own": "1"}, **given)

    answer = await send(fake.url)

    fields = [value for key, value in answer.headers.items() if key.lower() == "content-type"]
    assert fields == ["text/html"]
    assert answer.headers["x-own"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        ("POST", "/chats", {}),
        ("GET", "/anything", {}),
        ("POST", "/chats", {"Authorization": None, "X-Fanvue-API-Version": None}),
    ],
)
async def test_a_reply_is_for_whatever_comes(
    fake: FakeFanvue, method: str, path: str, changes: dict[str, str | None]
) -> None:
    """A scripted answer is given before anything is checked, and records the request."""
    fake.reply(200, json={"scripted": True})

    answer = await send(fake.url, method=method, path=path, headers=changed(changes))

    assert (answer.status, answer.json()) == (200, {"scripted": True})
    assert (len(fake.requests), fake.chats) == (1, [])


async def test_the_script_is_played_in_order_and_then_over(fake: FakeFanvue) -> None:
    """Each step is for as many requests as it says, in the order of the calls."""
    fake.reply(503, times=2)
    fake.reply(500)
    fake.reply(418, times=0)

    assert [(await send(fake.url)).status for _ in range(5)] == [503, 503, 500, 201, 201]


@pytest.mark.parametrize("kept_alive", [False, True])
@pytest.mark.parametrize(
    ("after", "read", "head"),
    [("accept", False, b""), ("request", True, b""), ("headers", True, b"HTTP/1.1 201 Created")],
)
@pytest.mark.usefixtures("no_leaks")
async def test_a_connection_is_cut_where_it_was_asked_for(
    after: DropAfter, head: bytes, *, read: bool, kept_alive: bool
) -> None:
    """On new and on kept-alive connections: before the request, after it, or in the answer."""
    async with FakeFanvue() as fake:
        if not kept_alive:
            fake.drop(after=after)
        async with connect(fake.url) as wire:
            if kept_alive:
                await wire.send()
                await wire.read_answer()
                fake.requests.clear()
                fake.drop(after=after)
            await wire.send()
            received = await wire.read_to_end()

        assert received[: len(head)] == head
        assert bool(received) == bool(head)
        assert received.endswith(b"\r\n\r\n" if head else b"")  # a head, and nothing of its body
        assert len(fake.requests) == read
        assert (await send(fake.url)).status == 201


async def test_a_cut_answer_begins_like_a_whole_one(fake: FakeFanvue) -> None:
    """The head of an answer that is cut behind it is that of any answer, rate limit included."""
    fake.drop("headers")
    async with connect(fake.url) as wire:
        await wire.send()
        head = (await wire.read_to_end()).decode()

    for name in (*RATE_LIMIT_HEADERS, "Content-Type", "Content-Length"):
        assert f"\r\n{name}: " in head


@pytest.mark.usefixtures("no_leaks")
async def test_a_new_connection_is_cut_before_anything_is_sent() -> None:
    """After ``accept`` means just that: a client that has sent nothing yet is hung up on."""
    async with FakeFanvue() as fake:
        fake.drop("accept")
        async with connect(fake.url) as wire:
            assert await wire.read_to_end() == b""

        assert fake.requests == []


@pytest.mark.parametrize(("after", "read"), [("accept", 1), ("request", 3), ("headers", 3)])
@pytest.mark.parametrize("kept_alive", [False, True])
@pytest.mark.usefixtures("no_leaks")
async def test_a_client_gets_through_cut_connections(
    after: DropAfter, read: int, *, kept_alive: bool
) -> None:
    """A client's retries meet as many cuts as were asked for, then the fake as usual."""
    async with FakeFanvue() as fake, fake.client() as client:
        if kept_alive:
            await client.chats.create(user(1))
            fake.requests.clear()
        fake.drop(after, times=2)

        await client.chats.create(USER)

        assert len(fake.requests) == read
        assert USER in fake.chats


@pytest.mark.parametrize("after", ["accept", "request", "headers"])
async def test_a_client_sees_a_cut_as_no_usable_answer(after: DropAfter) -> None:
    """One cut is one TransportError for a client that does not retry."""
    async with FakeFanvue() as fake, fake.client(retry=RetryPolicy.never()) as client:
        fake.drop(after)
        with pytest.raises(TransportError) as caught:
            await client.chats.create(USER)

        assert caught.value.attempts == 1


def test_another_place_to_cut_is_refused() -> None:
    """What the fake could not mean is refused when it is asked for."""
    after: Any = "body"
    with pytest.raises(ValueError, match="'accept', 'request' or 'headers'"):
        FakeFanvue().drop(after)


async def test_a_delay_holds_the_answer_back() -> None:
    """A delayed request is answered late, as it would be; the next ones are not delayed."""
    async with FakeFanvue() as fake:
        fake.delay(0.1)
        fake.reply(503)
        before = time.monotonic()
        answer = await send(fake.url)

        assert time.monotonic() - before >= 0.09  # a timer may be early by its resolution
        assert answer.status == 503
        fake.delay(30, times=0)
        async with asyncio.timeout(SOON):
            assert (await send(fake.url)).status == 201


async def test_a_delay_is_for_as_many_requests_as_it_says() -> None:
    """Delays hold for each of their requests, also for those that come at once."""
    async with FakeFanvue() as fake:
        fake.delay(0.1, times=2)
        before = time.monotonic()
        await asyncio.gather(*(send(fake.url) for _ in range(3)))

        assert 0.09 <= time.monotonic() - before < SOON
        assert len(fake.chats) == 3


async def test_a_caller_who_gave_up_does_not_stop_the_server() -> None:
    """Like the real API, the fake goes on with what it has read: the chat is created."""
    options: dict[str, Any] = {"timeout": Timeout(attempt=0.05), "retry": RetryPolicy.never()}
    async with FakeFanvue() as fake, fake.client(**options) as client:
        fake.delay(0.2)
        with pytest.raises(NoAnswerError) as caught:
            await client.chats.create(USER)

        assert caught.value.maybe_processed
        assert fake.chats == []
        await until(lambda: fake.chats == [USER])


@pytest.mark.usefixtures("no_leaks")
async def test_a_delay_ends_with_the_server() -> None:
    """Whoever waits for it gets no answer, and nothing of it goes on behind the fake."""
    async with FakeFanvue() as fake, fake.client(retry=RetryPolicy.never()) as client:
        fake.delay(30)
        call = asyncio.create_task(client.chats.create(USER))
        await until(lambda: len(fake.requests) == 1)
        before = time.monotonic()
        await fake.__aexit__(None, None, None)
        with pytest.raises(NoAnswerError):
            await call
        assert time.monotonic() - before < SOON
        await fake.__aenter__()


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("after", ["request", "headers"])
async def test_a_cut_after_the_caller_left_is_harmless(after: DropAfter) -> None:
    """When there is no connection left to cut, nothing goes wrong in the server."""
    async with FakeFanvue() as fake:
        fake.delay(0.05)
        fake.drop(after)
        async with connect(fake.url) as wire:
            await wire.send()
            await until(lambda: len(fake.requests) == 1)
        await asyncio.sleep(0.15)  # its timer is behind that of the delay

        assert (await send(fake.url)).status == 201


# The client that it gives


async def test_a_client_needs_nothing(fake: FakeFanvue) -> None:
    """``client()`` is one that works, with the fake's address and token."""
    async with fake.client() as client:
        assert isinstance(client, FanvueClient)
        await client.chats.create(USER)

    assert fake.requests[0].headers["Authorization"] == f"Bearer {fake.token}"


async def test_a_client_takes_the_options_of_any_client(fake: FakeFanvue) -> None:
    """Every setting of FanvueClient can be given, another token and version included."""
    async with fake.client(access_token="other", user_agent="bot/1") as client:
        with pytest.raises(AuthenticationError):
            await client.chats.create(USER)
        await client.with_options(access_token=fake.token).chats.create(USER)
    async with fake.client(api_version="2099-01-01") as client:
        with pytest.raises(UnsupportedVersionError):
            await client.chats.create(USER)
    async with fake.client(api_version="2024-01-01") as client:
        with pytest.raises(VersionSunsetError):
            await client.chats.create(USER)

    assert fake.requests[0].headers["User-Agent"].endswith(" bot/1")


async def test_a_client_waits_no_time_for_a_retry(fake: FakeFanvue) -> None:
    """The waits of a client on the fake are announced in full and take no time, in views too."""
    events: list[RetryEvent] = []
    policy = RetryPolicy(wait_initial=3600, wait_max=3600, retry_after_max=3600)
    async with (
        asyncio.timeout(SOON),
        fake.client(retry=policy, timeout=7200, on_retry=events.append) as client,
    ):
        for one in (client, client.with_options(account="another")):
            fake.reply(503, headers={"Retry-After": "1800"}, times=2)
            await one.chats.create(USER)

    assert len(fake.requests) == 6
    assert [event.wait >= 1800 for event in events] == [True] * 4


async def test_a_scripted_answer_reaches_the_client_as_its_typed_error(fake: FakeFanvue) -> None:
    """What a bot's author scripts is what the bot meets."""
    fake.reply(500, json={"message": "out"}, headers={"X-Request-Id": "r-1"}, times=3)
    fake.reply(201, body="no JSON")
    async with fake.client() as client:
        with pytest.raises(ServerError, match="out") as caught:
            await client.chats.create(USER)
        with pytest.raises(DecodeError):
            await client.chats.create(USER)

    assert caught.value.request_id == "r-1"
    assert len(fake.requests) == 4


# Alone, as a program


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_alone_it_serves_until_it_is_told_to_end(end: signal.Signals) -> None:
    """It prints its address and a token, serves a client, and ends cleanly with one connected."""
    async with program() as process:
        assert process.stdout is not None
        name, url = (await process.stdout.readline()).decode().split()
        assert name == "url"
        name, token = (await process.stdout.readline()).decode().split()
        assert name == "token"
        async with FanvueClient(token, base_url=url) as client:
            created = await client.chats.create(USER)
            process.send_signal(end)
            async with asyncio.timeout(SOON):
                out, err = await process.communicate()

    assert created == CreatedChat(message="Chat created successfully")
    assert (process.returncode, out, err) == (0, b"", b"")


def test_alone_it_says_when_its_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that somebody else has is an error in one line, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            testing.main(["--port", port])

    said = capsys.readouterr().err
    assert caught.value.code
    assert port in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_alone_it_refuses_what_is_no_port(capsys: pytest.CaptureFixture[str], port: str) -> None:
    """A port out of range is refused like any other wrong argument."""
    with pytest.raises(SystemExit) as caught:
        testing.main([f"--port={port}"])

    assert caught.value.code == 2
    assert "argument --port: " in capsys.readouterr().err


@pytest.mark.parametrize("as_module", [False, True])
def test_the_program_ends_on_a_signal(monkeypatch: pytest.MonkeyPatch, *, as_module: bool) -> None:
    """main() returns after a signal, and so does ``python -m fanvue_async.testing``."""

    class Terminal(io.StringIO):
        """Sends the signal as soon as everything is printed."""

        def flush(self) -> None:
            monkeypatch.undo()
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # it would end all tests
            os.kill(os.getpid(), signal.SIGTERM)

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    if as_module:
        monkeypatch.setattr(sys, "argv", ["fanvue_async.testing", "--port", "0"])
        monkeypatch.delitem(sys.modules, "fanvue_async.testing")  # or runpy warns
        runpy.run_module("fanvue_async.testing", run_name="__main__")
    else:
        testing.main(["--port", "0"])

    lines = [line.split() for line in terminal.getvalue().splitlines()]
    assert [name for name, _ in lines] == ["url", "token"]


# Helpers


def rate_limit(headers: Mapping[str, str]) -> tuple[int, int, int]:
    """Read limit, remaining and reset, all of which must be there."""
    limit, remaining, reset = (int(headers[name]) for name in RATE_LIMIT_HEADERS)
    return limit, remaining, reset


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about in the fake."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - a list tells nobody that it has grown
            await asyncio.sleep(0)


@asynccontextmanager
async def program() -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Run ``python -m fanvue_async.testing``; it never outlives its test.

    Not in Python's development mode, whose asyncio reports what a busy machine makes slow.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-W", "error", "-m", "fanvue_async.testing", "--port", "0"),
        env={**os.environ, "PYTHONDEVMODE": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"tokens": "abc"}, "collections"),
        ({"tokens": ()}, "at least one"),
        ({"not_contactable": USER}, "collections"),
        ({"not_contactable": ["somebody"]}, "UUIDs"),
        ({"rate_limit": (0, 1.0)}, "number of requests"),
        ({"rate_limit": (1, -1.0)}, "number of requests"),
        ({"rate_limit": (2.5, 60)}, "number of requests"),
        ({"rate_limit": (5, math.inf)}, "number of requests"),
        ({"rate_limit": (200,)}, "unpack"),
        ({"rate_limit": ()}, "unpack"),
        ({"rate_limit": (True, 60)}, "number of requests"),
    ],
)
def test_it_refuses_arguments_that_make_no_sense(arguments: dict[str, Any], reason: str) -> None:
    """A test that would not test what its author means fails at once."""
    with pytest.raises((TypeError, ValueError), match=reason):
        FakeFanvue(**arguments)


def test_a_reply_has_one_body() -> None:
    """Which of two bodies is sent must not be a guess."""
    with pytest.raises(ValueError, match="not both"):
        FakeFanvue().reply(200, json={}, body="x")
