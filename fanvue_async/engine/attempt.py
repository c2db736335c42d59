"""One attempt of a call: a token, a turn at the gate, a connection, one HTTP exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine.answers import Answer
from fanvue_async.engine.exchange import Exchange
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.transport import RequestBody, content_headers
from fanvue_async.engine.waits import Scope, Timer

if TYPE_CHECKING:
    import aiohttp

    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.judgement import Judgement
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.retry import Outcome
    from fanvue_async.engine.terms import Terms
    from fanvue_async.engine.turn import Turn

T = TypeVar("T")

_NO_TOKEN = Failure(
    errors.ConfigurationError,
    "no access token: pass one to FanvueClient or with_options(), or set FANVUE_ACCESS_TOKEN",
)
_CLOSED = Failure(errors.ClientStateError, "the client was closed during the call")


class Attempt(Generic[T]):
    """The attempts of one call, one at a time."""

    __slots__ = (
        "_bounded_by_attempt",
        "_deadline",
        "_has_slot",
        "_is_under_way",
        "_judgement",
        "_pool",
        "_request",
        "_scope",
        "_terms",
        "_turn",
    )

    def __init__(
        self, terms: Terms, request: Request[T], judgement: Judgement[T], turn: Turn | None
    ) -> None:
        self._terms = terms
        self._pool = terms.pool
        self._request = request
        self._judgement = judgement
        self._turn = turn
        self._deadline = 0.0
        self._has_slot = False
        self._is_under_way = False
        self._scope: Scope | None = None
        self._bounded_by_attempt = False  # whether its timer ends the attempt before the deadline

    async def run(self, deadline: float) -> Outcome[T]:
        """Get a token and a connection, do one exchange, and judge it."""
        pool, terms, judgement = self._pool, self._terms, self._judgement
        judgement.begin()
        self._deadline = deadline
        started = pool.clockwork.clock()
        remaining = deadline - started
        if refusal := pool.refusal(under_way=self._is_under_way):
            return judgement.failed(Failure(errors.ClientStateError, refusal))
        if remaining <= 0:
            return judgement.failed(_deadline_exceeded(terms))
        credential = terms.credential
        needs_token = self._request.headers is None
        if needs_token and credential is None:
            return judgement.failed(_NO_TOKEN)
        self._is_under_way = True
        http = pool.http or pool.open()
        judgement.bearer = credential.fixed if needs_token and credential is not None else None
        is_ready = judgement.bearer is not None or not needs_token
        if is_ready and self._turn is not None:
            is_ready = self._turn.try_take(judgement.bearer)
        self._has_slot = is_ready and pool.slots.take()
        # One scope for every wait of this attempt: armed to the deadline in the queue, to the
        # attempt's own end after it. What it was armed to tells which of the two expired.
        self._bounded_by_attempt = self._has_slot and terms.bounds.timeout.attempt < remaining
        if self._bounded_by_attempt:
            timer = terms.bounds.attempt_timer
        else:
            timer = Timer(remaining) if judgement.attempts else terms.bounds.total_timer
        result = None
        try:
            with Scope(pool.scopes, timer) as scope:
                if not self._has_slot:
                    if (failure := await self._get_ready(scope)) is not None:
                        return judgement.failed(failure)
                    started = pool.clockwork.clock()
                judgement.attempts += 1
                judgement.bucket = terms.bucket(judgement.bearer, self._request.creator)
                self._scope = scope
                result = await self._exchange(http)
        finally:
            self._scope = None
            if self._has_slot:
                pool.slots.release()
            if self._turn is not None:
                left = judgement.left
                self._turn.end(judgement.bearer, result, was_sent=left, started=started)
        return judgement.judge(
            _end(terms, judgement, result, by_attempt=self._bounded_by_attempt), started
        )

    async def _get_ready(self, scope: Scope) -> Failure | None:
        """Get a token, wait for the rate limit and a connection, then arm the attempt's clock."""
        terms, slots, turn = self._terms, self._pool.slots, self._turn
        while True:
            if failure := await self._get_token(scope):
                return failure
            is_known_as_refused = _is_refused(
                self._terms, self._judgement.bearer
            )  # the provider has no other
            if turn is not None and not turn.is_taken:  # that is, if calls wait for a rate limit
                again = self._judgement.attempts > 0
                bearer = self._judgement.bearer
                if failure := await turn.take(bearer, self._deadline, again=again):
                    return failure
            if not slots.take():
                await slots.wait()
            self._has_slot = True
            if is_known_as_refused or not _is_refused(self._terms, self._judgement.bearer):
                break
            # It grew old while the call waited. Another one is asked for, but not in here, where a
            # slow provider would hold the connections of other accounts up.
            self._has_slot = False
            slots.release()
            self._judgement.bearer = None
        if terms.bounds.timeout.attempt < self._deadline - self._pool.clockwork.now():
            self._bounded_by_attempt = True
            scope.change_to(terms.bounds.attempt_timer)
        return None

    async def _get_token(self, scope: Scope) -> Failure | None:
        """Ask the provider, if there is one and it has not been asked yet."""
        judgement, credential = self._judgement, self._terms.credential
        if judgement.bearer is not None or self._request.headers is not None:
            return None
        assert credential is not None
        fetched = await credential.fetch()
        if scope.expired:  # and the provider swallowed the cancel
            raise asyncio.CancelledError
        if isinstance(fetched, Failure):
            return fetched
        judgement.bearer = fetched
        return None

    async def _exchange(self, http: aiohttp.ClientSession) -> Answer | Failure:
        request, judgement, pool = self._request, self._judgement, self._pool
        if not request.target.startswith("/"):
            http = pool.foreign()
        body = RequestBody(request.body, content_headers(request.content_type), pool.connections)
        if request.on_progress is not None:
            body.on_piece = self._progressed
        url = pool.origin.url(request.target)
        exchange = judgement.exchange = Exchange(http, request.method, url, body)
        try:
            return await exchange.run(_headers_of(request, judgement.bearer), self._terms.options)
        finally:
            body.on_piece = None  # else body and attempt hold each other, and a large part stays

    def _progressed(self, sent: int) -> None:
        """Restart the attempt's clock, for a piece has left."""
        assert self._scope is not None
        assert self._request.on_progress is not None
        if self._bounded_by_attempt:
            self._scope.change_to(self._terms.bounds.attempt_timer)
        self._request.on_progress(sent)


