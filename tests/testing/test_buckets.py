"""The buckets of the fake: how many requests pass, and what each answer says of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from support.by_hand import changed, send
from support.users import USER, user

from fanvue_async import (
    FanvueClient,
    RateLimitError,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Mapping


RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SOON = 2.0  # seconds in which what should take none is over on any machine


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.25

    def time(self) -> float:
        """Return the Unix time."""
        return self.now


@pytest.fixture
def clock(fake: FakeFanvue) -> Clock:
    """Let the fake server's windows pass without waiting for them."""
    made = Clock()
    fake.world.clock = made.time
    return made


# The rate limit


@pytest.mark.parametrize(
    ("changes", "path", "status"),
    [
        ({}, "/chats", 201),
        ({"Authorization": None}, "/chats", 401),
        ({"X-Fanvue-API-Version": None}, "/chats", 400),
        ({"X-Fanvue-API-Version": "2024-01-01"}, "/chats", 410),
        ({}, "/unknown", 404),
    ],
)
async def test_every_answer_reports_the_documented_limit(
    fake: FakeFanvue, clock: Clock, changes: dict[str, str | None], path: str, status: int
) -> None:
    """Without a limit of its own the fake reports the documented one: 200 in 60 seconds."""
    answer = await send(fake.url, path=path, headers=changed(changes))

    assert answer.status == status
    assert rate_limit(answer.headers) == (200, 199, 1_000_060)
    assert clock.now == 1_000_000.25


async def test_a_scripted_answer_reports_the_limit_too(fake: FakeFanvue) -> None:
    """A reply carries the rate-limit headers unless it brings its own."""
    fake.reply(503)
    fake.reply(503, headers={"x-ratelimit-remaining": "7"})
    fake.reply(201, json={"message": ""}, headers={"X-RateLimit-Limit": "5"})

    given = [rate_limit((await send(fake.url)).headers)[:2] for _ in range(3)]

    assert given == [(200, 199), (200, 7), (5, 199)]


async def test_nobody_is_refused_without_a_limit(fake: FakeFanvue, client: FanvueClient) -> None:
    """A fake without a limit lets more requests through than the documented one would."""
    for _ in range(250):
        await client.chats.create(USER)

    assert len(fake.requests) == 250
    assert client.rate_limit is not None
    assert client.rate_limit.remaining == 199


async def test_the_bucket_empties_and_is_filled_again_as_a_whole() -> None:
    """The limit holds within a window, which ends at a whole second and fills it again."""
    clock = Clock()
    async with FakeFanvue(rate_limit=(2, 60)) as fake:
        fake.world.clock = clock.time
        seen: list[tuple[int, int, int, str | None]] = []
        for seconds in (0, 20.5, 0.5, 38.5, 0.25, 0, 0, 600):
            clock.now += seconds
            answer = await send(fake.url)
            limit, remaining, reset = rate_limit(answer.headers)
            assert limit == 2
            seen.append((answer.status, remaining, reset, answer.headers.get("Retry-After")))
            if answer.status == 429:
                assert answer.json().keys() == {"error"}

    assert seen == [
        (201, 1, 1_000_060, None),
        (201, 0, 1_000_060, None),
        (429, 0, 1_000_060, "39"),
        (429, 0, 1_000_060, "1"),
        (201, 1, 1_000_120, None),  # exactly at the window's end
        (201, 0, 1_000_120, None),
        (429, 0, 1_000_120, "60"),
        (201, 1, 1_000_720, None),
    ]
    assert len(fake.chats) == 5


async def test_a_client_is_told_of_the_limit() -> None:
    """The 429 becomes a RateLimitError, and the limit is there before that."""
    async with FakeFanvue(rate_limit=(1, 60)) as fake, fake.client() as client:
        await client.chats.create(USER)
        assert client.rate_limit is not None
        assert (client.rate_limit.limit, client.rate_limit.remaining) == (1, 0)

        with pytest.raises(RateLimitError) as caught:
            await client.chats.create(USER)

        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 60
        assert len(fake.requests) == 2


