"""Worker processes on any number of machines that share one list, one store and one rate limit.

Install, start workers, and hand them a list of user UUIDs, one a line::

    pip install "/path/to/the/clone[redis]" taskiq taskiq-redis
    export FANVUE_ACCESS_TOKEN=… REDIS_URL=redis://localhost
    taskiq worker taskiq_workers:broker --workers 4
    python taskiq_workers.py users.txt 4

Each worker takes one task from the queue and works through the same list; the marks of the bulk in
Redis make sure that each user is handled once. A worker that is killed has its task taken up by
another. Redis needs the settings of the page on stores.
"""

import asyncio
import os
import sys
from pathlib import Path

from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

from fanvue_async import FanvueClient, RateLimits, Timeout, bulk
from fanvue_async.stores import RedisStore

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost")
broker = RedisStreamBroker(REDIS_URL, idle_timeout=60_000)


@broker.task
async def open_chats(name: str, users: list[str]) -> None:
    """Open a chat with each user that no other worker has taken."""
    redis = Redis.from_url(REDIS_URL)  # pyright: ignore[reportUnknownMemberType] - not annotated
    async with redis:
        store = RedisStore(redis)
        async with FanvueClient(
            timeout=Timeout(total=180), rate_limits=RateLimits(max_wait=120, store=store)
        ) as fanvue:
            chats = bulk.each(users, fanvue.chats.create, store=store, name=name)
            async for done in chats:
                print(done.outcome, done.item, done.error or "", flush=True)


async def hand_out(name: str, users: list[str], workers: int) -> None:
    """Hand the list to so many workers."""
    await broker.startup()
    for _ in range(workers):
        await open_chats.kiq(name, users)
    await broker.shutdown()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    users = path.read_text(encoding="utf-8-sig").split()
    asyncio.run(hand_out(path.name, users, int(sys.argv[2])))
