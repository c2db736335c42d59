"""A worker that opens chats with all users of a list, and carries on where it was stopped.

Install and run::

    pip install fanvue-async rich
    FANVUE_ACCESS_TOKEN=… python worker.py users.txt

``users.txt`` holds one user UUID a line. What is settled is noted in ``users.txt.done``, call by
call. After Ctrl-C, a crash or ``kill -9`` the same command carries on: at most the calls that were
under way then are sent again. To try it without the real API, FANVUE_URL may name a server on
this machine.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fanvue_async import (
    BadRequestError,
    ConflictError,
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    InvalidArgumentError,
    Limits,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
    UnsupportedVersionError,
)

# What the API says of this one user, and would say again.
SETTLED = (BadRequestError, NotFoundError, ConflictError, InvalidArgumentError)
# What the next run may not meet any more.
PASSING = (TransportError, ServerError, DeadlineExceededError)


class ResumeFile:
    """The users that are settled, a line each: only appended, and written as soon as noted."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8")
        self._file.seek(0)
        whole, _, torn = self._file.read().rpartition("\n")
        self.users = {line.partition(" ")[2] for line in whole.splitlines()}
        if torn:  # the disk was full or the power gone; that user is not settled
            self._file.write("\n")

    def note(self, outcome: str, user: str) -> None:
        """Append what came of a user."""
        print(outcome, user, file=self._file, flush=True)
        self.users.add(user)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Gate:
    """Holds everybody back while the API is rate limiting."""

    def __init__(self) -> None:
        self._opens_at = 0.0

    def close_for(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._opens_at = max(self._opens_at, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Wait until the gate is open."""
        # In a loop, for it may be closed again meanwhile.
        while (seconds := self._opens_at - time.monotonic()) > 0:  # noqa: ASYNC110 - see above
            await asyncio.sleep(seconds)


async def open_chat(fanvue: FanvueClient, user: str, gate: Gate) -> str:
    """Open one chat and return what came of it, if that is settled; else raise the error."""
    while True:
        await gate.wait()
        try:
            await fanvue.chats.create(user)
        except RateLimitError as error:  # the refused request did nothing: the same user again
            gate.close_for(60 if error.retry_after is None else max(1, error.retry_after))
        except UnsupportedVersionError:  # a 400 too, but not about this user
            raise
        except SETTLED as error:
            return type(error).__name__
        else:
            return "created"


async def open_chats(
    users: Iterable[str],
    concurrency: int,
    on_settled: Callable[[str, str], None],
    on_failed: Callable[[FanvueError], None],
) -> None:
    """Open all chats, so many at once, and report each as it ends.

    An error that every user would meet, such as a bad token, ends it all.
    """
    gate = Gate()
    queue = iter(users)  # one for all workers, so that each user goes to one of them

    async def work(fanvue: FanvueClient) -> None:
        for user in queue:
            try:
                outcome = await open_chat(fanvue, user, gate)
            except PASSING as error:
                on_failed(error)
            else:
                on_settled(outcome, user)

    async with (
        FanvueClient(
            base_url=os.environ.get("FANVUE_URL", "https://api.fanvue.com"),
            limits=Limits(max_connections=concurrency),
        ) as fanvue,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(concurrency):
            workers.create_task(work(fanvue))


def main() -> int:
    """Run until all users are settled or something stops it; return the exit status."""
    parser = argparse.ArgumentParser(description="Open chats with all users of a list.")
    parser.add_argument("users", type=Path, help="a file with one user UUID a line")
    parser.add_argument("--concurrency", type=int, default=20, help="calls at once")
    arguments = parser.parse_args()

    lines = arguments.users.read_text(encoding="utf-8").split("\n")
    users = {line.strip().lower(): None for line in lines if line.strip()}  # each once, in order
    resume = ResumeFile(Path(f"{arguments.users}.done"))
    left = [user for user in users if user not in resume.users]
    outcomes = Counter[str]()

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task("chats", total=len(users), completed=len(users) - len(left))

        def on_settled(outcome: str, user: str) -> None:
            resume.note(outcome, user)
            outcomes[outcome] += 1
            progress.advance(bar)

        def on_failed(error: FanvueError) -> None:
            outcomes[type(error).__name__] += 1

        try:
            asyncio.run(open_chats(left, arguments.concurrency, on_settled, on_failed))
        except* FanvueError as errors:
            progress.console.print(f"Stopped: {errors.exceptions[0]}", markup=False)
        except* KeyboardInterrupt:
            progress.console.print("Interrupted.")
        finally:
            resume.close()

    for outcome, count in outcomes.most_common():
        print(f"{count:8} {outcome}")
    unsettled = len(users.keys() - resume.users)
    if unsettled:
        print(f"{unsettled:8} left; the same command carries on")
    return 1 if unsettled else 0


if __name__ == "__main__":
    sys.exit(main())
