"""After a call's first attempt: rate limits waited out, tokens renewed, attempts repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fanvue_async import errors
from fanvue_async.engine import turn
from fanvue_async.engine.attempt import attempt
from fanvue_async.engine.notices import RetryEvent
from fanvue_async.engine.retry import Failed, repeat
from fanvue_async.engine.waits import Scope, Timer, this_task

if TYPE_CHECKING:
    from fanvue_async.engine.call import Call
    from fanvue_async.errors import FanvueError


_TOO_LATE = (errors.RateLimitError, errors.DeadlineExceededError)


class Recovery:
    """What a call does after its first attempt failed, up to a value or the last error."""

    __slots__ = ("_call", "_reauthenticated")

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._reauthenticated = False

    async def run(self, first: Failed) -> Failed | None:
        """Wait a 429 out, renew the token, and repeat as far as the policy allows."""
        failed = await self._with_new_token(await self._after_rate_limit(first))
        if failed is None or not failed.repeatable:
            return failed
        call = self._call
        bucket, clockwork = call.bucket, call.pool.clockwork
        assert bucket is not None
        return await repeat(
            failed,
            self._attempt_again,
            policy=call.terms.retry,
            quota=bucket.quota,
            random=clockwork.random,
            time_left=lambda: call.deadline - clockwork.now(),
            sleep=self._sleep,
            before_sleep=self._announce,
        )

    async def _attempt_again(self) -> Failed | None:
        failed = await self._after_rate_limit(await attempt(self._call, again=True))
        return await self._with_new_token(failed)

    async def _after_rate_limit(self, failed: Failed | None) -> Failed | None:
        """Wait a 429 out if the client is to; that takes no attempt and no quota."""
        call = self._call
        while call.is_limited and failed and isinstance(failed.error, errors.RateLimitError):
            if not call.was_tried:  # it was not sent at all, because waiting is pointless
                return failed
            turn.refuse(call, failed.error.retry_after)
            following = await attempt(call, again=True)
            if following and not call.was_tried and isinstance(following.error, _TOO_LATE):
                return failed  # the API's own word says more
            failed = following
        return failed

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self._bounded(partial(self._call.pool.clockwork.sleep, seconds))

    def _announce(self, failed: Failed, wait: float) -> None:
        call = self._call
        event = RetryEvent(
            operation=call.request.name,
            attempt=call.attempts,
            wait=wait,
            status=getattr(failed.error, "status", None),
            error=type(failed.error).__name__,
            elapsed=call.pool.clockwork.now() - call.started,
        )
        call.pool.notices.retry(event)

    async def _with_new_token(self, failed: Failed | None) -> Failed | None:
        """Send the request once more if a provider's token was refused, once in a call."""
        call = self._call
        credential, refused = call.terms.credential, call.bearer
        if not call.unauthorized or self._reauthenticated:
            return failed
        if credential is None or credential.fixed is not None or refused is None:
            return failed
        self._reauthenticated = True
        call.pool.accounts.note_refused(refused)
        await self._bounded(partial(credential.renew, refused))
        return await self._after_rate_limit(await attempt(call, again=True))

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


async def run(call: Call[Any], *, again: bool = False) -> FanvueError | None:
    """Do a call to its end, by its deadline; return its error, or None for a value.

    ``again`` is for what belongs to a call before it, and goes on while the client drains.
    """
    failed = await attempt(call, again=again)
    if failed is not None:
        failed = await Recovery(call).run(failed)
    return None if failed is None else failed.error
