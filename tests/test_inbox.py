"""The inbox: each message of a fan once, oldest first in each chat, over restarts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from fanvue_async import (
    AuthenticationError,
    ConfigurationError,
    FanvueClient,
    InvalidArgumentError,
    PermissionDeniedError,
    StoreError,
)
from fanvue_async.inbox import Inbox
from fanvue_async.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fanvue_async import FanvueError
    from fanvue_async.resources.chats import Chat
    from fanvue_async.stores import Entry
    from fanvue_async.testing import FakeFanvue

T = TypeVar("T")


@pytest.fixture
def store() -> MemoryStore:
    """Keep positions in memory."""
    return MemoryStore()


@pytest.fixture
def inbox(client: FanvueClient, store: MemoryStore) -> Inbox:
    """Make the inbox of the fake's account."""
    return Inbox(client, store=store)


def fans(fake: FakeFanvue, count: int) -> list[str]:
    """Let fans exist."""
    return [fake.users.add(handle=f"fan{number}") for number in range(count)]


async def texts(inbox: Inbox) -> list[str | None]:
    """Look at the inbox once."""
    return [message.text async for message in inbox.new()]


async def test_each_message_comes_once_and_oldest_first(fake: FakeFanvue, inbox: Inbox) -> None:
    """What is unread comes the first time, then only what is new."""
    anna, bob = fans(fake, 2)
    for number in range(120):
        fake.chats.receive(anna, f"anna {number}")
    fake.chats.receive(bob, "bob")
    first = await texts(inbox)
    assert [text for text in first if text != "bob"] == [f"anna {n}" for n in range(120)]
    assert first.count("bob") == 1
    assert await texts(inbox) == []
    fake.chats.receive(bob, "again")
    assert await texts(inbox) == ["again"]


async def test_nothing_is_marked_as_read(
    fake: FakeFanvue, client: FanvueClient, inbox: Inbox
) -> None:
    """Reading does not show the fan "seen"."""
    (anna,) = fans(fake, 1)
    fake.chats.receive(anna, "hello")
    await texts(inbox)
    assert (await client.chats.unread()).unread_messages_count == 1


async def test_what_was_read_before_does_not_come(
    fake: FakeFanvue, client: FanvueClient, inbox: Inbox
) -> None:
    """The first look gives unread messages alone; own and automatic messages never come."""
    anna, bob = fans(fake, 2)
    fake.chats.receive(anna, "old")
    await client.messages.list(anna, mark_as_read=True).collect()
    fake.chats.receive(bob, "from a machine", type="AUTOMATED_NEW_FOLLOWER")
    await client.messages.send(bob, text="own")
    fake.chats.receive(bob, "new")
    assert await texts(inbox) == ["new"]
    fake.chats.receive(anna, "now")
    assert await texts(inbox) == ["now"]


async def test_an_idle_look_costs_one_request(fake: FakeFanvue, inbox: Inbox) -> None:
    """When nothing is new, only the newest chats are listed."""
    for fan in fans(fake, 40):
        fake.chats.receive(fan, "hello")
    assert len(await texts(inbox)) == 40
    await texts(inbox)
    before = len(fake.requests)
    assert await texts(inbox) == []
    assert len(fake.requests) == before + 1


async def test_an_idle_look_at_what_was_read_before_the_first_one_costs_one_request(
    fake: FakeFanvue, client: FanvueClient, inbox: Inbox
) -> None:
    """The first look notes where the newest chat stands, although nothing of it is given."""
    (anna,) = fans(fake, 1)
    fake.chats.receive(anna, "old")
    await client.messages.list(anna, mark_as_read=True).collect()
    assert await texts(inbox) == []
    before = len(fake.requests)
    assert await texts(inbox) == []
    assert len(fake.requests) == before + 1
    fake.chats.receive(anna, "new")
    assert await texts(inbox) == ["new"]


async def test_a_message_is_handled_when_the_next_is_asked_for(
    fake: FakeFanvue, client: FanvueClient, store: MemoryStore
) -> None:
    """After a crash the last one comes again, and the others do not."""
    (anna,) = fans(fake, 1)
    for number in range(5):
        fake.chats.receive(anna, str(number))
    seen: list[str | None] = []
    async for message in Inbox(client, store=store).new():
        seen.append(message.text)
        if message.text == "2":
            break
    assert seen == ["0", "1", "2"]
    assert await texts(Inbox(client, store=store)) == ["2", "3", "4"]


