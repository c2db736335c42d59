"""What a client and its views share: connections, their queue, the end, and accounts' state."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from faults.gap import replaced_behind
from support.raw_server import SUCCESS, RawServer, hang, read
from support.stages import (
    CountingFake,
    LoopServer,
    StuckProvider,
    turns,
    until,
)
from support.users import USER, user

from fanvue_async import (
    AuthenticationError,
    ClientStateError,
    ConfigurationError,
    DeadlineExceededError,
    FanvueClient,
    Limits,
    NoAnswerError,
    RetryPolicy,
    Timeout,
    TransportError,
)
from fanvue_async.engine.accounts import Accounts
from fanvue_async.engine.transport import Connections, Connector
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.raw_server import Connection

pytestmark = pytest.mark.usefixtures("no_leaks")


# The queue.


THOUSAND_CALLS = """
import asyncio
from fanvue_async import RetryPolicy, Timeout
from support.stages import CountingFake
from support.users import user

async def main():
    users = [user(number) for number in range(1_000)]
    async with CountingFake() as fake:
        fake.delay(0.02, times=1_000)
        options = {"timeout": Timeout(attempt=1.0), "retry": RetryPolicy.never()}
        async with fake.client(**options) as client:
            created = await asyncio.gather(*map(client.chats.create, users))
    print(len(created), sorted(fake.chats) == users, fake.connections <= 100)

asyncio.run(main())
"""


async def test_a_thousand_calls_share_a_hundred_connections() -> None:
    """Waiting for a connection is no failure, and takes nothing from an attempt's second."""
    # Alone, for coverage and the development mode would cost more than the calls themselves.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", THOUSAND_CALLS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
    )

    assert (done.stdout, done.stderr) == ("1000 True True\n", "")


async def test_first_come_first_served(fake: FakeFanvue) -> None:
    """Calls get their connection in the order in which they were made."""
    async with fake.client(limits=Limits(max_connections=1)) as client:
        await asyncio.gather(*(client.chats.create(user(number)) for number in range(20)))

    assert fake.chats == [user(number) for number in range(20)]


# Connections.


async def test_a_connection_is_kept() -> None:
    """Calls one after the other need one connection."""
    async with CountingFake() as fake, fake.client() as client:
        for _ in range(5):
            await client.chats.create(USER)

        assert fake.connections == 1


@pytest.mark.parametrize(("expiry", "pause"), [(0, 0), (0.05, 0.15)])
async def test_an_idle_connection_expires(expiry: float, pause: float) -> None:
    """What was idle for longer than keepalive_expiry is not used again; with 0, nothing is."""
    async with (
        CountingFake() as fake,
        fake.client(limits=Limits(keepalive_expiry=expiry)) as client,
    ):
        await client.chats.create(USER)
        await asyncio.sleep(pause)
        await client.chats.create(USER)

        assert fake.connections == 2


async def test_a_server_that_speaks_first_is_not_asked_for_ever() -> None:
    """A new connection on which the server talks at once would be followed by one like it."""

    class Greeting(LoopServer):
        def accepted(self, transport: asyncio.Transport) -> None:
            super().accepted(transport)
            transport.write(b"SSH-2.0-server\r\n")

    async def hear_it(*_: object) -> None:
        await until(lambda: server.open)
        await turns(10)

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(hear_it)
    connector = Connector(Connections(), limit=1, keepalive_expiry=4)
    async with (
        Greeting() as server,
        aiohttp.ClientSession(connector=connector, trace_configs=[tracing]) as session,
        server.client(session=session, retry=RetryPolicy.never(), timeout=0.3) as client,
    ):
        with pytest.raises((TransportError, DeadlineExceededError)):
            await client.chats.create(USER)

        assert server.connections == 1


# The end.


async def test_a_closed_client_stays_closed() -> None:
    """Whether it was never used, or left with an error; its views end with it."""
    async with CountingFake() as fake:
        unused, left = fake.client(), fake.client()
        await unused.aclose()
        await unused.aclose()
        with pytest.raises(LookupError, match="the user's"):
            async with left:
                raise LookupError("the user's")

        for client in (unused, left):
            view = client.with_options(timeout=5)
            for use in (client.chats.create(USER), client.__aenter__(), view.chats.create(USER)):
                with pytest.raises(ClientStateError, match="the client is closed"):
                    await use
        assert fake.connections == 0


