"""Sends that must not happen twice, and how one whose response was lost is found again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from fanvue_async.engine.call import Call
from fanvue_async.engine.recovery import run
from fanvue_async.engine.response_headers import date_of

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.session import Session

T = TypeVar("T")

_DATE_ROUNDING = timedelta(seconds=1)
_MAX_PAGES = 4


@attrs.frozen
class Trace(Generic[T]):
    """The trace of a send, by which it can be found again."""

    place: Hashable
    """The chat, or another list that it would appear in."""
    content: Hashable
    """What it has in common with every send that looks the same; None: unknown."""
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


async def send_once(session: Session, request: Request[T], trace: Trace[T], *, confirm: bool) -> T:
    """Send what must not be sent twice; if its outcome is unknown, look whether it arrived.

    Raises:
        FanvueError: the first error as it was. ``looked_for`` is True if the list was read and
            does not hold it.

    """
    terms = session.terms
    sends = terms.pool.sends
    with sends.open(trace.place, trace.content) as send:
        call = Call(terms, request)
        deadline = call.deadline
        try:
            error, result = await run(call), None
        except BaseException:  # a cancel, or the token provider's own
            send.is_settled = not call.is_unknown
            del call
            raise
        if error is None:
            result = call.value
        elif not error.maybe_processed:
            send.is_settled = True
        else:
            # It is never sent again once it has left, so the newest attempt is the one that did.
            is_open = confirm and trace.content is not None
            found = await _look(session, trace, call.attempt_started, deadline) if is_open else None
            error.looked_for = found == []
            if found and len(found) == 1 and not sends.in_doubt(trace.place, trace.content):
                result = found[0]
        if result is not None:
            sends.known.add(trace.identity(result))
            send.is_settled = True
            return result
    assert error is not None
    del call  # see Session.send: no chain, no cycle, and nothing of the response in this frame
    try:
        raise error
    finally:
        del error


async def _look(session: Session, trace: Trace[T], began: float, deadline: float) -> list[T] | None:
    """Read the newest items, back to the send. Returns what matches; None if that can't be told."""
    terms = session.terms
    clock = terms.pool.clockwork.now
    since: datetime | None = None
    found: list[T] = []
    for number in range(1, _MAX_PAGES + 1):
        call = Call(terms, _dated(trace.page(number)))
        call.deadline = deadline
        if await run(call, again=True) is not None:
            return None
        date, page = call.value
        if since is None:
            if date is None:
                return None
            since = date - timedelta(seconds=clock() - began) - _DATE_ROUNDING
        matching = [item for item in page.data if trace.matches(item)]
        if any(trace.sent_at(item) is None for item in matching):
            return None
        found += [trace.result(item) for item in matching if _is_since(since, trace, item)]
        if not page.pagination.has_more or not all(
            _is_since(since, trace, item) for item in page.data
        ):
            known = terms.pool.sends.known
            return [result for result in found if trace.identity(result) not in known]
    return None


def _is_since(since: datetime, trace: Trace[Any], item: Any) -> bool:
    sent_at = trace.sent_at(item)
    return sent_at is None or sent_at >= since


def _dated(request: Request[T]) -> Request[tuple[datetime | None, T]]:
    """Read the server's clock with the response."""
    read = request.read

    def read_with_date(answer: Answer) -> tuple[datetime | None, T]:
        date = date_of(answer.headers)
        return None if date is None else datetime.fromtimestamp(date, UTC), read(answer)

    evolve: Any = attrs.evolve
    return cast("Request[tuple[datetime | None, T]]", evolve(request, read=read_with_date))
