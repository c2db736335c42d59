"""Situations from bug reports: tokens, accounts, limits."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from support.raw_server import refusing_port
from support.stages import Provider, waits_of
from support.users import USER, user

from fanvue_async import (
    ConfigurationError,
    DeadlineExceededError,
    FanvueClient,
    Limits,
    NotSentError,
    RateLimitError,
    RateLimits,
    TokenError,
    TokenProvider,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Callable

ANNA, BOB = "token-of-anna", "token-of-bob"


class Named(Provider):
    """A provider that says whose tokens it gives."""

    def __init__(self, account: str, token: str) -> None:
        super().__init__(token)
        self.account = account


@pytest.mark.parametrize(
    ("source", "account"),
    [(BOB, "bob"), (BOB, None), (Named("bob", BOB), None)],
    ids=["account", "token", "provider"],
)
async def test_a_new_token_without_an_account_is_an_account_of_its_own(
    source: str | TokenProvider, account: str | None
) -> None:
    """Bob's calls are never kept under Anna, whatever Anna's client was named."""
    async with (
        FakeFanvue(tokens=(ANNA, BOB), rate_limit=(100, 60)) as fake,
        fake.client(access_token=None) as root,
    ):
        anna = root.with_options(access_token=ANNA, account="anna")
        await anna.chats.create(USER)
        options: dict[str, Any] = {} if account is None else {"account": account}
        bob = anna.with_options(access_token=source, **options)
        assert bob.rate_limit is None
        for _ in range(2):
            await bob.chats.create(USER)
        assert anna.rate_limit is not None
        assert bob.rate_limit is not None
        assert (anna.rate_limit.remaining, bob.rate_limit.remaining) == (99, 98)
        # An account alone is Anna's token under another name; both together stay together.
        again = root.with_options(access_token=BOB, account="bob")
        known = again.rate_limit is not None
        assert known is (account == "bob" or not isinstance(source, str))


async def test_one_rate_limit_a_bucket(fake: FakeFanvue) -> None:
    """What goes to a creator is counted in that creator's bucket, whichever method sends it."""
    paths = {
        "/chats": 11,
        f"/creators/{user(1)}/chats": 22,
        f"/creators/{user(2).upper()}/chats": 33,
    }
    async with fake.client() as client:
        for path, remaining in paths.items():
            reset = str(int(datetime.now(UTC).timestamp()) + 60)
            fake.reply(
                200,
                json={},
                headers={
                    "X-RateLimit-Limit": "100",
                    "X-RateLimit-Remaining": str(remaining),
                    "X-RateLimit-Reset": reset,
                },
            )
            await client.request("GET", path)
        limits = [client.rate_limit, *(client.creator(user(n)).rate_limit for n in (1, 2))]
        assert [limit and limit.remaining for limit in limits] == [11, 22, 33]


class _Rotating:
    """Gives an old token until it is told that it was refused."""

    def __init__(self) -> None:
        self.token = ANNA
        self.refused = 0

    async def get_token(self) -> str:
        return self.token

    async def invalidate(self, token: str, /) -> None:
        del token
        self.refused += 1
        self.token = BOB


@pytest.mark.parametrize("rate_limits", [None, RateLimits()])
async def test_a_token_that_rotates_under_a_queue(rate_limits: RateLimits | None) -> None:
    """150 calls wait for 10 connections: at most one 401 for each connection."""
    provider, limits = _Rotating(), Limits(max_connections=10)
    async with (
        FakeFanvue(tokens=(BOB,)) as fake,
        fake.client(access_token=provider, limits=limits, rate_limits=rate_limits) as client,
    ):
        await asyncio.gather(*(client.chats.create(user(n)) for n in range(150)))
        assert len(fake.requests) <= 160
        gates = client._session.terms.pool.gates
        assert not any(gate._in_flight for gate in (gates._made if gates else ()))
    assert provider.refused <= 10


class _SharedRefresh:
    """Lets all calls await one refresh, unshielded, as programs do."""

    def __init__(self) -> None:
        self.is_running = asyncio.Event()
        self._may_end = asyncio.Event()
        self._task: asyncio.Task[str] | None = None

    async def get_token(self) -> str:
        if self._task is None:
            self._task = asyncio.create_task(self._refresh())
        return await self._task

    async def _refresh(self) -> str:
        self.is_running.set()
        await self._may_end.wait()
        return ANNA

    async def invalidate(self, token: str, /) -> None:
        del token


