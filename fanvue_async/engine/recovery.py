"""After a call's first attempt: rate limits waited out, tokens renewed, attempts repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine.notices import RetryEvent
from fanvue_async.engine.retry import Outcome, repeat
from fanvue_async.engine.waits import Scope, Timer, this_task

if TYPE_CHECKING:
    from fanvue_async.engine.call import Call

T = TypeVar("T")


class Recovery(Generic[T]):
    """What a call does after its first attempt failed, up to a value or the last error."""

    __slots__ = ("_call", "_reauthenticated")

    def __init__(self, call: Call[T]) -> None:
        self._call = call
        self._reauthenticated = False

    async def run(self, outcome: Outcome[T]) -> Outcome[T]:
        """Wait a 429 out, renew the token, and repeat as far as the policy allows."""
        outcome = await self._with_new_token(await self._after_rate_limit(outcome))
        if not outcome.repeatable:
            return outcome
        call = self._call
        bucket, clockwork = call.bucket, call.pool.clockwork
        assert bucket is not None
        return await repeat(
            outcome,
            self._attempt_again,
            policy=call.terms.retry,
            quota=bucket.quota,
            random=clockwork.random,
            time_left=lambda: call.deadline - clockwork.now(),
            sleep=self._sleep,
            before_sleep=self._announce,
        )

    async def _attempt_again(self) -> Outcome[T]:
        outcome = await self._after_rate_limit(await self._call.attempt(again=True))
        return await self._with_new_token(outcome)

    async def _after_rate_limit(self, outcome: Outcome[T]) -> Outcome[T]:
        """Wait a 429 out if the client is to; that takes no attempt and no quota."""
        call, turn = self._call, self._call.turn
        while turn is not None and isinstance(outcome.error, errors.RateLimitError):
            if not call.was_tried:  # it was not sent at all, because waiting is pointless
                return outcome
            turn.refuse(call.bearer, outcome.error.retry_after)
            following = await call.attempt(again=True)
            if not call.was_tried:  # the API's own word says more
                return outcome
            outcome = following
        return outcome

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self._bounded(partial(self._call.pool.clockwork.sleep, seconds))

    def _announce(self, outcome: Outcome[T], wait: float) -> None:
        assert outcome.error is not None
        call = self._call
        event = RetryEvent(
            operation=call.request.name,
            attempt=call.attempts,
            wait=wait,
            status=getattr(outcome.error, "status", None),
            error=type(outcome.error).__name__,
            elapsed=call.pool.clockwork.now() - call.started,
        )
        call.pool.notices.retry(event)

    async def _with_new_token(self, outcome: Outcome[T]) -> Outcome[T]:
        """Send the request once more if a provider's token was refused, once in a call."""
        call = self._call
        credential, refused = call.terms.credential, call.bearer
        if not call.unauthorized or self._reauthenticated:
            return outcome
        if credential is None or credential.fixed is not None or refused is None:
            return outcome
        self._reauthenticated = True
        call.pool.accounts.note_refused(refused)
        await self._bounded(partial(credential.renew, refused))
        return await call.attempt(again=True)

    async def _bounded(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait until the deadline or the client's closing at most.

        If either comes, the next attempt finds it so and ends the call.
        """
        call = self._call
        scopes, clockwork = call.pool.scopes, call.pool.clockwork
        if scopes.ended:  # which has ended all waits by now and would miss this one
            return
        task = this_task()
        assert task is not None  # that of the first attempt
        with Scope(scopes, Timer(call.deadline - clockwork.now()), task) as scope:
            await wait()
        if scope.expired:
            call.deadline = min(call.deadline, clockwork.now())


async def run(call: Call[T]) -> Outcome[T]:
    """Do a call to its end, within ``Timeout.total``. Raises none of our errors."""
    outcome = await call.attempt()
    return outcome if outcome.error is None else await Recovery(call).run(outcome)
