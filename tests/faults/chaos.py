"""Thousands of calls against a server that does what servers do at their worst.

``python tests/faults/chaos.py`` goes on in rounds until it has made ``--calls`` calls or until
``--seconds`` are over. Each round prints its seed, which repeats it. What must be true of every
call is checked against the server's own ledger, see ``_wrongs``.

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
import ssl
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from support.chaos_server import Chaos, Server
from support.users import user

from fanvue_async import FanvueClient, FanvueError, Limits, Timeout, TransportError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

CONCURRENCY = 100
_CONNECTIONS = 60  # fewer than callers, so that there is a queue
_ROUNDS = (10_000, 2_500)  # calls of a round without and with TLS
_MAX_GROWTH = 1024  # kB in 10,000 calls
_WARM_UP = 3  # rounds
_TOTAL = 1.0
_SHORT_TOTAL = 0.2
_GRACE = 0.1
# Seconds between two calls of a caller, on average, without and with TLS. Without them client and
# server keep one processor busy, and what is late then is late because of that.
_PAUSES = (0.05, 0.2)
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
class Ended:
    """A call that came to its end."""

    user: str
    task: asyncio.Task[str]
    """Its result is what the answer said."""
    idempotent: bool
    cancelled: bool
    """Whether its caller cancelled it before it was done."""
    late: float
    """Seconds that it took longer than its deadline, negative if less."""


class Callers:
    """Many callers at once of one client, some of whom change their minds."""

    def __init__(self, seed: int, client: FanvueClient, pause: float) -> None:
        """Make them.

        Args:
            seed: decides what each of them does.
            client: whom they call.
            pause: seconds between two calls of one of them, on average.

        """
        self.ended: list[Ended] = []
        self._seed = seed
        self._pause = pause
        self._views = (
            client,
            client.with_options(timeout=_SHORT_TOTAL),
            client.with_options(access_token=_Provider()),
            client.with_options(account="another"),
        )

    async def call(self, count: int) -> None:
        """Make that many calls, ``CONCURRENCY`` at a time."""
        numbers = iter(range(count))
        await asyncio.gather(*(self._call_one_by_one(numbers) for _ in range(CONCURRENCY)))

    async def _call_one_by_one(self, numbers: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        for number in numbers:
            draw = random.Random(f"{self._seed} call {number}")  # noqa: S311 - no secret
            (view,) = draw.choices(self._views, (5, 1, 2, 2))
            total = _SHORT_TOTAL if view is self._views[1] else _TOTAL
            idempotent = draw.random() < 0.2
            is_large = draw.random() < 0.03
            # Of those who lose patience, many do so too late: a tenth is in time.
            patience = draw.choice([0.005, 0.3]) * draw.random() if draw.random() < 0.25 else None
            await asyncio.sleep(draw.uniform(0, 2 * self._pause))

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
            self.ended.append(Ended(user(number), task, idempotent, cancelled, late))


async def _create(client: FanvueClient, to: str) -> str:
    return (await client.chats.create(to)).message


async def _send(client: FanvueClient, to: str, text: str) -> str:
    """Do something that must not be done twice, such as sending a message."""
    body = {"userUuid": to, "text": text}
    response = await client.request("POST", "/messages", json=body, idempotent=False)
    named = _MESSAGE.search(response.content)
    return named[1].decode("latin-1") if named else to  # an unusable body is everybody's


def _wrongs(call: Ended, chaos: Chaos, tolerance: float) -> Iterator[str]:
    """Say in which ways a call broke a promise."""
    acted, read = chaos.acted[call.user], chaos.read[call.user]
    if call.late > _GRACE * tolerance:
        yield f"ended {call.late:.3f} s after its deadline"
    if acted > 1 and not call.idempotent:
        yield f"acted on {acted} times"
    if call.task.cancelled() != call.cancelled:
        yield "its cancel was lost" if call.cancelled else "cancelled by nobody"
    if call.task.cancelled():
        return
    error = call.task.exception()
    if error is None:
        if not acted:
            yield "reported as done, which it is not"
        if call.task.result() != call.user:
            yield f"took the answer for {call.task.result()}"
    elif not isinstance(error, FanvueError) or type(error) in {FanvueError, TransportError}:
        yield f"no typed error but {error!r}"
    else:
        if acted and not error.maybe_processed:
            yield f"acted on, and told otherwise: {error}"
        if read > error.attempts:
            yield f"read {read} times, and {error.attempts} attempts told"


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


def authority() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make the TLS contexts of a server on this machine and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def run(seed: int, calls: int, tolerance: float) -> Result:
    """Make ``calls`` calls of one client against one server of chaos, and check them.

    Args:
        seed: decides what is drawn, and whether it goes over TLS: if it is odd.
        calls: how many.
        tolerance: how many times longer than it should a machine may take for what is late.

    """
    chaos, tls = Chaos(seed), bool(seed % 2)
    server_tls, client_tls = authority() if tls else (None, None)
    with Server(chaos.answer, greet=chaos.greet, tls=server_tls) as server:
        client = FanvueClient(
            "chaos-token",
            base_url=server.url,
            ssl=client_tls,
            timeout=Timeout(_TOTAL, attempt=0.25),
            limits=Limits(max_connections=_CONNECTIONS),
        )
        client._session.pool.seams.sleep = _shorter
        callers = Callers(seed, client, _PAUSES[tls])
        async with client:
            await callers.call(calls)
            free = sum(client._session.pool.places.take() for _ in range(_CONNECTIONS + 1))
    wrongs = [
        f"{call.user}: {wrong}; the server played {chaos.story[call.user]}"
        for call in callers.ended
        for wrong in _wrongs(call, chaos, tolerance)
    ]
    if free != _CONNECTIONS:
        wrongs.append(f"{free} places of {_CONNECTIONS} are free in the end")
    ends = Counter(_name_of(call.task) for call in callers.ended)
    return Result(ends, chaos.played, max(call.late for call in callers.ended), wrongs)


async def _shorter(seconds: float) -> None:
    await asyncio.sleep(seconds / 100)


def _name_of(task: asyncio.Task[str]) -> str:
    if task.cancelled():
        return "cancelled"
    return type(error).__name__ if (error := task.exception()) else "done"


async def _watched(seed: int, calls: int, tolerance: float) -> Result:
    """Make a round, and look at what it leaves behind, too."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(str(report)))
    descriptors = _descriptors()
    result = await run(seed, calls, tolerance)
    await asyncio.sleep(0.1)
    if len(asyncio.all_tasks()) > 1:
        reports.append(f"tasks left behind: {asyncio.all_tasks()}")
    if _descriptors() > descriptors:
        reports.append(f"{_descriptors() - descriptors} descriptors left behind")
    result.wrongs.extend(reports)
    return result


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path for each would open more


