"""One call: its deadline, its attempts, its typed end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine.attempt import Attempt
from fanvue_async.engine.judgement import Judgement
from fanvue_async.engine.notices import RetryEvent
from fanvue_async.engine.retry import Outcome, repeat
from fanvue_async.engine.waits import Scope, Timer

if TYPE_CHECKING:
    from fanvue_async.engine.gate import Gates
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.terms import Terms
    from fanvue_async.engine.turn import Turn

T = TypeVar("T")


class Call(Generic[T]):
    """One call: attempts within one deadline, up to a value or the last error."""

    __slots__ = (
        "_attempt",
        "_deadline",
        "_judgement",
        "_pool",
        "_reauthenticated",
        "_request",
        "_started",
        "_terms",
        "_turn",
    )

    def __init__(self, terms: Terms, request: Request[T]) -> None:
        self._terms = terms
        self._pool = terms.pool
        self._request = request
        self._started = self._pool.clockwork.clock()
        self._deadline = self._started + terms.bounds.timeout.total
        self._judgement: Judgement[T] = Judgement(self._pool, request, terms.retry)
        self._reauthenticated = False
        gates = self._pool.gates
        is_limited = request.target.startswith("/")  # else it goes to another origin
        self._turn = _turn(gates, terms, request) if gates is not None and is_limited else None
        self._attempt: Attempt[T] = Attempt(terms, request, self._judgement, self._turn)

    async def run(self) -> Outcome[T]:
        """Do the call, within ``Timeout.total``. Raises none of our errors."""
        outcome = await self._attempt.run(self._deadline)
        if outcome.error is None:
            return outcome
        outcome = await self._with_new_token(await self._after_rate_limit(outcome))
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

    @property
    def attempt_started(self) -> float:
        """When the newest attempt began, after the queue."""
        return self._judgement.attempt_started

    async def _attempt_again(self) -> Outcome[T]:
        outcome = await self._after_rate_limit(await self._attempt.run(self._deadline))
        return await self._with_new_token(outcome)

    async def _after_rate_limit(self, outcome: Outcome[T]) -> Outcome[T]:
        """Wait a 429 out if the client is to; that takes no attempt and no quota."""
        turn, judgement = self._turn, self._judgement
        while turn is not None and isinstance(outcome.error, errors.RateLimitError):
            if not judgement.was_tried:  # it was not sent at all, because waiting is pointless
                return outcome
            turn.refuse(judgement.bearer, outcome.error.retry_after)
            following = await self._attempt.run(self._deadline)
            if not judgement.was_tried:  # the API's own word says more
                return outcome
            outcome = following
        return outcome

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
        self._pool.accounts.note_refused(refused)
        await self._bounded(partial(credential.renew, refused))
        return await self._attempt.run(self._deadline)

    async def _bounded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait until the deadline or the client's closing at most.

        If either comes, the next attempt finds it so and ends the call.
        """
        if self._pool.scopes.ended:  # which has ended all waits by now and would miss this one
            return
        clockwork = self._pool.clockwork
        with Scope(self._pool.scopes, Timer(self._deadline - clockwork.now())) as scope:
            await wait()
        if scope.expired:
            self._deadline = min(self._deadline, clockwork.now())


def _turn(gates: Gates, terms: Terms, request: Request[Any]) -> Turn:
    from fanvue_async.engine.turn import Turn  # noqa: PLC0415 - with the gate, where there is one

    return Turn(gates, terms, request)
