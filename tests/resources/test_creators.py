"""Acting for creators: one implementation, a bucket and chats for each, nothing they lack."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.users import USER, user

from fanvue_async import FanvueClient, PermissionDeniedError
from fanvue_async.operations import operations
from fanvue_async.testing import FakeFanvue

_CREATORS = 100
_TURNS = 3


async def test_a_hundred_creators_share_a_client_and_nothing_else() -> None:
    """On one token, each has its own bucket and chats, and no response reaches another."""
    async with FakeFanvue(rate_limit=(50, 60)) as fake, fake.client() as client:
        uuids = [
            fake.creators.add(user(number), handle=f"c{number}") for number in range(_CREATORS)
        ]
        for uuid in uuids:
            fan = fake.users.add(user(1_000 + int(uuid[-12:], 16)))
            fake.creator(uuid).chats.receive(fan, f"For {uuid}")

        async def act(uuid: str) -> None:
            creator = client.creator(uuid)
            for turn in range(_TURNS):
                (chat,) = await creator.chats.list().collect()
                assert chat.user.uuid[-12:] == f"{1_000 + int(uuid[-12:], 16):012x}"
                sent = await creator.messages.send(chat.user.uuid, text=f"{turn} by {uuid}")
                newest, *_ = await creator.messages.list(chat.user.uuid).collect()
                assert (newest.uuid, newest.text) == (sent.message_uuid, f"{turn} by {uuid}")

        await asyncio.gather(*map(act, uuids))

        for uuid in uuids:
            limit = client.creator(uuid).rate_limit
            assert limit is not None
            assert limit.remaining == 50 - 3 * _TURNS
        assert client.rate_limit is None


async def test_what_creators_lack_is_an_attribute_error(client: FanvueClient) -> None:
    """A method without a twin does not exist on a creator's client; all others do."""
    creator: Any = client.creator(USER)
    rows = list(operations())
    twins = {row.coroutine.removeprefix("creator.") for row in rows if "{creator" in row.path}

    for row in rows:
        if row.coroutine.startswith("creator."):
            continue
        target: Any = creator
        for name in row.coroutine.split(".")[:-1]:
            target = getattr(target, name, None)
        assert hasattr(target, row.coroutine.split(".")[-1]) == (row.coroutine in twins), row


async def test_a_creator_has_an_account_and_online_subscribers(
    client: FanvueClient, fake: FakeFanvue
) -> None:
    """What only creators have is reached through their client, with the full path."""
    uuid = fake.creators.add()
    creator = client.creator(uuid)

    assert (await creator.account()).uuid == uuid
    assert (await creator.subscribers.online(limit=5, subscriber_uuids=[USER])).data == ()
    assert [request.path for request in fake.requests] == [
        f"/creators/{uuid}/account",
        f"/creators/{uuid}/subscribers/online?limit=5&subscriberUuids={USER}",
    ]


async def test_errors_name_the_creators_path(client: FanvueClient, fake: FakeFanvue) -> None:
    """The template, never the ids."""
    fake.reply(403, json={"error": "Forbidden"})
    with pytest.raises(PermissionDeniedError) as caught:
        await client.creator(USER).chats.list().collect()

    assert caught.value.operation == "GET /creators/{creatorUserUuid}/chats"