async def test_a_view_closes_nothing(client: FanvueClient, fake: FakeFanvue) -> None:
    """Closing a view, or leaving ``async with`` on one, is no end for its client."""
    view = client.with_options(timeout=5)
    async with view as entered:
        assert entered is view
        await view.chats.create(USER)
    await view.aclose()

    await view.chats.create(USER)
    await client.chats.create(USER)
    assert len(fake.requests) == 3


class SlowToGiveUp(StuckProvider):
    """Does something more when it is told to stop."""

    def __init__(self) -> None:
        super().__init__("token")
        self.may_stop = asyncio.Event()

    async def get_token(self) -> str:
        """Give no token."""
        try:
            return await super().get_token()
        finally:
            await self.may_stop.wait()


async def test_closing_waits_for_the_last_call() -> None:
    """When aclose comes back no call is on its way, not even one that cleans up."""
    async with LoopServer() as server:
        client = server.client()
        view = client.with_options(access_token=(provider := SlowToGiveUp()))
        calls = [asyncio.create_task(each.chats.create(USER)) for each in (client, view)]
        await until(lambda: provider.stuck and server.paths)

        closing = asyncio.create_task(client.aclose())
        await asyncio.wait(calls[:1])
        await turns(20)
        assert not closing.done()
        provider.may_stop.set()
        await closing

        assert [type(call.exception()) for call in calls] == [ClientStateError] * 2


# Loops, threads and processes.


async def test_another_loop_is_refused(client: FanvueClient, fake: FakeFanvue) -> None:
    """A client belongs to the loop of its first call; in another thread it raises at once."""
    await client.chats.create(USER)

    for use in (client.chats.create(USER), client.request("GET", "/x"), client.__aenter__()):
        with pytest.raises(ClientStateError, match="belongs to another event loop"):
            await asyncio.to_thread(asyncio.run, use)
    with pytest.raises(ClientStateError, match="belongs to another event loop"):
        await asyncio.to_thread(asyncio.run, client.aclose())

    await client.chats.create(USER)  # and nothing happened to it
    assert len(fake.requests) == 2


async def test_another_loop_may_not_take_part_in_closing() -> None:
    """Another thread's aclose is refused while this loop's is under way, and harms it not."""
    async with LoopServer() as server:
        client = server.client()
        call = asyncio.create_task(client.chats.create(USER))
        await until(lambda: server.paths)
        closing = asyncio.create_task(client.aclose())
        await turns(1)
        ends: list[BaseException] = []

        def close_too() -> None:
            try:
                asyncio.run(client.aclose())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at below
                ends.append(error)

        thread = threading.Thread(target=close_too)
        thread.start()
        thread.join()  # while this loop stands still
        await asyncio.wait([call, closing])

        assert [type(end) for end in ends] == [ClientStateError]
        assert closing.exception() is None
        assert isinstance(call.exception(), ClientStateError)


def test_without_a_loop() -> None:
    """Making a client needs no loop; what does says so."""
    client = FanvueClient("token").with_options(timeout=5)

    for use in (client.chats.create(USER), client.__aenter__()):
        with pytest.raises(ClientStateError, match="needs a running event loop"):
            use.send(None)


async def test_without_a_task(client: FanvueClient, fake: FakeFanvue) -> None:
    """What no task runs could not be ended in time, so it is not begun."""
    refused: list[Exception] = []

    def call() -> None:
        try:
            client.chats.create(USER).send(None)
        except ClientStateError as error:
            refused.append(error)

    asyncio.get_running_loop().call_soon(call)
    await asyncio.sleep(0.01)

    assert [str(error) for error in refused] == [
        "POST /chats: the client needs a task, such as asyncio.create_task makes"
    ]
    assert fake.requests == []


