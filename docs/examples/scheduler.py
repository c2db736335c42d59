"""A content scheduler: uploads the files of a folder and posts them at given times.

Install and run::

    pip install /path/to/the/clone rich
    FANVUE_ACCESS_TOKEN=… python scheduler.py content/

``content/schedule.csv`` has a header and a line per post; price and audience may be left out::

    file,publish_at,text,price,audience
    sunset.jpg,2027-01-15T18:00:00+01:00,Tonight,,
    beach.mp4,2027-01-16T18:00:00+01:00,The whole day,999,followers-and-subscribers

Fanvue publishes each post at its time; one whose time has passed appears at once. What was done
is kept in ``content/schedule.db``: after Ctrl-C, a crash or kill -9, the same command carries on.
A file is uploaded again if it was cut off; a post that may be there already is never made twice.
"""

import argparse
import asyncio
import csv
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from fanvue_async import FanvueClient, FanvueError, RateLimits, Timeout, bulk
from fanvue_async.stores import SQLiteStore, Store


@attrs.frozen
class Row:
    """A line of the schedule."""

    file: Path
    publish_at: datetime
    text: str
    price: int | None
    audience: Any

    @property
    def key(self) -> str:
        """What identifies it from run to run."""
        return f"{self.file.name}@{self.publish_at.isoformat()}"


def read_schedule(folder: Path) -> list[Row]:
    """Read the schedule; what is wrong with a line ends the program, with its number."""
    path = folder / "schedule.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows: list[Row] = []
        for line in reader:
            try:
                row = Row(
                    file=folder / line["file"],
                    publish_at=datetime.fromisoformat(line["publish_at"]),
                    text=line["text"],
                    price=int(line["price"]) if line.get("price") else None,
                    audience=line.get("audience") or "subscribers",
                )
            except (KeyError, TypeError, ValueError) as error:
                sys.exit(f"{path}, line {reader.line_num}: {error}")
            if row.publish_at.tzinfo is None:
                sys.exit(f"{path}, line {reader.line_num}: publish_at needs an offset, such as Z")
            if not row.file.is_file():
                sys.exit(f"{path}, line {reader.line_num}: there is no {row.file.name}")
            rows.append(row)
    return rows


class Scheduler:
    """Uploads, then posts; each row once."""

    def __init__(self, fanvue: FanvueClient, store: Store, rows: list[Row]) -> None:
        self._fanvue = fanvue
        self._store = store
        self._rows = rows
        self._failed: list[str] = []

    async def run(self) -> list[str]:
        """Do what is left to do; return what failed, for the next run."""
        await self._upload_all()
        ready = [row for row in self._rows if await self._media_of(row)]
        work = bulk.each(
            ready, self._post, store=self._store, name="posts", key=lambda row: row.key
        )
        async with aclosing(work):  # if interrupted, the calls in flight are settled
            async for done in work:
                self._note(done)
        return self._failed

    async def _upload_all(self) -> None:
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            bar = progress.add_task("", total=sum(row.file.stat().st_size for row in self._rows))
            sent: dict[Row, int] = {}

            async def upload(row: Row) -> None:
                def note(so_far: int, _: int | None) -> None:
                    progress.advance(bar, so_far - sent.get(row, 0))
                    sent[row] = so_far

                uploaded = await self._fanvue.media.upload(
                    row.file, progress=note, wait_until_ready=True
                )
                await self._store.put(f"media/{row.key}", uploaded.media_uuid.encode())

            work = bulk.each(
                self._rows,
                upload,
                store=self._store,
                name="uploads",
                key=lambda row: row.key,
                concurrency=2,
                repeat_unknown=True,  # a second medium does no harm, and is not posted
            )
            async with aclosing(work):
                async for done in work:
                    self._note(done)
            progress.update(bar, completed=progress.tasks[bar].total)

    async def _post(self, row: Row) -> None:
        media_uuid = await self._media_of(row)
        assert media_uuid is not None
        is_over = row.publish_at <= datetime.now(UTC)
        await self._fanvue.posts.create(
            row.audience,
            text=row.text,
            media_uuids=[media_uuid],
            price=row.price,
            publish_at=None if is_over else row.publish_at,
        )

    async def _media_of(self, row: Row) -> str | None:
        entry = await self._store.get(f"media/{row.key}")
        return entry.value.decode() if entry else None

    def _note(self, done: bulk.Done[Row, None]) -> None:
        if done.outcome == "done":
            print(f"  {done.item.key}")
        else:
            self._failed.append(f"{done.item.key}: {done.outcome}, {done.error}")


async def schedule(folder: Path) -> list[str]:
    """Bring the schedule of a folder to Fanvue; return what failed."""
    rows = read_schedule(folder)
    async with (
        SQLiteStore(folder / "schedule.db") as store,
        FanvueClient(
            timeout=Timeout(total=130),  # room to wait for the rate limit
            rate_limits=RateLimits(max_wait=120, store=store),
        ) as fanvue,
    ):
        return await Scheduler(fanvue, store, rows).run()


def main() -> int:
    """Run until every post is settled or something stops it; return the exit status."""
    parser = argparse.ArgumentParser(description="Upload a folder and post it at given times.")
    parser.add_argument("folder", type=Path, help="holds schedule.csv and the files")
    try:
        failed = asyncio.run(schedule(parser.parse_args().folder))
    except FanvueError as error:  # what every row would get: a bad token, a retired version
        print(f"Stopped: {error}")
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command carries on.")
        return 1
    for line in failed:
        print(f"failed: {line}")
    print(f"{len(failed)} failed" if failed else "All is scheduled.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
