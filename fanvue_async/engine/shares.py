"""A bucket shared between processes: each draws its share of the window from a store."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextvars import Context
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs

from fanvue_async.engine.window import Allowance, Window
from fanvue_async.log import logger
from fanvue_async.stores import ABSENT

if TYPE_CHECKING:
    from fanvue_async.engine.window import Report, ServerClock
    from fanvue_async.stores import Condition, Store

_FORMAT = 1
_KEPT_SECONDS = 3_600.0  # how long the store keeps a window after its last change
_POLL_SECONDS = 0.05  # how often a window is looked at again while its end is unknown
_PROBE_SECONDS = 2.0  # how long the others wait for the first call, which asks an unknown bucket
_IN_FLIGHT_SECONDS = 30.0  # how long the first response of a window may take
_AHEAD = 32  # the part of what is left, 1 in so many, that is drawn at least
_DOWN_SECONDS = 1.0  # how long a store that failed is left alone

# A window without a limit is either one that a process is asking about, or, with something that
# remains, one whose responses say nothing.
_OPEN = Window(remaining=1)


@attrs.define
class SharedStore:
    """The store that the buckets of a pool are in, and whether it works."""

    store: Store
    down_until: float = 0.0
    """Until when it is left alone, by our own clock; 0 while it works."""


class SharedAllowance(Allowance):
    """An allowance whose window is in a store, from which it draws what calls wait for."""

    admit: Callable[[], None]
    """Lets calls go for which there is a share; set by the gate."""

    def __init__(
        self, clock: ServerClock, shared: SharedStore, name: str, now: Callable[[], float]
    ) -> None:
        super().__init__(clock)
        self._shared = shared
        self._stored = _StoredWindow(shared.store, name)
        self._sightings = _Sightings(clock)
        self._now = now
        self._share = 0
        self._drawn_number = 0  # the window that the share is of
        self._wanted = 0
        self._in_flight = 0
        self._report: Report | None = None  # the newest that the store does not know
        self._may_probe = False  # whether this process asks the unknown bucket
        self._ask_again_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def take(self, now: float, in_flight: int, waiting: int) -> bool:
        """Take one request out of this process's share, and ask for more when it is used up."""
        if now < self._shared.down_until:
            return super().take(now, in_flight, waiting)
        server_now = self._sightings.server_time(self.window, now)
        if self._share and self.window.rolled(server_now) is self.window:
            self._share -= 1
            return True
        self._share = 0
        window = self.window
        if window.limit is None and (self.is_open or self._may_probe):
            self._may_probe = False
            return True
        if window.reset is not None and window.remaining <= 0 and server_now < window.reset:
            return False
        self._wanted, self._in_flight = max(1, waiting), in_flight
        if now >= self._ask_again_at:
            self._synchronize()
        return False

    def put_back(self) -> None:
        """Give back a request that was never sent."""
        if self.window.limit is None:
            self._may_probe = True
        else:
            self._share += 1

    def note(self, report: Report | None, now: float) -> None:
        """Learn what a response says, and tell the store if it is news."""
        window, was_open = self.window, self.is_open
        super().note(report, now)
        if now < self._shared.down_until:
            return
        if self.is_open and not was_open:
            self._synchronize()
        elif report is None:
            return
        elif window.reset != self.window.reset or self.window.remaining < window.remaining:
            self._report = report
            self._synchronize()

    def seconds_for(self, place: int, now: float) -> float:
        """Return the least number of seconds until the waiter at a place, from 0, may go."""
        seconds = super().seconds_for(place, now)
        is_asking = self._task is not None or now < self._ask_again_at
        is_blind = self.window.reset is not None and not self.clock.is_known  # see _Sightings
        return max(seconds, _POLL_SECONDS) if place == 0 and (is_asking or is_blind) else seconds

    def close(self) -> None:
        """End what goes on with the store, for good."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()

    def _synchronize(self) -> None:
        """Read the store, and write to it what is to be said, in a task that no caller owns."""
        if self._task is None and not self._is_closed:
            # In an empty context, which keeps no caller's variables alive.
            self._task = Context().run(asyncio.get_running_loop().create_task, self._run())
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if self._report is not None and self._now() >= self._shared.down_until:
            self._synchronize()  # for what came in between
        self.admit()

    async def _run(self) -> None:
        try:
            while not await self._update() or self._report is not None:
                pass
        except Exception:  # noqa: BLE001 - a bug of the user's store must not end the calls
            if not self._shared.down_until:
                logger.warning("the rate-limit store failed; this process goes by its own view")
            self._shared.down_until = self._now() + _DOWN_SECONDS

    async def _update(self) -> bool:
        """Read the window, correct it, draw from it, write it; False if another was faster."""
        known, version = await self._stored.read()
        stored = known or Window()
        now = self._now()
        report, window = self._report, stored
        if report is not None:
            window = window.reported(report, self.clock.at(now))
        if window.limit is None:
            return await self._probe(known, version)
        window = window.rolled(self._sightings.server_time(window, now))
        carried = self._in_flight if 0 < self._drawn_number < window.number else 0
        drawn = _draw(window, self._wanted, carried) if self._wanted else 0
        rest = window.taken(drawn)
        if rest != stored and not await self._stored.write(rest, version):
            return False
        self._adopt(rest, drawn, carried, report)
        return True

    async def _probe(self, known: Window | None, version: str | Condition) -> bool:
        """Let one process ask an unknown bucket, or tell the others that it is open."""
        self._report = None  # it came too late to say anything
        self.window: Window = Window()  # the store has lost it, if this process knew more
        if known is not None and known.remaining:  # another has found it open
            self.is_open = True
        elif self.is_open:
            return await self._stored.write(_OPEN, version)
        elif known is None and self._wanted:
            self._may_probe = await self._stored.write(Window(), version)
        self._ask_again_at = self._now() + _POLL_SECONDS
        return True

    def _adopt(self, window: Window, drawn: int, carried: int, report: Report | None) -> None:
        if self._report is report:
            self._report = None
        share = max(0, drawn - carried)
        if window.number != self.window.number:
            self._share = 0
        self._share += share
        if drawn:
            self._drawn_number = window.number
        self.window = window
        self._wanted = 0
        now = self._now()
        self._shared.down_until = 0.0
        must_ask = not share and (window.reset is None or not self.clock.is_known)
        self._ask_again_at = now + _POLL_SECONDS if must_ask else 0.0


def _encode(window: Window) -> bytes:
    document = {
        "format": _FORMAT,
        "number": window.number,
        "limit": window.limit,
        "remaining": window.remaining,
        "reset": window.reset,
        "length": window.length,
    }
    return json.dumps(document).encode()


def _decode(value: bytes) -> Window | None:
    """Read a window; None if it cannot be read."""
    try:
        document: dict[str, Any] = json.loads(value)
        if document["format"] != _FORMAT:
            return None
        return Window(
            int(document["number"]),
            None if document["limit"] is None else int(document["limit"]),
            int(document["remaining"]),
            None if document["reset"] is None else float(document["reset"]),
            float(document["length"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


class _StoredWindow:
    """The window as the store keeps it."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        digest = sha256(name.encode("utf-8", "surrogatepass"))
        self._key = f"rate-limit/{digest.hexdigest()}"

    async def read(self) -> tuple[Window | None, str | Condition]:
        entry = await self._store.get(self._key)
        if entry is None:
            return None, ABSENT
        return _decode(entry.value), entry.version

    async def write(self, window: Window, version: str | Condition) -> bool:
        """Write it; False if another was faster."""
        seconds = _KEPT_SECONDS
        if window.reset is None and window != _OPEN:
            # If nobody learns its end, its responses were lost, and it ends by its age.
            is_probe = window.limit is None
            seconds = _PROBE_SECONDS if is_probe else max(_IN_FLIGHT_SECONDS, window.length)
        value = _encode(window)
        written = await self._store.put(self._key, value, version=version, expires_in=seconds)
        return bool(written)


class _Sightings:
    """When a window was seen first, which tells when it must have ended at the latest."""

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._reset: float | None = None
        self._at = 0.0

    def server_time(self, window: Window, now: float) -> float:
        """Return the API's time, or a lower bound until it is known.

        A window that another process wrote has ended at the latest when it was seen for as long as
        a window is.
        """
        if self._clock.is_known or window.reset is None:
            return self._clock.at(now)
        if self._reset != window.reset:
            self._reset, self._at = window.reset, now
        return window.reset if now - self._at >= window.length else -math.inf


def _draw(window: Window, wanted: int, carried: int) -> int:
    """Say how many requests to take out of the window.

    Those that are wanted now, and a little ahead while there is plenty, but at most half of what is
    left: the processes use the window up together, and none keeps what others need.
    ``carried`` are the calls in flight from an earlier window, which count in this one.
    """
    if window.remaining <= carried:
        return 0
    free = window.remaining - carried
    return carried + min(max(wanted, free // _AHEAD), max(1, free // 2))
