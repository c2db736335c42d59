"""Waiting for the rate limit, as a caller and the server see it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.stages import Provider, until
from support.users import USER

from fanvue_async import (
    ClientStateError,
    ConfigurationError,
    DeadlineExceededError,
    FanvueClient,
    RateLimitError,
    RateLimits,
    RetryPolicy,
    Timeout,
)
from fanvue_async.stores import MemoryStore
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def limited() -> AsyncIterator[FakeFanvue]:
    """Run a fake whose buckets hold five requests a minute."""
    async with FakeFanvue(rate_limit=(5, 60.0)) as server:
        yield server


def on(fake: FakeFanvue, **options: Any) -> FanvueClient:
    """Make a client that waits for the rate limit."""
    settings = RateLimits(**options.pop("rate_limits", {}))
    return fake.client(rate_limits=settings, **options)


async def use_up(client: FanvueClient, count: int = 5) -> None:
    """Use up the bucket of a client."""
    for _ in range(count):
        await client.chats.create(USER)


@pytest.mark.parametrize("store", [None, MemoryStore()])
async def test_calls_wait_for_the_next_window(store: MemoryStore | None) -> None:
    """Three times what a window allows succeeds, without a single 429."""
    limits = {"store": store}
    async with FakeFanvue(rate_limit=(10, 1.0)) as fake, on(fake, rate_limits=limits) as client:
        await asyncio.gather(*(client.chats.create(USER) for _ in range(30)))
        assert len(fake.requests) == 30
        assert fake.buckets.refused == 0


@pytest.mark.parametrize("limits", [{"max_wait": 0.5}, {"max_wait": 3_600.0}])
async def test_a_wait_in_vain_is_not_begun(limited: FakeFanvue, limits: dict[str, float]) -> None:
    """What cannot be sent in time fails at once, by max_wait or by the deadline."""
    async with on(limited, rate_limits=limits, timeout=Timeout(total=2.0)) as client:
        await use_up(client)
        with pytest.raises(RateLimitError, match="max_wait") as caught:
            await client.chats.create(USER)
        assert (caught.value.attempts, caught.value.maybe_processed) == (0, False)
        assert not caught.value.from_api
        assert caught.value.retry_after is not None
        assert 50 < caught.value.retry_after <= 60
        assert len(limited.requests) == 5


async def test_a_429_that_comes_all_the_same_is_waited_out(fake: FakeFanvue) -> None:
    """It takes no attempt: with a single one, the call succeeds after two of them."""
    retry = RetryPolicy.never()
    async with on(fake, retry=retry) as client:
        fake.reply(429, json={"error": "slow down"}, headers={"Retry-After": "0"}, times=1)
        fake.reply(429, json={"error": "slow down"}, headers={"Retry-After": "1"}, times=1)
        assert (await client.chats.create(USER)).message
        assert len(fake.requests) == 3


async def test_a_429_to_a_renewed_token_is_waited_out(fake: FakeFanvue) -> None:
    """The wait is the call's, whatever made it ask again."""
    provider = Provider("old-token", "fake-token")
    async with on(fake, access_token=provider, retry=RetryPolicy.never()) as client:
        fake.reply(401, json={"error": "expired"}, times=1)
        fake.reply(429, json={"error": "slow down"}, headers={"Retry-After": "0"}, times=1)
        assert (await client.chats.create(USER)).message
        assert len(fake.requests) == 3


async def test_a_429_that_asks_for_too_much_is_raised(fake: FakeFanvue) -> None:
    """The API's own word is raised when its wait does not fit."""
    async with on(fake, rate_limits={"max_wait": 1.0}) as client:
        fake.reply(429, json={"error": "slow down"}, headers={"Retry-After": "30"})
        with pytest.raises(RateLimitError, match="slow down") as caught:
            await client.chats.create(USER)
        assert caught.value.retry_after == 30
        assert len(fake.requests) == 1


