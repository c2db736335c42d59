"""What a call waits in: the queue for a connection, and the scopes that end a wait in time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context
from typing import Any, Self

_PATIENCE = 0.5  # seconds that ended waits may take to end
_EARLY = 0.001  # seconds: uvloop counts in milliseconds, and timers may fire up to 0.5 ms early


def this_task() -> asyncio.Task[Any] | None:
    """Return the task that runs; None outside of any."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Slots:
    """The queue for connections: first come, first served, and left in O(1).

    asyncio.Semaphore scans its cancelled waiters, so closing under 10,000 of them takes seconds.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self.waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        """Who waits, in their order."""

    def take(self) -> bool:
        """Take a slot if one is free."""
        if self._free:
            self._free -= 1
            return True
        return False

    def join(self) -> asyncio.Future[None]:
        """Queue up; the future is done when a slot is handed over. Who gives up must ``leave``."""
        waiter = asyncio.get_running_loop().create_future()
        self.waiters[waiter] = None
        return waiter

    def leave(self, waiter: asyncio.Future[None]) -> None:
        """Give up waiting."""
        if waiter.done() and not waiter.cancelled():  # a slot was handed over in that moment
            self.release()
        else:
            self.waiters.pop(waiter, None)

    def release(self) -> None:
        """Hand the slot over to whoever waits longest."""
        while self.waiters:
            waiter, _ = self.waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Scopes:
    """The open waits, which closing ends together."""

    def __init__(self) -> None:
        self.closing: bool = False
        """Whether new calls are refused."""
        self.ended: bool = False
        """Whether open waits are ended."""
        self.timers: set[Timer] = set()
        """Those that have open waits."""
        self._idle = asyncio.Event()

    @property
    def open(self) -> list[Scope]:
        """The open waits."""
        return [scope for timer in self.timers for scope in timer.scopes]

    def note_end(self) -> None:
        """Note that a wait has ended while the client closes."""
        if not self.timers:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait until no call is in flight, for at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.timers and not self.ended:  # a call goes from one wait to the next
                    self._idle.clear()
                    await self._idle.wait()

    async def end_all(self) -> None:
        """End every wait, and return when the last one has ended.

        One that is held up by a token provider that swallows its cancel is not waited for.
        """
        self.ended = True
        self._idle.set()  # for whoever drains
        if self.timers:
            self._idle.clear()
            # In a turn of its own, when no task runs: a cancel of one that does might reach it
            # after the scope. https://github.com/python/cpython/pull/117407
            asyncio.get_running_loop().call_soon(self._end_open, context=Context())
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._idle.wait()

    def _end_open(self) -> None:
        for scope in self.open:
            scope.end()


class Timer:
    """Ends waits that are all of one length, with one handle of the loop for all of them.

    The loop keeps its handles in a heap and compares them in Python: one for each call costs 4 % of
    it. Here the waits are kept in the order in which they began, which is that of their ends.
    """

    __slots__ = ("_ends", "_handle", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[Scope, float] = {}
        self._handle: asyncio.TimerHandle | None = None

    @property
    def scopes(self) -> Iterable[Scope]:
        """Its open waits, in their order."""
        return self._ends

    def start(self, scope: Scope) -> None:
        """End that wait when its time is up."""
        if not self._ends:
            scope.scopes.timers.add(self)
        loop = scope.task.get_loop()
        end = self._ends[scope] = loop.time() + self._seconds
        if self._handle is None:
            self._schedule(loop, end)

    def stop(self, scope: Scope) -> None:
        """Leave that wait alone."""
        del self._ends[scope]
        if not self._ends:
            scope.scopes.timers.discard(self)
            if self._handle is not None:
                self._handle.cancel()
                self._handle = None

    def _schedule(self, loop: asyncio.AbstractEventLoop, end: float) -> None:
        # In an empty context: a handle would keep that of the first caller alive as long as calls
        # overlap.
        self._handle = loop.call_at(end, self._expire, context=Context())

    def _expire(self) -> None:
        """End the waits that are due, and come back for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time() + _EARLY
        self._handle = None
        due: list[Scope] = []
        for scope, end in self._ends.items():
            if end > now:
                self._schedule(loop, end)
                break
            due.append(scope)
        for scope in due:
            scope.end()


class Scope:
    """Bounds the waits of a task: by a timer, and by the closing of the client.

    By the rules of asyncio.timeout, so that a cancel of the caller's is never taken for its own.
    But what it ends goes on after the ``with``, where ``expired`` tells of it; closing ends ten
    thousand of them in one turn of the loop; and entering it suspends nothing.
    """

    __slots__ = ("_cancelling", "_timer", "expired", "scopes", "task")

    def __init__(self, scopes: Scopes, timer: Timer, task: asyncio.Task[Any]) -> None:
        self.scopes: Scopes = scopes
        self._timer = timer
        self.task: asyncio.Task[Any] = task
        self.expired: bool = False
        """Whether it has asked its task to end the wait."""

    def __enter__(self) -> Self:
        self._cancelling = self.task.cancelling()
        self._timer.start(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._timer.stop(self)
        if self.scopes.closing:
            self.scopes.note_end()
        # Every cancel is taken back by whoever asked for it; what is left is the caller's.
        is_ours = self.expired and self.task.uncancel() <= self._cancelling
        return is_ours and kind is asyncio.CancelledError

    def change_to(self, timer: Timer) -> None:
        """Go by another timer, which starts now."""
        self._timer.stop(self)
        self._timer = timer
        timer.start(self)

    def end(self) -> None:
        """End the wait."""
        if not self.expired:
            self.expired = True
            self.task.cancel()
