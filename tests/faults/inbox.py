"""An inbox whose process is killed again and again, while fans go on writing.

``python tests/faults/inbox.py`` lets one process follow the inbox of an account with ``--chats``,
three of which answer 400, and ends it with SIGKILL ``--kills`` times at random, each time starting
another on the same store. Meanwhile ``--rate`` messages a second arrive, half of them in a few busy
chats. The process writes to a ledger what it is given, and what it has handled; the ledger is held
against what the fans wrote. It prints what it found, and fails if that is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from faults.scale import say

from fanvue_async import FanvueClient
from fanvue_async.inbox import Inbox
from fanvue_async.stores import SQLiteStore
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async import FanvueError
    from fanvue_async.resources.chats import Chat

_NAME = "me"
_EVERY = 0.1  # seconds between two looks
_HANDLING = 0.004  # seconds that a message takes at most
_LIVES = (0.3, 2.5)  # seconds until a process is killed, its start included
_REFUSED = 3  # chats that answer 400
_BUSY = 20  # chats that get every second message
_WRITTEN = 3  # messages at most that a chat has from the beginning
_PATIENCE = 60.0


@attrs.frozen
class Plan:
    """How much happens."""

    chats: int
    kills: int
    rate: float
    seed: int


@attrs.define
class Result:
    """What was found."""

    messages: int = 0
    killed_at: list[int] = attrs.field(factory=list[int])
    """How many messages had been given at each kill."""
    again: int = 0
    """Messages given again because their process was killed."""
    lost: list[str] = attrs.field(factory=list[str])
    doubled: list[str] = attrs.field(factory=list[str])
    """Messages given again although their process lived on, or had asked for the next one."""
    disordered: list[str] = attrs.field(factory=list[str])
    """Chats whose messages came in another order than they were written."""
    unreported: int = 0
    """Chats that answer 400 and were not reported, or whose messages were given."""
    read: int = 0
    """Chats with something marked as read."""
    idle: int = 0
    """Requests that a look costs when nothing is new."""
    seconds: float = 0.0

    @property
    def is_as_promised(self) -> bool:
        """Whether everything holds."""
        wrong = self.lost or self.doubled or self.disordered or self.unreported or self.read
        return not wrong and self.idle == 1


async def follow(url: str, folder: Path) -> None:
    """Be the process, until it is killed."""
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, uuid: str) -> None:
        os.write(ledger, f"{what} {uuid} {os.getpid()}\n".encode())

    def report(chat: Chat, _: FanvueError) -> None:
        note("refused", chat.user.uuid)

    async with (
        SQLiteStore(folder / "store.db") as store,
        FanvueClient("fake-token", base_url=url) as fanvue,
    ):
        inbox = Inbox(fanvue, store=store, name=_NAME, on_error=report)
        async for message in inbox.follow(every=_EVERY):
            note("given", message.uuid)
            await asyncio.sleep(random.uniform(0, _HANDLING))
            note("handled", message.uuid)


@asynccontextmanager
async def _following(url: str, folder: Path) -> AsyncGenerator[None]:
    """Let a process follow the inbox, and kill it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--follow", url, str(folder))
    )
    try:
        yield
    finally:
        is_alive = process.returncode is None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if not is_alive:
        raise RuntimeError("the process ended by itself")


