"""What is believed of one bucket of the rate limit: pure arithmetic on what the API reports.

The API fills a bucket as a whole at the end of each window, and says in ``X-RateLimit-*`` how large
it is, what is left of it and when it is filled again:
https://api.fanvue.com/docs/authentication/rate-limits
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs
from multidict import istr

from fanvue_async.engine.response_headers import (
    LimitHeaders,
    date_of,
    numbers_of,
)

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

_DATE = istr("Date")  # an istr is looked up without being case-folded each time
_DIGITS = 10  # longer numbers make no sense
_FARTHEST_RESET = 3_600.0  # seconds: a reset that is farther off makes no sense
_AT_ONCE = 8  # the part of what is left, 1 in so many, that is sent without seeing any response
_AT_ONCE_SHARED = 16  # the same where others use the bucket, too
_RESERVE = 10  # the part of a bucket, 1 in so many, that is left alone where others use it
_DRIFT = 0.0005  # of the time that has passed: more than two clocks drift apart
_DATE_SECONDS = 1.0  # how long responses have the same date, of which the first says most


@attrs.frozen
class Report:
    """What one response says about its bucket."""

    limit: int
    remaining: int
    reset: float
    """Seconds since the epoch, by the API's clock."""


def read_report(headers: LimitHeaders | None) -> Report | None:
    """Read ``X-RateLimit-*``; None unless all three are there and make sense."""
    numbers = numbers_of(headers)
    if numbers is None:
        return None
    limit, remaining, reset = numbers
    return Report(limit, min(remaining, limit), reset) if limit else None


@attrs.define
class Window:
    """A bucket at one time. What changes is made anew, but for what remains.

    That changes with each call.
    """

    number: int = 0
    """Counts the windows, so that what belongs to an earlier one is told apart."""
    limit: int | None = None
    """Requests that one window allows; None while the API has not said so."""
    remaining: int = 0
    """Requests believed to remain."""
    reset: float | None = None
    """When it is filled again, by the API's clock; None while that is not known."""
    length: float = 0.0
    """Seconds of a whole window, as far as they have been seen; 0 if not yet."""

    def rolled(self, now: float) -> Window:
        """Return the window that is open ``now``: the next one once this one was reset."""
        if self.limit is None or self.reset is None or now < self.reset:
            return self
        return Window(self.number + 1, self.limit, self.limit, None, self.length)

    def taken(self, count: int) -> Window:
        """Return the window after that many requests."""
        return Window(self.number, self.limit, self.remaining - count, self.reset, self.length)

    def reported(self, report: Report, now: float) -> Window:
        """Return the window as a report corrects it.

        Within a window a report only lowers what is believed to be left, and one of an earlier
        window changes nothing: responses overtake each other.
        """
        until_reset = report.reset - now
        if not 0 < until_reset <= _FARTHEST_RESET:
            return self
        if self.limit is None:
            return Window(1, report.limit, report.remaining, report.reset, until_reset)
        if self.reset is not None and report.reset < self.reset:
            return self
        remaining = min(self.remaining, report.remaining)
        length = max(self.length, until_reset)
        if self.reset is not None and report.reset > self.reset:
            # The window has ended before its time: what is left of the new one is what it says.
            remaining = report.remaining
            return Window(self.number + 1, report.limit, remaining, report.reset, length)
        return Window(self.number, report.limit, remaining, report.reset, length)


class ServerClock:
    """The API's clock, as its ``Date`` headers tell of it: no clock of two machines is compared.

    ``Date`` is cut to whole seconds and arrives late, so each one gives a time that the API's clock
    has reached at least. The latest of those is used: it is never ahead, so nothing is sent early.
    Until the first one, and for a server that sends none, the machine's own clock is believed.
    """

    __slots__ = ("_offset", "_wall", "known_at")

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._offset: float | None = None  # the API's clock less ours, at most late
        self.known_at: float = 0.0
        """When that came, by our own clock."""

    def note(self, headers: Mapping[str, str], sent: float, received: float) -> None:
        """Learn from a response, given our own clock when it was asked for and when it came."""
        date = date_of(headers)
        if date is None:
            return
        at_least = date - received
        offset = self._offset
        if offset is not None:
            offset -= (received - self.known_at) * _DRIFT
            if date + 1 >= sent + offset:  # else the API's clock was set back
                at_least = max(offset, at_least)
        self._offset, self.known_at = at_least, received

    @property
    def is_known(self) -> bool:
        """Whether the API has told its time yet."""
        return self._offset is not None

    def at(self, now: float) -> float:
        """Return the API's time for the present time ``now`` of our own clock."""
        return self._wall() if self._offset is None else now + self._offset


