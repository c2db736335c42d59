"""FakeFanvue: who it lets in, which version, and the clients that it makes."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from support.by_hand import changed, send
from support.users import USER, user

from fanvue_async import (
    AuthenticationError,
    ConflictError,
    CreatedChat,
    DecodeError,
    FanvueClient,
    FanvueError,
    NotContactableError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    UnsupportedVersionError,
    VersionSunsetError,
)
from fanvue_async.testing import Duplicates, FakeFanvue

if TYPE_CHECKING:
    from fanvue_async import RetryEvent

SOON = 2.0  # seconds in which what should take none is over on any machine


async def test_it_accepts_each_of_its_tokens() -> None:
    """Every token given is accepted, the first is ``token``, and the default token is not."""
    async with FakeFanvue(tokens=iter(["first", "second"])) as fake:
        assert fake.token == "first"
        statuses = [
            (await send(fake.url, headers=changed({"Authorization": f"Bearer {token}"}))).status
            for token in ("first", "second", "fake-token")
        ]

    assert statuses == [201, 201, 401]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/chats/", 404),
        ("POST", "/v1/chats", 404),
        ("GET", "/unknown?chats", 404),
        ("PUT", "/chats", 405),
        ("DELETE", "/chats?further", 405),
        ("POST", "/chats?further=1", 201),
    ],
)
async def test_it_says_what_it_does_not_know(
    fake: FakeFanvue, method: str, path: str, status: int
) -> None:
    """Another path or method is refused with a hint; an unknown query changes nothing."""
    answer = await send(fake.url, method=method, path=path)

    assert answer.status == status
    assert ("Allow" in answer.headers) == (status == 405)
    assert ("fake.reply" in answer.json()["message"]) == (status != 201)
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
        ({"duplicates": 200}, "201, 400 or 409"),
    ],
)
def test_it_refuses_arguments_that_make_no_sense(arguments: dict[str, Any], reason: str) -> None:
    """A test that would not test what its author means fails at once."""
    with pytest.raises((TypeError, ValueError), match=reason):
        FakeFanvue(**arguments)


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
        with pytest.raises(VersionSunsetError) as caught:
            await client.chats.create(USER)
        assert caught.value.next_version == "2025-06-26"

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


# Tokens


async def test_tokens_come_and_go(fake: FakeFanvue, client: FanvueClient) -> None:
    """A token is accepted from when it is added until it is expired or its seconds are over."""
    now = 1_000_000.0
    fake.world.clock = lambda: now
    fake.add_token("short", expires_in=5)
    short = client.with_options(access_token="short")
    await short.chats.create(USER)
    now += 5
    with pytest.raises(AuthenticationError):
        await short.chats.create(USER)
    fake.expire("fake-token")
    with pytest.raises(AuthenticationError):
        await client.chats.create(USER)
    for unknown in ("fake-token", "short", "never"):
        with pytest.raises(ValueError, match="does not accept"):
            fake.expire(unknown)
    with pytest.raises(RuntimeError, match="add_token"):
        _ = fake.token
    fake.add_token("next")
    assert fake.token == "next"


async def test_a_token_allows_what_its_scopes_say(fake: FakeFanvue, client: FanvueClient) -> None:
    """A missing scope is a 403 that names it; a token like another has the same scopes."""
    fake.add_token("reader", scopes=["read:chat"])
    fake.add_token("reader-2", like="reader", scopes=["read:chat"])
    for token in ("reader", "reader-2"):
        reader = client.with_options(access_token=token)
        await reader.request("GET", "/chats")
        with pytest.raises(PermissionDeniedError, match="write:chat"):
            await reader.chats.create(USER)


async def test_a_creators_token_shows_their_own_chats(fake: FakeFanvue) -> None:
    """What a creator's token does is what an agency's token does for them."""
    anna = fake.creators.add(handle="anna")
    fake.add_token("anna", user=anna)
    async with fake.client(access_token="anna") as client:
        await client.chats.create(USER)

    assert fake.creator(anna).chats == [USER]
    assert fake.chats == []
