"""Thousands of webhook deliveries to several processes on one store, one of which is killed.

``python tests/faults/deliveries.py`` sends ``--events`` events, each of them 1 to 5 times and in
random order, at ``--rate`` deliveries a second to ``--workers`` processes; what gets no 2xx is sent
again, as Fanvue does. Half-way, one process is killed. At the end the others are asked to stop
while callbacks still run. Every callback writes to one ledger when it begins and when it ends, and
the ledger is held against the promise: each event is handled, and again only where its handler had
not finished. It prints what it found, and fails if that is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import attrs
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from support.deliveries import FAN, SECRET, encoded, envelope, headers

from fanvue_async.stores import SQLiteStore
from fanvue_async.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async.webhooks import Event

_REPEATED = 4  # times at most
_SHUFFLED = 50  # deliveries that may overtake one
_AGAIN = 0.5  # seconds until a delivery without a 2xx is sent again
_QUICK, _SLOW = 0.02, 1.0  # seconds that a callback takes; one in ten is slow
_DRAIN = 10.0


@attrs.define
class Plan:
    """How much is sent, and how fast."""

    events: int
    workers: int
    rate: float
    lease: float
    seed: int


@attrs.define
class Result:
    """What was found."""

    deliveries: int = 0
    repeats: int = 0
    """Deliveries that were sent again for want of a 2xx."""
    slowest: float = 0.0
    """Seconds until the last of all 2xx."""
    late: int = 0
    """2xx that took more than a second."""
    handled: int = 0
    resumed: int = 0
    """Events whose first handler was killed."""
    lost: list[str] = attrs.field(factory=list[str])
    doubled: list[str] = attrs.field(factory=list[str])
    """Events handled again although their handler had finished."""
    unnoted: int = 0
    """Events whose handler was killed after its last line and before that was noted."""
    left: int = 0
    """Deliveries left in the store whose event is not marked as handled."""


class Ledger:
    """Lines that processes append to one file, each at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, what: str, event: Event) -> None:
        """Append a line."""
        os.write(self._file, f"{what} {event.id} {os.getpid()}\n".encode())


async def work(folder: Path, lease: float) -> None:
    """Be one of the processes, until SIGTERM."""
    ledger = Ledger(folder / "ledger")
    chance = random.Random(os.getpid())

    async def handle(event: Event) -> None:
        ledger.note("begin", event)
        await asyncio.sleep(_SLOW if chance.random() < 1 / 10 else chance.uniform(0, _QUICK))
        ledger.note("end", event)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with SQLiteStore(folder / "store.db", busy_timeout=5.0) as store:
        webhooks = Webhooks(secrets=[SECRET], store=store, lease=lease)
        app = web.Application()
        app.router.add_post("/", webhooks.aiohttp_handler(handle))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with webhooks:
            sys.stdout.write(f"{site.port}\n")
            sys.stdout.flush()
            await stop.wait()
            await runner.cleanup()
            await webhooks.aclose(drain=_DRAIN)


@attrs.define
class Worker:
    """One process and where it listens."""

    process: asyncio.subprocess.Process
    url: str


@asynccontextmanager
async def started(folder: Path, plan: Plan) -> AsyncGenerator[list[Worker]]:
    """Start the processes; none of them outlives the block."""
    workers: list[Worker] = []
    try:
        for _ in range(plan.workers):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                *("--work", str(folder), "--lease", str(plan.lease)),
                stdout=asyncio.subprocess.PIPE,
            )
            workers.append(Worker(process, ""))
        for worker in workers:
            assert worker.process.stdout is not None
            port = (await worker.process.stdout.readline()).decode().strip()
            worker.url = f"http://127.0.0.1:{port}/"
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
            await worker.process.communicate()


