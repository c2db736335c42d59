"""A worker that opens chats with all users of a list, and carries on where it was stopped.

Install and run::

    pip install /path/to/the/clone rich
    FANVUE_ACCESS_TOKEN=… python worker.py users.txt

``users.txt`` holds one user UUID a line, or is a CSV file with a column ``user_uuid``. What became
of each is kept in ``users.txt.db``, before and after its call: after Ctrl-C, a crash or kill -9,
the same command carries on. Several may run at once. To try it without the real API, set
FANVUE_BASE_URL to a server on this machine.
"""

import argparse
import asyncio
import csv
import sys
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fanvue_async import FanvueClient, FanvueError, RateLimits, Timeout, bulk
from fanvue_async.stores import SQLiteStore

NAME = "open-chats"


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID as it is written; UUID() alone takes more, as other users."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def read_users(path: Path) -> list[str]:
    """Read the UUIDs; a line without one ends it, with the number of that line."""
    rows = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    users: dict[str, None] = {}  # each once, in order
    column = 0
    for row in rows:
        if rows.line_num == 1 and "user_uuid" in row:
            column = row.index("user_uuid")
        elif row:
            user = row[column].strip().lower() if column < len(row) else ""
            if not is_uuid(user):
                sys.exit(f"{path}, line {rows.line_num}: no user UUID")
            users[user] = None
    return list(users)


async def open_chats(users: list[str], database: str, concurrency: int) -> int:
    """Open a chat with each user who has none yet; return how many are left."""
    outcomes = Counter[str]()
    async with (
        SQLiteStore(database) as store,
        FanvueClient(
            timeout=Timeout(total=130),  # room to wait for the rate limit
            rate_limits=RateLimits(max_wait=120, store=store),
        ) as fanvue,
    ):
        before = await bulk.progress(NAME, store=store)
        with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
            bar = progress.add_task("", total=len(users), completed=before.done + before.refused)
            work = bulk.each(
                users,
                fanvue.chats.create,
                store=store,
                name=NAME,
                concurrency=concurrency,
                repeat_unknown=True,  # opening a chat again does no harm (assumed)
            )
            async with aclosing(work):  # if interrupted, the calls in flight are settled
                async for done in work:
                    progress.advance(bar)
                    outcomes[type(done.error).__name__ if done.error else done.outcome] += 1
        after = await bulk.progress(NAME, store=store)
    for outcome, count in outcomes.most_common():
        print(f"{count:8} {outcome}")
    return len(users) - after.done - after.refused


def main() -> int:
    """Run until every user is settled or something stops it; return the exit status."""
    parser = argparse.ArgumentParser(description="Open chats with all users of a list.")
    parser.add_argument("users", type=Path, help="a file of user UUIDs")
    parser.add_argument("--concurrency", type=int, default=20, help="calls at once")
    arguments = parser.parse_args()
    users = read_users(arguments.users)
    try:
        left = asyncio.run(open_chats(users, f"{arguments.users}.db", arguments.concurrency))
    except FanvueError as error:  # what every user would get: a bad token, a retired version
        print(f"Stopped: {error}")
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command carries on.")
        return 1
    if left:
        print(f"{left:8} left; the same command carries on")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
