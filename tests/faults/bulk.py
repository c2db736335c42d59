"""Bulk work of several processes, two of which are killed, on a Redis that is killed, too.

``python tests/faults/bulk.py`` lets ``--processes`` send a message to each of ``--users``, all from
one list, through a server that does something bad to a tenth of the requests and keeps a ledger of
what arrived. At random moments it ends two of the processes with SIGKILL, and the Redis that holds
their marks, which is started again. Further runs do what is left, until one finds nothing. Outcomes
are held against the ledger. It prints what it found, and fails if that is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from faults.scale import say
from support.ledger import LOST, Ledger
from support.servers import DURABLE, RedisServer, redis_client, redis_server
from support.users import user

from fanvue_async import FanvueClient, RetryPolicy, Timeout, bulk
from fanvue_async.stores import RedisStore, documents

if TYPE_CHECKING:
    from collections.abc import Sequence

Line = tuple[int, str, int, str]
"""Which process noted what of which item, and by which error."""

_NAME = "greeting"
_SECONDS_DOWN = 0.5
_KILLED_AT = (0.05, 0.6)  # when so much has arrived
_PATIENCE = 60.0
_RUNS = 6  # at most, until nothing is left
_SETTLED = {"done", "refused", "unknown"}
_LOST = {"NoAnswerError", "ServerError", "DecodeError", "ProtocolError"}
_ALLOWED = {
    "response lost",
    "begun as its process was killed",
    "marked as its process was killed",
    "marked as Redis was killed",
}
_FAULTS = {
    "none": 90,
    **dict.fromkeys(LOST, 1),
    "lost request": 1,
    "refused 400": 0.5,
    "refused 429": 0.5,
    "refused 500": 0.5,
    "refused 503": 0.5,
}


@attrs.frozen
class Plan:
    """How much is done, and by how many."""

    users: int
    processes: int
    seed: int


@attrs.define
class Result:
    """What was found."""

    kills: list[str] = attrs.field(factory=list[str])
    outcomes: list[Counter[str]] = attrs.field(factory=list[Counter[str]])
    """Of each run, what its processes were told."""
    states: Counter[str] = attrs.field(factory=Counter[str])
    """What the marks say at the end."""
    arrived: int = 0
    unknown: Counter[str] = attrs.field(factory=Counter[str])
    """What had happened to the items that are unknown."""
    wrong: list[str] = attrs.field(factory=list[str])
    """Each broken promise, in words."""
    seconds: float = 0.0


class Log:
    """Lines that the processes append to one file, each at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, *words: object) -> None:
        """Append a line."""
        os.write(self._file, f"{os.getpid()} {json.dumps(words)}\n".encode())

    def read(self) -> list[Line]:
        """Read all of them."""
        lines = (line.split(" ", 1) for line in self.path.read_text().splitlines())
        return [(int(pid), *json.loads(words)) for pid, words in lines]


async def work(url: str, redis: str, log: Log, users: int) -> None:
    """Be one of the processes."""
    async with (
        redis_client(redis) as client,
        FanvueClient(
            "token",
            base_url=url,
            timeout=Timeout(total=10, attempt=1),
            retry=RetryPolicy(max_attempts=3, wait_initial=0.01, wait_max=0.05),
        ) as fanvue,
    ):

        async def send(item: int) -> None:
            log.note("begun", item, "")
            # Not messages.send, which would look for what was lost.
            await fanvue.request("POST", f"/chats/{user(item)}/message", json={"text": "Hi!"})

        async for done in bulk.each(range(users), send, store=RedisStore(client), name=_NAME):
            log.note(done.outcome, done.item, type(done.error).__name__ if done.error else "")


