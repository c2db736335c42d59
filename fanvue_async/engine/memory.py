"""What is remembered of the newest 10,000 things."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_SIZE = 10_000


class Memory(Generic[_K]):
    """The newest 10,000 keys that it was given, each with a time or another number."""

    def __init__(self) -> None:
        self._known: dict[_K, float] = {}

    def __contains__(self, key: _K) -> bool:
        return key in self._known

    def get(self, key: _K) -> float | None:
        """Return what was remembered with a key; None if the key is not known."""
        return self._known.get(key)

    def add(self, key: _K, value: float = 0) -> bool:
        """Remember a key; tell whether it is new."""
        is_new = key not in self._known
        self._known[key] = value
        if len(self._known) > _SIZE:
            del self._known[next(iter(self._known))]
        return is_new