async def test_messages_that_arrive_meanwhile(fake: FakeFanvue, inbox: Inbox) -> None:
    """Chats that come to the front while the inbox is read are caught by the next look."""
    everyone = fans(fake, 130)
    for fan in everyone:
        fake.chats.receive(fan, "first")
    counts: dict[str, int] = {}
    arrived = 0
    for _ in range(3):
        async for message in inbox.new():
            counts[message.uuid] = counts.get(message.uuid, 0) + 1
            if arrived < 60:
                fake.chats.receive(everyone[arrived], "meanwhile")
                arrived += 1
    assert len(counts) == 190
    assert set(counts.values()) == {1}


async def test_a_webhook_and_the_inbox_give_a_message_once(fake: FakeFanvue, inbox: Inbox) -> None:
    """What was noted does not come, and what came is not to be handled again."""
    (anna,) = fans(fake, 1)
    noted, given = fake.chats.receive(anna, "noted"), fake.chats.receive(anna, "given")
    assert await inbox.note(noted)
    assert not await inbox.note(noted)
    assert await texts(inbox) == ["given"]
    assert not await inbox.note(given)


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_chat_that_cannot_be_read_stops_no_other(
    fake: FakeFanvue, client: FanvueClient, store: MemoryStore, status: int
) -> None:
    """It is reported; a transient failure is read again by the next look, a refusal is not."""
    anna, bob = fans(fake, 2)
    fake.chats.receive(anna, "anna")
    fake.chats.receive(bob, "bob")
    reported: list[tuple[str, FanvueError]] = []

    def note(chat: Chat, error: FanvueError) -> None:
        reported.append((chat.user.uuid, error))

    fake.reply(status, json={"message": "no"}, on="GET /chats/{userUuid}/messages", times=3)
    inbox = Inbox(client, store=store, on_error=note)
    retried = status == 500
    first, second = await texts(inbox), await texts(inbox)
    if retried:
        assert (first, second) == (["anna"], ["bob"])
        assert [uuid for uuid, _ in reported] == [bob]
    else:
        assert (first, second) == ([], [])
        assert {uuid for uuid, _ in reported} == {anna, bob}


@pytest.mark.parametrize(
    ("status", "document"), [(400, {"message": "no"}), (200, {"data": [{"uuid": 1}]})]
)
async def test_a_chat_that_stays_unreadable_is_left_alone_until_it_changes(
    fake: FakeFanvue, client: FanvueClient, store: MemoryStore, status: int, document: object
) -> None:
    """It is reported once, costs nothing while it is idle, and later gives what was missed."""
    anna, bob = fans(fake, 2)
    reported: list[FanvueError] = []
    inbox = Inbox(client, store=store, on_error=lambda _, error: reported.append(error))
    for text in ("anna 0", "bob 0"):
        fake.chats.receive(anna if "anna" in text else bob, text)
    assert await texts(inbox) == ["bob 0", "anna 0"]
    carl, *others = fans(fake, 60)
    for fan in others:
        fake.chats.receive(fan, "new")
    await asyncio.sleep(0.01)  # or more than a page of chats is as new as the newest
    for fan in (anna, carl):
        fake.chats.receive(fan, "new")
    fake.reply(status, json=document, on="GET /chats/{userUuid}/messages", times=2)
    assert await texts(inbox) == ["new"] * 59
    before = len(fake.requests)
    assert await texts(inbox) == []
    assert (len(fake.requests), len(reported)) == (before + 1, 2)
    await client.messages.list(carl, mark_as_read=True).collect()
    for fan in (anna, carl):
        fake.reply(status, json=document, on="GET /chats/{userUuid}/messages")
        fake.chats.receive(fan, "newer")
        assert await texts(inbox) == []
        fake.chats.receive(fan, "newest")
        assert await texts(inbox) == ["new", "newer", "newest"]
    assert len(reported) == 4


async def test_a_chat_of_a_user_without_a_uuid_is_left_alone(
    fake: FakeFanvue, client: FanvueClient, store: MemoryStore
) -> None:
    """It is reported once, although no request for it can be made and its message is not told."""
    (anna,) = fans(fake, 1)
    fake.chats.receive(anna, "hello")
    page = (await client.request("GET", "/chats")).json()
    page["data"][0]["user"]["uuid"], page["data"][0]["lastMessage"] = "nobody", None
    fake.reply(200, json=page, on="GET /chats", times=2)
    reported: list[FanvueError] = []
    inbox = Inbox(client, store=store, on_error=lambda _, error: reported.append(error))
    assert [await texts(inbox), await texts(inbox)] == [[], []]
    assert [type(error) for error in reported] == [InvalidArgumentError]


