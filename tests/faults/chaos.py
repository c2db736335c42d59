"""Thousands of calls against a server that does what servers do at their worst.

``python tests/faults/chaos.py`` goes on in rounds until it has made ``--calls`` calls or until
``--seconds`` are over. Each round prints its seed, which repeats it. What must be true of every
call is checked against the server's own ledger.

``python tests/faults/chaos.py --alone`` runs the other tests of this directory in their long form
and with their tight bounds, see ``scale.py``; nothing else should keep the machine busy.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from faults.hostile import Saboteur, hostile_logging, instrument
from faults.scale import say
from support.chaos_server import Chaos, Server
from support.failing import descriptors, kilobytes
from support.tls import TRUST, serving
from support.users import user

from fanvue_async import (
    FanvueClient,
    FanvueError,
    Limits,
    NotSentError,
    Timeout,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENCY = 100
_CONNECTIONS = 60  # fewer than callers, so that there is a queue
_ROUNDS = (10_000, 2_500)  # calls of a round without and with TLS
_MAX_GROWTH = 1024  # kB in 10,000 calls
_WARM_UP = 3  # rounds
_TOTAL = 1.0
_SHORT_TOTAL = 0.2
_ATTEMPT = 0.25
_GRACE = 0.1
# Seconds between two calls of a caller, on average, without and with TLS. Without them client and
# server keep one processor busy, and what is late then is late because of that.
_PAUSES = (0.05, 0.2)
_LAG = 0.05  # seconds that a loop may be late before its callers pause longer
_MESSAGE = re.compile(rb'"message":"([a-z0-9 -]*)"')
_LARGE_TEXT = "x" * 300_000


class _Provider:
    """Gives a token that takes a moment to get."""

    async def get_token(self) -> str:
        await asyncio.sleep(0)
        return "provided-token"

    async def invalidate(self, token: str) -> None:
        del token
        await asyncio.sleep(0)


@attrs.frozen
class Done:
    """What a caller was told of a success."""

    named: str
    """The user that the answer names."""
    attempts: int | None
    """How many requests were sent, if that is told."""


@attrs.frozen
class Ended:
    """A call that came to its end."""

    user: str
    end: Done | BaseException | None
    """What it returned or raised; None if it was cancelled."""
    idempotent: bool
    cancelled: bool
    """Whether its caller, or a hook in it, cancelled it before it was done."""
    late: float
    """Seconds that it took longer than its deadline, negative if less."""


class Callers:
    """Many callers at once of one client, some of whom change their minds."""

    def __init__(
        self,
        seed: int,
        client: FanvueClient,
        pause: float,
        slack: float,
        saboteur: Saboteur | None = None,
    ) -> None:
        """Make them.

        Args:
            seed: decides what each of them does.
            client: whom they call.
            pause: seconds between two calls of one of them, on average.
            slack: how many times longer than in the long run their deadlines are.
            saboteur: gives the tokens of some, if it is there.

        """
        self.ended: list[Ended] = []
        self._seed = seed
        self._saboteur = saboteur
        self._pause = pause
        self._total, self._short_total = _TOTAL * slack, _SHORT_TOTAL * slack
        timeout = Timeout(self._short_total, attempt=_ATTEMPT * slack)
        self._views = (
            client,
            client.with_options(timeout=timeout),
            client.with_options(access_token=saboteur or _Provider()),
            client.with_options(account="another"),
        )

    async def call(self, count: int) -> None:
        """Make that many calls, ``CONCURRENCY`` at a time."""
        numbers = iter(range(count))
        await asyncio.gather(*(self._call_one_by_one(numbers) for _ in range(CONCURRENCY)))

    async def _call_one_by_one(self, numbers: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        for number in numbers:
            draw = random.Random(f"{self._seed} call {number}")
            (view,) = draw.choices(self._views, (5, 1, 2, 2))
            total = self._short_total if view is self._views[1] else self._total
            idempotent = draw.random() < 0.2
            is_large = draw.random() < 0.03
            # Of those who lose patience, many do so too late: a tenth is in time.
            patience = draw.choice([0.005, 0.3]) * draw.random() if draw.random() < 0.25 else None
            await self._rest(draw.uniform(0, 2 * self._pause))

            started = time.monotonic()
            task = loop.create_task(
                _create(view, user(number))
                if idempotent
                else _send(view, user(number), _LARGE_TEXT if is_large else "hello")
            )
            await asyncio.wait([task], timeout=patience)
            cancelled = not task.done() and task.cancel()
            await asyncio.wait([task])
            late = time.monotonic() - started - total
            end = _end_of(task)
            if self._saboteur and task in self._saboteur.cancelled:
                cancelled = end is None  # a cancel in its last turn ends no task that raises
            self.ended.append(Ended(user(number), end, idempotent, cancelled, late))

    async def _rest(self, seconds: float) -> None:
        """Pause, and longer as long as the machine lags behind, or its lag is all that is seen."""
        lag = 2 * _LAG
        while lag > _LAG:
            started = time.monotonic()
            await asyncio.sleep(seconds)
            lag = time.monotonic() - started - seconds
            seconds = 1.5 * seconds + 0.01


def _end_of(task: asyncio.Task[Done]) -> Done | BaseException | None:
    if task.cancelled():
        return None
    error = task.exception()
    # Without its frames, of which thousands would make the garbage collector hold up everybody.
    return task.result() if error is None else error.with_traceback(None)


async def _create(client: FanvueClient, to: str) -> Done:
    return Done((await client.chats.create(to)).message, attempts=None)


async def _send(client: FanvueClient, to: str, text: str) -> Done:
    """Do something that must not be done twice, such as sending a message."""
    body = {"userUuid": to, "text": text}
    response = await client.request("POST", "/messages", json=body, idempotent=False)
    named = _MESSAGE.search(response.content)
    # An unusable body is anybody's: request() leaves it to its caller.
    return Done(named[1].decode("latin-1") if named else to, response.attempts)


def _wrongs(call: Ended, chaos: Chaos, tolerance: float, *, is_hostile: bool) -> Iterator[str]:
    """Say in which ways a call broke a promise."""
    if call.late > _GRACE * tolerance:
        yield f"ended {call.late:.3f} s after its deadline"
    if chaos.acted[call.user] > 1 and not call.idempotent:
        yield f"acted on {chaos.acted[call.user]} times"
    if (call.end is None) != call.cancelled:
        yield "its cancel was lost" if call.cancelled else "cancelled by nobody"
    if call.end is not None:
        unforeseen: set[type] = set() if is_hostile else {TransportError}
        yield from _lies(call, call.end, chaos, unforeseen)


def _lies(
    call: Ended, end: Done | BaseException, chaos: Chaos, unforeseen: set[type]
) -> Iterator[str]:
    """Say in which ways a call was told what is not true."""
    acted, read = chaos.acted[call.user] > 0, chaos.read[call.user]
    attempts = end.attempts if isinstance(end, Done | FanvueError) else None
    if isinstance(end, Done):
        if not acted:
            yield "told that it was done"
        if end.named != call.user:
            yield f"given the answer for {end.named}"
    elif isinstance(end, FanvueError) and type(end) not in {FanvueError, *unforeseen}:
        if acted and not end.maybe_processed:
            yield f"told that it was not done: {end}"
        if acted and not call.idempotent and isinstance(end, NotSentError):
            yield f"told that it never left: {end}"
    else:
        yield f"given no typed error but {end!r}"
    if attempts is not None and read > attempts:
        yield f"told of {attempts} attempts, and {read} were read"


@attrs.frozen
class Result:
    """What came of a run."""

    ends: Counter[str]
    """How the calls ended, by the class of the error."""
    played: Counter[str]
    """Which faults there were."""
    latest: float
    """Seconds that the latest call ended after its deadline."""
    wrongs: list[str]
    """Promises that were broken, by call."""

    def __add__(self, other: Result) -> Result:
        return Result(
            self.ends + other.ends,
            self.played + other.played,
            max(self.latest, other.latest),
            self.wrongs + other.wrongs,
        )


async def run(
    seed: int, calls: int, tolerance: float, slack: float = 1, *, is_hostile: bool = False
) -> Result:
    """Make ``calls`` calls of one client against one server of chaos, and check them.

    Args:
        seed: decides what is drawn, and whether it goes over TLS: if it is odd.
        calls: how many.
        tolerance: how many times longer than it should a machine may take for what is late.
        slack: how many times longer deadlines and attempts are, for what is in time on a busy
            machine, too.
        is_hostile: whether hooks, filters, tracers and a provider do harm, see ``hostile.py``.

    """
    saboteur = Saboteur(seed) if is_hostile else None
    chaos, tls = Chaos(seed), bool(seed % 2)
    with Server(chaos.answer, greet=chaos.greet, tls=serving() if tls else None) as server:
        client = FanvueClient(
            "chaos-token",
            base_url=server.url,
            ssl=TRUST if tls else None,
            timeout=Timeout(_TOTAL * slack, attempt=_ATTEMPT * slack),
            limits=Limits(max_connections=_CONNECTIONS),
            on_retry=saboteur.hook if saboteur else None,
        )
        client._session.terms.pool.clockwork.sleep = _shorter
        callers = Callers(seed, client, _PAUSES[tls], slack, saboteur)
        with hostile_logging(saboteur) if saboteur else nullcontext():
            async with client:
                if saboteur:
                    instrument(client, saboteur)
                await callers.call(calls)
                free = sum(client._session.terms.pool.slots.take() for _ in range(_CONNECTIONS + 1))
    wrongs = [
        f"{call.user}: {wrong}; the server played {chaos.story[call.user]}"
        for call in callers.ended
        for wrong in _wrongs(call, chaos, tolerance, is_hostile=is_hostile)
    ]
    if saboteur and saboteur.done < calls / 20:
        wrongs.append(f"harm was done {saboteur.done} times only")
    if free != _CONNECTIONS:
        wrongs.append(f"{free} places of {_CONNECTIONS} are free in the end")
    ends = Counter(_name_of(call.end) for call in callers.ended)
    return Result(ends, chaos.played, max(call.late for call in callers.ended), wrongs)


async def _shorter(seconds: float) -> None:
    await asyncio.sleep(seconds / 100)


def _name_of(end: Done | BaseException | None) -> str:
    if end is None:
        return "cancelled"
    return "done" if isinstance(end, Done) else type(end).__name__


async def _watched(seed: int, calls: int, tolerance: float, *, is_hostile: bool) -> Result:
    """Make a round, and look at what it leaves behind, too."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(str(report)))
    opened = descriptors()
    result = await run(seed, calls, tolerance, is_hostile=is_hostile)
    await asyncio.sleep(0.1)
    if len(asyncio.all_tasks()) > 1:
        reports.append(f"tasks left behind: {asyncio.all_tasks()}")
    if descriptors() > opened:
        reports.append(f"{descriptors() - opened} descriptors left behind")
    result.wrongs.extend(reports)
    return result


