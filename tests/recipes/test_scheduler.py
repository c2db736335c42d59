"""The content scheduler, as a program of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("rich", reason="what requirements-docs.txt lists is not installed")

from support.programs import assert_clean, started

if TYPE_CHECKING:
    from pathlib import Path

    from fanvue_async.testing import FakeFanvue

LIST = """\
file,publish_at,audience,text,price
sunset.jpg,2026-12-24T18:00:00+01:00,subscribers,Merry Christmas,
beach.jpg,2026-12-31T23:00:00+01:00,followers-and-subscribers,Happy New Year,999
"""


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """Write a list and its files."""
    for name in ("sunset.jpg", "beach.jpg"):
        (tmp_path / name).write_bytes(name.encode() * 1_000)
    path = tmp_path / "posts.csv"
    path.write_text(LIST)
    return path


async def _run(fake: FakeFanvue, posts: Path) -> tuple[int | None, str]:
    environment = {"FANVUE_ACCESS_TOKEN": fake.token, "FANVUE_BASE_URL": fake.url}
    async with started("scheduler.py", posts, **environment) as program:
        output = await program.finish()
    assert_clean(output)
    return program.process.returncode, " ".join(output.split())


def _posted(fake: FakeFanvue) -> list[dict[str, Any]]:
    bodies = [
        json.loads(request.body)
        for request in fake.requests
        if (request.method, request.path) == ("POST", "/posts")
    ]
    return sorted(bodies, key=lambda body: str(body["publishAt"]))


async def test_each_row_is_posted_once(fake: FakeFanvue, posts: Path) -> None:
    """Files are uploaded, posts scheduled, and a second run posts nothing."""
    assert (await _run(fake, posts))[0] == 0
    assert (await _run(fake, posts))[0] == 0

    christmas, new_year = _posted(fake)
    assert (christmas["text"], christmas["publishAt"]) == (
        "Merry Christmas",
        "2026-12-24T18:00:00.000+01:00",
    )
    assert (new_year["audience"], new_year["price"]) == ("followers-and-subscribers", 999)
    assert len({*christmas["mediaUuids"], *new_year["mediaUuids"]}) == 2


async def test_a_refused_post_is_named_once(fake: FakeFanvue, posts: Path) -> None:
    """What the API refuses is printed with its reason, and neither uploaded nor posted again."""
    fake.reply(400, json={"errors": ["no such thing"]}, on="POST /posts", times=2)

    status, output = await _run(fake, posts)

    assert status == 1
    assert "refused" in output
    assert (await _run(fake, posts))[0] == 0
    assert len(_posted(fake)) == 2
    assert len([request for request in fake.requests if request.path == "/media/uploads"]) == 2


async def test_a_missing_file_stops_it_before_anything_is_sent(
    fake: FakeFanvue, posts: Path
) -> None:
    """What is wrong with the list is found first."""
    (posts.parent / "beach.jpg").unlink()

    status, output = await _run(fake, posts)

    assert status == 1
    assert "Stopped: there is no file" in output
    assert fake.requests == []
