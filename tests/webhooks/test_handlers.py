"""Both handlers: the answer comes at once, the callback runs afterwards, nothing is lost."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.deliveries import FAN, SECRET, encoded, envelope, headers
from support.programs import until

from fanvue_async import ClientStateError, ConfigurationError, InvalidArgumentError, StoreError
from fanvue_async.stores import MemoryStore
from fanvue_async.webhooks import PaymentSucceeded, Webhooks
from fanvue_async.webhooks.deliveries import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping

    from fanvue_async.webhooks import Event

MIB = 1024 * 1024


def event(number: int = 1) -> bytes:
    """Return the body of an event."""
    data = {"fan": {"uuid": FAN}, "text": "hi"}
    return encoded(envelope("creator.message.received", data, event_id=f"evt_{number}"))


def made(store: MemoryStore, **options: Any) -> Webhooks:
    """Make a receiver whose signatures never age."""
    settings: dict[str, Any] = {"secrets": [SECRET], "store": store, "tolerance": None, **options}
    return Webhooks(**settings)


class Sender(Protocol):
    """Sends a request to a handler."""

    async def __call__(
        self, body: bytes, sent: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, str]:
        """Return status and text of the answer."""
        ...


@asynccontextmanager
async def over_aiohttp(
    webhooks: Webhooks, callback: Callable[[Event], Awaitable[object]], **options: Any
) -> AsyncGenerator[Sender]:
    """Serve the handler with aiohttp.web."""
    app = web.Application()
    app.router.add_route("*", "/", webhooks.aiohttp_handler(callback, **options))
    async with TestServer(app) as server, aiohttp.ClientSession() as session:

        async def send(
            body: bytes, sent: dict[str, str] | None = None, method: str = "POST"
        ) -> tuple[int, str]:
            sent = headers(body) if sent is None else sent
            async with session.request(
                method, server.make_url("/"), data=io.BytesIO(body), headers=sent
            ) as response:
                return response.status, await response.text()

        yield send


@asynccontextmanager
async def over_asgi(
    webhooks: Webhooks, callback: Callable[[Event], Awaitable[object]], **options: Any
) -> AsyncGenerator[Sender]:
    """Call the application as a server does, with the body in pieces."""
    app = webhooks.asgi_app(callback, **options)

    async def send(
        body: bytes, sent: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, str]:
        sent = headers(body) if sent is None else sent
        pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
        answered = await asgi(
            app,
            {
                "type": "http",
                "method": method,
                "headers": [(name.lower().encode(), text.encode()) for name, text in sent.items()],
            },
            [
                *({"type": "http.request", "body": piece, "more_body": True} for piece in pieces),
                {"type": "http.request"},
            ],
        )
        start, end = answered
        return start["status"], end["body"].decode()

    yield send


async def asgi(
    app: Any, scope: dict[str, Any], messages: Iterable[dict[str, Any]]
) -> list[MutableMapping[str, Any]]:
    """Run an ASGI application on these messages; return what it sent."""
    incoming = iter(messages)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(incoming)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


SERVERS = pytest.mark.parametrize("serve", [over_aiohttp, over_asgi], ids=["aiohttp", "ASGI"])


def opened() -> asyncio.Event:
    """Return a gate that holds nobody up."""
    gate = asyncio.Event()
    gate.set()
    return gate


@attrs.define(eq=False)
class Seen:
    """A callback that notes the ids of events, and may wait or fail first."""

    ids: list[str] = attrs.field(factory=list[str])
    begun: list[str] = attrs.field(factory=list[str])
    gate: asyncio.Event = attrs.field(factory=opened)
    failures: int = 0

    async def __call__(self, event: Event) -> None:
        """Handle an event."""
        self.begun.append(event.id)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError
        self.ids.append(event.id)


@SERVERS
async def test_an_event_is_answered_and_handled_once(serve: Any) -> None:
    """Each delivery gets 200; the callback is called for the first one."""
    seen = Seen()
    async with made(MemoryStore()) as webhooks, serve(webhooks, seen) as send:
        assert await send(event()) == (200, "")
        await until(lambda: bool(seen.ids))
        while (status := (await send(event()))[0]) == 503:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        assert status == 200
        assert await send(event(2)) == (200, "")

    assert seen.ids == ["evt_1", "evt_2"]


@SERVERS
async def test_a_slow_callback_delays_no_answer(serve: Any) -> None:
    """200 comes first; while the callback runs, a repeated delivery is asked for again later."""
    seen = Seen(gate=asyncio.Event())
    async with made(MemoryStore()) as webhooks, serve(webhooks, seen) as send:
        assert await send(event()) == (200, "")
        await until(lambda: bool(seen.begun))
        assert await send(event()) == (503, "another worker is handling this event")
        assert await send(event(2)) == (200, "")
        seen.gate.set()

    assert sorted(seen.ids) == ["evt_1", "evt_2"]


@SERVERS
@pytest.mark.parametrize(
    ("body", "sent", "method", "status"),
    [
        (event(), {}, "POST", 401),
        (event(), headers(event(2)), "POST", 401),
        (event(), headers(event(), secret="another"), "POST", 401),
        (b"[]", None, "POST", 400),
        (b"", None, "POST", 400),
        (b" " * MIB, None, "POST", 400),
        (b" " * (MIB + 1), None, "POST", 413),
        (b"", None, "GET", 405),
        (event(), None, "PUT", 405),
    ],
    ids=["unsigned", "forged", "secret", "list", "empty", "1 MiB", "1 MiB + 1", "GET", "PUT"],
)
async def test_what_is_wrong_has_its_status(
    serve: Any, body: bytes, sent: dict[str, str] | None, method: str, status: int
) -> None:
    """401 for a bad signature, 400 for what cannot be read, 413 for too much; no event."""
    seen = Seen()
    async with made(MemoryStore()) as webhooks, serve(webhooks, seen) as send:
        answer = await send(body, sent, method)

    assert answer[0] == status
    assert answer[1]
    assert not seen.begun


@SERVERS
async def test_old_deliveries_are_refused(serve: Any) -> None:
    """401, by the tolerance."""
    async with made(MemoryStore(), tolerance=300) as webhooks, serve(webhooks, Seen()) as send:
        assert (await send(event()))[0] == 401


@SERVERS
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
async def test_the_unsigned_probe_is_answered_if_asked_for(serve: Any, method: str) -> None:
    """200 without an event, for registering the address; what is signed badly is still refused."""
    seen = Seen()
    async with (
        made(MemoryStore()) as webhooks,
        serve(webhooks, seen, accept_unsigned_probe=True) as send,
    ):
        assert await send(event(), {}, method) == (200, "")
        assert (await send(event(), headers(event(2))))[0] == 401
        assert (await send(event(), None, "PUT"))[0] == 405

    assert not seen.begun


@SERVERS
async def test_an_address_may_tell_the_type(serve: Any) -> None:
    """For legacy events without one; the stored delivery remembers it."""
    got: list[Event] = []

    async def callback(event: Event) -> None:
        got.append(event)
        if len(got) == 1:
            raise ZeroDivisionError

    body = encoded({"recipientUuid": "c", "sender": {"uuid": FAN}, "price": 500})
    webhooks = made(MemoryStore(), lease=0.02)
    async with webhooks, serve(webhooks, callback, type="purchase.new") as send:
        assert (await send(body))[0] == 200
        await until(lambda: len(got) > 1)

    assert [type(event) for event in got] == [PaymentSucceeded] * 2


@SERVERS
async def test_a_store_that_is_down_is_503(serve: Any) -> None:
    """An event that could not be stored is not acknowledged; later it is accepted."""

    class Down(MemoryStore):
        async def put(self, key: str, value: bytes, **options: Any) -> str | None:
            if down and "delivery" in key:
                raise StoreError("down")
            return await super().put(key, value, **options)

    down, seen = True, Seen()
    async with made(Down()) as webhooks, serve(webhooks, seen) as send:
        assert await send(event()) == (503, "the delivery could not be stored")
        down = False
        assert await send(event()) == (200, "")

    assert seen.ids == ["evt_1"]


@SERVERS
async def test_a_closed_one_is_503(serve: Any) -> None:
    """Another process, or the next start, gets the delivery."""
    webhooks = made(MemoryStore())
    async with serve(webhooks, Seen()) as send:
        await webhooks.aclose()
        assert (await send(event()))[0] == 503


async def test_a_callback_that_fails_is_called_again(caplog: pytest.LogCaptureFixture) -> None:
    """After a lease, then after twice as long; its error is logged with the event's id."""
    store, seen = MemoryStore(), Seen(failures=2)
    webhooks = made(store, lease=0.05)
    async with webhooks, over_asgi(webhooks, seen) as send:
        assert (await send(event()))[0] == 200
        await until(lambda: bool(seen.ids))
        await webhooks.aclose(drain=30)
    async with made(store) as webhooks, over_asgi(webhooks, seen) as send:
        assert await send(event()) == (200, "")

    assert seen.begun == ["evt_1"] * 3
    assert caplog.text.count("The callback failed for webhook event evt_1") == 2
    assert [key async for key in store.keys("webhooks:event:")] == ["webhooks:event:evt_1"]


