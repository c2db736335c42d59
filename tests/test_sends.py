"""Sends: once, or the caller knows."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import LOST, Ledger
from support.stages import Provider
from support.users import USER, user

from fanvue_async import (
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    ListSelection,
    NoAnswerError,
    RetryPolicy,
    SentMassMessage,
    SentMessage,
    ServerError,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LISTS = ListSelection(smart_list_uuids=["subscribers"])
_MEDIA = user(99)


class Scene:
    """A ledger whose faults are played in order, and a client on it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.ledger = Ledger(lambda: self.faults.pop(0) if self.faults else "none")
        self.client: FanvueClient

    @property
    def uuids(self) -> list[str]:
        """What arrived, oldest first."""
        return [entry.uuid for entry in self.ledger.entries]

    def earlier(self, seconds: float) -> None:
        """Let what arrives arrive some time ago, until the next arrival."""
        self.ledger.clock = lambda: datetime.now(UTC) - timedelta(seconds=seconds)

    def now(self) -> None:
        """Let it arrive now again."""
        self.ledger.clock = lambda: datetime.now(UTC)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Run the ledger."""
    scene = Scene()
    async with scene.ledger as ledger:
        timeout = Timeout(total=20, attempt=0.5)
        retry = RetryPolicy(wait_initial=0.01, wait_max=0.01)
        async with FanvueClient("token", base_url=ledger.url, timeout=timeout, retry=retry) as made:
            scene.client = made
            yield scene


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_response_is_settled_by_reading(scene: Scene, fault: str) -> None:
    """However the response is lost, the message that arrived is found, and not sent again."""
    scene.faults = [fault]

    sent = await scene.client.messages.send(
        USER, text=" Hi\n", media_uuids=[_MEDIA, user(98)], price=300
    )

    assert scene.uuids == [sent.message_uuid]
    assert scene.ledger.reads == [{"page": "1", "size": "50", "markAsRead": "false"}]


@pytest.mark.parametrize("fault", LOST)
async def test_a_mass_message_is_settled_likewise(scene: Scene, fault: str) -> None:
    """The mass messages are read, and the row's uuid taken for the id."""
    scene.faults = [fault]
    when = datetime(2030, 1, 1, 12, tzinfo=UTC)

    sent = await scene.client.creator(USER).mass_messages.send(_LISTS, text="Hi", scheduled_at=when)

    assert scene.uuids == [sent.id]
    assert sent.recipient_count == 1


async def test_a_mass_message_without_schedule_is_not_one_with(scene: Scene) -> None:
    """The schedule is part of what is compared."""
    scene.faults = ["lost request"]
    scene.ledger.arrive("", "other", {"text": "Hi", "scheduledAt": "2030-01-01T12:00:00.000Z"})

    with pytest.raises(NoAnswerError) as caught:
        await scene.client.mass_messages.send(_LISTS, text="Hi")
    assert caught.value.looked_for


@pytest.mark.parametrize("fault", ["lost request", "refused 500", "refused 503"])
async def test_what_did_not_arrive_is_reported_as_it_was(scene: Scene, fault: str) -> None:
    """The first error comes, says that it was looked for, and nothing is sent again."""
    scene.faults = [fault]
    scene.ledger.arrive(USER, "fan", {"text": "Hi", "fromFan": True})

    with pytest.raises((NoAnswerError, ServerError)) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert caught.value.maybe_processed
    assert caught.value.looked_for
    assert caught.value.operation == "POST /chats/{userUuid}/message"
    assert "but was not found afterwards" in str(caught.value)
    assert caught.value.__context__ is None
    assert len(scene.uuids) == 1