class Allowance:
    """How many requests may still be sent, as far as this process knows."""

    def __init__(self, clock: ServerClock) -> None:
        self.clock: ServerClock = clock
        self.window: Window = Window()
        self.is_open: bool = False
        """Whether the API has answered without saying any limit."""
        self._words: tuple[str | None, ...] | None = None  # of the newest response that said much
        self._others_in = 0  # the last window in which somebody else used the bucket, too

    def take(self, now: float, in_flight: int, waiting: int) -> bool:  # noqa: ARG002 - of use where it is shared
        """Take one request out of the window, if there is one left."""
        window = self.window
        if window.limit is None:  # a bucket that nothing is known of is asked by one call first
            return self.is_open or in_flight == 0
        if window.reset is not None and (server_now := self.clock.at(now)) >= window.reset:
            # Calls in flight at a reset count in the next window.
            window = self.window = window.rolled(server_now).taken(in_flight)
        remaining, at_once = window.remaining, _AT_ONCE
        if 0 < self._others_in >= window.number - 1:
            remaining, at_once = remaining - self._reserve, _AT_ONCE_SHARED
        # As a window runs out, fewer go at once, so that what others use shows in time.
        if remaining <= 0:
            is_allowed = window.reset is None and in_flight == 0  # or its end is never noticed
        else:
            is_allowed = in_flight == 0 or in_flight < (remaining + in_flight) // at_once
        if is_allowed:
            window.remaining -= 1
        return is_allowed

    @property
    def _reserve(self) -> int:
        """What is left alone where others were seen lately, for which all would compete."""
        has_others = 0 < self._others_in >= self.window.number - 1
        return (self.window.limit or 0) // _RESERVE if has_others else 0

    def put_back(self) -> None:
        """Give back a request that was never sent."""
        self.window = self.window.taken(-1)

    def note(self, report: Report | None, now: float) -> None:
        """Learn what a response says about the bucket."""
        window = self.window
        if report is not None:
            self.window = window.reported(report, self.clock.at(now))
            if self.window.number == window.number and self.window.remaining < window.remaining:
                self._others_in = window.number
        # Nothing, or nothing that makes sense: then the bucket is open until a 429.
        self.is_open = self.is_open or self.window.limit is None

    def knows(self, answer: Answer, sent: float) -> bool:
        """Return whether a response says nothing new, as most do; ``sent`` is when it was asked."""
        if answer.limits is None:
            return False
        limit, remaining, reset = answer.limits
        return (
            self._words == (answer.headers.get(_DATE), limit, reset)
            and sent < self.clock.known_at + _DATE_SECONDS
            and len(remaining) < _DIGITS
            and remaining.isdecimal()
            and int(remaining) >= self.window.remaining
        )

    def remember(self, answer: Answer) -> None:
        """Keep the words of a response that was noted, by which others like it are known."""
        if answer.limits is not None:
            limit, _, reset = answer.limits
            self._words = (answer.headers.get(_DATE), limit, reset)

    def seconds_for(self, place: int, now: float) -> float:
        """Return the least number of seconds until the waiter at a place, from 0, may go."""
        return self.until_free(place, now)

    def until_free(self, place: int, now: float) -> float:
        """Return the least number of seconds until the bucket has one for that place."""
        window = self.window
        remaining = window.remaining - self._reserve
        if window.limit is None or remaining > place or window.reset is None:
            return 0.0
        until_reset = max(0.0, window.reset - self.clock.at(now))
        return until_reset + (place - max(0, remaining)) // window.limit * window.length

    def close(self) -> None:
        """End what runs beside the calls: nothing here."""
