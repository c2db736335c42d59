"""One call: its deadline, its attempts, its typed end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine.exchange import Exchange, Failure
from fanvue_async.engine.judgement import Judgement
from fanvue_async.engine.notices import RetryEvent
from fanvue_async.engine.retry import Outcome, repeat
from fanvue_async.engine.transport import RequestBody, content_headers
from fanvue_async.engine.waits import Scope, Timer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

    from fanvue_async.engine.answers import Answer
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.terms import Terms

T = TypeVar("T")

_NO_TOKEN = Failure(
    errors.ConfigurationError,
    "no access token: pass one to FanvueClient or with_options(), or set FANVUE_ACCESS_TOKEN",
)
_BAD_TOKEN = Failure(
    errors.ConfigurationError, "the token provider returned no valid token (RFC 6750)"
)


class Call(Generic[T]):
    """One call on its way: ``run`` is all of it, ``_attempt`` one attempt."""

    __slots__ = (
        "_bounded_by_attempt",
        "_deadline",
        "_has_slot",
        "_judgement",
        "_pool",
        "_reauthenticated",
        "_request",
        "_started",
        "_terms",
    )

    def __init__(self, terms: Terms, request: Request[T]) -> None:
        self._terms = terms
        self._pool = terms.pool
        self._request = request
        self._started = self._pool.clockwork.clock()
        self._deadline = self._started + terms.bounds.timeout.total
        self._judgement: Judgement[T] = Judgement(self._pool, request, terms.retry)
        self._reauthenticated = False
        self._has_slot = False
        self._bounded_by_attempt = False  # whether its timer ends the attempt before the deadline

    async def run(self) -> Outcome[T]:
        """Do the call, within ``Timeout.total``. Raises nothing of ours."""
        outcome = await self._attempt()
        if outcome.error is None:
            return outcome
        outcome = await self._with_new_token(outcome)
        if not outcome.repeatable:
            return outcome
        bucket = self._judgement.bucket
        assert bucket is not None
        clockwork = self._pool.clockwork
        return await repeat(
            outcome,
            self._attempt_again,
            policy=self._terms.retry,
            quota=bucket.quota,
            random=clockwork.random,
            time_left=lambda: self._deadline - clockwork.now(),
            sleep=self._sleep,
            before_sleep=self._announce,
        )

    async def _attempt_again(self) -> Outcome[T]:
        return await self._with_new_token(await self._attempt())

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self._bounded(partial(self._pool.clockwork.sleep, seconds))

    def _announce(self, outcome: Outcome[T], wait: float) -> None:
        assert outcome.error is not None
        event = RetryEvent(
            operation=self._request.name,
            attempt=self._judgement.attempts,
            wait=wait,
            status=getattr(outcome.error, "status", None),
            error=type(outcome.error).__name__,
            elapsed=self._pool.clockwork.now() - self._started,
        )
        self._pool.notices.retry(event)

    async def _with_new_token(self, outcome: Outcome[T]) -> Outcome[T]:
        """Send the request once more if a provider's token was refused, once in a call."""
        credential, refused = self._terms.credential, self._judgement.bearer
        if not self._judgement.unauthorized or self._reauthenticated:
            return outcome
        if credential is None or credential.fixed is not None or refused is None:
            return outcome
        self._reauthenticated = True
        await self._bounded(partial(credential.renew, refused))
        return await self._attempt()

    async def _bounded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait until the deadline or the client's closing at most.

        If either comes, the next attempt finds it so and ends the call.
        """
        if self._pool.scopes.closing:  # which has ended all waits by now and would miss this one
            return
        clockwork = self._pool.clockwork
        with Scope(self._pool.scopes, Timer(self._deadline - clockwork.now())) as scope:
            await wait()
        if scope.expired:
            self._deadline = min(self._deadline, clockwork.now())

    async def _attempt(self) -> Outcome[T]:
        """Get a token and a connection, do one exchange, and judge it."""
        pool, terms, judgement = self._pool, self._terms, self._judgement
        judgement.begin()
        started = pool.clockwork.clock()
        remaining = self._deadline - started
        if refusal := pool.refusal():
            return judgement.failed(Failure(errors.ClientStateError, refusal))
        if remaining <= 0:
            return judgement.failed(self._deadline_exceeded())
        credential = terms.credential
        needs_token = self._request.headers is None
        if needs_token and credential is None:
            return judgement.failed(_NO_TOKEN)
        http = pool.http or pool.open()
        judgement.bearer = credential.fixed if needs_token and credential is not None else None
        is_ready = judgement.bearer is not None or not needs_token
        self._has_slot = is_ready and pool.slots.take()
        # One scope for every wait of this attempt: armed to the deadline in the queue, to the
        # attempt's own end behind it. Which of the two expired is told by what it was armed to.
        self._bounded_by_attempt = self._has_slot and terms.bounds.timeout.attempt < remaining
        if self._bounded_by_attempt:
            timer = terms.bounds.attempt_timer
        else:
            timer = Timer(remaining) if judgement.attempts else terms.bounds.total_timer
        result = None
        try:
            with Scope(pool.scopes, timer) as scope:
                if not self._has_slot:
                    if not await self._get_ready(scope):
                        return judgement.failed(_BAD_TOKEN)
                    started = pool.clockwork.clock()
                judgement.attempts += 1
                judgement.bucket = terms.bucket(judgement.bearer, self._request.creator)
                result = await self._exchange(http)
        finally:
            if self._has_slot:
                pool.slots.release()
        return judgement.judge(result or self._interrupted(), started)

    async def _get_ready(self, scope: Scope) -> bool:
        """Get a token, wait for a connection, then arm the clock of the attempt.

        Returns False if the provider gave no valid token.
        """
        terms, judgement = self._terms, self._judgement
        if judgement.bearer is None and self._request.headers is None:
            assert terms.credential is not None
            judgement.bearer = await terms.credential.fetch()
            if scope.expired:  # and the provider swallowed the cancel
                raise asyncio.CancelledError
            if judgement.bearer is None:
                return False
        slots = self._pool.slots
        if not slots.take():
            await slots.wait()
        self._has_slot = True
        if terms.bounds.timeout.attempt < self._deadline - self._pool.clockwork.now():
            self._bounded_by_attempt = True
            scope.change_to(terms.bounds.attempt_timer)
        return True

    async def _exchange(self, http: aiohttp.ClientSession) -> Answer | Failure:
        request, judgement, pool = self._request, self._judgement, self._pool
        if not request.target.startswith("/"):
            http = pool.foreign()
        body = RequestBody(
            request.body, content_headers(request.content_type), pool.used_connections
        )
        url = pool.origin.url(request.target)
        exchange = judgement.exchange = Exchange(http, request.method, url, body)
        headers = request.headers if judgement.bearer is None else judgement.bearer.headers
        return await exchange.run(headers, self._terms.options)

    def _interrupted(self) -> Answer | Failure:
        """Tell what an attempt came to that our own clock or ``aclose`` ended."""
        if self._pool.scopes.closing:
            return Failure(errors.ClientStateError, "the client was closed during the call")
        exchange = self._judgement.exchange
        if exchange is not None and exchange.answer is not None:
            return exchange.answer  # an error's body that never ended: the status decides
        if not self._bounded_by_attempt:
            return self._deadline_exceeded()
        seconds = f"within {self._terms.bounds.timeout.attempt:g} s"
        if self._judgement.left:
            return Failure(errors.NoAnswerError, f"no response {seconds}", transient=True)
        return Failure(errors.NotSentError, f"no connection {seconds}", transient=True)

    def _deadline_exceeded(self) -> Failure:
        seconds = self._terms.bounds.timeout.total
        return Failure(errors.DeadlineExceededError, f"not done within {seconds:g} s")