async def test_each_token_has_its_own_bucket() -> None:
    """What one token used up, another still has; a wrong one is 401 however often it comes."""
    async with FakeFanvue(tokens=["one", "two"], rate_limit=(1, 60)) as fake:
        statuses = [
            (await send(fake.url, headers=changed({"Authorization": f"Bearer {token}"}))).status
            for token in ("one", "one", "two", "two", "wrong", "wrong", "wrong")
        ]

    assert statuses == [201, 429, 201, 429, 401, 401, 401]


async def test_each_creator_has_a_bucket() -> None:
    """Under ``/creators/{creatorUserUuid}/`` each has their own; the rest shares one."""
    async with FakeFanvue(rate_limit=(1, 60)) as fake:
        anna, bella = fake.creators.add(), fake.creators.add()
        statuses = [
            (await send(fake.url, method="GET", path=path)).status
            for path in (
                f"/creators/{anna}/chats",
                f"/creators/{bella}/chats",
                f"/creators/{anna.upper()}/followers",
                f"/creators/{anna}/nothing",
                f"/v1/creators/{bella}/chats",
                "/chats",
                "/agencies/chats",
                "/creators",
            )
        ]
        assert statuses == [200, 200, 429, 429, 429, 200, 429, 429]
        assert fake.buckets.refused == 5


async def test_tokens_of_one_user_share_a_bucket() -> None:
    """Those of one creator do, and so does a renewed token that is like another."""
    async with FakeFanvue(rate_limit=(2, 60)) as fake:
        anna = fake.creators.add()
        for token in ("one", "two"):
            fake.add_token(token, user=anna)
        fake.add_token("new", like="fake-token")
        fake.add_token("newer", like="two")
        statuses = [
            (await send(fake.url, headers=changed({"Authorization": f"Bearer {token}"}))).status
            for token in ("one", "two", "newer", "fake-token", "new", "new")
        ]

    assert statuses == [201, 201, 429, 201, 201, 429]


async def test_an_endpoint_can_have_its_own_limit() -> None:
    """It has buckets of its own, of which its answers tell; others are as before."""
    async with FakeFanvue(rate_limit=(5, 60)) as fake:
        fake.buckets.set_limit("GET /chats", 1, 30)
        told = [
            (answer.status, *rate_limit(answer.headers)[:2])
            for answer in [
                await send(fake.url, method=method) for method in ("GET", "GET", "POST", "POST")
            ]
        ]

        fake.buckets.set_limit("GET /chats", 3, 30)
        changed_limit = await send(fake.url, method="GET")

    assert told == [(200, 1, 0), (429, 1, 0), (201, 5, 4), (201, 5, 3)]
    assert rate_limit(changed_limit.headers)[:2] == (3, 1)


async def test_an_endpoints_limit_holds_where_nothing_else_does(fake: FakeFanvue) -> None:
    """Without a limit for all, that of an endpoint is enforced all the same."""
    fake.buckets.set_limit("GET /chats/{userUuid}/messages", 1, 30)
    path = "/chats/{}/messages"
    statuses = [
        (await send(fake.url, method="GET", path=path.format(user(number)))).status
        for number in (1, 2)
    ]

    assert statuses == [404, 429]


async def test_other_programs_use_up_their_share() -> None:
    """A share is drawn evenly over each window, and is full again with the next."""
    clock = Clock()
    async with FakeFanvue(rate_limit=(8, 4)) as fake:
        fake.world.clock = clock.time
        remaining: list[int] = []
        for seconds in (0, 1, 1, 1.5, 0.25):
            clock.now += seconds
            fake.buckets.others = 0.5  # also for the bucket that is in use
            remaining.append(rate_limit((await send(fake.url)).headers)[1])

    assert remaining == [7, 5, 3, 1, 7]


@pytest.mark.parametrize(("limit", "seconds"), [(0, 1), (1, 0), (1.5, 1), (1, math.nan)])
def test_a_limit_must_make_sense(limit: Any, seconds: float) -> None:
    """A limit that could not be meant is refused when it is set."""
    with pytest.raises(ValueError, match="number of requests"):
        FakeFanvue().buckets.set_limit("GET /chats", limit, seconds)


def rate_limit(headers: Mapping[str, str]) -> tuple[int, int, int]:
    """Read limit, remaining and reset, all of which must be there."""
    limit, remaining, reset = (int(headers[name]) for name in RATE_LIMIT_HEADERS)
    return limit, remaining, reset
