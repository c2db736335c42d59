"""Sends that must not happen twice, and how one whose response was lost is found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from fanvue_async.config import Timeout
from fanvue_async.engine.call import Call
from fanvue_async.engine.memory import Memory

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.session import Session

T = TypeVar("T")

_DATE_ROUNDING = timedelta(seconds=1)
_MAX_PAGES = 4
_LATE = 600.0
"""Seconds after which a send of unknown outcome is taken to be over."""


@attrs.frozen
class Trace(Generic[T]):
    """What a send leaves behind, by which it can be found again."""

    where: Hashable
    """The chat, or whatever list it would appear in."""
    content: Hashable
    """What two sends have in common if they can't be told apart; None: nobody knows."""
    page: Callable[[int], Request[Any]]
    """Makes the request of a page of that list, newest first."""
    matches: Callable[[Any], bool]
    """Tells whether an item of that list has the same content."""
    sent_at: Callable[[Any], datetime | None]
    """When an item was sent, by the server's clock."""
    result: Callable[[Any], T]
    """Makes of an item what the response of its send would have been."""
    identity: Callable[[T], str]
    """The id in a response."""


class Sends:
    """What a pool of connections has sent: what is open, unsettled, or known by its id."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: Counter[Hashable] = Counter()
        self._unsettled = Memory[Hashable]()
        self.known: Memory[str] = Memory()

    @contextmanager
    def open(self, trace: Trace[Any]) -> Iterator[_Send]:
        """Keep a send in mind; if it is not settled at the end, its content stays doubtful."""
        key = (trace.where, trace.content)
        send = _Send()
        self._open[key] += 1
        try:
            yield send
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
            if not send.is_settled:
                self._unsettled.add(key, self._clock())

    def doubt(self, trace: Trace[Any]) -> bool:
        """Tell whether what looks like this open send may be another one of this process."""
        own, vague = (trace.where, trace.content), (trace.where, None)
        if self._open[own] > 1 or self._open[vague]:
            return True
        oldest = self._clock() - _LATE
        return any((self._unsettled.get(key) or oldest) > oldest for key in (own, vague))


@attrs.define
class _Send:
    is_settled: bool = False


async def send_once(
    session: Session, request: Request[T], trace: Trace[T], *, confirm: bool
) -> T:
    """Send what must not be sent twice; if its outcome is unknown, look whether it arrived.

    Raises:
        FanvueError: the first error as it was. ``looked_for`` is True if the list was read and
            does not hold it.

    """
    terms = session.terms
    sends, clock = terms.pool.sends, terms.pool.clockwork.now
    with sends.open(trace) as send:
        began = clock()
        outcome = await Call(terms, request).run()
        error, result = outcome.error, None
        if error is None:
            result = outcome.value
        elif not error.maybe_processed:
            send.is_settled = True
        elif confirm and trace.content is not None:
            time_left = began + terms.bounds.timeout.total - clock()
            found = await _look(session, trace, began, time_left)
            error.looked_for = found == []
            result = found[0] if found and len(found) == 1 and not sends.doubt(trace) else None
        if result is not None:
            sends.known.add(trace.identity(result))
            send.is_settled = True
            return result
    assert error is not None
    del request, outcome
    try:
        raise error
    finally:
        del error


async def _look(
    session: Session, trace: Trace[T], began: float, time_left: float
) -> list[T] | None:
    """Read the newest items, back to the send. Returns what matches; None if they can't be read."""
    if time_left <= 0:
        return None
    timeout = session.terms.bounds.timeout
    terms = session.terms.derive(timeout=attrs.evolve(timeout, total=time_left))
    clock, known = terms.pool.clockwork.now, terms.pool.sends.known
    since: datetime | None = None
    found: list[T] = []
    for number in range(1, _MAX_PAGES + 1):
        outcome = await Call(terms, _dated(trace.page(number))).run()
        if outcome.error is not None:
            return None
        date, page = outcome.value
        if since is None:
            if date is None:
                return None
            since = date - timedelta(seconds=clock() - began) - _DATE_ROUNDING
        for item in page.data:
            sent_at = trace.sent_at(item)
            if sent_at is None and trace.matches(item):
                return None
            if sent_at is not None and sent_at >= since and trace.matches(item):
                result = trace.result(item)
                if trace.identity(result) not in known:
                    found.append(result)
        oldest = trace.sent_at(page.data[-1]) if page.data else None
        if not page.pagination.has_more or (oldest is not None and oldest < since):
            return found
    return None


def _dated(request: Request[T]) -> Request[tuple[datetime | None, T]]:
    """Read the server's clock with the response."""
    read = request.read

    def read_with_date(answer: Answer) -> tuple[datetime | None, T]:
        try:
            date = parsedate_to_datetime(answer.headers["Date"])
        except (KeyError, ValueError):
            date = None
        return date if date and date.tzinfo else None, read(answer)

    return attrs.evolve(request, read=read_with_date)
