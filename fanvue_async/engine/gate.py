"""The gate: calls wait here for their bucket of the rate limit, before they are sent.

The rules of waiting, each of which a well-known client got wrong: a cancelled waiter passes its
wake-up on and holds nothing, finished waiters are skipped, every wait is bounded and looks again,
nobody waits while holding a connection, and one full bucket delays no other.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from fanvue_async.engine.window import Allowance, ServerClock, read_report

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.window import Report
    from fanvue_async.stores import Store

_SOONEST_LOOK = 0.001
_LOOK_AGAIN = 1.0  # seconds that a waiter sleeps at most before the gate looks again
_BLIND_WAIT = 1.0  # seconds to wait after a first 429 that says nothing
_BLIND_WAIT_MAX = 60.0
_MAX_BUCKETS = 10_000
_MAX_MEMBERS = 1_000


class TooLongError(Exception):
    """The wait cannot end in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class GateClosedError(Exception):
    """The client is closed."""


class _Waiter:
    __slots__ = ("future", "until")

    def __init__(self, until: float) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.until = until


class Gate:
    """One bucket: who is in flight, who waits, and who goes next."""

    def __init__(self, clock: Callable[[], float], allowance: Allowance) -> None:
        self.allowance: Allowance = allowance
        self._clock = clock
        self._in_flight = 0
        self._is_closed = False
        self._closed_until = 0.0
        self._blind_wait = _BLIND_WAIT
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether calls wait or are in flight."""
        return bool(self._waiters) or self._in_flight > 0

    def try_enter(self, now: float | None = None) -> bool:
        """Go through if nobody waits and the bucket allows it."""
        now = self._clock() if now is None else now
        if (
            self._waiters
            or now < self._closed_until
            or not self.allowance.take(now, self._in_flight, 0)
        ):
            return False
        self._in_flight += 1
        return True

    async def enter(self, until: float, *, first: bool) -> None:
        """Wait for a turn; ``first`` goes before those who wait already.

        Raises:
            TooLongError: the wait cannot end at ``until``, by the own clock.
            GateClosedError: the client was closed.

        """
        if self._is_closed:
            raise GateClosedError
        seconds = self.seconds_for(0 if first else len(self._waiters))
        if self._clock() + seconds > until:
            raise TooLongError(seconds)
        waiter = _Waiter(until)
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self.admit()
        try:
            await waiter.future
        except BaseException:
            future = waiter.future
            if future.done() and not future.cancelled() and future.exception() is None:
                self.leave(was_sent=False)  # its turn came in that moment
            else:
                self.admit()
            raise

    def leave(self, *, was_sent: bool = True) -> None:
        """Note that a call that went through has come to its end."""
        self._in_flight -= 1
        if not was_sent:
            self.allowance.put_back()
        if self._waiters:
            self.admit()

    def refuse(self, retry_after: float | None) -> None:
        """Close the gate for as long as a 429 asks for, if it says so."""
        now = self._clock()
        seconds = retry_after
        if seconds is None:
            seconds = self.allowance.seconds_for(0, now)
        if not seconds:
            seconds = self._blind_wait
            self._blind_wait = min(_BLIND_WAIT_MAX, seconds * 2)
        self._closed_until = max(self._closed_until, now + seconds)

    def seconds_for(self, place: int) -> float:
        """Return the least number of seconds until the waiter at a place, from 0, may go."""
        now = self._clock()
        return max(0.0, self._closed_until - now, self.allowance.seconds_for(place, now))

    def admit(self) -> None:
        """Let go whose turn it is."""
        now = self._clock()
        waiters = self._waiters
        while waiters and (waiters[0].future.done() or self._take(now)):
            waiter = waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(None)
        if waiters:
            seconds = self.seconds_for(0)
            if not seconds and self._in_flight:  # the end of one of those lets the next one go
                seconds = _LOOK_AGAIN
            self._look_in(min(max(seconds, _SOONEST_LOOK), _LOOK_AGAIN))

    def _look_in(self, seconds: float) -> None:
        """Look at the waiters then, unless that happens earlier anyway."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds + _SOONEST_LOOK:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._look, context=Context())

    def _look(self) -> None:
        """Admit, and refuse those whose wait is pointless."""
        self._timer = None
        now = self._clock()
        kept: deque[_Waiter] = deque()
        for waiter in self._waiters:
            if waiter.future.done():
                continue
            seconds = self.seconds_for(len(kept))
            if now + seconds > waiter.until:
                waiter.future.set_exception(TooLongError(seconds))
            else:
                kept.append(waiter)
        self._waiters = kept
        self.admit()

    def close(self) -> None:
        """End all waits, and refuse further ones."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(GateClosedError())
        self._waiters.clear()
        self.allowance.close()

    def _take(self, now: float) -> bool:
        if now < self._closed_until:
            return False
        if not self.allowance.take(now, self._in_flight, len(self._waiters)):
            return False
        self._in_flight += 1
        return True


class Family:
    """The gates of one account, or of one creator: the bucket, and operations with an own limit."""

    __slots__ = ("key", "main", "members", "own")

    def __init__(self, key: tuple[str, str | None], main: Gate) -> None:
        self.key: tuple[str, str | None] = key
        self.main: Gate = main
        self.members: set[str] = set()
        """Operations that are known to count in the bucket."""
        self.own: dict[str, Gate] = {}

    def gate(self, operation: str) -> Gate:
        """Return the gate of a request."""
        return self.own.get(operation, self.main) if self.own else self.main

    @property
    def gates(self) -> list[Gate]:
        """All of them."""
        return [self.main, *self.own.values()]


class Gates:
    """All gates of a pool; those used longest ago are forgotten, unless calls use them."""

    def __init__(self, clock: Callable[[], float], store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._server_clock = ServerClock()
        self._families: OrderedDict[tuple[str, str | None], Family] = OrderedDict()

    def family(self, account: str, creator: str | None) -> Family:
        """Return the gates of an account, or of a creator it acts for."""
        key = (account, creator)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = Family(key, self._make(key))
            if len(self._families) > _MAX_BUCKETS:
                self._forget_one(key)
        elif len(self._families) > _MAX_BUCKETS // 2:  # below, the order does not matter
            self._families.move_to_end(key)
        return family

    def note(self, family: Family, operation: str, answer: Answer, sent: float) -> None:
        """Learn what a response says about its bucket; ``sent`` is when it was asked for."""
        now, headers = self._clock(), answer.headers
        if (
            not family.own
            and operation in family.members
            and family.main.allowance.knows(headers, now)
        ):
            return
        self._server_clock.note(headers, sent, now)
        report = read_report(headers)
        if report is None and answer.status >= 500:  # noqa: PLR2004 - it may be a proxy's
            return
        gate = self._gate_of_report(family, operation, report)
        gate.allowance.note(report, now)
        if report is not None:
            gate.allowance.remember(headers)

    def close(self) -> None:
        """End all waits."""
        for family in self._families.values():
            for gate in family.gates:
                gate.close()

    def _gate_of_report(self, family: Family, operation: str, report: Report | None) -> Gate:
        """Find whose report it is: an operation that reports another limit has a bucket of its own.

        One that told the bucket's limit before tells that the bucket's limit has changed.
        """
        limit = family.main.allowance.window.limit
        own = family.own.get(operation)
        if report is None:
            return own or family.main
        if limit in (None, report.limit) or operation in family.members:
            family.own.pop(operation, None)
            if len(family.members) < _MAX_MEMBERS:
                family.members.add(operation)
            return family.main
        if own is None:
            own = family.own[operation] = self._make((*family.key, operation))
        return own

    def _make(self, key: tuple[str | None, ...]) -> Gate:
        if self._store is None:
            return Gate(self._clock, Allowance(self._server_clock))
        from fanvue_async.engine.shares import SharedAllowance  # noqa: PLC0415 - for who shares

        name = "/".join(part for part in key if part)
        allowance = SharedAllowance(self._server_clock, self._store, name, self._clock)
        gate = Gate(self._clock, allowance)
        allowance.admit = gate.admit
        return gate

    def _forget_one(self, newest: tuple[str, str | None]) -> None:
        for key, family in self._families.items():
            if key != newest and not any(gate.is_busy for gate in family.gates):
                del self._families[key]
                return
