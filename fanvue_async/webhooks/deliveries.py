"""What a store knows of events: which are done, which are claimed, which wait to be handled.

For each event there is a mark, which says that it was handled and stays for 30 days; a lease, held
while a worker is at it; and, for events that were acknowledged before they were handled, the raw
delivery, which goes when they are. Nothing else holds a promise: a process may end at any line.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

from fanvue_async.errors import EventInProgressError, StoreError
from fanvue_async.log import logger as _logger
from fanvue_async.stores.claims import Claim
from fanvue_async.stores.documents import dump, load

if TYPE_CHECKING:
    from fanvue_async.stores import Store

KEPT = 30 * 86_400.0
"""Seconds that a mark and a delivery stay: senders repeat a delivery for days."""

_PAUSE = 0.05  # seconds until the store is asked again to note how an event ended
_ID_LENGTH = 200
_LONGEST_PAUSE = 3_600.0


@attrs.frozen
class Delivery:
    """A verified delivery, as it is stored."""

    body: bytes = attrs.field(repr=False)
    type: str | None
    """What the handler was told of its type."""
    attempts: int = 0
    """How often the callback raised."""
    accepted_at: float = attrs.field(factory=time.time)
    """When it was accepted, by the wall clock of the process that did."""

    @property
    def remaining(self) -> float:
        """Seconds that it is still kept; 1.0 at least, for a store takes no less than some."""
        return min(max(1.0, self.accepted_at + KEPT - time.time()), KEPT)

    def dumped(self) -> bytes:
        """Return what the store keeps."""
        fields = attrs.asdict(self)
        return dump(fields | {"body": base64.b64encode(self.body).decode()})

    @classmethod
    def loaded(cls, value: bytes) -> Delivery:
        """Read what the store kept.

        Raises:
            StoreError: a newer release wrote it.

        """
        fields = load(value)
        return cls(
            body=base64.b64decode(fields["body"]),
            type=fields["type"],
            attempts=fields["attempts"],
            accepted_at=fields.get("accepted_at", time.time()),
        )


class Work:
    """One event that this process has claimed."""

    def __init__(self, store: Store, prefix: str, name: str, lease: float) -> None:
        self._store = store
        self._stored = f"{prefix}delivery:{name}"
        self._paused = f"{prefix}paused:{name}"
        self.claim: Claim = Claim(store, f"{prefix}event:{name}", seconds=lease)

    @property
    def done(self) -> bool:
        """Whether the event was handled before we claimed it."""
        return self.claim.mark is not None

    async def keep(self, delivery: Delivery) -> None:
        """Store the delivery: from now on it may be acknowledged."""
        await self._store.put(self._stored, delivery.dumped(), expires_in=delivery.remaining)

    async def is_paused(self) -> bool:
        """Whether the event waits for its next attempt."""
        return await self._store.get(self._paused) is not None

    async def kept(self) -> Delivery | None:
        """Return the stored delivery; None if it is gone."""
        entry = await self._store.get(self._stored)
        return None if entry is None else Delivery.loaded(entry.value)

    async def finish(self) -> None:
        """Say that the event was handled, and forget the delivery; may be called again."""
        if not self.done:
            # Not written if a slower worker says so, too: then it is said already.
            await self.claim.write(dump({}), expires_in=KEPT)
        await self._store.delete(self._stored)
        self.claim.lease.leave()  # whoever comes sees the mark before the lease

    async def postpone(self, delivery: Delivery, seconds: float) -> None:
        """Leave the delivery for a later attempt in its 30 days, the later the more have failed."""
        pause = min(seconds * 2.0 ** min(delivery.attempts, 20), _LONGEST_PAUSE)
        await self._store.put(self._paused, b"{}", expires_in=pause)
        await self.keep(attrs.evolve(delivery, attempts=delivery.attempts + 1))

    async def note(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write how it ended; a store that fails is asked again for as long as the lease is ours.

        An error would come too late: the event was handled.
        """
        while True:
            try:
                return await write()
            except StoreError as error:
                if not self.claim.lease.remaining:
                    _logger.warning("A webhook event may be handled again: %s", error)
                    return None
            await asyncio.sleep(_PAUSE)


class Deliveries:
    """The events of one `Webhooks` in its store."""

    def __init__(self, store: Store, name: str, lease: float) -> None:
        self._store = store
        self._prefix = f"{name}:"
        self._lease = lease

    async def claim(self, event_id: str) -> Work | None:
        """Claim an event for this process; None if it was handled.

        Raises:
            EventInProgressError: another worker has it.
            StoreError: the store failed.

        """
        name = _name(event_id)
        work = Work(self._store, self._prefix, name, self._lease)
        # Most repeated deliveries end here, without a write.
        if await self._handled(name):
            return None
        if await work.claim.take():
            if not work.done:
                return work
            await work.claim.lease.release()
        elif not await self._handled(name):
            raise EventInProgressError("another worker is handling this event")
        return None

    async def _handled(self, name: str) -> bool:
        return await self._store.get(f"{self._prefix}event:{name}") is not None

    async def waiting(self) -> AsyncIterator[Work]:
        """Claim the stored deliveries that no worker is handling, one after the other."""
        prefix = f"{self._prefix}delivery:"
        async for key in self._store.keys(prefix):
            work = Work(self._store, self._prefix, key.removeprefix(prefix), self._lease)
            # A read costs less than a lease that has to be given back.
            if not await work.is_paused() and await work.claim.take():
                yield work


def _name(event_id: str) -> str:
    """Return an event's id, or its digest, if it would be no good key."""
    if len(event_id) <= _ID_LENGTH and event_id.isascii() and event_id.isprintable():
        return event_id
    return f"sha256:{hashlib.sha256(event_id.encode('utf-8', 'surrogatepass')).hexdigest()}"
