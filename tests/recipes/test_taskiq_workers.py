"""Worker processes of taskiq that share a list, a store and a rate limit over a real Redis."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("taskiq", reason="what requirements-docs.txt lists is not installed")

from support.programs import EXAMPLES
from support.servers import DURABLE, redis_client, redis_server
from support.users import user

from fanvue_async import bulk
from fanvue_async.stores import RedisStore
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from pathlib import Path

USERS = 90


@pytest.mark.timeout(120)
async def test_workers_share_a_list_and_a_limit(tmp_path: Path) -> None:
    """Three workers open a chat with each user once, and none of them meets a 429."""
    path = tmp_path / "users.txt"
    path.write_text("\n".join(user(n) for n in range(USERS)))
    async with FakeFanvue(rate_limit=(40, 2.0)) as fake:
        with redis_server(*DURABLE) as redis:
            environment = {
                **os.environ,
                "REDIS_URL": redis.url,
                "FANVUE_ACCESS_TOKEN": fake.token,
                "FANVUE_BASE_URL": fake.url,
            }

            async def start(*arguments: str) -> asyncio.subprocess.Process:
                return await asyncio.create_subprocess_exec(
                    *(sys.executable, *arguments), cwd=EXAMPLES, env=environment
                )

            workers = await start("-m", "taskiq", "worker", "taskiq_workers:broker", "--workers=3")
            try:
                kicking = await start("taskiq_workers.py", str(path), "3")
                assert await kicking.wait() == 0
                async with redis_client(redis.url) as client:
                    store = RedisStore(client)
                    while (await bulk.progress(path.name, store=store)).done < USERS:  # noqa: ASYNC110 - of others
                        await asyncio.sleep(0.2)
            finally:
                workers.terminate()
                await workers.wait()
        assert sorted(fake.chats) == sorted(user(n) for n in range(USERS))
        assert len(fake.requests) == USERS
        assert fake.buckets.refused == 0