async def test_a_callback_that_always_fails_is_called_for_thirty_days() -> None:
    """They begin with the acceptance, and no failure begins them again."""
    now = time.time()
    store, seen = MemoryStore(_clock=lambda: now), Seen(failures=1)
    delivery = Delivery(event(), None, accepted_at=now - 30 * 86_400 + 5)
    await store.put("webhooks:delivery:evt_1", delivery.dumped())
    async with made(store) as webhooks:
        webhooks.asgi_app(seen)
        await webhooks.resume()
    assert await store.get("webhooks:delivery:evt_1") is not None

    now += 5
    assert seen.begun == ["evt_1"]
    assert await store.get("webhooks:delivery:evt_1") is None


@pytest.mark.parametrize(("size", "status"), [(0, 200), (MIB + 1, 413)])
async def test_a_body_that_a_middleware_has_read(size: int, status: int) -> None:
    """It is what aiohttp keeps of it that is verified."""
    seen = Seen()

    @web.middleware
    async def reading(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.read()
        return await handler(request)  # type: ignore[no-any-return] # aiohttp's own type

    body = event().ljust(size)
    async with made(MemoryStore()) as webhooks:
        app = web.Application(middlewares=[reading], client_max_size=2 * MIB)
        app.router.add_post("/", webhooks.aiohttp_handler(seen))
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            address, sent = server.make_url("/"), headers(body)
            async with session.post(address, data=io.BytesIO(body), headers=sent) as response:
                assert response.status == status

    assert seen.ids == ["evt_1"] * (status == 200)


async def test_a_plain_function_will_do() -> None:
    """A callback that returns no awaitable is not called again for that."""
    got: list[str] = []
    async with (
        made(MemoryStore()) as webhooks,
        over_asgi(webhooks, lambda event: got.append(event.id)) as send,  # type: ignore[arg-type, return-value] # no awaitable
    ):
        await send(event())

    assert got == ["evt_1"]


async def test_closing_lets_callbacks_end() -> None:
    """``aclose(drain=…)`` waits for all of them, and loses no event."""
    store, seen = MemoryStore(), Seen(gate=asyncio.Event())
    webhooks = made(store)
    async with over_asgi(webhooks, seen) as send:
        for number in range(20):
            assert (await send(event(number)))[0] == 200
        closing = asyncio.create_task(webhooks.aclose(drain=30))
        await asyncio.sleep(0)
        seen.gate.set()
        await closing

    assert len(seen.ids) == 20
    assert [key async for key in store.keys("webhooks:delivery:")] == []


class SlowStore(MemoryStore):
    """A store that takes a few turns of the loop."""

    async def put(self, key: str, value: bytes, **options: Any) -> str | None:
        """Write between two turns."""
        await asyncio.sleep(0)
        version = await super().put(key, value, **options)
        await asyncio.sleep(0)
        return version

    async def get(self, key: str) -> Any:
        """Read behind a turn."""
        await asyncio.sleep(0)
        return await super().get(key)


@pytest.mark.parametrize("turns", range(16))
async def test_closing_at_any_moment_loses_and_repeats_no_event(turns: int) -> None:
    """What was acknowledged is handled once: before the end, or by the next start at once."""
    store, seen = SlowStore(), Seen()
    one, other = made(store), made(store)
    async with over_asgi(one, seen) as send:
        sending = asyncio.create_task(send(event()))
        for _ in range(turns):
            await asyncio.sleep(0)
        await one.aclose(drain=0)
        status, _ = await sending
    other.asgi_app(seen)
    assert await other.resume() == (status == 200 and not seen.ids)
    await other.aclose()

    assert seen.ids == ["evt_1"] * (status == 200)
    assert [key async for key in store.keys("webhooks:delivery:")] == []


class _Abort(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, _Abort])
async def test_a_callback_may_raise_anything(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """A CancelledError too, of something that the callback waited for: it is called again."""
    store, errors = MemoryStore(), [error]

    async def callback(_: Event) -> None:
        if errors:
            raise errors.pop()
        seen.append(True)

    seen: list[bool] = []
    async with made(store, lease=0.02) as webhooks, over_asgi(webhooks, callback) as send:
        assert (await send(event()))[0] == 200
        await until(lambda: bool(seen))

    assert "will be called again" in caplog.text


async def test_what_ends_a_task_passes(caplog: pytest.LogCaptureFixture) -> None:
    """It is no failure of the callback, whose event stays stored and is free."""
    store = MemoryStore()

    async def callback(_: Event) -> None:
        raise GeneratorExit

    async with made(store) as webhooks, over_asgi(webhooks, callback) as send:
        assert (await send(event()))[0] == 200
    assert "will be called again" not in caplog.text
    assert [key async for key in store.keys("")] == ["webhooks:delivery:evt_1"]


async def test_a_callback_that_cannot_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for beyond a few seconds, and its event stays stored."""
    monkeypatch.setattr("fanvue_async.webhooks.worker._PATIENCE", 0.01)
    store, gate = MemoryStore(), asyncio.Event()

    async def callback(_: Event) -> None:
        with suppress(asyncio.CancelledError):
            await gate.wait()
        await gate.wait()

    webhooks = made(store)
    async with over_asgi(webhooks, callback) as send, asyncio.timeout(5):
        assert (await send(event()))[0] == 200
        await asyncio.sleep(0)
        await webhooks.aclose(drain=0)
    gate.set()

    assert [key async for key in store.keys("webhooks:")] == ["webhooks:delivery:evt_1"]


async def test_a_store_that_hangs_is_503_when_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends no task that is not its own."""
    monkeypatch.setattr("fanvue_async.webhooks.worker._PATIENCE", 0.01)

    class Hanging(MemoryStore):
        async def put(self, key: str, value: bytes, **options: Any) -> str | None:
            if "delivery" in key:
                await asyncio.Event().wait()
            return await super().put(key, value, **options)

    webhooks = made(Hanging())
    async with over_asgi(webhooks, Seen()) as send:
        sending = asyncio.create_task(send(event()))
        await asyncio.sleep(0.01)
        await webhooks.aclose(drain=0)
        assert (await sending)[0] == 503


async def test_a_failure_between_a_look_and_a_claim_is_waited_out() -> None:
    """The pause of an attempt that failed holds for whoever looked before it failed."""
    store, seen = MemoryStore(), Seen(failures=1)
    one, other = made(store), made(store)
    other.asgi_app(seen)
    async with over_asgi(one, seen) as send:
        seen.gate.clear()
        assert (await send(event()))[0] == 200
        await until(lambda: bool(seen.begun))
        get = store.get

        async def slow(key: str) -> Any:
            entry = await get(key)
            store.get = get  # type: ignore[method-assign] # of this one object
            seen.gate.set()
            await until(lambda: not seen.failures)
            await one.aclose()
            return entry

        store.get = slow  # type: ignore[method-assign] # likewise
        assert await other.resume() == 0
        await other.aclose()

    assert seen.begun == ["evt_1"]


async def test_what_closing_cut_off_is_taken_up_by_the_next_start() -> None:
    """Cancelled callbacks leave their deliveries in the store, free for all; a hundred at once."""
    store, seen = MemoryStore(), Seen(gate=asyncio.Event())
    one = made(store)
    async with over_asgi(one, Seen(gate=asyncio.Event())) as send:
        for number in range(150):
            assert (await send(event(number)))[0] == 200
        await one.aclose(drain=0)

    other = made(store)
    other.asgi_app(seen)
    async with other:
        await until(lambda: len(seen.begun) >= 100)
        assert len(seen.begun) <= 101
        seen.gate.set()
        await until(lambda: len(seen.ids) == 150)

    assert len(set(seen.ids)) == 150
    assert [key async for key in store.keys("webhooks:delivery:")] == []


async def test_a_killed_process_leaves_its_events_to_the_others() -> None:
    """Between the 200 and the end of the callback, too: once its lease is over."""
    store, killed, seen = MemoryStore(), Seen(gate=asyncio.Event()), Seen()
    one, other = made(store, lease=0.1), made(store, lease=0.05)
    async with over_asgi(one, killed) as send:
        assert (await send(event()))[0] == 200
        await until(lambda: bool(killed.begun))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if "handle" not in repr(task):  # what renews its lease, and what would resume
                task.cancel()
    other.asgi_app(seen)
    async with other:
        await until(lambda: bool(seen.ids))
    killed.gate.set()  # it was only paused: too late, and no harm
    await one.aclose()

    assert seen.ids == ["evt_1"]
    assert [key async for key in store.keys("webhooks:delivery:")] == []


async def test_resume_can_be_called() -> None:
    """It says how many deliveries it took up."""
    store, seen = MemoryStore(), Seen()
    one = made(store)
    async with over_asgi(one, Seen(gate=asyncio.Event())) as send:
        await send(event())
        await one.aclose(drain=0)
    other = made(store)
    with pytest.raises(ClientStateError, match="handler"):
        await other.resume()
    other.asgi_app(seen)

    assert await other.resume() == 1
    assert await other.resume() == 0
    await other.aclose()
    assert seen.ids == ["evt_1"]


async def test_what_was_done_is_only_cleared_away() -> None:
    """A process that was killed between the mark and the end of the delivery."""
    store, seen = MemoryStore(), Seen()
    one = made(store)
    async with over_asgi(one, Seen(gate=asyncio.Event())) as send:
        await send(event())
        await one.aclose(drain=0)
    await store.put("webhooks:event:evt_1", b'{"v":1}')
    async with made(store) as other:
        other.asgi_app(seen)
        assert await other.resume() == 0

    assert not seen.begun
    assert [key async for key in store.keys("webhooks:")] == ["webhooks:event:evt_1"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b'{"v":2}', "newer release"),
        (b'{"v":1,"body":"W10=","type":null,"attempts":0}', "not a JSON object"),
    ],
    ids=["newer", "unreadable"],
)
async def test_what_this_release_cannot_read_stays(
    value: bytes, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery of a newer release is left to it, and the others go on."""
    store, seen = MemoryStore(), Seen()
    await store.put("webhooks:delivery:evt_0", value)
    async with made(store) as webhooks, over_asgi(webhooks, seen) as send:
        await webhooks.resume()
        assert (await send(event()))[0] == 200

    assert seen.ids == ["evt_1"]
    assert sentence in caplog.text
    assert await store.get("webhooks:delivery:evt_0") is not None


async def test_a_store_that_is_down_is_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    """What takes up stored deliveries survives it, and whatever else a store raises, with a log."""

    class Down(MemoryStore):
        async def get(self, key: str) -> Any:
            if failures and "event" in key:
                raise failures.pop()
            return await super().get(key)

    failures: list[Exception] = []
    store, seen = Down(), Seen()
    one = made(store)
    async with over_asgi(one, Seen(gate=asyncio.Event())) as send:
        await send(event())
        await one.aclose(drain=0)
    failures += [StoreError("down"), ZeroDivisionError(), StoreError("down")]
    other = made(store, lease=0.02)
    other.asgi_app(seen)
    async with other:
        await until(lambda: bool(seen.ids))

    assert caplog.text.count("could not be looked for") == 3


async def test_a_sender_that_hangs_up_early_is_no_event() -> None:
    """Half a body is thrown away, without an answer."""
    async with made(MemoryStore()) as webhooks:
        sent = await asgi(
            webhooks.asgi_app(Seen()),
            {"type": "http", "method": "POST", "headers": []},
            [
                {"type": "http.request", "body": b"{", "more_body": True},
                {"type": "http.disconnect"},
            ],
        )

    assert sent == []


async def test_a_sender_that_hangs_up_late_changes_nothing() -> None:
    """A request that is cancelled while its delivery is stored leaves the event to the callback."""
    seen, storing, go_on = Seen(), asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def put(self, key: str, value: bytes, **options: Any) -> str | None:
            if "delivery" in key:
                storing.set()
                await go_on.wait()
            return await super().put(key, value, **options)

    async with made(Slow()) as webhooks, over_asgi(webhooks, seen) as send:
        request = asyncio.create_task(send(event()))
        await storing.wait()
        request.cancel()
        await asyncio.wait([request])
        go_on.set()

    assert request.cancelled()
    assert seen.ids == ["evt_1"]


async def test_a_server_that_runs_it_alone_starts_and_ends_it() -> None:
    """Its lifespan takes up what is stored, and closes; a websocket is refused."""
    store, seen = MemoryStore(), Seen()
    one = made(store)
    async with over_asgi(one, Seen(gate=asyncio.Event())) as send:
        await send(event())
        await one.aclose(drain=0)
    app = made(store).asgi_app(seen)

    assert await asgi(app, {"type": "websocket"}, []) == [{"type": "websocket.close"}]
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "lifespan.startup"})
    sent: list[str] = []

    async def send_it(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    living = asyncio.create_task(app({"type": "lifespan"}, messages.get, send_it))
    await until(lambda: bool(seen.ids))
    messages.put_nowait({"type": "lifespan.shutdown"})
    await living

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_one_receiver_has_one_callback() -> None:
    """A stored delivery does not know which of two it was for."""
    webhooks, seen = made(MemoryStore()), Seen()
    webhooks.asgi_app(seen)
    webhooks.aiohttp_handler(seen, type="tip.new")

    with pytest.raises(ConfigurationError, match="one callback"):
        webhooks.asgi_app(Seen())
    with pytest.raises(ConfigurationError, match="async function"):
        webhooks.asgi_app(None)  # type: ignore[arg-type] # what is refused
    with pytest.raises(InvalidArgumentError, match="type"):
        webhooks.asgi_app(seen, type=5)  # type: ignore[arg-type] # what is refused


async def test_no_log_holds_a_body_or_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG."""
    caplog.set_level(logging.DEBUG)
    body = encoded({"type": "tip.new", "price": "private", "sender": {"uuid": FAN}})
    async with made(MemoryStore()) as webhooks, over_asgi(webhooks, Seen()) as send:
        assert await send(body) == (400, "amount: expected a whole number, got text")
        assert (await send(body, {}))[0] == 401

    assert "private" not in caplog.text
    assert SECRET not in caplog.text
