"""The content scheduler, as a program of its own that is killed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rich", reason="what requirements-docs.txt lists is not installed")

from support.programs import Program, assert_clean, started, until

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fanvue_async.testing import FakeFanvue, ReceivedRequest

LATER = "2099-01-15T18:00:00+01:00"
ROWS = [
    f"sunset.jpg,{LATER},Tonight,,",
    f"beach.mp4,{LATER},The whole day,999,followers-and-subscribers",
    "old.jpg,2020-01-01T00:00:00Z,Long ago,,",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a folder with three files and their schedule."""
    for name in ("sunset.jpg", "beach.mp4", "old.jpg"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    write(tmp_path, ROWS)
    return tmp_path


def write(folder: Path, rows: list[str]) -> None:
    """Write a schedule."""
    header = "file,publish_at,text,price,audience"
    (folder / "schedule.csv").write_text("\n".join([header, *rows]), encoding="utf-8")


def start(fake: FakeFanvue, folder: Path) -> AbstractAsyncContextManager[Program]:
    """Start the scheduler."""
    return started("scheduler.py", folder, FANVUE_ACCESS_TOKEN=fake.token, FANVUE_BASE_URL=fake.url)


async def run(fake: FakeFanvue, folder: Path) -> tuple[int | None, str]:
    """Run the scheduler to its end; return its status and its output in one line."""
    async with start(fake, folder) as program:
        output = await program.finish()
    assert_clean(output)
    return program.process.returncode, " ".join(output.split())


def posts(fake: FakeFanvue) -> list[ReceivedRequest]:
    """Give the requests that made posts."""
    return [one for one in fake.requests if (one.method, one.path) == ("POST", "/posts")]


async def test_every_row_is_uploaded_and_scheduled_once(fake: FakeFanvue, folder: Path) -> None:
    """Files, texts, prices and times arrive as written; a second run sends nothing."""
    status, output = await run(fake, folder)
    assert (status, "All is scheduled." in output) == (0, True)
    made = sorted((one.json() for one in posts(fake)), key=lambda post: post["text"])
    assert [post["text"] for post in made] == ["Long ago", "The whole day", "Tonight"]
    assert made[1]["price"] == 999
    assert made[1]["audience"] == "followers-and-subscribers"
    assert made[2]["publishAt"] == "2099-01-15T18:00:00.000+01:00"
    assert "publishAt" not in made[0]
    assert fake.uploads.content(made[2]["mediaUuids"][0]) == b"sunset.jpg" * 1000

    sent = len(fake.requests)
    assert (await run(fake, folder))[0] == 0
    assert len(fake.requests) == sent


@pytest.mark.parametrize("step", ["PATCH", "POST /posts"])
async def test_a_killed_scheduler_carries_on(fake: FakeFanvue, folder: Path, step: str) -> None:
    """After kill -9, in an upload or behind it, the same command does the rest: no post twice."""
    write(folder, ROWS[:2])
    fake.delay(30, on="POST /posts" if step == "POST /posts" else "PATCH /media/uploads/{uploadId}")

    def is_reached() -> bool:
        return any(f"{one.method} {one.path}".startswith(step) for one in fake.requests)

    async with start(fake, folder) as program:
        await until(is_reached)
        program.process.send_signal(signal.SIGKILL)
        await program.finish()
    status, output = await run(fake, folder)

    texts = [one.json()["text"] for one in posts(fake)]
    assert len(texts) == len(set(texts))
    if step == "PATCH":
        assert (status, sorted(texts)) == (0, ["The whole day", "Tonight"])
    else:  # the one that was in flight may be there already
        assert (status, "unknown" in output) == (1, True)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("missing.jpg,2099-01-15T18:00:00Z,Hi,,", "line 2: there is no missing.jpg"),
        ("sunset.jpg,2099-01-15T18:00:00,Hi,,", "line 2: publish_at needs an offset"),
        ("sunset.jpg,tomorrow,Hi,,", "line 2: Invalid isoformat string"),
        ("sunset.jpg,2099-01-15T18:00:00Z,Hi,9.99,", "line 2: invalid literal for int"),
    ],
)
async def test_a_bad_line_ends_it(fake: FakeFanvue, folder: Path, row: str, expected: str) -> None:
    """What is wrong is told with its line, and nothing is sent."""
    write(folder, [row])
    status, output = await run(fake, folder)

    assert status == 1
    assert expected in output
    assert fake.requests == []


async def test_a_missing_scope_ends_the_run(fake: FakeFanvue, folder: Path) -> None:
    """What every file would meet stops the scheduler; the same command carries on later."""
    fake.reply(403, json={"error": "Forbidden"}, on="POST /media/uploads", times=2)
    status, output = await run(fake, folder)
    assert (status, "Stopped" in output) == (1, True)

    assert (await run(fake, folder))[0] == 0
    assert len(posts(fake)) == 3