async def test_the_hook_tells_of_waits(caplog: pytest.LogCaptureFixture) -> None:
    """It gets the bucket and the seconds; one that raises is logged once and ignored."""
    waits: list[tuple[str, float]] = []

    def hook(bucket: str, seconds: float) -> None:
        waits.append((bucket, seconds))
        raise RuntimeError("a bug")

    async with (
        FakeFanvue(rate_limit=(2, 2.0)) as fake,
        on(fake, rate_limits={"on_wait": hook}) as client,
    ):
        anna = client.with_options(account="anna")
        creator = anna.creator(fake.creators.add(handle="creator"))
        for _ in range(3):
            await asyncio.gather(anna.chats.create(USER), creator.chats.create(USER))
    assert {bucket for bucket, _ in waits} == {"anna", f"anna/{creator._session.creator}"}
    assert all(0 < seconds <= 2.1 for _, seconds in waits)
    assert caplog.text.count("on_wait hook raised") == 1


@pytest.mark.parametrize("blocked", [0.0, 0.35])
async def test_the_deadline_ends_a_wait(limited: FakeFanvue, blocked: float) -> None:
    """A wait that turned out longer than it looked ends with the call's deadline.

    So does one that begins so late, in a loop that was blocked, that no wait would be in time.
    """

    def looked_short(_: int) -> float:
        time.sleep(blocked)
        return 0.0

    client = on(limited, timeout=Timeout(total=0.3))
    async with client:
        await use_up(client.with_options(timeout=Timeout(total=30.0)))
        bucket = client._session.terms.bucket(client._session.terms.credential.fixed, None)  # type: ignore[union-attr] # there are some
        gate = bucket.gates.main  # type: ignore[union-attr] # there are some
        gate.seconds_for = looked_short  # type: ignore[method-assign] # what a test replaces
        with pytest.raises(DeadlineExceededError):
            await client.chats.create(USER)


@pytest.mark.parametrize("drain", [0.0, 5.0])
async def test_closing_ends_the_waits(limited: FakeFanvue, drain: float) -> None:
    """Whoever waits for the rate limit is told at once that the client was closed."""
    client = on(limited, rate_limits={"max_wait": 600.0}, timeout=Timeout(total=600.0))
    await use_up(client)
    calls = [asyncio.create_task(client.chats.create(USER)) for _ in range(20)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(3):
        await client.aclose(drain=drain)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {ClientStateError}
    assert len(limited.requests) == 5


async def test_what_ends_the_wait_after_a_429_is_told() -> None:
    """The client's end, or a token that cannot be had: not the 429 from before."""
    async with FakeFanvue() as fake:
        fake.reply(429, headers={"Retry-After": "1"}, times=2)
        client = on(fake)
        closed = asyncio.create_task(client.chats.create(USER))
        other = on(fake, access_token=Provider("one", "no token"))
        await until(lambda: len(fake.requests) == 1)
        refused = asyncio.create_task(other.chats.create(USER))
        await until(lambda: len(fake.requests) == 2)
        await client.aclose()
        with pytest.raises(ClientStateError):
            await closed
        with pytest.raises(ConfigurationError):
            await refused
        await other.aclose()


async def test_without_the_setting_a_429_is_raised(limited: FakeFanvue) -> None:
    """The default is to raise at once, after one request."""
    async with limited.client() as client:
        await use_up(client)
        with pytest.raises(RateLimitError):
            await client.chats.create(USER)
        assert len(limited.requests) == 6


async def test_a_request_that_never_left_is_given_back(limited: FakeFanvue) -> None:
    """A connection that is refused uses nothing up."""
    async with on(limited, retry=RetryPolicy(max_attempts=2)) as client:
        await use_up(client, 1)
        limited.refuse(times=1)
        await use_up(client, 4)
        assert len(limited.requests) == 5


@pytest.mark.parametrize(
    "settings",
    [
        {"max_wait": -1},
        {"max_wait": True},
        {"max_wait": float("nan")},
        {"store": object()},
        {"on_wait": 1},
        {"on_wait": asyncio.sleep},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    """They are refused when they are made."""
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        RateLimits(**settings)
    with pytest.raises(ConfigurationError, match="rate_limits"):
        FanvueClient("token", rate_limits=1)  # type: ignore[arg-type] # what is refused
