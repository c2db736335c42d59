"""The fake server: how it lives, what it records, how its script is played."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

import pytest
from support.by_hand import changed, connect, send
from support.stages import until
from support.users import USER, user

from fanvue_async import (
    FanvueClient,
    FanvueError,
    NoAnswerError,
    NotSentError,
    RetryPolicy,
    Timeout,
    TransportError,
)
from fanvue_async.testing import DropAfter, FakeFanvue

RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SOON = 2.0  # seconds in which what should take none is over on any machine


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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_serves_where_it_is_told(host: str) -> None:
    """At an address of one's own, with a line for each request."""
    fake, lines = FakeFanvue(), list[str]()
    await fake.serve(host, 0, lines.append)
    try:
        assert host in fake.url
        await send(fake.url, path="/chats?token=secret")
    finally:
        await fake.__aexit__(None, None, None)

    assert lines == ["POST /chats 201"]


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
@pytest.mark.parametrize("cancels", [1, 2, 30])
async def test_it_ends_whatever_is_cancelled(cancels: int) -> None:
    """A cancel in its clean-up, or one in each turn, leaves no connection and no listener."""
    async with FakeFanvue() as fake, connect(fake.url) as wire:
        await wire.send()
        await wire.read_answer()
        ending = asyncio.create_task(fake.__aexit__(None, None, None))
        await asyncio.sleep(0)
        for _ in range(cancels):
            ending.cancel()
            await asyncio.sleep(0)

        async with asyncio.timeout(SOON):
            assert await wire.read_to_end() == b""
            await until(lambda: fake._server.address is None)
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
    assert len(fake.requests) == 1
    assert fake.chats == []


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


# What is for one endpoint


async def test_a_step_can_be_for_one_endpoint(fake: FakeFanvue) -> None:
    """``on`` holds a step back for its endpoint; others go by it, steps without it do not."""
    fake.reply(503, on="POST /chats")
    fake.reply(500, on="GET /things/{thing}/parts")
    fake.reply(418)
    fake.delay(30, on="GET /never")
    statuses = [
        (await send(fake.url, method=method, path=path)).status
        for method, path in (
            ("GET", "/users/me"),
            ("GET", "/things/1/parts?x=1"),
            ("GET", "/things/1/parts"),
            ("POST", "/chats?x"),
            ("POST", "/chats"),
        )
    ]

    assert statuses == [418, 500, 404, 503, 201]


@pytest.mark.parametrize(
    ("on", "path", "takes"),
    [
        ("GET /chats/{userUuid}/messages", f"/chats/{USER}/messages", True),
        ("GET /chats/{any}/messages", f"/chats/{USER}/messages", True),
        (f"GET /chats/{USER}/messages", f"/chats/{USER}/messages", True),
        (f"GET /chats/{USER}/messages", f"/chats/{user(1)}/messages", False),
        ("POST /chats/{userUuid}/messages", f"/chats/{USER}/messages", False),
        ("GET /creators/{creatorUserUuid}/chats", f"/creators/{USER}/chats", True),
        ("GET /chats", f"/creators/{USER}/chats", False),
        ("GET /vault/folders/{folderName}", "/vault/folders/a%2Fb", True),
        ("GET /chats/lists/{name}", "/chats/lists/smart", True),
        ("GET /media/{uuid}", f"/media/{USER}", True),
        ("GET /media/{uuid}", "/media/bulk", False),  # an endpoint of its own
    ],
)
async def test_an_endpoint_is_a_template(
    fake: FakeFanvue, on: str, path: str, *, takes: bool
) -> None:
    """A template takes the paths of its endpoint, whatever its parameters are called."""
    fake.reply(418, on=on)

    assert ((await send(fake.url, method="GET", path=path)).status == 418) == takes


@pytest.mark.parametrize("after", ["request", "headers"])
async def test_a_cut_can_be_for_one_endpoint(fake: FakeFanvue, after: DropAfter) -> None:
    """Others go by it."""
    async with fake.client(retry=RetryPolicy.never()) as client:
        fake.drop(after, on="GET /users/me")
        await client.chats.create(USER)
        with pytest.raises(TransportError):
            await client.request("GET", "/users/me")


@pytest.mark.parametrize(
    ("step", "arguments", "refusal"),
    [
        ("drop", {"after": "body"}, "'accept', 'request' or 'headers'"),
        ("drop", {"after": "accept", "on": "GET /chats"}, "leave out 'on'"),
        ("reply", {"status": 200, "json": {}, "body": "x"}, "not both"),
        *(
            ("reply", {"status": 500, "on": on}, "a method and a path")
            for on in ("", "/chats", "get /chats", "GET chats", "GET  /chats")
        ),
    ],
)
def test_a_step_that_could_not_be_meant_is_refused(
    step: str, arguments: dict[str, Any], refusal: str
) -> None:
    """When it is asked for, not when it is played."""
    with pytest.raises(ValueError, match=refusal):
        getattr(FakeFanvue(), step)(**arguments)


# Connections that are refused


async def test_a_refused_connection_never_was(fake: FakeFanvue) -> None:
    """Each is one ``NotSentError``; nothing is recorded, and the next connection is made."""
    async with fake.client(retry=RetryPolicy.never()) as client:
        fake.refuse(times=2)
        for _ in range(2):
            with pytest.raises(NotSentError) as caught:
                await client.chats.create(USER)
            assert not caught.value.maybe_processed
        assert fake.requests == []
        await client.chats.create(USER)


async def test_open_connections_end_first(fake: FakeFanvue) -> None:
    """A client that has a connection open must make a new one, which is refused."""
    async with fake.client() as client:
        await client.chats.create(USER)
        fake.refuse()
        await client.chats.create(user(1))

    assert fake.chats == [USER, user(1)]


async def test_only_this_server_refuses() -> None:
    """Another server goes on; what was not used up is forgotten with the end."""
    fake = FakeFanvue()
    with pytest.raises(RuntimeError, match="not running"):
        fake.refuse()
    async with FakeFanvue() as other:
        async with fake:
            fake.refuse(5)
            assert (await send(other.url)).status == 201
        async with fake:
            assert (await send(fake.url)).status == 201


# What happens is told


async def test_listeners_are_told(fake: FakeFanvue) -> None:
    """Each thing that happens has a name, whom it happened to, and what it is about."""
    told: list[tuple[str, str]] = []
    fake.world.listeners.append(lambda event, creator, _: told.append((event, creator)))
    anna = fake.creators.add()
    fan = fake.followers.add()
    fake.subscribers.add(fan)
    fake.chats.receive(fan)
    fake.messages.tip(fan, 500)
    fake.creator(anna).chats.receive(fan)
    await send(fake.url, path=f"/chats/{fan}/message", body=b'{"text":"Hi"}')
    for _ in range(2):  # there is nothing left to read the second time
        await send(fake.url, method="GET", path=f"/chats/{fan}/messages")
    fake.chats.receive(fan)
    await send(fake.url, method="PATCH", path=f"/chats/{fan}", body=b'{"isRead":true}')
    fake.subscribers.expire(fan)

    assert told == [
        ("follow.created", fake.uuid),
        ("subscription.activated", fake.uuid),
        ("message.received", fake.uuid),
        ("message.received", fake.uuid),
        ("payment.succeeded", fake.uuid),
        ("message.received", anna),
        ("message.sent", fake.uuid),
        ("message.read", fake.uuid),
        ("message.received", fake.uuid),
        ("message.read", fake.uuid),
        ("subscription.deactivated", fake.uuid),
    ]