def _end(
    terms: Terms, judgement: Judgement[T], result: Answer | Failure | None, *, by_attempt: bool
) -> Answer | Failure:
    """Return what an attempt came to, also if our own clock or ``aclose`` ended it."""
    if terms.pool.scopes.ended and not isinstance(result, Answer):
        return _CLOSED
    if result is not None:
        return result
    exchange = judgement.exchange
    if exchange is not None and exchange.answer is not None:
        return exchange.answer  # an error's body that never ended: the status decides
    if not by_attempt:
        return _deadline_exceeded(terms)
    seconds = f"within {terms.bounds.timeout.attempt:g} s"
    if judgement.left:
        return Failure(errors.NoAnswerError, f"no response {seconds}", transient=True)
    return Failure(errors.NotSentError, f"no connection {seconds}", transient=True)


def _deadline_exceeded(terms: Terms) -> Failure:
    seconds = terms.bounds.timeout.total
    return Failure(errors.DeadlineExceededError, f"not done within {seconds:g} s")


def _headers_of(request: Request[T], bearer: Bearer | None) -> Mapping[str, str] | None:
    """Make the request's own headers, which no frame keeps: a traceback would show the token.

    A copy for each request: tracers write into what aiohttp is given.
    """
    headers = request.headers if bearer is None else bearer.headers.copy()
    if request.accept is not None:
        return {**(headers or {}), "Accept": request.accept}
    return headers


def _is_refused(terms: Terms, bearer: Bearer | None) -> bool:
    """Return whether a provider's token was answered with 401, as far as this client knows."""
    credential = terms.credential
    if bearer is None or credential is None or credential.fixed is not None:
        return False
    return terms.pool.accounts.is_refused(bearer)
