"""What must outlive a process is kept in a `Store`: four coroutines over any database.

This module holds the protocol and nothing else. The three stores that come with the package are
imported when they are first asked for, so that a program pays only for the one it uses.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

import attrs

from fanvue_async.lazy import lazily as _lazily

if TYPE_CHECKING:
    from fanvue_async.stores.memory import MemoryStore
    from fanvue_async.stores.redis import RedisStore
    from fanvue_async.stores.sqlite import SQLiteStore
else:
    __getattr__ = _lazily(
        globals(),
        {
            "MemoryStore": "fanvue_async.stores.memory",
            "RedisStore": "fanvue_async.stores.redis",
            "SQLiteStore": "fanvue_async.stores.sqlite",
        },
    )


__all__ = [
    "ABSENT",
    "ANY",
    "Condition",
    "Entry",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
]


class Condition(enum.Enum):
    """What `Store.put` takes instead of a version; use the names `ANY` and `ABSENT`."""

    ANY = "any"
    ABSENT = "absent"


ANY: Final[Literal[Condition.ANY]] = Condition.ANY
"""Write or delete whatever the key holds."""
ABSENT: Final[Literal[Condition.ABSENT]] = Condition.ABSENT
"""Write only if the key does not exist."""


@attrs.frozen
class Entry:
    """What a key holds."""

    value: bytes = attrs.field(repr=False)
    """The value; its repr is left out, since it may be a token."""
    version: str
    """Changes with every `Store.put` and is never used again."""


@runtime_checkable
class Store(Protocol):
    """Where tokens, claims and positions are kept; write your own over any database.

    Every method is atomic, for all processes that use the same storage. Expiry goes by one clock,
    that of the storage. A method that is cancelled may or may not have taken effect, and so may
    one that raised `StoreError`. `fanvue_async.testing.check_store` checks an implementation.
    """

    async def get(self, key: str) -> Entry | None:
        """Return what ``key`` holds, or None if it does not exist or has expired."""
        ...  # pragma: no cover - a Protocol's body never runs

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        """Write ``value``, and return its new version.

        Returns None, with nothing written, if ``version`` is not the key's current version, or is
        `ABSENT` and the key exists. The new version must never have been used before, not even by
        an entry that was deleted or has expired: 128 random bits will do. ``expires_in`` is in
        seconds; None means never, also for a key that had an expiry.
        """
        ...  # pragma: no cover - a Protocol's body never runs

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        """Delete ``key`` if it exists and has this version; return whether that was so."""
        ...  # pragma: no cover - a Protocol's body never runs

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``, each of them once, in any order.

        No character of the prefix has a special meaning. A key that is written or deleted
        meanwhile may or may not be among them.
        """
        ...  # pragma: no cover - a Protocol's body never runs
