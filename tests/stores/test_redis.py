"""The store in Redis: its settings, its failures, and what it repeats."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.servers import DURABLE, RedisServer, redis_client, redis_server

from fanvue_async import ConfigurationError, StoreError
from fanvue_async.stores import ABSENT, RedisStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    """Open a client on an empty Redis."""
    async with redis_client(redis.url) as made:
        await cast("Any", made).flushall()
        yield made


async def test_a_client_that_decodes_is_refused(redis: RedisServer) -> None:
    """Values are bytes, and not all of them are text."""
    async with redis_client(redis.url, decode_responses=True) as client:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            RedisStore(client)


async def test_another_client_is_refused() -> None:
    """A client that blocks, say, is told apart when the store is made."""
    with pytest.raises(ConfigurationError, match=r"redis\.asyncio"):
        RedisStore(cast("Any", object()))


async def test_the_client_stays_open(client: Redis) -> None:
    """It belongs to whoever made it, and other keys of its database are left alone."""
    await cast("Any", client).set("theirs", "1")
    async with RedisStore(client, prefix="ours:") as store:
        await store.put("key", b"1")

    assert await cast("Any", client).get("theirs") == b"1"
    assert await cast("Any", client).exists("ours:key")
    assert repr(store) == "<RedisStore 'ours:'>"


async def test_more_calls_than_connections(redis: RedisServer) -> None:
    """They wait for each other: redis-py would raise beyond its limit."""
    async with redis_client(redis.url, max_connections=3) as client:
        store = RedisStore(client)
        versions = await asyncio.gather(*(store.put(f"{n}", b"1") for n in range(200)))

    assert None not in versions


async def test_a_command_repeated_by_the_client_counts_once(client: Redis) -> None:
    """A put whose response was lost is sent again with the same version, and succeeds."""
    store = RedisStore(client)
    version = await store.put("key", b"1")
    assert version is not None
    change = store._changing("key", version, b"n" * 32 + b"2", "")

    assert [await change(), await change()] == [1, 1]
    entry = await store.get("key")
    assert entry is not None
    assert (entry.value, entry.version) == (b"2", "n" * 32)


async def test_a_server_that_forgot_the_script(client: Redis) -> None:
    """It is sent again after a restart of the server, or a failover."""
    store = RedisStore(client)
    await store.put("key", b"1")
    await cast("Any", client).script_flush()

    assert await store.put("key", b"2") is not None


@pytest.mark.parametrize("prefix", ["*", "a?", "[ab]", "\\", "a\\*"])
async def test_a_prefix_with_glob_characters(client: Redis, prefix: str) -> None:
    """They mean themselves in the prefix of the store as well."""
    await RedisStore(client, prefix="ab:").put("other", b"1")
    store = RedisStore(client, prefix=prefix)
    await store.put("key", b"1")

    assert [key async for key in store.keys("")] == ["key"]


async def test_a_listing_gives_each_key_once_while_others_write(client: Redis) -> None:
    """SCAN may give a key twice when its table grows meanwhile."""
    store = RedisStore(client)
    await asyncio.gather(*(store.put(f"k{n}", b"1") for n in range(600)))

    found = list[str]()
    async for key in store.keys("k"):
        found.append(key)
        if len(found) % 40 == 0:
            await asyncio.gather(*(store.put(f"other{len(found)}-{n}", b"1") for n in range(100)))

    assert sorted(found) == sorted(f"k{n}" for n in range(600))


# Settings


async def test_durable_settings_need_no_word(
    client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """With what the page asks for nothing is logged."""
    with caplog.at_level(logging.WARNING, "fanvue_async"):
        await RedisStore(client).get("key")

    assert caplog.messages == []


async def test_settings_that_forget_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A server with its default settings is a WARNING, one for each store."""
    with redis_server() as server, caplog.at_level(logging.WARNING, "fanvue_async"):
        async with redis_client(server.url) as client:
            store = RedisStore(client)
            await asyncio.gather(*(store.get("key") for _ in range(20)))

    (message,) = caplog.messages
    assert "appendonly no" in message
    assert "appendfsync everysec" in message
    assert "maxmemory-policy" not in message.split(")")[0]


async def test_settings_that_are_hidden_are_told_once(
    client: Redis, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may not ask for them can use the store all the same."""
    rules = {"enabled": True, "nopass": True, "keys": ["*"], "commands": ["+@all", "-config"]}
    await cast("Any", client).acl_setuser("bot", **rules)

    with caplog.at_level(logging.WARNING, "fanvue_async"):
        async with redis_client(redis.url, username="bot", password="any") as limited:
            store = RedisStore(limited)
            assert await store.put("key", b"1") is not None
            assert await store.get("key") is not None

    (message,) = caplog.messages
    assert "unknown settings" in message


# Failures


async def test_a_server_killed_and_started_again() -> None:
    """Calls meanwhile are StoreErrors; then the same store goes on, and nothing is forgotten."""
    with redis_server(*DURABLE) as server:
        async with redis_client(server.url, retry=None) as client:
            store = RedisStore(client)
            version = await store.put("key", b"1")
            await store.put("short", b"1", expires_in=3_600)
            server.kill()
            for call in (store.get("key"), store.put("key", b"2"), store.delete("key")):
                with pytest.raises(StoreError, match="RedisStore"):
                    await call

            server.start()

            entry = await store.get("key")
            assert entry is not None
            assert (entry.value, entry.version) == (b"1", version)
            assert await store.put("short", b"2", version=ABSENT) is None


async def test_a_server_that_is_not_there_is_looked_at_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store made before its server looks at the settings when the server has come."""
    with redis_server() as server:
        server.kill()
        async with redis_client(server.url, retry=None) as client:
            store = RedisStore(client)
            with pytest.raises(StoreError, match="ConnectionError"):
                await store.get("key")
            server.start()
            with caplog.at_level(logging.WARNING, "fanvue_async"):
                assert await store.get("key") is None

    assert len(caplog.messages) == 1


async def test_an_entry_of_another_program(client: Redis) -> None:
    """What is no entry of ours, such as a list, is a StoreError."""
    await cast("Any", client).lpush("fanvue:key", "1")

    with pytest.raises(StoreError, match="WRONGTYPE"):
        await RedisStore(client).get("key")
