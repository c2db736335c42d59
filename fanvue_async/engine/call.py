"""One call: its deadline and its attempts, each with a token, a turn, a slot and an exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from fanvue_async import errors
from fanvue_async.engine.exchange import exchange
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.judgement import Judged
from fanvue_async.engine.transport import RequestBody
from fanvue_async.engine.waits import Scope, Timer, this_task

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.retry import Failed
    from fanvue_async.engine.terms import Terms
    from fanvue_async.engine.turn import Turn

T = TypeVar("T")
_NO_VALUE: Any = None

_NO_TOKEN = Failure(
    errors.ConfigurationError,
    "no access token: pass one to FanvueClient or with_options(), or set FANVUE_ACCESS_TOKEN",
)


class Call(Judged[T]):
    """One call: attempts within one deadline, one at a time."""

    __slots__ = ("_has_slot", "deadline", "started", "turn")

    def __init__(self, terms: Terms, request: Request[T]) -> None:
        self.terms = terms
        self.pool = pool = terms.pool
        self.request = request
        self.started: float = pool.clockwork.clock()
        self.deadline: float = self.started + terms.bounds.timeout.total
        self.turn: Turn | None = None if pool.gates is None else _turn(terms, request)
        """Its turn at the rate limit; None if it does not wait for one."""
        self._unknown = False
        self.attempts = 0
        self.attempt_started = 0.0
        self.bucket = self.bearer = None
        self.value = _NO_VALUE

    async def attempt(self, *, again: bool = False) -> Failed | None:
        """Get a token, a turn and a connection, do one exchange, and judge it.

        Returns None if that succeeded: then the call has its ``value``. Raises none of our errors.
        """
        pool, terms = self.pool, self.terms
        self.body, self.unauthorized = None, False
        task = this_task()
        if refusal := pool.refusal(task, under_way=again):
            return self.failed(Failure(errors.ClientStateError, refusal))
        assert task is not None  # else it was refused
        started = pool.clockwork.clock()
        if self.deadline <= started:
            return self.failed(self.deadline_exceeded())
        if self.request.headers is not None:
            http = pool.foreign()
        elif terms.credential is None:
            return self.failed(_NO_TOKEN)
        else:
            self.bearer = terms.credential.fixed
            http = pool.http or pool.open()
        timer = self._begin(started, again=again)
        result = None
        try:
            # One scope for every wait of this attempt: armed to the deadline in the queue, to the
            # attempt's own end after it. What it was armed to tells which of the two expired.
            with Scope(pool.scopes, timer, task) as scope:
                if not self._has_slot:
                    if (failure := await self._get_ready(scope)) is not None:
                        return self.failed(failure)
                    started = pool.clockwork.clock()
                self.attempts += 1
                self.bucket = terms.bucket(self.bearer, self.request.creator)
                self.body = self._body(scope)
                result = await exchange(
                    http,
                    self.request.method,
                    pool.origin.url(self.request.target),
                    self.body,
                    _headers_of(self.request, self.bearer),
                    terms.options,
                    task,
                )
        finally:
            self._finish(result, started)
        return self.judge(result, started)

    def _begin(self, started: float, *, again: bool) -> Timer:
        """Take the turn and the slot if that needs no waiting; return the attempt's timer."""
        bounds, turn, bearer = self.terms.bounds, self.turn, self.bearer
        self._has_slot = (
            (bearer is not None or self.request.headers is not None)
            and (turn is None or turn.try_take(bearer))
            and self.pool.slots.take()
        )
        remaining = self.deadline - started
        self.bounded_by_attempt = self._has_slot and bounds.timeout.attempt < remaining
        if self.bounded_by_attempt:
            return bounds.attempt_timer
        return Timer(remaining) if again else bounds.total_timer

    async def _get_ready(self, scope: Scope) -> Failure | None:
        """Get a token, wait for the rate limit and a connection, then arm the attempt's clock."""
        terms, slots, turn = self.terms, self.pool.slots, self.turn
        while True:
            if failure := await self._get_token(scope):
                return failure
            is_known_as_refused = terms.is_refused(self.bearer)  # the provider has no other
            if turn is not None and not turn.is_taken:  # that is, if calls wait for a rate limit
                again = self.attempts > 0
                if failure := await turn.take(self.bearer, self.deadline, again=again):
                    return failure
            if not slots.take():
                await slots.wait()
            self._has_slot = True
            if is_known_as_refused or not terms.is_refused(self.bearer):
                break
            # It grew old while the call waited. Another one is asked for, but not in here, where a
            # slow provider would hold the connections of other accounts up.
            self._has_slot = False
            slots.release()
            self.bearer = None
        bounds = terms.bounds
        if bounds.timeout.attempt < self.deadline - self.pool.clockwork.now():
            self.bounded_by_attempt = True
            scope.change_to(bounds.attempt_timer)
        return None

    async def _get_token(self, scope: Scope) -> Failure | None:
        """Ask the provider, if there is one and it has not been asked yet."""
        credential = self.terms.credential
        if self.bearer is not None or self.request.headers is not None:
            return None
        assert credential is not None
        fetched = await credential.fetch()
        if scope.expired:  # and the provider swallowed the cancel
            raise asyncio.CancelledError
        if isinstance(fetched, Failure):
            return fetched
        self.bearer = fetched
        return None

    def _body(self, scope: Scope) -> RequestBody:
        request = self.request
        body = RequestBody(request.body, request.content_type, self.pool.connections)
        if request.on_progress is not None:
            body.on_piece = partial(self._progressed, scope, request.on_progress)
        return body

    def _progressed(self, scope: Scope, on_progress: Callable[[int], None], sent: int) -> None:
        """Restart the attempt's clock, for a piece has left."""
        if self.bounded_by_attempt:
            scope.change_to(self.terms.bounds.attempt_timer)
        on_progress(sent)

    def _finish(self, result: Answer | Failure | None, started: float) -> None:
        """Give back what the attempt has taken, however it ended."""
        if self._has_slot:
            self.pool.slots.release()
        if self.turn is not None:
            self.turn.end(self.bearer, result, was_sent=self.left, started=started)
        if self.body is not None:
            self.body.on_piece = None  # else they hold each other, with a large part


def _turn(terms: Terms, request: Request[Any]) -> Turn | None:
    """Make the turn of a call that waits for the rate limit."""
    gates = terms.pool.gates
    if gates is None or request.headers is not None:
        return None
    return _turn_class()(gates, terms, request)


@cache
def _turn_class() -> type[Turn]:
    from fanvue_async.engine.turn import Turn  # noqa: PLC0415 - with the gate, where there is one

    return Turn


def _headers_of(request: Request[Any], bearer: Bearer | None) -> Mapping[str, str] | None:
    """Make the request's own headers, which no frame keeps: a traceback would show the token.

    A copy for each request: tracers write into what aiohttp is given.
    """
    headers = request.headers if bearer is None else bearer.headers.copy()
    if request.accept is not None:
        return {**(headers or {}), "Accept": request.accept}
    return headers
