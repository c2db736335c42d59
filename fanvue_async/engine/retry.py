"""Whether and when to repeat: pure decisions, the quota, and tenacity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

if TYPE_CHECKING:
    from fanvue_async.config import RetryPolicy
    from fanvue_async.errors import FanvueError

# 520 to 527, 529 and 530 are what proxies such as Cloudflare answer for an origin they can't reach.
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504, *range(520, 528), 529, 530})

# The quota is counted in tenths of a retry, so that ten successes make exactly one.
_COST = 10
_REFUND = 1
_QUOTA = 100 * _COST
_POOL_QUOTA = 2 * _QUOTA
_REFILL_SECONDS = 600.0  # until an empty one is full again by itself


@attrs.define(eq=False)
class Failed:
    """What a failed attempt leaves: its error, and whether it may be repeated."""

    error: FanvueError
    repeatable: bool
    stale: bool = False
    """Whether it died on a reused connection, before any answer: retried immediately,
    without spending quota."""
    floor: float | None = None
    """Seconds that the server asks to wait at least."""


def may_repeat(*, left: bool, idempotent: bool, policy: RetryPolicy) -> bool:
    """Decide whether a transient failure may be repeated."""
    return not left or (idempotent and policy.repeat_unknown)


def backoff(policy: RetryPolicy, retry: int, random: Callable[[], float]) -> float:
    """Draw the wait before the given retry, counted from 1, in seconds: full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random() * min(policy.wait_max, policy.wait_initial * 2.0 ** (retry - 1))


class Quota:
    """What retries cost, so that an outage does not triple the load on the API.

    There are 100 retries (the size that botocore has); a success gives back a tenth of one, and a
    minute ten. With ``shared``, a retry must be left there too.
    """

    __slots__ = ("__weakref__", "_capacity", "_clock", "_refilled_at", "_retries", "_shared")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        capacity: int = _QUOTA,
        shared: Quota | None = None,
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._retries: float = capacity
        self._refilled_at = clock()
        self._shared = shared

    @classmethod
    def of_pool(cls, clock: Callable[[], float]) -> Quota:
        """Make the cap over the quotas of all accounts: twice one account's."""
        return cls(clock, capacity=_POOL_QUOTA)

    def spend(self) -> bool:
        """Take a retry; False if the quota is empty."""
        if not self._available() or (self._shared is not None and not self._shared.spend()):
            return False
        self._retries -= _COST
        return True

    def refund(self) -> None:
        """Give back a tenth of a retry, for a success."""
        if self._retries < self._capacity:
            self._retries = min(self._capacity, self._retries + _REFUND)
        if self._shared is not None:
            self._shared.refund()

    def _available(self) -> bool:
        now = self._clock()
        refill = (now - self._refilled_at) / _REFILL_SECONDS * self._capacity
        self._retries = min(self._capacity, self._retries + refill)
        self._refilled_at = now
        return self._retries >= _COST


def next_wait(
    failed: Failed, policy: RetryPolicy, retry: int, random: Callable[[], float]
) -> float:
    """Return the seconds to wait before the given retry, counted from 1."""
    if failed.stale:
        return 0.0
    return max(backoff(policy, retry, random), failed.floor or 0.0)


def is_in_vain(failed: Failed, wait: float, policy: RetryPolicy, time_left: float) -> bool:
    """Return whether a wait is pointless: it is too long, or ends after the deadline."""
    return (failed.floor or 0.0) > policy.retry_after_max or wait >= time_left


async def repeat(  # noqa: PLR0913 - what a retry depends on, from one caller
    first: Failed,
    attempt: Callable[[], Awaitable[Failed | None]],
    *,
    policy: RetryPolicy,
    quota: Quota,
    random: Callable[[], float],
    time_left: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_sleep: Callable[[Failed, float], None],
) -> Failed | None:
    """Repeat ``attempt`` with tenacity, after ``first``; return the last failure, or None.

    tenacity enters only here, after a failure, because a pass through it costs a tenth of a call.
    What an attempt raises goes around it: an exception that went through tenacity would stay behind
    in a reference cycle with the frames that raised it.
    """
    pending = [first]
    raised: list[BaseException] = []  # a cancellation, or what a token provider raised

    async def step() -> Failed | None:
        if pending:
            return pending.pop()
        try:
            return await attempt()
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised.append(error)
            return None

    def stop(state: RetryCallState) -> bool:
        failed = _failed(state)
        return (
            state.attempt_number >= policy.max_attempts
            or is_in_vain(failed, state.upcoming_sleep, policy, time_left())
            or not (failed.stale or quota.spend())
        )

    def wait(state: RetryCallState) -> float:
        return next_wait(_failed(state), policy, state.attempt_number, random)

    retrying = AsyncRetrying(
        retry=retry_if_result(_is_repeatable),
        stop=stop,
        wait=wait,
        sleep=sleep,
        before_sleep=lambda state: before_sleep(_failed(state), state.upcoming_sleep),
        retry_error_callback=_failed,
    )
    try:
        last: Failed | None = await retrying(step)
        if raised:
            raise raised.pop()
        return last
    finally:
        retrying.iter_state.reset()  # its actions refer to it: a cycle


def _is_repeatable(failed: Failed | None) -> bool:
    return failed is not None and failed.repeatable


def _failed(state: RetryCallState) -> Failed:
    assert state.outcome is not None
    return cast("Failed", state.outcome.result())
