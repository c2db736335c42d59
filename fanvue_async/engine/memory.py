"""What a client remembers: the newest of what it has seen, and what it has sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Hashable
from contextlib import contextmanager
from typing import Generic, TypeVar

import attrs

K = TypeVar("K", bound=Hashable)

_SIZE = 10_000
_LATE = 600.0  # seconds after which a request of unknown outcome is no longer in flight


class Memory(Generic[K]):
    """The newest 10,000 keys that it was given, each with a number."""

    def __init__(self) -> None:
        self._known: dict[K, float] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._known

    def get(self, key: K) -> float | None:
        """Return the number of a key, or None if it is not known."""
        return self._known.get(key)

    def add(self, key: K, number: float = 0) -> bool:
        """Remember a key; tell whether it is new."""
        is_new = self._known.pop(key, None) is None
        self._known[key] = number
        if len(self._known) > _SIZE:
            del self._known[next(iter(self._known))]
        return is_new

    def add_all(self, keys: Collection[K]) -> bool:
        """Remember keys if all of them are new and different; tell whether they were."""
        new = dict.fromkeys(keys, 0.0)
        if len(new) < len(keys) or not self._known.keys().isdisjoint(new):
            return False
        self._known.update(new)
        while len(self._known) > _SIZE:
            del self._known[next(iter(self._known))]
        return True


@attrs.define
class Send:
    """One request in flight that must not happen twice."""

    is_settled: bool = False
    """Whether its outcome is known."""


class Sends:
    """What was sent that must not happen twice: what is open, what is unsettled, what is known.

    A send belongs to a place, such as a chat, and has a content; two with the same content can't be
    told apart there. A content of None may be equal to any other.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: Counter[tuple[Hashable, Hashable]] = Counter()
        self._unsettled: Memory[tuple[Hashable, Hashable]] = Memory()
        self.known: Memory[str] = Memory()
        """Ids that responses gave."""

    @contextmanager
    def open(self, place: Hashable, content: Hashable) -> Generator[Send]:
        """Keep a send in mind; its content stays in doubt unless it is settled at the end."""
        key = (place, content)
        send = Send()
        self._open[key] += 1
        try:
            yield send
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
            if not send.is_settled:
                self._unsettled.add(key, self._clock())

    def in_doubt(self, place: Hashable, content: Hashable) -> bool:
        """Return whether something that looks like this open send may come from another one."""
        own, any_content = (place, content), (place, None)
        if self._open[own] > 1 or self._open[any_content]:
            return True
        oldest = self._clock() - _LATE
        ends = (self._unsettled.get(key) for key in (own, any_content))
        return any(end is not None and end > oldest for end in ends)