async def test_what_the_api_leaves_out_loses_nothing(
    fake: FakeFanvue, client: FanvueClient, inbox: Inbox
) -> None:
    """A chat without messages is passed over; a message without a time is given all the same."""
    anna, bob = fans(fake, 2)
    await client.chats.create(bob)
    fake.chats.receive(anna, "hello")
    answer = await client.request("GET", f"/chats/{anna}/messages", params={"markAsRead": False})
    page = answer.json()
    page["data"][0]["sentAt"] = None
    chats = (await client.request("GET", "/chats")).json()
    for chat in chats["data"]:
        chat["lastMessage"] = None
    fake.reply(200, json=page, on="GET /chats/{userUuid}/messages")
    assert await texts(inbox) == ["hello"]
    fake.reply(200, json=chats, on="GET /chats")
    fake.reply(400, json={"message": "no"}, on="GET /chats/{userUuid}/messages")
    assert await texts(inbox) == []


async def test_without_a_hook_it_is_logged(
    fake: FakeFanvue, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A chat that cannot be read is a warning."""
    (anna,) = fans(fake, 1)
    fake.chats.receive(anna, "anna")
    fake.reply(400, json={"message": "no"}, on="GET /chats/{userUuid}/messages")
    assert await texts(inbox) == []
    assert "a chat cannot be read" in caplog.text


async def test_what_all_chats_would_meet_is_raised(fake: FakeFanvue, inbox: Inbox) -> None:
    """A missing scope ends the look; the 403 of one chat is its own, and tried again."""
    anna, bob = fans(fake, 2)
    fake.chats.receive(anna, "anna")
    fake.chats.receive(bob, "bob")
    fake.reply(403, json={"error": "no"}, on="GET /chats")
    with pytest.raises(PermissionDeniedError):
        await texts(inbox)
    fake.reply(401, json={"error": "no"}, on="GET /chats/{userUuid}/messages")
    with pytest.raises(AuthenticationError):
        await texts(inbox)
    fake.reply(403, json={"error": "no"}, on="GET /chats/{userUuid}/messages")
    assert await texts(inbox) == ["anna"]
    assert await texts(inbox) == ["bob"]
    fake.chats.receive(bob, "bob again")
    fake.reply(403, json={"error": "no"}, on="GET /chats/{userUuid}/messages", times=2)
    for _ in range(3):  # the second time it is taken for lasting, and costs nothing more
        assert await texts(inbox) == []
    fake.chats.receive(bob, "and again")
    assert await texts(inbox) == ["bob again", "and again"]


@pytest.mark.parametrize("message", [None, "x", 5])
async def test_what_is_no_message_is_not_noted(inbox: Inbox, message: Any) -> None:
    """A webhook may come without its message's UUID; that is no message handled."""
    with pytest.raises(InvalidArgumentError, match="message_uuid"):
        await inbox.note(message)


async def test_creators_and_accounts_have_inboxes_of_their_own(
    fake: FakeFanvue, client: FanvueClient, store: MemoryStore
) -> None:
    """Positions are kept by the creator, the account's name, or the name that was given."""
    creator = fake.creators.add(handle="creator")
    (anna,) = fans(fake, 1)
    fake.creator(creator).chats.receive(anna, "to the creator")
    fake.chats.receive(anna, "to me")
    assert await texts(Inbox(client.creator(creator), store=store)) == ["to the creator"]
    named = client.with_options(account="me")
    before = len(fake.requests)
    assert await texts(Inbox(named, store=store)) == ["to me"]
    assert not any("/users/me" in request.path for request in fake.requests[before:])
    assert await texts(Inbox(client, store=store, name="other")) == ["to me"]
    assert await texts(Inbox(client, store=store)) == ["to me"]
    assert await texts(Inbox(named, store=store, name=fake.uuid)) == []


class Failing(MemoryStore):
    """A store that fails now and then."""

    def __init__(self, fails: AsyncIterator[bool] | None = None) -> None:
        super().__init__()
        del fails
        self.failures = 0

    async def put(self, key: str, value: bytes, **options: object) -> str | None:
        """Fail as often as it was told to."""
        if self.failures:
            self.failures -= 1
            raise StoreError("the store is down")
        return await super().put(key, value, **options)  # type: ignore[arg-type] # passed on as they came

    async def get(self, key: str) -> Entry | None:
        """Work."""
        return await super().get(key)


async def test_following_survives_transient_errors(
    fake: FakeFanvue, client: FanvueClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is down for a moment, and a failing list, lose nothing and repeat nothing."""
    (anna,) = fans(fake, 1)
    fake.chats.receive(anna, "0")
    store = Failing()
    inbox = Inbox(client, store=store)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            fake.chats.receive(anna, "1")
        await asyncio.sleep(0)

    inbox._sleep = sleep
    seen: list[str | None] = []
    async with asyncio.timeout(10):
        async for message in inbox.follow(every=5.0):
            seen.append(message.text)
            if message.text == "0":
                store.failures = 1
                fake.reply(503, on="GET /chats", times=3)
            else:
                break
    assert seen == ["0", "1"]
    assert set(slept) == {5.0}
    assert "is tried again" in caplog.text


class Unsteady(MemoryStore):
    """A store of which one call fails when it has acted, or is cancelled before."""

    def __init__(self, due: int, what: str) -> None:
        super().__init__()
        self._left, self._what = due, what

    async def get(self, key: str) -> Entry | None:
        """Read, if it is not the one."""
        return self._failing(await super().get(key), is_due=self._is_due())

    async def put(self, key: str, value: bytes, **options: object) -> str | None:
        """Write, if it is not the one."""
        is_due = self._is_due()
        if is_due and self._what == "is cancelled":
            self._failing(None, is_due=True)
        return self._failing(await super().put(key, value, **options), is_due=is_due)  # type: ignore[arg-type] # passed on as they came

    def _is_due(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _failing(self, result: T, *, is_due: bool) -> T:
        if is_due and self._what == "is cancelled":
            raise asyncio.CancelledError
        if is_due:
            raise StoreError("the store is down")
        return result


@pytest.mark.parametrize("what", ["fails", "is cancelled"])
@pytest.mark.parametrize("due", range(1, 30))
async def test_a_moment_at_which_the_store_fails_loses_no_message(
    fake: FakeFanvue, client: FanvueClient, due: int, what: str
) -> None:
    """Whichever of its calls it is, and also if whoever waits for a message is cancelled there."""
    anna, bob = fans(fake, 2)
    expected = ["anna 0", "anna 1", "bob 0", "bob 1"]
    for text in expected:
        fake.chats.receive(anna if "anna" in text else bob, text)
    inbox = Inbox(client, store=Unsteady(due, what), name="unsteady")
    looks = 0

    async def sleep(seconds: float) -> None:
        nonlocal looks
        del seconds
        looks += 1
        if looks == 2:
            expected.append("bob 2")
            fake.chats.receive(bob, "bob 2")
        if looks == 6:
            raise LookupError

    inbox._sleep = sleep
    messages, seen = inbox.follow(), list[str | None]()

    async def follow() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                seen.append((await anext(messages)).text)

    with pytest.raises(LookupError):
        await follow()

    assert sorted(filter(None, seen)) == sorted(expected)


async def test_following_ends_by_a_lasting_error(fake: FakeFanvue, inbox: Inbox) -> None:
    """A token that is refused is raised."""
    fake.expire(fake.token)
    with pytest.raises(Exception, match="401"):
        await anext(inbox.follow())


@pytest.mark.parametrize("every", [-1, float("nan"), True, "1"])
def test_a_pause_that_makes_no_sense_is_refused(inbox: Inbox, every: float) -> None:
    """Only seconds from 0 are taken."""
    with pytest.raises(InvalidArgumentError, match="every"):
        inbox.follow(every=every)


@pytest.mark.parametrize("name", ["", "x" * 201, 1])
def test_a_name_that_makes_no_sense_is_refused(
    client: FanvueClient, store: MemoryStore, name: str
) -> None:
    """Only a text of 1 to 200 characters is taken."""
    with pytest.raises(InvalidArgumentError, match="name"):
        Inbox(client, store=store, name=name)


def test_what_is_no_store_is_refused(client: FanvueClient) -> None:
    """When it is made, and not when it is first used."""
    with pytest.raises(ConfigurationError, match="store"):
        Inbox(client, store=cast("Any", None))
