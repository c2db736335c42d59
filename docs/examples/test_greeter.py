"""Tests of a bot's own function against a fake Fanvue: no network, no mock objects.

Install and run::

    pip install /path/to/the/clone pytest pytest-asyncio
    pytest -p fanvue_async.pytest_plugin test_greeter.py

Usually the plugin is named in the ``conftest.py`` beside the ``pytest.ini`` instead.
"""

import math

import pytest

from fanvue_async import FanvueClient, NotContactableError, RateLimitError, ServerError
from fanvue_async.testing import FakeFanvue

pytestmark = pytest.mark.asyncio

ALICE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
BOB = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


async def greet(fanvue: FanvueClient, user: str) -> str:
    """Open a chat with a new fan: the code under test, usually in your own module."""
    try:
        await fanvue.chats.create(user)
    except NotContactableError:
        return "not contactable"
    except RateLimitError as error:
        seconds = 60 if error.retry_after is None else error.retry_after
        return f"again in {math.ceil(seconds)} s"
    return "greeted"


async def test_a_fan_is_greeted(fake_fanvue: FakeFanvue, fanvue_client: FanvueClient) -> None:
    """The fake records its requests."""
    assert await greet(fanvue_client, ALICE) == "greeted"
    assert fake_fanvue.chats == [ALICE]
    assert fake_fanvue.requests[0].json() == {"userUuid": ALICE}


@pytest.mark.fake_fanvue(not_contactable=[BOB])
async def test_a_fan_who_wants_no_chats(fanvue_client: FanvueClient) -> None:
    """The mark sets the fake up."""
    assert await greet(fanvue_client, BOB) == "not contactable"


async def test_rate_limit(fake_fanvue: FakeFanvue, fanvue_client: FanvueClient) -> None:
    """The next response can be anything."""
    fake_fanvue.reply(429, headers={"Retry-After": "42"})

    assert await greet(fanvue_client, ALICE) == "again in 42 s"


async def test_transient_failures(fake_fanvue: FakeFanvue, fanvue_client: FanvueClient) -> None:
    """A 503, then a cut connection: the client retries, without waiting in a test."""
    fake_fanvue.reply(503)
    fake_fanvue.drop("request")

    assert await greet(fanvue_client, ALICE) == "greeted"
    assert [request.path for request in fake_fanvue.requests] == ["/chats"] * 3


async def test_an_outage(fake_fanvue: FakeFanvue, fanvue_client: FanvueClient) -> None:
    """What the bot does not handle reaches its caller."""
    fake_fanvue.reply(503, times=3)

    with pytest.raises(ServerError):
        await greet(fanvue_client, ALICE)


async def test_a_client_of_my_own(fake_fanvue: FakeFanvue) -> None:
    """A program that makes its own client needs the address and a token."""
    async with FanvueClient(fake_fanvue.token, base_url=fake_fanvue.url, timeout=5) as fanvue:
        assert await greet(fanvue, ALICE) == "greeted"
