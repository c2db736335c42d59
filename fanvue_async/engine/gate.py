"""The gate: calls wait here for their bucket of the rate limit, before they are sent.

The rules of waiting, each of which a well-known client got wrong: a cancelled waiter passes its
wake-up on and holds nothing, finished waiters are skipped, every wait is bounded and looks again,
nobody waits while holding a connection, and one full bucket delays no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING
from weakref import WeakSet

from fanvue_async.engine.window import Allowance, ServerClock, read_report

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.shares import SharedStore
    from fanvue_async.engine.window import Report
    from fanvue_async.stores import Store

_SOONEST_LOOK = 0.001
_LOOK_AGAIN = 1.0  # seconds that a waiter sleeps at most before the gate looks again
_BLIND_WAIT = 1.0  # seconds to wait after a first 429 that says nothing
_BLIND_WAIT_MAX = 60.0
_LONGEST_CLOSED = 3_600.0  # whatever a 429 says: then a call asks again
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
        self._blind_wait = 0.0
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None

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
        seconds = self.seconds_for(self.place_of_next(first=first))
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
        except BaseException:  # however the wait ends, nobody else waits for it
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
        """Close the gate for as long as a 429 asks for, if it says so, but for an hour at most."""
        now = self._clock()
        seconds = retry_after
        if seconds is None:
            seconds = self.allowance.until_free(0, now)
        if not seconds:
            if now < self._closed_until:  # sent before it was closed
                return
            # Longer each time, as long as each comes right after the wait for the one before.
            if now > self._closed_until + self._blind_wait:
                self._blind_wait = 0.0
            seconds = max(_BLIND_WAIT, min(_BLIND_WAIT_MAX, self._blind_wait * 2))
            self._blind_wait = seconds
        self._closed_until = max(self._closed_until, now + min(seconds, _LONGEST_CLOSED))

    def place_of_next(self, *, first: bool) -> int:
        """Return the place, from 0, of who begins to wait; ``first`` goes before all others."""
        return 0 if first else len(self._waiters)

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

    __slots__ = ("_gates", "_own", "key", "main", "members")

    def __init__(self, gates: Gates, account: str, creator: str | None) -> None:
        self.key: tuple[str, ...] = (account, creator) if creator else (account,)
        self.main: Gate = gates.make(self.key)
        self.members: set[str] = set()
        """Operations that are known to count in the bucket."""
        self._own: dict[str, Gate] = {}
        self._gates = gates

    def gate(self, operation: str) -> Gate:
        """Return the gate of a request."""
        return self._own.get(operation, self.main) if self._own else self.main

    def note(self, operation: str, answer: Answer, sent: float) -> None:
        """Learn what a response says about its bucket; ``sent`` is when it was asked for."""
        if operation in self.members and self.main.allowance.knows(answer, sent):
            return
        now = self._gates.note_time(answer, sent)
        report = read_report(answer.limits)
        if report is None and answer.status >= 500:  # noqa: PLR2004 - it may be a proxy's
            return
        gate = self._gate_of_report(operation, report)
        gate.allowance.note(report, now)
        gate.allowance.remember(answer)

    def _gate_of_report(self, operation: str, report: Report | None) -> Gate:
        """Find whose report it is: an operation that reports another limit has a bucket of its own.

        If one reported the bucket's limit before, that limit has changed.
        """
        limit = self.main.allowance.window.limit
        own = self._own.pop(operation, None)
        if report is not None and (limit in (None, report.limit) or operation in self.members):
            if len(self.members) < _MAX_MEMBERS:
                self.members.add(operation)
            return self.main
        if own is None:
            if report is None:
                return self.main
            own = self._gates.make((*self.key, operation))
        self._own[operation] = own  # as the newest
        if len(self._own) > _MAX_MEMBERS:  # paths of `client.request` hold ids
            del self._own[next(iter(self._own))]
        return own


class Gates:
    """What the gates of a pool have in common."""

    def __init__(self, clock: Callable[[], float], store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._shared: SharedStore | None = None
        self._server_clock = ServerClock()
        self._made: WeakSet[Gate] = WeakSet()

    def family(self, account: str, creator: str | None) -> Family:
        """Make the gates of an account, or of a creator it acts for."""
        return Family(self, account, creator)

    def make(self, key: tuple[str, ...]) -> Gate:
        """Make a gate; processes that share a store share what has the same key."""
        if self._store is None:
            gate = Gate(self._clock, Allowance(self._server_clock))
        else:
            from fanvue_async.engine import shares  # noqa: PLC0415 - most programs share nothing

            self._shared = self._shared or shares.SharedStore(self._store)
            name = "/".join(key)
            allowance = shares.SharedAllowance(self._server_clock, self._shared, name, self._clock)
            gate = Gate(self._clock, allowance)
            allowance.admit = gate.admit
        self._made.add(gate)
        return gate

    def note_time(self, answer: Answer, sent: float) -> float:
        """Learn the API's time from a response that has just come; return our own."""
        now = self._clock()
        self._server_clock.note(answer.headers, sent, now)
        return now

    def close(self) -> None:
        """End all waits."""
        for gate in list(self._made):
            gate.close()
