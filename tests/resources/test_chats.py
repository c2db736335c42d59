"""ChatsResource against the fake server."""

from __future__ import annotations

from uuid import UUID

import pytest
from support.users import USER

from fanvue_async import CreatedChat, FanvueClient, InvalidArgumentError, NotContactableError
from fanvue_async.testing import FakeFanvue


async def test_create_returns_what_the_api_says(client: FanvueClient, fake: FakeFanvue) -> None:
    """One await gives one typed value, for one request of the documented form."""
    created = await client.chats.create(USER)

    assert created == CreatedChat(message="Chat created successfully")
    (request,) = fake.requests
    assert (request.method, request.path) == ("POST", "/chats")
    assert request.body == b'{"userUuid":"%s"}' % USER.encode()
    assert request.headers["Authorization"] == "Bearer fake-token"
    assert request.headers["X-Fanvue-API-Version"] == "2025-06-26"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("given", [UUID(USER), USER, USER.upper()])
async def test_create_sends_a_uuid_in_lower_case(
    client: FanvueClient, fake: FakeFanvue, given: UUID | str
) -> None:
    """A UUID object and its text in any case are the same user to the API."""
    await client.chats.create(given)

    assert fake.chats == [USER]


@pytest.mark.parametrize("given", ["", USER[:-1], USER + "0", f"{{{USER}}}", f"+{USER[1:]}"])
async def test_create_refuses_what_is_no_uuid(
    client: FanvueClient, fake: FakeFanvue, given: str
) -> None:
    """A text that another reader would take for another user is never sent."""
    with pytest.raises(InvalidArgumentError, match="user_uuid") as caught:
        await client.chats.create(given)

    assert caught.value.operation == "POST /chats"
    assert fake.requests == []


async def test_a_bare_message_means_not_contactable() -> None:
    """Of the two documented kinds of 400, {message} is the user who cannot be contacted."""
    async with FakeFanvue(not_contactable=[USER]) as fake, fake.client() as client:
        with pytest.raises(NotContactableError, match="cannot be contacted"):
            await client.chats.create(USER)

        assert len(fake.requests) == 1