class Fans:
    """Those who write."""

    def __init__(self, fake: FakeFanvue, plan: Plan, chance: random.Random) -> None:
        self._fake = fake
        self._plan = plan
        self._chance = chance
        everyone = [fake.users.add(handle=f"fan{number}") for number in range(plan.chats)]
        self.refused = set(everyone[:: plan.chats // _REFUSED][:_REFUSED])
        for fan in self.refused:
            self._fake.reply(
                400, json={"message": "no"}, times=200, on=f"GET /chats/{fan}/messages"
            )
        for fan in everyone:
            for _ in range(chance.randint(1, _WRITTEN)):
                fake.chats.receive(fan)
        self._everyone = everyone
        self._busy = chance.sample(everyone, min(_BUSY, plan.chats))

    async def write(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._chance.expovariate(self._plan.rate))
            fans = self._busy if self._chance.random() < 1 / 2 else self._everyone
            self._fake.chats.receive(self._chance.choice(fans))

    def written(self) -> dict[str, list[str]]:
        """Return the messages of each chat that can be read, oldest first."""
        chats = {fan: self._fake.messages.of(fan) for fan in self._everyone}
        return {
            fan: [message["uuid"] for message in messages]
            for fan, messages in chats.items()
            if fan not in self.refused
        }

    def read(self) -> int:
        """Count the chats with something marked as read."""
        chats = (self._fake.messages.of(fan) for fan in self._everyone)
        return sum(any(message["isRead"] for message in messages) for messages in chats)


async def run(plan: Plan) -> Result:
    """Follow the inbox under kills, and hold the ledger against what was written."""
    chance, result, began = random.Random(plan.seed), Result(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = folder / "ledger"
        ledger.touch()
        async with FakeFanvue() as fake:
            fans = Fans(fake, plan, chance)
            writing = asyncio.create_task(fans.write())
            for _ in range(plan.kills):
                async with _following(fake.url, folder):
                    await asyncio.sleep(chance.uniform(*_LIVES))
                result.killed_at.append(_count(ledger, "given"))
            writing.cancel()
            written = fans.written()
            result.messages = sum(map(len, written.values()))
            async with _following(fake.url, folder):
                await _until_handled(ledger, result.messages)
            _judge(result, ledger.read_text(), written, fans.refused)
            result.read = fans.read()
            result.idle = await _idle(fake, folder)
    result.seconds = time.monotonic() - began
    return result


async def _until_handled(ledger: Path, messages: int) -> None:
    """Wait until as much was handled as was written, and for a few looks more."""
    until = time.monotonic() + _PATIENCE
    while _count(ledger, "handled") < messages and time.monotonic() < until:  # noqa: ASYNC110 - another process sets no event of ours
        await asyncio.sleep(_EVERY)
    await asyncio.sleep(10 * _EVERY)


def _count(ledger: Path, what: str) -> int:
    lines = (line.split() for line in ledger.read_text().splitlines())
    return len({uuid for kind, uuid, _ in lines if kind == what})


def _judge(result: Result, ledger: str, written: dict[str, list[str]], refused: set[str]) -> None:
    lines = [line.split() for line in ledger.splitlines()]
    handled = {uuid for what, uuid, _ in lines if what == "handled"}
    reported = {uuid for what, uuid, _ in lines if what == "refused"}
    given = [(uuid, pid) for what, uuid, pid in lines if what == "given"]
    chat_of = {uuid: fan for fan, uuids in written.items() for uuid in uuids}
    result.unreported = len(refused ^ reported) + sum(uuid not in chat_of for uuid, _ in given)
    result.lost = [uuid for uuid in chat_of if uuid not in handled]
    last_of = {pid: uuid for uuid, pid in given}
    came: defaultdict[str, list[str]] = defaultdict(list)
    givers: defaultdict[str, list[str]] = defaultdict(list)
    for uuid, pid in given:
        before = givers[uuid]
        if not before:
            came[chat_of.get(uuid, "")].append(uuid)
        elif pid in before or last_of[before[-1]] != uuid:
            result.doubled.append(uuid)
        else:
            result.again += 1
        before.append(pid)
    result.disordered = [fan for fan, uuids in written.items() if came[fan] != uuids]


async def _idle(fake: FakeFanvue, folder: Path) -> int:
    """Count the requests of a look at which nothing is new."""
    async with SQLiteStore(folder / "store.db") as store, fake.client() as fanvue:
        inbox = Inbox(fanvue, store=store, name=_NAME)
        before = len(fake.requests)
        found = [message async for message in inbox.new()]
        return len(fake.requests) - before + len(found)


def main() -> None:
    """Run the long form, or be the process that is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=50.0, help="messages a second that arrive")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--follow", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow:
        url, folder = options.follow
        asyncio.run(follow(url, Path(folder)))
        return
    plan = Plan(options.chats, options.kills, options.rate, options.seed)
    say(f"{plan}")
    result = asyncio.run(run(plan))
    say(f"{result}")
    if not result.is_as_promised:
        sys.exit("not as promised")


if __name__ == "__main__":
    main()