async def test_a_shared_refresh_that_one_call_ends(fake: FakeFanvue) -> None:
    """One call's deadline is never another's CancelledError, nor that of a later call."""
    async with fake.client(access_token=_SharedRefresh()) as client:
        hasty = client.with_options(timeout=0.02)
        calls = [view.chats.create(USER) for view in (hasty, client, client)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [DeadlineExceededError, TokenError, TokenError]
        with pytest.raises(TokenError) as caught:
            await client.chats.create(USER)
    assert caught.value.attempts == 0
    assert not caught.value.maybe_processed


async def test_a_cancel_before_a_provider_is_asked_is_no_providers(fake: FakeFanvue) -> None:
    """A task that cancels itself is cancelled by its next call, like by any other wait."""

    class Slow(Provider):
        async def get_token(self) -> Any:
            await asyncio.sleep(0)
            return await super().get_token()

    async def call() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await client.chats.create(USER)

    async with fake.client(access_token=Slow(fake.token)) as client:
        calling = asyncio.create_task(call())
        await asyncio.wait([calling])
        assert calling.cancelled()
    assert not fake.requests


class _Cancelling:
    """A provider whose first answers are cancels of nobody's."""

    def __init__(self, times: int) -> None:
        self.asked = 0
        self._times = times

    async def get_token(self) -> str:
        self.asked += 1
        if self.asked <= self._times:
            raise asyncio.CancelledError
        return "fake-token"

    async def invalidate(self, token: str, /) -> None:
        del token


async def test_a_provider_is_asked_again_after_a_cancel_of_nobodys(fake: FakeFanvue) -> None:
    """Once, for the next answer may be good."""
    provider, hopeless = _Cancelling(1), _Cancelling(2)
    async with fake.client(access_token=provider) as client:
        assert (await client.chats.create(USER)).message
        with pytest.raises(TokenError):
            await client.with_options(access_token=hopeless).chats.create(USER)
    assert provider.asked == hopeless.asked == 2


class _Plain:
    def get_token(self) -> str:
        return ANNA

    async def invalidate(self, token: str, /) -> None:
        del token


class _PlainInvalidate:
    async def get_token(self) -> str:
        return ANNA

    def invalidate(self, token: str, /) -> None:
        del token


def _without_annotations() -> object:
    return type("Silent", (_Plain,), {"get_token": staticmethod(lambda: ANNA)})()


def _with_a_mock() -> object:
    return type("Half", (_PlainInvalidate,), {"get_token": AsyncMock()})()


@pytest.mark.parametrize("kind", [_Plain, _PlainInvalidate, _without_annotations, _with_a_mock])
def test_a_provider_with_a_plain_method(kind: Callable[[], Any]) -> None:
    """It is refused when it is given."""
    with pytest.raises(ConfigurationError, match="async def"):
        FanvueClient(kind())


def test_a_mocked_provider() -> None:
    """It is one."""
    FanvueClient(MagicMock(get_token=AsyncMock(), invalidate=AsyncMock()))


async def test_a_provider_whose_method_returns_what_cannot_be_awaited(fake: FakeFanvue) -> None:
    """What could not be seen when it was given is a ConfigurationError, too."""
    client = fake.client(access_token=MagicMock())
    async with client:
        with pytest.raises(ConfigurationError):
            await client.chats.create(USER)


def test_a_provider_may_name_its_parameters_as_it_likes() -> None:
    """The protocol's parameter is positional only."""

    class Own:
        async def get_token(self) -> str:
            return ANNA

        async def invalidate(self, refused: str) -> None:
            del refused

    provider: TokenProvider = Own()  # a type checker has the last word
    assert FanvueClient(provider)
    parameter = inspect.signature(TokenProvider.invalidate).parameters["token"]
    assert parameter.kind is inspect.Parameter.POSITIONAL_ONLY


SERVERS_CLOCK = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


def _http_date(seconds: float) -> str:
    return format_datetime(SERVERS_CLOCK + timedelta(seconds=seconds), usegmt=True)


def _reset(seconds: int) -> str:
    return str(int(SERVERS_CLOCK.timestamp()) + seconds)


async def test_429_without_retry_after(fake: FakeFanvue) -> None:
    """With nothing remaining and a reset it says how long, by the server's clock."""
    fake.reply(
        429,
        headers={
            "Date": _http_date(0),
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": _reset(17),
        },
    )
    async with fake.client() as client:
        with pytest.raises(RateLimitError) as caught:
            await client.chats.create(USER)
    assert caught.value.retry_after == 17
    assert len(fake.requests) == 1


async def test_retry_after_of_a_server_whose_clock_is_ahead(fake: FakeFanvue) -> None:
    """A date is compared with the response's own Date."""
    fake.reply(503, headers={"Date": _http_date(0), "Retry-After": _http_date(2)})
    async with fake.client() as client:
        waits = waits_of(client)
        assert (await client.chats.create(USER)).message
    assert len(waits) == 1
    assert 2 <= waits[0] < 3


@pytest.mark.parametrize("token", ["e", "n", "Conn", "Errno"])
async def test_a_short_token_mangles_no_word(token: str) -> None:
    """A token of less than 8 characters is taken out of foreign text only where it stands alone."""
    with refusing_port() as port:
        client = FanvueClient(token, base_url=f"http://127.0.0.1:{port}")
        client._session.terms.pool.clockwork.sleep = lambda _: asyncio.sleep(0)
        async with client:
            with pytest.raises(NotSentError) as caught:
                await client.chats.create(USER)
    assert "Connect" in str(caught.value)


@pytest.mark.parametrize("token", ["e", "short", "a-token-of-some-length"])
async def test_a_token_in_foreign_text_is_redacted(fake: FakeFanvue, token: str) -> None:
    """Where it stands alone, a token of any length is taken out."""
    fake.reply(400, json={"message": f"no such token: {token}."})
    async with fake.client(access_token=token) as client:
        with pytest.raises(Exception, match=r"no such token: \[token\]\.$"):
            await client.chats.create(USER)