def _long_run(seed: int, calls: int, seconds: float, tolerance: float, *, is_hostile: bool) -> bool:
    """Go on in rounds, and tell whether all went well."""
    gc.collect()
    gc.freeze()  # or the collector looks through all that is loaded, again and again, for 20 ms
    total = Result(Counter(), Counter(), -_TOTAL, [])
    started, made, sizes = time.monotonic(), 0, list[int]()
    while made < calls and time.monotonic() - started < seconds and not total.wrongs:
        size = min(_ROUNDS[seed % 2], calls - made)
        say(f"seed {seed}: {size:,} calls{' over TLS' if seed % 2 else ''}")
        total += asyncio.run(_watched(seed, size, tolerance, is_hostile=is_hostile))
        made, seed = made + size, seed + 1
        gc.collect()
        sizes.append(kilobytes())
    say("\nthe server played:")
    for name, count in total.played.most_common():
        say(f"{count:8,}  {name}")
    say("\nthe calls ended as:")
    for name, count in total.ends.most_common():
        say(f"{count:8,}  {name}")
    say(f"\nthe latest ended {total.latest * 1000:+.0f} ms after its deadline")
    is_steady = _is_steady(sizes, made)
    for wrong in total.wrongs:
        say(wrong)
    return is_steady and not total.wrongs


