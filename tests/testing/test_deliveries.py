"""Webhooks of the fake: signed, repeated, out of order, and made of what happens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.deliveries import SAMPLES
from support.users import USER

from fanvue_async.stores import MemoryStore
from fanvue_async.testing import FakeFanvue
from fanvue_async.webhooks import (
    FollowCreated,
    MessageDeleted,
    MessageRead,
    MessageReceived,
    MessageSent,
    PaymentSucceeded,
    SubscriptionActivated,
    SubscriptionDeactivated,
    Webhooks,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async.webhooks import Event

SECRET = "whsec_fake"


@attrs.define
class Receiver:
    """An address, the events that came to it, and the statuses that it answers first."""

    url: str = ""
    events: list[Event] = attrs.field(factory=list["Event"])
    statuses: list[int] = attrs.field(factory=list[int])
    delays: list[float] = attrs.field(factory=list[float])


@asynccontextmanager
async def receiver(
    secrets: tuple[str, ...] = (SECRET,), *, probe: bool = False
) -> AsyncGenerator[Receiver]:
    """Serve a handler of ours behind a server that may fail first."""
    seen = Receiver()

    async def note(event: Event) -> None:
        seen.events.append(event)

    async with Webhooks(secrets=secrets, store=MemoryStore()) as webhooks:
        handle = webhooks.aiohttp_handler(note, accept_unsigned_probe=probe)

        async def failing(request: web.Request) -> web.Response:
            if seen.delays:
                await asyncio.sleep(seen.delays.pop())
            return (
                web.Response(status=seen.statuses.pop()) if seen.statuses else await handle(request)
            )

        app = web.Application()
        app.router.add_route("*", "/", failing)
        async with TestServer(app) as server:
            seen.url = str(server.make_url("/"))
            yield seen


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type)
async def test_any_documented_event_can_be_delivered(sample: Any) -> None:
    """It is accepted, typed, and handled once."""
    async with receiver() as seen:
        statuses = await FakeFanvue().deliver(seen.url, sample.document, secret=SECRET)

    assert statuses == [200]
    assert [type(event).__name__ for event in seen.events] == [sample.class_name]


async def test_deliveries_come_again_and_out_of_order() -> None:
    """When asked, in the same order for the same seed; each is handled once."""
    events = [{"id": f"e{number}", "type": "x"} for number in range(5)]
    orders: list[list[str]] = []
    for seed in (None, 1, 1):
        async with receiver() as seen:
            statuses = await FakeFanvue().deliver(seen.url, *events, repeats=3, seed=seed)
        assert set(statuses) <= {200, 503}
        assert len(statuses) == 20
        orders.append([event.id for event in seen.events])

    assert orders[0] == ["e0", "e1", "e2", "e3", "e4"]
    assert orders[1] == orders[2] != orders[0]
    assert sorted(orders[1]) == orders[0]


@pytest.mark.parametrize(
    ("secrets", "event", "signed_at", "status"),
    [
        ("another", {}, None, 401),
        (["another", SECRET], {}, None, 200),
        ([SECRET, "another"], b"{}", None, 200),
        (SECRET, b"[", None, 400),
        (SECRET, {}, 1_764_183_787, 401),
    ],
    ids=["another secret", "rotation", "rotation and bytes", "bytes", "old"],
)
async def test_trouble_can_be_delivered(
    secrets: Any, event: Any, signed_at: float | None, status: int
) -> None:
    """Another secret, a rotation, a body that is no event, an old signature."""
    async with receiver() as seen:
        statuses = await FakeFanvue().deliver(seen.url, event, secret=secrets, signed_at=signed_at)

    assert statuses == [status]


async def test_an_address_that_is_gone_has_no_status() -> None:
    """0 stands for no answer."""
    async with receiver() as seen:
        pass

    assert await FakeFanvue().deliver(seen.url, {}) == [0]


async def test_what_happens_is_delivered() -> None:
    """A fan follows, writes, subscribes, pays and leaves; the creator answers, reads, deletes."""
    async with receiver() as seen, FakeFanvue() as fake, fake.client() as fanvue:
        fake.webhooks.add(seen.url)
        fake.followers.add(USER)
        fake.subscribers.add(USER, price=999)
        received = fake.chats.receive(USER, "hi")
        fake.messages.tip(USER, 500)
        sent = await fanvue.messages.send(USER, text="hello")
        await fanvue.messages.list(USER, mark_as_read=True).collect()
        await fanvue.messages.delete(USER, sent.message_uuid)
        fake.subscribers.expire(USER)
        await fake.webhooks.settled()

    assert {delivered.status for delivered in fake.webhooks.log} == {200}
    found = {type(event): event for event in seen.events}
    assert set(found) == {
        FollowCreated,
        MessageDeleted,
        MessageRead,
        MessageReceived,
        MessageSent,
        PaymentSucceeded,
        SubscriptionActivated,
        SubscriptionDeactivated,
    }
    assert {event.creator_uuid for event in seen.events} == {fake.uuid}
    texts = {e.message_uuid: e.text for e in seen.events if isinstance(e, MessageReceived)}
    assert texts[received] == "hi"
    assert {e.sender.uuid for e in seen.events if isinstance(e, MessageReceived)} == {USER}
    payment = found[PaymentSucceeded]
    assert isinstance(payment, PaymentSucceeded)
    assert payment.payer is not None
    assert (payment.payer.uuid, payment.amount, payment.currency) == (USER, 500, "USD")


async def test_an_event_is_sent_until_it_is_accepted() -> None:
    """After an error, and after an answer that took too long; then repeated, if asked for."""
    async with receiver() as seen, FakeFanvue() as fake:
        seen.statuses += [500, 404]
        seen.delays += [30.0]
        fake.webhooks.add(seen.url, timeout=0.3, pause=0.01, repeats=2)
        fake.chats.receive(USER, "hi")
        await fake.webhooks.settled()

    statuses = [delivered.status for delivered in fake.webhooks.log]
    assert statuses[:3] == [0, 404, 500]
    assert statuses[3:].count(200) == 3
    assert len(seen.events) == 1


async def test_an_event_is_given_up_in_the_end() -> None:
    """After as many attempts as were asked for, or when the fake ends."""
    async with receiver() as seen, FakeFanvue() as fake:
        seen.statuses += [500] * 3
        fake.webhooks.add(seen.url, pause=0, attempts=3, events=["creator.message.received"])
        fake.chats.receive(USER, "hi")
        fake.followers.add(USER)  # of which this address is not told
        await fake.webhooks.settled()
        assert [delivered.status for delivered in fake.webhooks.log] == [500] * 3
        seen.delays += [30.0]
        fake.chats.receive(USER, "hi")

    assert not seen.events


async def test_events_arrive_out_of_order_when_asked() -> None:
    """Each waits a random time."""
    async with receiver() as seen, FakeFanvue() as fake:
        fake.webhooks.add(seen.url, shuffle=0.2)
        uuids = [fake.chats.receive(USER, str(number)) for number in range(10)]
        await fake.webhooks.settled()

    came = [event.message_uuid for event in seen.events if isinstance(event, MessageReceived)]
    assert came != uuids
    assert sorted(came, key=str) == sorted(uuids)


@pytest.mark.parametrize("probe", [True, False])
async def test_an_address_is_registered_by_a_probe(probe: bool) -> None:
    """Fanvue sends it unsigned, and registers nothing that does not accept it."""
    async with receiver(probe=probe) as seen, FakeFanvue() as fake:
        if not probe:
            with pytest.raises(ValueError, match="401"):
                await fake.webhooks.subscribe(seen.url)
            return
        secret = await fake.webhooks.subscribe(seen.url, events=["creator.message.received"])
        assert secret == SECRET
        fake.chats.receive(USER, "hi")
        await fake.webhooks.settled()

    assert len(seen.events) == 1


def test_an_event_that_the_fake_does_not_make_is_refused() -> None:
    """A test that waited for it would wait for ever."""
    with pytest.raises(ValueError, match=r"does not make payout\.paid"):
        FakeFanvue().webhooks.add("http://127.0.0.1:1/", events=["payout.paid"])


async def test_what_has_no_known_event_is_not_delivered() -> None:
    """The names of the events of mass messages are not documented."""
    async with receiver() as seen, FakeFanvue() as fake:
        fake.webhooks.add(seen.url)
        fake.owner.tell("mass_message.sent", {})
        await fake.webhooks.settled()

    assert fake.webhooks.log == []