def _kilobytes() -> int:
    """Measure the memory that this process takes."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _long_run(seed: int, calls: int, seconds: float, tolerance: float) -> bool:
    """Go on in rounds, and tell whether all went well."""
    played, ends = Counter[str](), Counter[str]()
    started, made, sizes, latest = time.monotonic(), 0, list[int](), -_TOTAL
    while made < calls and time.monotonic() - started < seconds:
        size = min(_ROUNDS[seed % 2], calls - made)
        print(f"seed {seed}: {size:,} calls{' over TLS' if seed % 2 else ''}", flush=True)
        result = asyncio.run(_watched(seed, size, tolerance))
        made, seed, latest = made + size, seed + 1, max(latest, result.latest)
        played += result.played
        ends += result.ends
        sizes.append(_kilobytes())
        if result.wrongs:
            print("\n".join(result.wrongs))
            return False
    print(
        "\nthe server played:", *(f"{n:8,}  {name}" for name, n in played.most_common()), sep="\n"
    )
    print("\nthe calls ended as:", *(f"{n:8,}  {name}" for name, n in ends.most_common()), sep="\n")
    print(f"\nthe latest ended {latest * 1000:+.0f} ms after its deadline")
    return _is_steady(sizes, made)


def _is_steady(sizes: list[int], calls: int) -> bool:
    """Tell whether memory does not grow, if there were rounds enough to tell."""
    half = len(sizes) // 2
    if half <= _WARM_UP:
        print("too few calls to tell whether memory grows")
        return True
    # The least of several, because what the allocator keeps goes up and down by megabytes.
    before, after = min(sizes[_WARM_UP:half]), min(sizes[half:])
    print(f"memory grew by {after - before:,} kB in the second half, to {after:,} kB")
    return after - before < _MAX_GROWTH * max(1, calls / 2 / 10_000)


def _alone() -> bool:
    """Run the other tests of this directory as ``scale.py`` says."""
    os.environ["ALONE"] = "1"
    options = ("-q", "-s", "-p", "no:randomly", "--timeout=600", "--no-cov")
    files = (str(Path(__file__).with_name(f"test_{name}.py")) for name in _OTHERS)
    return pytest.main([*options, *files]) == pytest.ExitCode.OK


_OTHERS = ("outage", "lifecycle", "memory")


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description="Calls against a server that does its worst.")
    parser.add_argument("--seed", type=int, help="of the first round; default: a new one")
    parser.add_argument("--calls", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--seconds", type=float, default=300, help="default: 300")
    parser.add_argument(
        "--tolerance", type=float, default=1, help="on a busy machine, 10 lets a call be 1 s late"
    )
    parser.add_argument("--alone", action="store_true", help="run the other tests, tight and long")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed  # noqa: S311 - no secret
    if given.alone:
        sys.exit(not _alone())
    sys.exit(not _long_run(seed, given.calls, given.seconds, given.tolerance))


if __name__ == "__main__":
    main()