@pytest.mark.parametrize("fault", ["refused 400", "refused 403", "refused 429"])
async def test_a_refusal_is_not_looked_for(scene: Scene, fault: str) -> None:
    """A 4xx was not processed, so there is nothing to find."""
    scene.faults = [fault]

    with pytest.raises(FanvueError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert (caught.value.maybe_processed, caught.value.looked_for) == (False, False)
    assert scene.ledger.reads == []


@pytest.mark.parametrize(
    "other",
    [
        {"text": "Hello"},
        {"text": "Hi", "mediaUuids": [_MEDIA]},
        {"text": "Hi", "price": 300},
        {"text": "Hi", "fromFan": True},
        {},
    ],
)
async def test_another_message_is_not_taken_for_it(scene: Scene, other: dict[str, Any]) -> None:
    """Sender, text, media and price must all be the same."""
    scene.faults = ["dropped"]
    scene.ledger.arrive(USER, "other", other)
    sent = await scene.client.messages.send(USER, text="Hi")
    scene.ledger.arrive(USER, "other", other)

    assert sent.message_uuid == scene.uuids[1]


async def test_media_that_the_api_does_not_name_still_count(scene: Scene) -> None:
    """Where only ``hasMedia`` tells of media, it decides."""
    scene.faults = ["lost request"]
    scene.ledger.arrive(USER, "other", {"text": "Hi", "mediaUuids": [_MEDIA], "hidden": True})
    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")
    assert caught.value.looked_for

    sent = scene.ledger.arrive(user(3), "ours", {"mediaUuids": [_MEDIA], "hidden": True})
    scene.faults = ["lost request"]
    found = await scene.client.messages.send(user(3), media_uuids=[_MEDIA])
    assert found.message_uuid == sent.uuid


async def test_an_older_equal_message_is_not_taken_for_it(scene: Scene) -> None:
    """Only what was sent since the attempt counts, by the server's own clock."""
    scene.earlier(5)
    scene.ledger.arrive(USER, "other", {"text": "Hi"})
    scene.now()
    scene.faults = ["lost request"]

    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert caught.value.looked_for


async def test_its_own_earlier_message_is_not_taken_for_it(scene: Scene) -> None:
    """What the client returned before, or confirmed before, is another message."""
    first = await scene.client.messages.send(USER, text="Hi")
    scene.faults = ["dropped", "lost request"]
    second = await scene.client.messages.send(USER, text="Hi")
    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert caught.value.looked_for
    assert scene.uuids == [first.message_uuid, second.message_uuid]


@pytest.mark.parametrize(
    "body", [{"text": "Hi"}, {"text": "Hi", "undated": True}], ids=["two", "undated"]
)
async def test_what_cannot_be_told_apart_stays_unknown(scene: Scene, body: dict[str, Any]) -> None:
    """More than one match, or one without a time, confirms nothing and denies nothing."""
    scene.faults = ["dropped"]
    scene.ledger.arrive(USER, "other", body)

    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert (caught.value.maybe_processed, caught.value.looked_for) == (True, False)


async def test_equal_sends_at_once_are_never_confirmed_for_each_other(scene: Scene) -> None:
    """While an equal send is open, or has ended unknown, a lost one stays unknown."""
    scene.faults = ["dropped", "lost request"]
    both = await asyncio.gather(
        *(scene.client.messages.send(USER, text="Hi") for _ in range(2)), return_exceptions=True
    )
    scene.faults = ["dropped"]
    third = await asyncio.gather(
        scene.client.messages.send(USER, text="Hi"), return_exceptions=True
    )
    other = await scene.client.messages.send(USER, text="Something else")

    assert [type(outcome) for outcome in (*both, *third)] == [NoAnswerError] * 3
    assert other.message_uuid == scene.uuids[-1]


async def test_a_cancelled_send_leaves_its_content_in_doubt(scene: Scene) -> None:
    """Its message may arrive later, and must not confirm another send. Ten minutes end that."""
    now = [0.0]
    scene.client._session.terms.pool.clockwork.clock = lambda: now[0]
    scene.faults = ["late answer", "dropped", "dropped"]
    task = asyncio.create_task(scene.client.messages.send(USER, text="Hi"))
    await scene.ledger.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")
    assert not caught.value.looked_for

    await scene.ledger.settle()
    scene.ledger.entries.clear()
    now[0] = 601
    sent = await scene.client.messages.send(USER, text="Hi")
    assert scene.uuids == [sent.message_uuid]


async def test_templates_and_confirm_false_are_not_looked_for(scene: Scene) -> None:
    """A template's text is unknown; and one may prefer not to read the chat."""
    scene.faults = ["dropped", "dropped", "dropped"]

    send = scene.client.messages.send
    for sending in (send(USER, template_uuid=user(5)), send(USER, text="Hi", confirm=False)):
        with pytest.raises(NoAnswerError) as caught:
            await sending
        assert (caught.value.maybe_processed, caught.value.looked_for) == (True, False)
    assert scene.ledger.reads == []
    # The template may have had any text, so a lost text is in doubt as well.
    with pytest.raises(NoAnswerError) as caught:
        await send(USER, text="Another")
    assert not caught.value.looked_for


@pytest.mark.parametrize(
    "fault",
    ["404", "403", "Date: some day", "Date: Fri, 27 Nov 2026 09:00:00 +9999999999999999"],
)
async def test_a_chat_that_cannot_be_read_settles_nothing(scene: Scene, fault: str) -> None:
    """The first error comes as it was: without a reading, or without the server's clock."""
    scene.faults = ["dropped"]
    scene.ledger.read_fault = lambda: fault

    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert (caught.value.maybe_processed, caught.value.looked_for) == (True, False)


async def test_it_reads_back_to_the_send_and_no_further(scene: Scene) -> None:
    """Later messages may hide it on a second page; after four it is given up."""
    scene.earlier(60)
    for number in range(120):
        scene.ledger.arrive(USER, "other", {"text": str(number)})
    scene.now()
    scene.faults = ["dropped"]
    await scene.client.messages.send(USER, text="Hi")
    assert len(scene.ledger.reads) == 1

    scene.earlier(-2)
    for number in range(250):
        scene.ledger.arrive(USER, "other", {"text": str(number)})
    scene.faults = ["lost request"]
    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Another")
    assert not caught.value.looked_for
    assert len(scene.ledger.reads) == 1 + 4


async def test_a_deadline_that_has_run_out_leaves_no_time_to_look(scene: Scene) -> None:
    """``total`` bounds sending and looking together."""
    scene.faults = ["late answer"]
    client = scene.client.with_options(timeout=Timeout(total=0.3, attempt=5))

    with pytest.raises(DeadlineExceededError) as caught:
        await client.messages.send(USER, text="Hi")

    assert (caught.value.maybe_processed, caught.value.looked_for) == (True, False)
    assert scene.ledger.reads == []


async def test_all_pages_are_read_before_the_deadline(scene: Scene) -> None:
    """What is left of ``total`` grows less with each of them."""
    now = [0.0]

    def slow() -> str:
        now[0] += 8.0
        return "none"

    scene.client._session.terms.pool.clockwork.clock = lambda: now[0]
    scene.ledger.read_fault = slow
    scene.earlier(-2)
    for number in range(250):
        scene.ledger.arrive(USER, "other", {"text": str(number)})
    scene.faults = ["lost request"]
    with pytest.raises(NoAnswerError) as caught:
        await scene.client.messages.send(USER, text="Hi")

    assert not caught.value.looked_for
    assert len(scene.ledger.reads) == 3  # at 0, 8 and 16 of 20 seconds


async def test_a_lost_send_is_looked_for_while_the_client_drains(scene: Scene) -> None:
    """Reading belongs to the call in flight, and is no new one."""
    scene.faults = ["dropped"]
    sending = asyncio.create_task(scene.client.messages.send(USER, text="Hi"))
    await scene.ledger.arrived.wait()
    await scene.client.aclose(drain=5)

    assert [(await sending).message_uuid] == scene.uuids


async def test_a_send_that_never_left_leaves_nothing_in_doubt(scene: Scene) -> None:
    """If the token provider raises, an equal send can be confirmed as ever."""
    client = scene.client.with_options(access_token=Provider(OSError("no token now"), "token"))
    with pytest.raises(OSError, match="no token now"):
        await client.messages.send(USER, text="Hi")
    scene.faults = ["dropped"]

    assert [(await client.messages.send(USER, text="Hi")).message_uuid] == scene.uuids


async def test_what_is_sent_is_what_was_said(scene: Scene) -> None:
    """Only what was given is in the body, under the API's names."""
    client = scene.client
    sent = [
        await client.messages.send(USER, text="Hi"),
        await client.messages.send(USER, media_uuids=[_MEDIA], price=300),
        await client.messages.send(USER, template_uuid=_MEDIA),
    ]
    mass = await client.mass_messages.send(
        ListSelection(custom_list_uuids=[USER.upper()]), excluded_lists=_LISTS, text="Hi"
    )

    assert all(isinstance(one, SentMessage) for one in sent)
    assert isinstance(mass, SentMassMessage)
    assert json.dumps([entry.body for entry in scene.ledger.entries]) == json.dumps(
        [
            {"text": "Hi"},
            {"mediaUuids": [_MEDIA], "price": 300},
            {"templateUuid": _MEDIA},
            {
                "includedLists": {"customListUuids": [USER]},
                "excludedLists": {"smartListUuids": ["subscribers"]},
                "text": "Hi",
            },
        ]
    )
