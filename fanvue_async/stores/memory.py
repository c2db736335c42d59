"""A store in this process's memory: for tests, and for what need not outlive the process."""

from __future__ import annotations

import heapq
import time
from collections.abc import AsyncIterator, Callable
from typing import Self

from fanvue_async.errors import ClientStateError
from fanvue_async.stores import ANY, Condition, Entry
from fanvue_async.stores.rules import (
    Owner,
    check_content,
    check_key,
    check_prefix,
    matches,
    new_version,
)

_SLACK = 100  # expiries of entries that are gone, which may stay


class MemoryStore:
    """A `Store` in memory, for one process.

    ``async with`` and `aclose` forget everything. Its clock is the monotonic one.
    """

    def __init__(self, *, _clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = _clock
        self._owner = Owner("MemoryStore")
        self._entries: dict[str, tuple[Entry, float | None]] = {}
        self._expiring: list[tuple[float, str, str]] = []
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        """Return what ``key`` holds, or None."""
        self._check()
        check_key(key)
        return self._current(key)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        """Write ``value`` if the key has this version; return the new version or None."""
        self._check()
        check_key(key)
        check_content(value, expires_in)
        self._forget_expired()
        if not matches(self._current(key), version):
            return None
        entry = Entry(bytes(value), new_version())
        expires = None if expires_in is None else self._clock() + expires_in
        self._entries[key] = entry, expires
        if expires is not None:
            heapq.heappush(self._expiring, (expires, key, entry.version))
        return entry.version

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        """Delete ``key`` if it has this version; return whether it did."""
        self._check()
        check_key(key)
        entry = self._current(key)
        if entry is None or not matches(entry, version):
            return False
        del self._entries[key]
        return True

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``."""
        self._check()
        check_prefix(prefix)
        for key in [key for key in self._entries if key.startswith(prefix)]:
            if self._current(key) is not None:
                yield key

    async def aclose(self) -> None:
        """Forget everything; later calls raise `ClientStateError`."""
        self._closed = True
        self._entries.clear()
        self._expiring.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._entries)} entries>"

    def _check(self) -> None:
        self._owner.check()
        if self._closed:
            raise ClientStateError("this MemoryStore is closed")

    def _current(self, key: str) -> Entry | None:
        entry, expires = self._entries.get(key, (None, None))
        return None if expires is not None and expires <= self._clock() else entry

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now:
            _, key, version = heapq.heappop(self._expiring)
            entry, _ = self._entries.get(key, (None, None))
            if entry is not None and entry.version == version:
                del self._entries[key]
        if len(self._expiring) > 2 * len(self._entries) + _SLACK:  # of what was replaced or deleted
            self._expiring = [
                (expires, key, entry.version)
                for key, (entry, expires) in self._entries.items()
                if expires is not None
            ]
            heapq.heapify(self._expiring)
