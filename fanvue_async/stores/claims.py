"""The two things that tokens, bulk work and webhooks make of a store: a lease, and a claim."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Final

from fanvue_async.engine.cancels import kept, to_its_end
from fanvue_async.errors import StoreError
from fanvue_async.log import logger as _logger
from fanvue_async.stores import ABSENT, Condition, Entry, Store

LEASE: Final = "lease:"
"""What the keys of leases begin with, so that no listing of other keys holds any."""

# Parts of its life after which a lease is renewed: usually, and after a failure of the store.
_RENEWED = 3
_TRIED_AGAIN = 15


class Lease:
    """The right to be the only one at work on ``name``, for ``seconds`` unless renewed.

    One object is one owner and is held by one task at a time. The store's clock ends a lease; the
    holder's own clock only tells it when to stop relying on it. A lease alone protects nothing:
    its holder may be paused beyond its end. What the holder writes must be refused by the version
    of the key that it writes, which is what `Claim` does.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._key = LEASE + name
        self._owner = secrets.token_hex(16).encode()
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._version: str | None = None
        self._until = 0.0
        self._unsure = False

    @property
    def remaining(self) -> float:
        """Seconds that the lease is certainly ours; 0.0 if it is not, or no longer."""
        return 0.0 if self._version is None else max(0.0, self._until - self._clock())

    async def acquire(self) -> bool:
        """Take the lease if it is free.

        A caller that is cancelled does not keep it. After that, use a new object.

        Raises:
            StoreError: the store failed. If it took the lease all the same, the next `acquire` of
                this object finds that out.

        """
        return await _shielded(self._write(ABSENT), undo=self.release)

    async def renew(self) -> bool:
        """Extend the lease to its full time from now; False if it was lost.

        Raises:
            StoreError: the store failed; the lease may still be ours.

        """
        return self._version is not None and await self._write(self._version)

    async def release(self) -> None:
        """Let others have the lease immediately; if the store fails, they have it when it ends.

        A caller that is cancelled ends its waiting only.
        """
        if self._version is not None or self._unsure:
            await to_its_end(self._release())

    async def _release(self) -> None:
        version, self._version = self._version, None
        try:
            if self._unsure:
                version = await self._found()
            if version is not None:
                await self._store.delete(self._key, version=version)
        except StoreError as error:
            _logger.debug("A lease was not released and ends by itself: %s", error)

    def leave(self) -> None:
        """Let the lease end by itself: what it was for is done, and a write is saved."""
        self._version, self._unsure = None, False

    @contextlib.asynccontextmanager
    async def renewed(self) -> AsyncGenerator[list[Callable[[], Awaitable[None]]]]:
        """Renew the lease, which is held, while the block runs; release it when it ends.

        What the block adds to the list is done before the release. Neither is ended by cancels.
        """
        renewing = asyncio.create_task(self._keep())
        at_end: list[Callable[[], Awaitable[None]]] = []
        try:
            yield at_end
        finally:
            await to_its_end(self._end(renewing, at_end))

    async def _end(
        self, renewing: asyncio.Task[None], at_end: list[Callable[[], Awaitable[None]]]
    ) -> None:
        try:
            for step in at_end:
                await step()
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._release()

    async def _keep(self) -> None:
        pause = self._seconds / _RENEWED
        while self.remaining:
            await self._sleep(pause)
            try:
                await self.renew()
                pause = self._seconds / _RENEWED
            except StoreError as error:
                pause = self._seconds / _TRIED_AGAIN
                _logger.debug("A lease was not renewed and will be tried again: %s", error)

    async def _write(self, version: str | Condition) -> bool:
        """Write the key if it has this version, or was left by a write of unknown outcome."""
        unsure, self._unsure = self._unsure, True
        written = await self._put(version)
        if written is None and unsure and (found := await self._found()) is not None:
            written = await self._put(found)
        self._version, self._unsure = written, False
        return written is not None

    async def _put(self, version: str | Condition) -> str | None:
        began = self._clock()
        written = await self._store.put(
            self._key, self._owner, version=version, expires_in=self._seconds
        )
        if written is not None:
            self._until = began + self._seconds
        return written

    async def _found(self) -> str | None:
        """Return the version of the key if it names us as its owner."""
        entry = await self._store.get(self._key)
        return None if entry is None or entry.value != self._owner else entry.version


class Claim:
    """Work on ``key`` that is to be done once: a mark that stays, and a lease while it is done.

    The mark is what ``key`` holds, and tells those who come later how far the work went. The
    lease is a key of its own. A holder that was paused beyond its lease finds its writes refused
    when another has taken over: they go by the version of the mark, not by that of the lease.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._key = key
        self.lease: Lease = Lease(store, key, seconds=seconds, clock=clock, sleep=sleep)
        """Renew and release it as the work needs."""
        self.mark: Entry | None = None
        """What was known of the work when it was taken, or what we have written since."""

    async def take(self) -> bool:
        """Take the lease and read the mark; False if another is at work.

        A caller that is cancelled does not keep it. After that, use a new object.

        Raises:
            StoreError: the store failed.

        """
        return await _shielded(self._take(), undo=self.lease.release)

    async def write(self, value: bytes, *, expires_in: float | None = None) -> bool:
        """Replace the mark; False, and nothing written, if another has changed it.

        Raises:
            StoreError: the store failed; the mark may have been written.

        """
        known = ABSENT if self.mark is None else self.mark.version
        writing = self._store.put(self._key, value, version=known, expires_in=expires_in)
        entry = Entry(value, "")
        del value  # the traceback of a failure may show the locals of this frame
        written = await writing
        if written is None:
            return False
        self.mark = Entry(entry.value, written)
        return True

    async def forget(self) -> bool:
        """Delete the mark, as if the work had never begun; False if another has changed it.

        Raises:
            StoreError: the store failed; the mark may be gone.

        """
        mark = self.mark
        deleted = mark is None or await self._store.delete(self._key, version=mark.version)
        self.mark = None
        return deleted

    async def _take(self) -> bool:
        if not await self.lease.acquire():
            return False
        try:
            self.mark = await self._store.get(self._key)
        except StoreError:
            await self.lease.release()
            raise
        return True


async def _shielded(
    taking: Coroutine[Any, Any, bool], *, undo: Callable[[], Awaitable[None]]
) -> bool:
    """Await ``taking``; if the caller is cancelled, let it end and undo what it took."""
    task = asyncio.ensure_future(taking)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        kept(_undo(task, undo))
        raise


async def _undo(task: asyncio.Task[bool], undo: Callable[[], Awaitable[None]]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, and of no interest: the caller is gone
    await undo()
