"""One attempt of a call: a token, a turn, a slot in the queue, one exchange, and what it means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fanvue_async import errors
from fanvue_async.engine import turn
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.call import too_late
from fanvue_async.engine.exchange import exchange
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.transport import RequestBody
from fanvue_async.engine.waits import Scope, Timer, this_task

if TYPE_CHECKING:
    from fanvue_async.engine.call import Call
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.retry import Failed

_NO_TOKEN = Failure(
    errors.ConfigurationError,
    "no access token: pass one to FanvueClient or with_options(), or set FANVUE_ACCESS_TOKEN",
)
_CLOSED = Failure(errors.ClientStateError, "the client was closed during the call")


async def attempt(call: Call[Any], *, again: bool = False) -> Failed | None:
    """Get a token, a turn and a connection, do one exchange, and judge it.

    Returns None if that succeeded: then the call has its ``value``. Raises
    cancellation and what the token provider raises, and nothing else.
    """
    pool, terms = call.pool, call.terms
    call.body, call.unauthorized = None, False
    task = this_task()
    if refusal := pool.refusal(task, under_way=again):
        return call.failed(Failure(errors.ClientStateError, refusal))
    assert task is not None  # else it was refused
    started = pool.clockwork.clock() if again else call.started
    if call.deadline <= started:
        return call.failed(too_late(call))
    if call.request.headers is not None:
        http = pool.foreign()
    elif terms.credential is None:
        return call.failed(_NO_TOKEN)
    else:
        call.bearer = terms.credential.fixed
        http = pool.http or pool.open()
    timer = _begin(call, started, again=again)
    result = None
    try:
        # One scope for every wait of this attempt: armed to the deadline in the queue, to the
        # attempt's own end after it. What it was armed to tells which of the two expired.
        with Scope(pool.scopes, timer, task) as scope:
            if not call.has_slot:
                if (failure := await _get_ready(call, scope)) is not None:
                    return call.failed(failure)
                started = pool.clockwork.clock()
            call.attempts += 1
            if task.cancelling():  # one that was asked for and not raised yet comes out here
                await asyncio.sleep(0)
            while call.body is None or call.body.unfit:  # a borrowed session may have many of those
                call.body, result = _body(call, scope), None
                result = await exchange(
                    http,
                    call.request.method,
                    pool.origin.url(call.request.target),
                    call.body,
                    _headers_of(call.request, call.bearer),
                    terms.options,
                    task,
                )
    finally:
        _finish(call, result, started)
    return call.judge(result if isinstance(result, Answer) else _end_of(call, result), started)


def _begin(call: Call[Any], started: float, *, again: bool) -> Timer:
    """Take the turn and the slot if that needs no waiting; return the attempt's timer."""
    bounds = call.terms.bounds
    if call.bearer is not None or call.request.headers is not None:
        call.bucket = call.terms.bucket(call.bearer, call.request.creator)
        call.has_slot = (
            not call.is_limited or turn.try_take(call, started)
        ) and call.pool.slots.take()
    else:
        call.has_slot = False
    remaining = call.deadline - started
    call.bounded_by_attempt = call.has_slot and bounds.timeout.attempt < remaining
    if call.bounded_by_attempt:
        return bounds.attempt_timer
    return Timer(remaining) if again else bounds.total_timer


async def _get_ready(call: Call[Any], scope: Scope) -> Failure | None:
    """Get a token, wait for the rate limit and a connection, then arm the attempt's clock."""
    terms, slots = call.terms, call.pool.slots
    while True:
        if failure := await _get_token(call, scope):
            return failure
        is_known_as_refused = terms.is_refused(call.bearer)  # the provider has no other
        call.bucket = terms.bucket(call.bearer, call.request.creator)
        if call.is_limited and call.gate is None and (failure := await turn.take(call)):
            return failure
        if not slots.take():
            waiter = slots.join()
            try:
                await waiter
            except BaseException:  # a cancel, or the end of a task that is thrown away
                slots.leave(waiter)
                raise
        call.has_slot = True
        if is_known_as_refused or not terms.is_refused(call.bearer):
            break
        # It grew old while the call waited. Another one is asked for, but not in here, where a
        # slow provider would hold the connections of other accounts up.
        call.release_slot()
        turn.give_back(call)
        call.bearer = None
    bounds = terms.bounds
    if bounds.timeout.attempt < call.deadline - call.pool.clockwork.now():
        call.bounded_by_attempt = True
        scope.change_to(bounds.attempt_timer)
    return None


async def _get_token(call: Call[Any], scope: Scope) -> Failure | None:
    """Ask the provider, if there is one and it has not been asked yet."""
    credential = call.terms.credential
    if call.bearer is not None or call.request.headers is not None:
        return None
    assert credential is not None
    fetched = await credential.fetch()
    if scope.expired:  # and the provider swallowed the cancel
        raise asyncio.CancelledError
    if isinstance(fetched, Failure):
        return fetched
    call.bearer = fetched
    return None


def _body(call: Call[Any], scope: Scope) -> RequestBody:
    request, pool = call.request, call.pool
    on_response = call.release_slot if pool.slots.waiters else None  # else `_finish` is in time
    body = RequestBody(request.body, request.content_type, pool.connections, on_response)
    if request.on_progress is not None:
        body.on_piece = partial(_progressed, call, scope, request.on_progress)
    return body


def _progressed(
    call: Call[Any], scope: Scope, on_progress: Callable[[int], None], sent: int
) -> None:
    """Restart the attempt's clock, for a piece has left."""
    if call.bounded_by_attempt:
        scope.change_to(call.terms.bounds.attempt_timer)
    on_progress(sent)


def _finish(call: Call[Any], result: Answer | Failure | None, started: float) -> None:
    """Give back what the attempt has taken, however it ended."""
    call.release_slot()
    if call.gate is not None:
        turn.end(call, result, started)
    if call.body is not None:
        call.body.end()


def _end_of(call: Call[Any], result: Failure | None) -> Answer | Failure:
    """Return what an attempt came to, also if our own clock or ``aclose`` ended it."""
    if call.pool.scopes.ended:
        return _CLOSED
    if result is not None:
        return result
    if call.body is not None and call.body.answer is not None:
        return call.body.answer  # an error's body that never ended: the status decides
    if not call.bounded_by_attempt:
        return too_late(call)
    seconds = f"within {call.terms.bounds.timeout.attempt:g} s"
    if call.left:
        return Failure(errors.NoAnswerError, f"no response {seconds}", transient=True)
    return Failure(errors.NotSentError, f"no connection {seconds}", transient=True)


def _headers_of(request: Request[Any], bearer: Bearer | None) -> Mapping[str, str] | None:
    """Make the request's own headers, which no frame keeps: a traceback would show the token.

    A copy for each request: tracers write into what aiohttp is given.
    """
    headers = request.headers if bearer is None else bearer.headers.copy()
    if request.accept is not None:
        return {**(headers or {}), "Accept": request.accept}
    return headers