class Fanvue:
    """Sends deliveries, again and again until each has its 2xx."""

    def __init__(self, workers: list[Worker], plan: Plan) -> None:
        self._workers = workers
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self.result = Result()

    async def send_all(self) -> None:
        """Send every delivery; kill a process half-way."""
        order = self._order()
        self.result.deliveries = len(order)
        timeout = aiohttp.ClientTimeout(total=10)
        began = time.monotonic()
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for place, number in enumerate(order):
                if place == len(order) // 2:
                    self._workers.pop().process.kill()
                await asyncio.sleep(began + place / self._plan.rate - time.monotonic())
                group.create_task(self._deliver(session, number))

    def _order(self) -> list[int]:
        times = [1 + self._chance.randint(0, _REPEATED) for _ in range(self._plan.events)]
        deliveries = itertools.chain.from_iterable(
            [number] * count for number, count in enumerate(times)
        )
        places = [
            (place + self._chance.uniform(0, _SHUFFLED), number)
            for place, number in enumerate(deliveries)
        ]
        return [number for _, number in sorted(places)]

    async def _deliver(self, session: aiohttp.ClientSession, number: int) -> None:
        data = {"fan": {"uuid": FAN}, "text": "hi"}
        body = encoded(envelope("creator.message.received", data, event_id=f"evt_{number}"))
        while not await self._attempt(session, body):
            self.result.repeats += 1
            await asyncio.sleep(_AGAIN)

    async def _attempt(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        worker = self._chance.choice(self._workers)
        began = time.monotonic()
        sent = headers(body, at=time.time())
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(worker.url, data=body, headers=sent) as response:
                if response.status != 200:
                    return False
                took = time.monotonic() - began
                self.result.slowest = max(self.result.slowest, took)
                self.result.late += took > 1
                return True
        return False


async def run(plan: Plan) -> Result:
    """Send everything, stop the processes, and read the ledger."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with started(folder, plan) as workers:
            *others, killed = workers
            fanvue = Fanvue([*others, killed], plan)
            await fanvue.send_all()
            await _all_taken_up(folder, plan)
            last = await _stopped_while_working(others, plan)
        result = fanvue.result
        _judge(result, folder / "ledger", killed.process.pid, plan.events + last)
        result.left = await _left(folder)
        return result


async def _all_taken_up(folder: Path, plan: Plan) -> None:
    """Wait until what the killed process left was taken up; much longer than a lease is a loss.

    It may have left events that it had handled and not noted, which are handled again.
    """
    until = time.monotonic() + 4 * plan.lease + 10
    while time.monotonic() < until:
        lines = (folder / "ledger").read_text().splitlines()
        ended = {line.split()[1] for line in lines if line.startswith("end")}
        if len(ended) >= plan.events and not await _left(folder):
            return
        await asyncio.sleep(0.1)


async def _left(folder: Path) -> int:
    """Count the deliveries in the store whose event is not marked as handled."""
    async with SQLiteStore(folder / "store.db") as store:
        keys = [key async for key in store.keys("webhooks:delivery:")]
        # A process killed between the mark and the end of the delivery left both.
        marks = [await store.get(key.replace("delivery", "event", 1)) for key in keys]
    return marks.count(None)


async def _stopped_while_working(workers: list[Worker], plan: Plan) -> int:
    """Send some more and stop all processes at once; return how many were sent."""
    more = Fanvue(workers, plan)
    async with aiohttp.ClientSession() as session:
        for number in range(plan.events, plan.events + 20):
            await more._deliver(session, number)
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        if await worker.process.wait():
            raise RuntimeError("a process ended in an error")
    return 20


def _judge(result: Result, ledger: Path, killed: int, events: int) -> None:
    begun: dict[str, list[int]] = defaultdict(list)
    ended: dict[str, list[int]] = defaultdict(list)
    for line in ledger.read_text().splitlines():
        what, event, pid = line.split()
        (begun if what == "begin" else ended)[event].append(int(pid))
    for number in range(events):
        event = f"evt_{number}"
        result.handled += bool(ended[event])
        if not ended[event]:
            result.lost.append(event)
        result.resumed += killed in begun[event] and killed not in ended[event]
        again = Counter(begun[event])
        again[killed] -= killed in again  # the killed one may have begun it once more
        if again.total() > 1:
            result.doubled.append(event)
        elif len(ended[event]) > 1:
            result.unnoted += 1


def main() -> None:
    """Run the long form, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=200.0, help="deliveries a second")
    parser.add_argument("--lease", type=float, default=5.0, help="seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        asyncio.run(work(options.work, options.lease))
        return
    plan = Plan(options.events, options.workers, options.rate, options.lease, options.seed)
    result = asyncio.run(run(plan))
    sys.stdout.write(f"{plan}\n{result}\n")
    if result.lost or result.doubled or result.left or result.late:
        sys.exit("not as promised")


if __name__ == "__main__":
    main()
