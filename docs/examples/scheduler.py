"""A content scheduler: uploads the files of a list and schedules a post for each.

Install and run::

    pip install fanvue-async rich
    FANVUE_ACCESS_TOKEN=… python scheduler.py posts.csv

``posts.csv`` has the columns ``file``, ``publish_at`` (such as ``2026-12-24T18:00:00+01:00``),
``audience`` (``subscribers`` or ``followers-and-subscribers``), ``text``, and ``price`` in US cents
(empty: free). Files are relative to the list. After Ctrl-C, a crash or ``kill -9``, the same
command carries on: nothing is posted twice. To try it without the real API, set FANVUE_BASE_URL to
a server on this machine.
"""

import asyncio
import csv
import sys
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Literal

import attrs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fanvue_async import CreatedPost, FanvueClient, FanvueError, RateLimits, Timeout, bulk
from fanvue_async.stores import SQLiteStore, Store

NAME = "scheduled-posts"

Audience = Literal["subscribers", "followers-and-subscribers"]
AUDIENCES: dict[str, Audience] = {
    "subscribers": "subscribers",
    "followers-and-subscribers": "followers-and-subscribers",
}


@attrs.frozen
class Row:
    """A line of the list."""

    path: Path
    publish_at: datetime
    audience: Audience
    text: str
    price: int | None

    @property
    def key(self) -> str:
        """What identifies it in the store."""
        return f"{self.publish_at.isoformat()} {self.path.name}"


def read(path: Path) -> list[Row]:
    """Read the list, and find what is wrong with it before anything is posted."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Row(
                path=path.parent / line["file"],
                publish_at=datetime.fromisoformat(line["publish_at"]),
                audience=AUDIENCES[line["audience"]],
                text=line["text"],
                price=int(line["price"]) if line["price"] else None,
            )
            for line in csv.DictReader(file)
        ]
    for row in rows:
        if not row.path.is_file():
            raise FileNotFoundError(f"there is no file {row.path}")
    return rows


async def schedule(fanvue: FanvueClient, store: Store, row: Row) -> CreatedPost:
    """Upload the file of a row, unless an earlier run has, and schedule its post."""
    key = f"uploaded:{row.key}"
    entry = await store.get(key)
    if entry is not None:
        media = entry.value.decode()
    else:
        media = (await fanvue.media.upload(row.path, wait_until_ready=True)).media_uuid
        await store.put(key, media.encode())
    return await fanvue.posts.create(
        row.audience,
        text=row.text,
        media_uuids=[media],
        price=row.price,
        publish_at=row.publish_at,
    )


async def run(rows: list[Row], database: str) -> int:
    """Schedule what is not scheduled yet; return how many rows need a look."""
    open_rows = 0
    async with (
        SQLiteStore(database) as store,
        FanvueClient(
            timeout=Timeout(total=130), rate_limits=RateLimits(max_wait=120, store=store)
        ) as fanvue,
    ):
        before = await bulk.progress(NAME, store=store)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns) as progress:
            bar = progress.add_task("posts", total=len(rows), completed=before.done)
            work = bulk.each(
                rows,
                lambda row: schedule(fanvue, store, row),
                store=store,
                name=NAME,
                key=lambda row: row.key,
                concurrency=2,  # files at once
            )
            async with aclosing(work):  # if interrupted, the posts in flight are settled
                async for done in work:
                    if done.outcome == "done":
                        progress.advance(bar)
                        continue
                    open_rows += 1
                    reason = done.error or "it may have been posted; check before you repeat it"
                    progress.console.print(f"{done.item.key}: {done.outcome}: {reason}")
    return open_rows


def main() -> int:
    """Run; return the exit status."""
    path = Path(sys.argv[1])
    try:
        return 1 if asyncio.run(run(read(path), f"{path}.db")) else 0
    except (FanvueError, OSError, LookupError, ValueError) as error:
        print(f"Stopped: {error}")
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command carries on.")
        return 1


if __name__ == "__main__":
    sys.exit(main())
