"""What a call waits in: the queue for a connection, and the scopes that end a wait in time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from fanvue_async.pool import Pool

_EARLY = 0.001  # seconds: uvloop counts in milliseconds, and may ring half of one before its time


class Places:
    """The queue for connections: first come, first served, and left in O(1).

    asyncio.Semaphore scans its cancelled waiters, so closing under 10,000 of them takes seconds.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    def take(self) -> bool:
        """Take a place if one is free."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Wait until a place is handed over."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        except BaseException:  # a cancel, or the end of a task that is thrown away
            if waiter.done() and not waiter.cancelled():  # a place was handed over in that moment
                self.leave()
            else:
                self._waiters.pop(waiter, None)
            raise

    def leave(self) -> None:
        """Hand the place over to whoever waits longest."""
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Timer:
    """Ends waits that are all of one length, with one handle of the loop for all of them.

    The loop's handles lie in a heap that compares them in Python: one for each call costs 4 % of
    it. Here the waits stand in the order in which they began, which is that of their ends.
    """

    __slots__ = ("_ends", "_handle", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[Scope, float] = {}
        self._handle: asyncio.TimerHandle | None = None

    def start(self, scope: Scope) -> None:
        """End that wait when its time is over."""
        loop = asyncio.get_running_loop()
        end = self._ends[scope] = loop.time() + self._seconds
        if self._handle is None:
            self._handle = loop.call_at(end, self._ring)

    def stop(self, scope: Scope) -> None:
        """Let that wait be."""
        del self._ends[scope]
        if not self._ends and self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        """End the waits that are due, and come back for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time() + _EARLY
        self._handle = None
        due: list[Scope] = []
        for scope, end in self._ends.items():
            if end > now:
                self._handle = loop.call_at(end, self._ring)
                break
            due.append(scope)
        for scope in due:
            scope.end()


class Scope:
    """Bounds the waits of a task: by a timer, and by the closing of the client.

    By the rules of asyncio.timeout, so that a cancel of the caller's is never taken for its own.
    But what it ends goes on behind the ``with``, where ``is_over`` tells of it; closing ends ten
    thousand of them in one turn of the loop; and entering it suspends nothing.
    """

    __slots__ = ("_cancelling", "_pool", "_task", "_timer", "is_over")

    def __init__(self, pool: Pool, timer: Timer) -> None:
        self._pool = pool
        self._timer = timer
        self.is_over: bool = False
        """Whether it has asked its task to end the wait."""

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._timer.start(self)
        self._pool.in_flight.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._timer.stop(self)
        self._pool.in_flight.discard(self)
        if self._pool.closing:
            self._pool.note_left()
        # Every cancel is taken back by whoever asked for it; what is left is the caller's.
        is_ours = self.is_over and self._task.uncancel() <= self._cancelling
        return is_ours and kind is asyncio.CancelledError

    def change_to(self, timer: Timer) -> None:
        """Go by another timer, which starts now."""
        self._timer.stop(self)
        self._timer = timer
        timer.start(self)

    def end(self) -> None:
        """End the wait."""
        if not self.is_over:
            self.is_over = True
            self._task.cancel()
