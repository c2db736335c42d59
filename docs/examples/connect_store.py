"""The store that the backend and the bot share: a file, or Redis for several machines."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fanvue_async.oauth import OAuthApp
from fanvue_async.stores import SQLiteStore, Store


@asynccontextmanager
async def open_store() -> AsyncGenerator[Store]:
    """Open what FANVUE_STORE names: the path of a file, or the URL of a Redis."""
    where = os.environ.get("FANVUE_STORE", "fanvue.db")
    if where.startswith(("redis://", "rediss://", "unix://")):
        from redis.asyncio import Redis  # noqa: PLC0415 - pip install "/path/to/the/clone[redis]"

        from fanvue_async.stores import RedisStore  # noqa: PLC0415 - likewise

        made = Redis.from_url(where)  # pyright: ignore[reportUnknownMemberType] - not annotated
        async with made as redis:
            yield RedisStore(redis)
    else:
        async with SQLiteStore(where) as store:
            yield store


@asynccontextmanager
async def open_app(store: Store) -> AsyncGenerator[OAuthApp]:
    """Open the application with what Fanvue shows of it."""
    async with OAuthApp(
        os.environ["FANVUE_CLIENT_ID"],
        os.environ["FANVUE_CLIENT_SECRET"],
        os.environ["FANVUE_REDIRECT_URI"],
        store=store,
        auth_url=os.environ.get("FANVUE_AUTH_URL", "https://auth.fanvue.com"),
    ) as app:
        yield app
