"""Messages sent through a server that does its worst, held against what it has written down.

``python tests/faults/sends.py`` sends ``--messages`` with 50 at once. Each run prints its seed,
which repeats it. Every send has a token of its own, so that the ledger tells whose message is whose
even where two sends look the same.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from faults.scale import say
from support.ledger import LOST, Entry, Ledger
from support.users import user

from fanvue_async import FanvueClient, FanvueError, Limits, RetryPolicy, SentMessage, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENCY = 50
_CONNECTIONS = 30  # fewer than callers, so that there is a queue
_FANS = 40
_EQUAL = 0.05
"""The share of sends that another one repeats, word for word, at the same time."""
_CANCELLED = 0.1
_SETTLED = 0.95
_FAULTS = {
    "none": 55,
    **dict.fromkeys(LOST, 5),
    "late answer": 2,
    "late arrival": 0.3,
    "lost request": 5,
    "refused 400": 2,
    "refused 429": 2,
    "refused 500": 3,
    "refused 503": 3,
}
_READ_FAULTS = {"none": 90, "500": 5, "502": 5}


@attrs.frozen
class Outcome:
    """How a send ended for its caller."""

    token: str
    is_twin: bool
    result: SentMessage | FanvueError | None
    """None: its caller cancelled it."""


@attrs.define
class Report:
    """What the ledger says of the outcomes."""

    counts: Counter[str] = attrs.field(factory=Counter[str])
    wrong: list[str] = attrs.field(factory=list[str])
    """Each broken promise, in words."""

    @property
    def settled(self) -> float:
        """The share of the sends that arrived without a response, and still have their uuid."""
        lost = self.counts["lost, found"] + self.counts["lost, unknown"]
        return self.counts["lost, found"] / lost if lost else 1


async def storm(messages: int, seed: int) -> Report:
    """Send that many messages, and hold each outcome against the ledger."""
    chance = random.Random(seed)

    def fault() -> str:
        return chance.choices(list(_FAULTS), [*_FAULTS.values()])[0]

    async with Ledger(fault) as ledger:
        ledger.read_fault = lambda: chance.choices(list(_READ_FAULTS), [*_READ_FAULTS.values()])[0]
        ledger.delay = 1.5
        client = FanvueClient(
            "token",
            base_url=ledger.url,
            timeout=Timeout(total=30, attempt=1),
            retry=RetryPolicy(max_attempts=5, wait_initial=0.01, wait_max=0.05),
            limits=Limits(max_connections=_CONNECTIONS),
        )
        async with client:
            turns = iter(range(messages))
            outcomes: list[Outcome] = []
            callers = (_caller(client, chance, turns, outcomes) for _ in range(CONCURRENCY))
            await asyncio.gather(*callers)
            await ledger.settle()
        return _judge(ledger.entries, outcomes)


async def _caller(
    client: FanvueClient, chance: random.Random, turns: Iterator[int], outcomes: list[Outcome]
) -> None:
    for turn in turns:
        fan, text = user(1 + turn % _FANS), f"Message {turn}"
        twins = 2 if chance.random() < _EQUAL else 1
        sends = (_send(client, chance, f"token-{turn}-{n}", fan, text) for n in range(twins))
        for token, result in await asyncio.gather(*sends):
            outcomes.append(Outcome(token, twins > 1, result))


async def _send(
    client: FanvueClient, chance: random.Random, token: str, fan: str, text: str
) -> tuple[str, SentMessage | FanvueError | None]:
    scoped = client.with_options(access_token=token)
    task = asyncio.create_task(scoped.messages.send(fan, text=text))
    if chance.random() < _CANCELLED:
        await asyncio.sleep(chance.random() * 0.03)
        task.cancel()
    try:
        return token, await task
    except FanvueError as error:
        return token, error
    except asyncio.CancelledError:
        return token, None


def _judge(entries: list[Entry], outcomes: list[Outcome]) -> Report:
    report = Report()
    by_token: dict[str, list[Entry]] = {}
    for entry in entries:
        by_token.setdefault(entry.token, []).append(entry)
    for outcome in outcomes:
        arrived = by_token.get(outcome.token, [])
        if len(arrived) > 1:
            report.wrong.append(f"{outcome.token} arrived {len(arrived)} times")
        _judge_one(report, outcome, arrived[0] if arrived else None)
    return report


def _judge_one(report: Report, outcome: Outcome, entry: Entry | None) -> None:
    result = outcome.result
    if result is None:
        report.counts["cancelled"] += 1
        return
    if isinstance(result, SentMessage):
        report.counts["sent"] += 1
        if entry is None or entry.uuid != result.message_uuid:
            report.wrong.append(f"{outcome.token} was given the uuid of another message")
    else:
        report.counts[type(result).__name__] += 1
        if entry is not None and not result.maybe_processed:
            report.wrong.append(f"{outcome.token} arrived: {result}")
        # On a busy machine a message may arrive after its attempt has timed out.
        is_late = entry is not None and entry.fault in {"none", "late answer", "late arrival"}
        if entry is not None and result.looked_for and not is_late:
            report.wrong.append(f"{outcome.token} was there: {result}")
    if entry is not None and entry.fault != "none" and not outcome.is_twin:
        is_found = isinstance(result, SentMessage)
        report.counts["lost, found" if is_found else "lost, unknown"] += 1


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    say(f"seed {options.seed}")
    started = time.monotonic()
    report = asyncio.run(storm(options.messages, options.seed))
    say(f"{options.messages} messages in {time.monotonic() - started:.0f} s: {dict(report.counts)}")
    say(f"settled: {report.settled:.1%} of those whose response was lost")
    for broken in report.wrong:
        say(broken)
    sys.exit(bool(report.wrong) or report.settled < _SETTLED)


if __name__ == "__main__":
    main()
