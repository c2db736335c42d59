"""The worker, as a program of its own that is stopped."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rich", reason="what requirements-docs.txt lists is not installed")

from support.programs import Program, assert_clean, started, until
from support.users import user

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

CONCURRENCY = 8
VERSION_ERROR = {"error": "Unsupported API version", "message": "2025-06-26 is unknown"}


class Job:
    """A list of users for the worker."""

    def __init__(self, fake: FakeFanvue, folder: Path) -> None:
        self.fake = fake
        self.users = folder / "users.txt"

    def start(self, users: Iterable[str]) -> AbstractAsyncContextManager[Program]:
        """Start the worker on a list of users."""
        self.users.write_text("\n".join(users), encoding="utf-8")
        return started(
            *("worker.py", self.users, "--concurrency", str(CONCURRENCY)),
            FANVUE_ACCESS_TOKEN=self.fake.token,
            FANVUE_BASE_URL=self.fake.url,
        )

    async def run(self, users: Iterable[str]) -> tuple[int | None, str]:
        """Run the worker to its end; return its status and its output in one line."""
        async with self.start(users) as program:
            output = await program.finish()
        assert_clean(output)
        assert self.fake.token not in output
        return program.process.returncode, " ".join(output.split())


@pytest.fixture
def job(fake: FakeFanvue, tmp_path: Path) -> Job:
    """Make a job on the fake server."""
    return Job(fake, tmp_path)


def _has_read(fake: FakeFanvue, requests: int) -> bool:
    return len(fake.requests) >= requests


@pytest.mark.parametrize("header", [[], ["\ufeffname,user_uuid"]])
async def test_every_user_is_settled_once(tmp_path: Path, header: list[str]) -> None:
    """Each ends up in the summary; a second run sends nothing. A CSV with a header will do."""
    users = [user(n) for n in range(5)]
    rows = [f'"Smith, Olga",{uuid}' if header else uuid for uuid in users]
    async with FakeFanvue(not_contactable=[user(3)]) as fake:
        job = Job(fake, tmp_path)
        status, output = await job.run([*header, *rows, "", rows[0].upper()])
        assert status == 0
        for text in ("5/5", "4 done", "1 NotContactableError"):
            assert text in output
        assert sorted(request.json()["userUuid"] for request in fake.requests) == users
        assert (await job.run([*header, *rows]))[0] == 0
        assert len(fake.requests) == 5


async def test_a_line_without_a_user_ends_it(job: Job, fake: FakeFanvue) -> None:
    """An error of the list is told with its line, and nothing is noted or sent."""
    status, output = await job.run([user(0), "Olga Smith"])
    assert status == 1
    assert "line 2: no user UUID" in output
    assert fake.requests == []


async def test_an_interrupted_worker_carries_on(job: Job, fake: FakeFanvue) -> None:
    """After Ctrl-C the same command does the rest, and nobody twice."""
    users = [user(n) for n in range(150)]  # fewer than a window allows
    fake.delay(0.01, times=1_000)
    async with job.start(users) as program:
        await until(partial(_has_read, fake, 50))
        program.process.send_signal(signal.SIGINT)
        output = await program.finish()
    assert program.process.returncode == 1
    assert_clean(output)

    assert (await job.run(users))[0] == 0

    assert set(fake.chats) == set(users)
    assert len(fake.requests) <= len(users) + CONCURRENCY


async def test_an_outage_is_left_for_the_next_run(job: Job, fake: FakeFanvue) -> None:
    """What failed for now is counted, not settled, and tried by the same command later."""
    users = [user(n) for n in range(5)]
    fake.reply(501, times=3)

    status, output = await job.run(users)

    assert status == 1
    assert output.endswith("3 ServerError 2 done 3 left; the same command carries on")
    assert (await job.run(users))[0] == 0


async def test_the_rate_limit_is_waited_for(tmp_path: Path) -> None:
    """Nobody is dropped for it."""
    users = [user(n) for n in range(20)]
    async with FakeFanvue(rate_limit=(10, 1)) as fake:
        assert (await Job(fake, tmp_path).run(users))[0] == 0
        assert sorted(fake.chats) == users


@pytest.mark.parametrize(
    ("status", "document"),
    [(400, VERSION_ERROR), (401, {"error": "Unauthorized"}), (410, VERSION_ERROR)],
)
async def test_what_every_user_would_get_ends_the_run(
    job: Job, fake: FakeFanvue, status: int, document: dict[str, str]
) -> None:
    """A bad token or a retired version is no user's fault: the worker stops."""
    fake.reply(status, json=document, times=CONCURRENCY)

    ended, output = await job.run([user(n) for n in range(50)])

    assert ended == 1
    assert f"Stopped: POST /chats: {status} " in output
    assert len(fake.requests) <= CONCURRENCY
