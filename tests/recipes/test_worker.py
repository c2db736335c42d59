"""The worker, as a program of its own that is stopped and killed."""

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
    """A list of users for the worker, and what it noted of them."""

    def __init__(self, fake: FakeFanvue, folder: Path) -> None:
        self.fake = fake
        self.users = folder / "users.txt"
        self.resume = folder / "users.txt.done"

    def start(self, users: Iterable[str]) -> AbstractAsyncContextManager[Program]:
        """Start the worker on a list of users."""
        self.users.write_text("\n".join(users))
        return started(
            *("worker.py", self.users, "--concurrency", str(CONCURRENCY)),
            FANVUE_ACCESS_TOKEN=self.fake.token,
            FANVUE_URL=self.fake.url,
        )

    async def run(self, users: Iterable[str]) -> tuple[int | None, str]:
        """Run the worker to its end; return its status and its output in one line."""
        async with self.start(users) as program:
            output = await program.finish()
        assert_clean(output)
        assert self.fake.token not in output
        return program.process.returncode, " ".join(output.split())

    def noted(self) -> list[str]:
        """Return the users of the resume file's whole lines."""
        lines = self.resume.read_text().split("\n")[:-1]
        return [line.partition(" ")[2] for line in lines]

    def sent(self, since: int = 0) -> list[str]:
        """Return the users of the requests that the server read."""
        return [request.json()["userUuid"] for request in self.fake.requests[since:]]


@pytest.fixture
def job(fake: FakeFanvue, tmp_path: Path) -> Job:
    """Make a job on the fake server."""
    return Job(fake, tmp_path)


def _has_read(fake: FakeFanvue, requests: int) -> bool:
    return len(fake.requests) >= requests


async def test_every_user_is_settled_once(tmp_path: Path) -> None:
    """Each ends up in the summary and the resume file; a second run sends nothing."""
    users = [user(n) for n in range(5)]
    async with FakeFanvue(not_contactable=[user(3)]) as fake:
        job = Job(fake, tmp_path)
        status, output = await job.run([*users, "", " Olga Smith ", users[0].upper()])
        assert status == 0
        for text in ("6/6", "4 created", "1 NotContactableError", "1 InvalidArgumentError"):
            assert text in output
        assert sorted(job.sent()) == users
        assert sorted(job.noted()) == [*users, "olga smith"]

        assert (await job.run([*users, "Olga Smith"]))[0] == 0
        assert len(fake.requests) == 5


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
async def test_a_stopped_worker_carries_on(job: Job, fake: FakeFanvue, stop: int) -> None:
    """However it is stopped: what is noted is not sent again, and nobody is lost."""
    users = [user(n) for n in range(400)]
    fake.delay(0.01, times=1_000)
    stops: list[tuple[int, set[str]]] = []
    for goal in (50, 150, 250):
        async with job.start(users) as program:
            await until(partial(_has_read, fake, goal))
            program.process.send_signal(stop)
            output = await program.finish()
        if stop == signal.SIGINT:
            assert program.process.returncode == 1
            assert_clean(output)
        stops.append((len(fake.requests), set(job.noted())))
        assert len(set(job.sent()) - set(job.noted())) <= CONCURRENCY

    assert (await job.run(users))[0] == 0

    for requests, noted in stops:
        assert not noted & set(job.sent(since=requests))
    assert sorted(job.noted()) == users
    assert set(fake.chats) == set(users)
    assert len(fake.requests) <= len(users) + CONCURRENCY * len(stops)


async def test_a_torn_line_is_no_settled_user(job: Job, fake: FakeFanvue) -> None:
    """After a power failure the last line may be cut; its user is sent again, the others not."""
    job.resume.write_text(f"created {user(0)}\ncreated {user(1)}"[:-3])

    assert (await job.run([user(0), user(1)]))[0] == 0

    assert fake.chats == [user(1)]
    assert {user(0), user(1)} <= set(job.noted())


async def test_an_outage_is_left_for_the_next_run(job: Job, fake: FakeFanvue) -> None:
    """What failed for now is counted, not noted, and tried by the same command later."""
    users = [user(n) for n in range(5)]
    fake.reply(501, times=3)

    status, output = await job.run(users)

    assert status == 1
    assert output.endswith("3 ServerError 2 created 3 left; the same command carries on")
    assert len(job.noted()) == 2

    assert (await job.run(users))[0] == 0
    assert len(fake.requests) == 5 + 3


async def test_the_rate_limit_holds_everybody_back(tmp_path: Path) -> None:
    """A 429 stops all calls until the API says to come back; no user is dropped for it."""
    users = [user(n) for n in range(20)]
    async with FakeFanvue(rate_limit=(10, 0.5)) as fake:
        job = Job(fake, tmp_path)
        assert (await job.run(users))[0] == 0

        assert sorted(fake.chats) == users
        assert len(fake.requests) <= len(users) + CONCURRENCY


@pytest.mark.parametrize(
    ("status", "document"),
    [(400, VERSION_ERROR), (401, {"error": "Unauthorized"}), (410, VERSION_ERROR)],
)
async def test_what_every_user_would_meet_ends_the_run(
    job: Job, fake: FakeFanvue, status: int, document: dict[str, str]
) -> None:
    """A bad token or a retired version is no user's fault: nobody is noted, the worker stops."""
    fake.reply(status, json=document, times=CONCURRENCY)

    ended, output = await job.run([user(n) for n in range(50)])

    assert ended == 1
    assert f"Stopped: POST /chats: {status} " in output
    assert "50 left" in output
    assert job.noted() == []
    assert len(fake.requests) <= CONCURRENCY
