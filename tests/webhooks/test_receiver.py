"""Receiving: each event is handled once, by whoever comes first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.deliveries import FAN, NOW, SECRET, encoded, envelope, headers
from support.programs import until

from fanvue_async import (
    BadSignatureError,
    ClientStateError,
    ConfigurationError,
    EventInProgressError,
    InvalidArgumentError,
    MalformedEventError,
    StoreError,
    UnsignedWebhookError,
)
from fanvue_async.stores import Entry, MemoryStore
from fanvue_async.webhooks import MessageReceived, PaymentSucceeded, Webhooks

if TYPE_CHECKING:
    from fanvue_async.webhooks import Event

BODY = encoded(envelope("creator.message.received", {"fan": {"uuid": FAN}, "text": "hi"}))
FLAT = encoded({"recipientUuid": "c", "sender": {"uuid": FAN}, "price": 500})


def made(store: MemoryStore, **options: Any) -> Webhooks:
    """Make a receiver whose signatures never age."""
    settings: dict[str, Any] = {"secrets": [SECRET], "store": store, "tolerance": None, **options}
    return Webhooks(**settings)


async def test_an_event_is_given_once_and_typed() -> None:
    """A repeated delivery gives None, whichever process it comes to."""
    store = MemoryStore()
    async with made(store) as one, made(store) as other:
        async with one.receive(BODY, headers(BODY)) as event:
            match event:
                case MessageReceived(sender=fan, text=text):
                    assert (fan.uuid, text) == (FAN, "hi")
                case _:
                    raise AssertionError(event)
        for webhooks in (one, other):
            async with webhooks.receive(BODY, headers(BODY, at=NOW + 60)) as event:
                assert event is None


async def test_an_event_whose_block_raises_is_free_again() -> None:
    """The next delivery of it is handled as if it were the first."""
    async with made(MemoryStore()) as webhooks:
        with pytest.raises(ZeroDivisionError):
            async with webhooks.receive(BODY, headers(BODY)):
                raise ZeroDivisionError
        async with webhooks.receive(BODY, headers(BODY)) as event:
            assert isinstance(event, MessageReceived)


async def test_an_event_in_progress_is_refused() -> None:
    """Its worker may yet crash, so a second one must not say that it was handled."""
    store = MemoryStore()
    async with made(store) as one, made(store) as other:
        async with one.receive(BODY, headers(BODY)):
            with pytest.raises(EventInProgressError) as caught:
                async with other.receive(BODY, headers(BODY)):
                    raise AssertionError("claimed twice")
        assert caught.value.transient


async def test_an_event_whose_worker_vanished_is_free_after_the_lease() -> None:
    """No release and no renewal comes from a process that was killed."""
    store = MemoryStore()
    async with made(store, lease=0.05) as one, made(store) as other:
        receiving = one.receive(BODY, headers(BODY))
        await receiving.__aenter__()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # what renews the lease
        while True:
            try:
                async with other.receive(BODY, headers(BODY)) as event:
                    assert isinstance(event, MessageReceived)
                break
            except EventInProgressError:
                await asyncio.sleep(0.01)
        await receiving.__aexit__(None, None, None)  # too late, and no harm


class WatchedStore(MemoryStore):
    """A store that counts the writes of leases."""

    leases = 0

    async def put(self, key: str, value: bytes, **options: Any) -> str | None:
        """Count, and write."""
        self.leases += key.startswith("lease:")
        return await super().put(key, value, **options)


async def test_a_long_block_keeps_its_event() -> None:
    """The lease is renewed while the block runs."""
    store = WatchedStore()
    async with made(store, lease=2.0) as webhooks, webhooks.receive(BODY, headers(BODY)):
        await until(lambda: store.leases > 1)


@pytest.mark.parametrize("lease_ended", [False, True])
async def test_an_event_that_another_finishes_meanwhile_is_not_given(
    lease_ended: bool,
) -> None:
    """Between our first look at the store and our claim."""

    class Behind(MemoryStore):
        async def get(self, key: str) -> Entry | None:
            found = await super().get(key)
            if key.startswith("webhooks:event:") and not looked:
                looked.append(key)
                return None
            return found

    store, looked = Behind(), ["ahead"]
    async with made(store) as webhooks:
        async with webhooks.receive(BODY, headers(BODY)) as event:
            assert event is not None
        looked.clear()
        if lease_ended:
            await store.delete("lease:webhooks:event:evt_1")
        async with webhooks.receive(BODY, headers(BODY)) as event:
            assert event is None


async def test_equal_bodies_of_legacy_events_are_one_event() -> None:
    """They have no id: the digest of the body stands for it."""
    async with made(MemoryStore()) as webhooks:
        for expected in (PaymentSucceeded, type(None)):
            async with webhooks.receive(FLAT, headers(FLAT), type="purchase.new") as event:
                assert type(event) is expected


@pytest.mark.parametrize("event_id", ["a:b*", "x" * 2_000, "\u00e4\ud83d", "\n", " "], ids=ascii)
async def test_any_id_will_do(event_id: str) -> None:
    """Two events whose ids are no good keys are still two events."""
    ids = (event_id, event_id + "2")
    bodies = [encoded(envelope("x", {}, event_id=event)) for event in ids]
    seen: list[Event | None] = []
    async with made(MemoryStore()) as webhooks:
        for body in bodies * 2:
            async with webhooks.receive(body, headers(body)) as event:
                seen.append(event)

    assert [event and event.id for event in seen] == [*ids, None, None]


async def test_two_applications_share_a_store() -> None:
    """By their names, they know nothing of each other."""
    store = MemoryStore()
    for name in ("one", "other"):
        webhooks = made(store, name=name)
        async with webhooks, webhooks.receive(BODY, headers(BODY)) as event:
            assert event is not None


@pytest.mark.parametrize(
    ("body", "sent", "error"),
    [
        (BODY, {}, UnsignedWebhookError),
        (BODY, headers(FLAT), BadSignatureError),
        (b"[]", headers(b"[]"), MalformedEventError),
    ],
)
async def test_a_bad_delivery_claims_nothing(
    body: bytes, sent: dict[str, str], error: type[Exception]
) -> None:
    """The store never hears of it."""
    store = MemoryStore()
    async with made(store) as webhooks:
        with pytest.raises(error):
            async with webhooks.receive(body, sent):
                raise AssertionError("given")

    assert [key async for key in store.keys("")] == []


class FailingStore(MemoryStore):
    """A store whose writes of one kind fail for a while."""

    def __init__(self, kind: str, times: int) -> None:
        super().__init__()
        self.kind = kind
        self.left = times

    async def put(self, key: str, value: bytes, **options: Any) -> str | None:
        """Fail, or write."""
        if self.left and key.startswith(f"webhooks:{self.kind}:"):
            self.left -= 1
            raise StoreError("down")
        return await super().put(key, value, **options)


async def test_a_store_that_fails_at_the_end_is_asked_again() -> None:
    """The event was handled: a failure now would only have it handled again."""
    store = FailingStore("event", 2)
    async with made(store) as webhooks:
        for expected in (MessageReceived, type(None)):
            async with webhooks.receive(BODY, headers(BODY)) as event:
                assert type(event) is expected

    assert store.left == 0


class SlowStore(MemoryStore):
    """A store that takes a few turns of the loop."""

    async def put(self, key: str, value: bytes, **options: Any) -> str | None:
        """Write between two turns."""
        await asyncio.sleep(0)
        version = await super().put(key, value, **options)
        await asyncio.sleep(0)
        return version

    async def delete(self, key: str, **options: Any) -> bool:
        """Delete behind a turn."""
        await asyncio.sleep(0)
        return await super().delete(key, **options)


@pytest.mark.parametrize("cancels", [1, 2, 30])
@pytest.mark.parametrize("turns", range(12))
async def test_a_cancel_at_any_moment_lets_no_event_be_handled_twice(
    turns: int, cancels: int
) -> None:
    """Nor does it hold one up: what was not handled is free at once."""
    store, handled = SlowStore(), 0
    webhooks = made(store)

    async def handle() -> None:
        nonlocal handled
        async with webhooks.receive(BODY, headers(BODY)) as event:
            handled += event is not None

    handling = asyncio.create_task(handle())
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(cancels):
        handling.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([handling])
    for _ in range(20):
        await asyncio.sleep(0)
    await handle()

    assert handled == 1


async def test_a_store_that_stays_down_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The block ran, so nothing is raised; the event may be handled again."""
    async with made(FailingStore("event", 10_000), lease=0.2) as webhooks:
        receiving = webhooks.receive(BODY, headers(BODY))
        await receiving.__aenter__()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # what renews the lease
        await receiving.__aexit__(None, None, None)

    assert "may be handled again" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"secrets": []},
        {"secrets": SECRET},
        {"tolerance": -1},
        {"lease": 0},
        {"lease": 301},
        {"lease": True},
        {"name": ""},
        {"name": None},
        {"store": {}},
    ],
    ids=str,
)
async def test_settings_are_checked(options: dict[str, Any]) -> None:
    """When it is built, with no secret in the error."""
    with pytest.raises(ConfigurationError) as caught:
        made(**{"store": MemoryStore(), **options})

    assert SECRET not in str(caught.value)


async def test_it_shows_no_secret() -> None:
    """Neither its repr nor those of its parts."""
    async with made(MemoryStore()) as webhooks:
        assert repr(webhooks) == "<Webhooks open>"
        assert SECRET not in repr(vars(webhooks))
    assert repr(webhooks) == "<Webhooks closed>"


async def test_a_closed_one_is_refused() -> None:
    """Closing twice is no error, using it afterwards is."""
    webhooks = made(MemoryStore())
    await webhooks.aclose()
    await webhooks.aclose(drain=0)

    for use in (
        webhooks.receive(BODY, headers(BODY)).__aenter__,
        webhooks.resume,
        webhooks.__aenter__,
    ):
        with pytest.raises(ClientStateError):
            await use()


@pytest.mark.parametrize("drain", [-1, float("nan"), None, 10**400])
async def test_a_drain_is_seconds(drain: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidArgumentError):
        await made(MemoryStore()).aclose(drain=drain)