class Scene:
    """The server, the Redis, and the processes."""

    def __init__(self, plan: Plan, folder: Path, redis: RedisServer) -> None:
        self._plan = plan
        self.users = plan.users
        self._chance = random.Random(plan.seed)
        self._redis = redis
        self._log = Log(folder / "log")
        self._read = 0
        self.ledger = Ledger(lambda: self._chance.choices(list(_FAULTS), [*_FAULTS.values()])[0])
        self.ledger.delay = 1.5
        self.killed: set[int] = set()
        self.result = Result()

    async def run(self, processes: int, kills: Sequence[str] = ()) -> list[Line]:
        """Let processes work, and kill something now and then; return what they noted."""
        arguments = (self.ledger.url, self._redis.url, self._log.path, self._plan.users)
        workers = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, __file__, "--work", *map(str, arguments))
            )
            for _ in range(processes)
        ]
        try:
            moments = sorted(self._chance.uniform(*_KILLED_AT) for _ in kills)
            for moment, what in zip(moments, kills, strict=True):
                until = time.monotonic() + _PATIENCE
                while len(self.ledger.entries) < moment * self.users and time.monotonic() < until:  # noqa: ASYNC110 - nobody's event
                    await asyncio.sleep(0.001)
                await self._kill(what, workers)
            codes = [await worker.wait() for worker in workers]
            if sum(codes) != len(kills[1:]) * -signal.SIGKILL:
                self.result.wrong.append(f"processes ended with {codes}")
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()
        await self.ledger.settle()
        lines = self._log.read()[self._read :]
        self._read += len(lines)
        self.result.outcomes.append(Counter(what for _, what, *_ in lines))
        return lines

    async def _kill(self, what: str, workers: list[asyncio.subprocess.Process]) -> None:
        self.result.kills.append(f"{what} after {len(self.ledger.entries)} messages")
        if what == "redis":
            self._redis.kill()
            await asyncio.sleep(_SECONDS_DOWN)
            await asyncio.to_thread(self._redis.start)
            return
        if at_work := [each for each in workers if each.returncode is None]:
            worker = self._chance.choice(at_work)
            self.killed.add(worker.pid)
            worker.kill()
            await worker.wait()

    async def states(self) -> dict[int, str]:
        """Read the marks; an item without one is not in it."""
        states: dict[int, str] = {}
        async with redis_client(self._redis.url) as client:
            store = RedisStore(client)
            for item in range(self._plan.users):
                digest = sha256(str(item).encode()).hexdigest()
                entry = await store.get(f"bulk/{_NAME}/{digest}")
                if entry is not None:
                    states[item] = documents.load(entry.value)["state"]
        return states


async def run(plan: Plan) -> Result:
    """Do the work in as many runs as it needs, and hold the outcomes against the ledger."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, redis_server(*DURABLE) as redis:
        scene = Scene(plan, Path(name), redis)
        kills = ["redis", "a process", "a process"]
        random.Random(plan.seed).shuffle(kills)
        async with scene.ledger:
            result, states = scene.result, dict[int, str]()
            lines = new = await scene.run(plan.processes, kills)
            while new and len(result.outcomes) < _RUNS:
                states = await scene.states()
                new = await scene.run(1)
                lines += new
                for _, what, item, _ in new:
                    if what == "begun" and states.get(item) in _SETTLED:
                        result.wrong.append(f"{item} was {states[item]}, and was begun again")
    if new:
        result.wrong.append(f"after {_RUNS} runs something was left to do: {new[:3]}")
    _judge(result, scene, states, lines)
    result.seconds = time.monotonic() - began
    return result


def _judge(result: Result, scene: Scene, states: dict[int, str], lines: list[Line]) -> None:
    arrived = Counter(entry.fan for entry in scene.ledger.entries)
    result.arrived = arrived.total()
    result.states = Counter(states.values())
    expected = {"done": {1}, "refused": {0}, "unknown": {0, 1}}
    for item in range(scene.users):
        state, count = states.get(item, "forgotten"), arrived[user(item)]
        if count not in expected.get(state, ()):
            result.wrong.append(f"{item} is {state}, and has arrived {count} times")
        if state == "unknown":
            result.unknown[_why(scene, item, [line for line in lines if line[2] == item])] += 1
    for why in result.unknown.keys() - _ALLOWED:
        result.wrong.append(f"{result.unknown[why]} are unknown: {why}")


def _why(scene: Scene, item: int, lines: list[Line]) -> str:
    """Find out why an item is unknown."""
    if any(what == "unknown" and error in _LOST for _, what, _, error in lines):
        faults = [entry.fault for entry in scene.ledger.entries if entry.fan == user(item)]
        return "response lost" if set(faults) <= {*LOST} else f"the response was fine: {lines}"
    begun = [pid for pid, what, *_ in lines if what == "begun"]
    if not begun:
        is_redis = any(error == "StoreError" for *_, error in lines)
        return "marked as Redis was killed" if is_redis else "marked as its process was killed"
    if scene.killed.issuperset(begun):
        return "begun as its process was killed"
    return f"without a reason: {lines}"


def main() -> None:
    """Run the long form, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        url, redis, log, users = options.work
        asyncio.run(work(url, redis, Log(Path(log)), int(users)))
        return
    plan = Plan(options.users, options.processes, options.seed)
    say(f"{plan}")
    result = asyncio.run(run(plan))
    say(f"{result}")
    if result.wrong:
        sys.exit("not as promised")


if __name__ == "__main__":
    main()