def test_a_second_run_is_refused() -> None:
    """A client that outlived its loop says so, instead of failing somewhere in its sockets."""
    with asyncio.Runner() as first, asyncio.Runner() as second:
        fake = FakeFanvue()
        first.run(fake.__aenter__())
        client = fake.client()
        first.run(client.chats.create(USER))

        with pytest.raises(ClientStateError, match="make one there"):
            second.run(client.chats.create(USER))
        with pytest.raises(ClientStateError, match="make one there"):
            second.run(client.aclose())

        first.run(client.aclose())
        second.run(client.aclose())  # it is closed, and closing again is fine
        first.run(fake.__aexit__(None, None, None))


async def test_what_another_process_does_is_refused(
    client: FanvueClient, fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child shares its parent's sockets, so it may neither call nor close."""
    await client.chats.create(USER)
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        for use in (client.chats.create(USER), client.__aenter__(), client.aclose()):
            with pytest.raises(ClientStateError, match="another event loop or process"):
                await use

    await client.chats.create(USER)
    assert len(fake.requests) == 2


async def test_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no poll(), as on Windows, idle connections are looked at as well."""
    monkeypatch.delattr("select.poll")
    async with CountingFake() as fake, fake.client() as client:
        for _ in range(3):
            await client.chats.create(USER)

        assert fake.connections == 1


def test_a_repr_tells_whom_a_client_acts_for() -> None:
    """Where it goes, for whom, and whether it still does."""
    client = FanvueClient("token", base_url="https://api.example").with_options(account="anna")

    assert repr(client) == "<FanvueClient https://api.example account='anna' new>"
    assert repr(client.creator(USER)) == (
        f"<CreatorClient https://api.example account='anna' creator={USER} new>"
    )


# A borrowed session.


async def test_a_borrowed_session_and_our_calls_do_not_touch_each_other() -> None:
    """Of a borrowed session, its connector is used; all its settings stay its own."""
    seen: list[str] = []

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        seen.append(request.url.path)
        return await handler(request)

    async with CountingFake() as fake:
        connector = aiohttp.TCPConnector(limit=7, limit_per_host=5, keepalive_timeout=9)
        settings = _settings(connector)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of auth, which still works
            session = aiohttp.ClientSession(
                fake.url,
                connector=connector,
                headers={"X-Theirs": "yes", "User-Agent": "theirs"},
                auth=aiohttp.BasicAuth("their", "password"),
                cookies={"theirs": "1"},
                cookie_jar=aiohttp.CookieJar(unsafe=True),
                middlewares=[middleware],
                raise_for_status=True,
                timeout=aiohttp.ClientTimeout(total=0.000_001),
            )
        async with session:
            headers, cookies = dict(session.headers), _cookies(session)
            client = fake.client(session=session)
            fake.reply(503, headers={"Set-Cookie": "ours=2"})
            fake.reply(201, json={"message": "hello"}, headers={"Set-Cookie": "ours=3"})
            async with client:
                for _ in range(2):
                    await client.chats.create(USER)

            for request in fake.requests:
                assert request.headers["Authorization"] == "Bearer fake-token"
                assert request.headers["User-Agent"].startswith("fanvue-async/")
                assert not {"X-Theirs", "Cookie"} & set(request.headers)
            assert seen == []
            assert (dict(session.headers), _cookies(session)) == (headers, cookies)
            assert (session.closed, connector.closed) == (False, False)
            assert _settings(connector) == settings

            fake.reply(200)
            await session.get("/", timeout=aiohttp.ClientTimeout(total=5))
            assert fake.requests[-1].headers["Cookie"] == "theirs=1"
            assert fake.requests[-1].headers["Authorization"].startswith("Basic ")
            assert seen == ["/"]
        assert fake.connections == 1


def _cookies(session: aiohttp.ClientSession) -> list[str]:
    return [f"{cookie.key}={cookie.value}" for cookie in session.cookie_jar]


def _settings(connector: aiohttp.TCPConnector) -> tuple[object, ...]:
    return (
        connector.limit,
        connector.limit_per_host,
        connector.force_close,
        connector.use_dns_cache,
        connector.family,
        connector._keepalive_timeout,
    )


async def test_the_tracing_of_a_borrowed_session_sees_each_request_once() -> None:
    """OpenTelemetry and its like count our requests, retries included, none twice."""
    started: list[str] = []
    ended: list[int] = []

    async def on_start(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        started.append(params.method)

    async def on_end(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
        ended.append(params.response.status)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(on_start)
    tracing.on_request_end.append(on_end)
    async with (
        FakeFanvue() as fake,
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        fake.client(session=session) as client,
    ):
        fake.reply(503)
        await client.chats.create(USER)
        await client.with_options(timeout=5).chats.create(USER)

    assert started == ["POST"] * 3
    assert ended == [503, 201, 201]


@pytest.mark.parametrize(
    ("limit", "per_host", "places"), [(0, 0, 100), (200, 0, 100), (3, 0, 3), (0, 2, 2), (4, 3, 3)]
)
async def test_a_borrowed_connector_has_as_many_places_as_it_allows(
    limit: int, per_host: int, places: int
) -> None:
    """Our queue lets through what the connector can take, so its own queue costs no attempt."""
    async with (
        LoopServer() as server,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, limit_per_host=per_host)
        ) as session,
        server.client(session=session) as client,
    ):
        calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(places + 5)]
        await until(lambda: len(server.paths) == places)
        await turns(20)

        assert len(server.paths) == places
        assert len(client._session.terms.pool.slots.waiters) == 5
        await client.aclose()
        await asyncio.wait(calls)
        assert all(isinstance(call.exception(), ClientStateError) for call in calls)


@pytest.mark.parametrize("limits", [Limits(), 5, "10"])
async def test_limits_of_a_borrowed_session_are_its_own(limits: Any) -> None:
    """What is given for limits contradicts session, whatever it is."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="limits"):
            FanvueClient("token", session=session, limits=limits)


async def test_a_closed_session_is_not_used(fake: FakeFanvue) -> None:
    """A borrowed session that its owner closed is refused, before and after the first call."""
    async with aiohttp.ClientSession() as session:
        early, late = fake.client(session=session), fake.client(session=session)
        await early.chats.create(USER)

    for client in (early, late):
        with pytest.raises(ClientStateError, match="borrowed is closed"):
            await client.chats.create(USER)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("phase", ["connector's queue", "headers"])
async def test_a_session_that_is_closed_under_a_call_ends_it_typed(phase: str) -> None:
    """Its owner closes it: the call ends with a ClientStateError, nobody having cancelled it."""
    async with LoopServer() as server:
        connector = aiohttp.TCPConnector(limit=1)
        session = aiohttp.ClientSession(connector=connector)
        others: list[asyncio.Task[Any]] = []
        if phase == "connector's queue":
            others.append(asyncio.create_task(session.get(server.url)))
            await until(lambda: server.paths)
        client = server.client(session=session)
        call = asyncio.create_task(client.chats.create(USER))
        await until(lambda: connector._waiters or "/chats" in server.paths)
        await turns(5)

        await session.close()
        await asyncio.wait([call, *others])

        assert not call.cancelled()
        assert isinstance(call.exception(), ClientStateError)
        assert [type(other.exception()) for other in others] == [
            aiohttp.ClientConnectionError for _ in others
        ]


def test_a_session_of_another_loop_is_not_used() -> None:
    """A borrowed session is bound to the loop that it was made in."""

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        client = FanvueClient("token", session=session)
        with pytest.raises(ClientStateError, match="borrowed belongs to another event loop"):
            second.run(client.chats.create(USER))
        first.run(session.close())


async def test_dead_idle_connections_of_a_borrowed_session_cost_one_attempt() -> None:
    """When one turns out dead, the others are not tried one by one, but passed over."""
    async with aiohttp.ClientSession() as session:
        ends, requests = await replaced_behind(5, 2, at_once=False, session=session)
    assert ends == {"done": 2}
    assert requests == 3


async def test_what_follows_a_dead_idle_connection_is_told_as_it_is() -> None:
    """The request that left on the second connection is not said never to have left."""
    is_ending, may_end, has_ended = (threading.Event() for _ in range(3))

    def end(connection: Connection) -> None:
        is_ending.set()
        may_end.wait()
        connection.socket.shutdown(socket.SHUT_WR)
        has_ended.set()

    with RawServer(read, hang) as server:
        server.play(read, SUCCESS, end)
        timeout, once = Timeout(attempt=1.0), RetryPolicy.never()
        async with (
            aiohttp.ClientSession() as session,
            server.client(session=session, timeout=timeout, retry=once) as client,
        ):
            await client.chats.create(USER)
            await until(is_ending.is_set)
            may_end.set()
            has_ended.wait()  # in this turn of the loop: the call is the first to see the end
            with pytest.raises(NoAnswerError) as caught:
                await client.request("POST", "/what-is-sent-once")
    assert caught.value.maybe_processed


@pytest.fixture(params=["owned", "borrowed"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[aiohttp.ClientSession | None]:
    """Lend a session, or none."""
    if request.param == "owned":
        yield None
    else:
        async with aiohttp.ClientSession() as session:
            yield session


async def test_two_hundred_views_send_their_own_tokens(
    shared: aiohttp.ClientSession | None,
) -> None:
    """On one pool, at the same time, with retries: no view ever acts as another."""
    tokens = [f"token-{number}" for number in range(200)]
    async with (
        FakeFanvue(tokens=tokens) as fake,
        FanvueClient(base_url=fake.url, session=shared) as root,
    ):
        root._session.terms.pool.clockwork.sleep = asyncio.sleep
        views = [root.with_options(access_token=token) for token in tokens]
        for _ in range(2):
            await asyncio.gather(
                *(view.chats.create(user(number)) for number, view in enumerate(views))
            )

        sent = Counter(
            (request.headers["Authorization"], request.json()["userUuid"])
            for request in fake.requests
        )
        assert sent == {(f"Bearer {token}", user(number)): 2 for number, token in enumerate(tokens)}


# Accounts.


def test_accounts_in_use_are_kept_and_those_used_last() -> None:
    """What falls out of the table was idle longest, and nobody holds it."""
    accounts = Accounts(time.monotonic)
    held = accounts.bucket("held", None)
    for name in ("first", "second"):
        accounts.bucket(name, None)
    for number in range(9_998):
        accounts.bucket(f"{number}", None)
    accounts.bucket("first", None)

    accounts.bucket("one more", None)

    assert accounts.find("second", None) is None
    assert accounts.find("first", None) is not None
    # An account that is in use keeps what it has spent, for all of its buckets.
    assert accounts.bucket("held", None) is held
    assert accounts.bucket("held", "a creator").quota is held.quota


# What the API announces.


async def test_deprecation_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning per client, by whichever call or view the announcement comes first."""
    announcement = {
        "Deprecation": "Sun, 01 Nov 2026 00:00:00 GMT",
        "Sunset": "Sat, 01 May 2027 00:00:00 GMT",
        "X-Fanvue-API-Next-Version": "2026-11-01",
    }
    async with FakeFanvue() as fake, fake.client() as client:
        await client.chats.create(USER)
        assert caplog.records == []
        fake.reply(401, headers=announcement)
        fake.reply(201, json={"message": "hello"}, headers=announcement, times=4)
        with pytest.raises(AuthenticationError):
            await client.chats.create(USER)
        assert len(caplog.records) == 1
        await asyncio.gather(*(client.chats.create(USER) for _ in range(3)))
        await client.with_options(timeout=5).chats.create(USER)

        (record,) = caplog.records
        assert (record.name, record.levelno) == ("fanvue_async", logging.WARNING)
        assert record.getMessage() == (
            "API version 2025-06-26 is deprecated (Deprecation: Sun, 01 Nov 2026 00:00:00 GMT, "
            "Sunset: Sat, 01 May 2027 00:00:00 GMT, next version: 2026-11-01)"
        )

        announcement = {"Deprecation": f"for {fake.token}", "Sunset": "soon" * 1_000}
        fake.reply(201, json={"message": "hello"}, headers=announcement)
        async with fake.client() as another:
            await another.chats.create(USER)
        assert len(caplog.records) == 2
        assert "Deprecation: for [token], Sunset: soonsoon" in caplog.messages[1]
        assert "next version: not given" in caplog.messages[1]
        assert len(caplog.messages[1]) < 500