def _is_steady(sizes: list[int], calls: int) -> bool:
    """Tell whether memory does not grow, if there were rounds enough to tell."""
    half = len(sizes) // 2
    if half <= _WARM_UP:
        say("too few calls to tell whether memory grows")
        return True
    # The least of several, because what the allocator keeps goes up and down by megabytes.
    before, after = min(sizes[_WARM_UP:half]), min(sizes[half:])
    say(f"memory grew by {after - before:,} kB in the second half, to {after:,} kB")
    return after - before < _MAX_GROWTH * max(1, calls / 2 / 10_000)


def _alone() -> bool:
    """Run the other tests of this directory as ``scale.py`` says, in a process of their own."""
    here = Path(__file__).parent
    files = [str(here / f"test_{name}.py") for name in ("lifecycle", "memory", "outage")]
    options = ["-q", "-s", "-p", "no:randomly", "--timeout=600", "--show-capture=no"]
    ended = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", *options, *files],
        check=False,
        cwd=here.parents[1],
        env={**os.environ, "ALONE": "1"},
    )
    return ended.returncode == 0


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description="Calls against a server that does its worst.")
    parser.add_argument("--seed", type=int, help="of the first round; default: a new one")
    parser.add_argument("--calls", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--seconds", type=float, default=300, help="default: 300")
    parser.add_argument(
        "--tolerance", type=float, default=1, help="on a busy machine, 10 lets a call be 1 s late"
    )
    parser.add_argument(
        "--hostile", action="store_true", help="let hooks, filters, tracers and providers do harm"
    )
    parser.add_argument("--alone", action="store_true", help="run the other tests, tight and long")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    if given.alone:
        sys.exit(not _alone())
    ended_well = _long_run(
        seed, given.calls, given.seconds, given.tolerance, is_hostile=given.hostile
    )
    sys.exit(not ended_well)


if __name__ == "__main__":
    main()
