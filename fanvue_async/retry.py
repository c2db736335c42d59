"""May this be sent again, and when: pure decisions, the quota, and tenacity, which repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fanvue_async.config import RetryPolicy
    from fanvue_async.errors import FanvueError

_T = TypeVar("_T")

# 520 to 527, 529 and 530 are what proxies such as Cloudflare answer for an origin they can't reach.
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504, *range(520, 528), 529, 530})

_QUOTA = 10.0
_POOL_QUOTA = 20.0
_REFUND = 0.1
_REFILL_SECONDS = 60.0


@attrs.frozen
class RetryEvent:
    """What ``on_retry`` is told before each wait."""

    operation: str
    """The call, such as ``"POST /chats"``."""
    attempt: int
    """How many requests were tried so far."""
    wait: float
    """Seconds until the next attempt."""
    status: int | None
    """The status of the answer, or None if there was none."""
    error: str
    """The class name of the error that would be raised without a retry."""
    elapsed: float
    """Seconds since the call began."""


@attrs.define(eq=False)
class Outcome(Generic[_T]):
    """What an attempt came to: a value or an error, and whether it may be sent again."""

    value: _T | None = None
    error: FanvueError | None = None
    repeatable: bool = False
    stale: bool = False
    """Whether it died on a reused connection, before any answer: repeated at once, for nothing."""
    floor: float | None = None
    """Seconds that the server asks to wait at least."""


def may_repeat(*, left: bool, idempotent: bool, policy: RetryPolicy) -> bool:
    """Decide whether what failed for a passing reason may be sent again."""
    return not left or (idempotent and policy.repeat_unknown)


def backoff(policy: RetryPolicy, retry: int, random: Callable[[], float]) -> float:
    """Draw the wait before the given retry, counted from 1, in seconds: full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random() * min(policy.wait_max, policy.wait_initial * 2.0 ** (retry - 1))


class Quota:
    """Tokens that retries cost, so that an outage does not triple the load on the API.

    A retry costs one, a success gives back a tenth, and each minute gives back one, up to the
    capacity. With ``shared``, a retry must find a token there too.
    """

    __slots__ = ("_capacity", "_clock", "_refilled_at", "_shared", "_tokens")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        capacity: float = _QUOTA,
        shared: Quota | None = None,
    ) -> None:
        self._clock = clock
        self._capacity = self._tokens = capacity
        self._refilled_at = clock()
        self._shared = shared

    @classmethod
    def of_pool(cls, clock: Callable[[], float]) -> Quota:
        """Make the cap over the quotas of all accounts: twice one account's."""
        return cls(clock, capacity=_POOL_QUOTA)

    def spend(self) -> bool:
        """Take a token for a retry; False if there is none."""
        if not self._available() or (self._shared is not None and not self._shared.spend()):
            return False
        self._tokens -= 1
        return True

    def refund(self) -> None:
        """Give back a tenth of a token, for a success."""
        if self._tokens < self._capacity:
            self._tokens = min(self._capacity, self._tokens + _REFUND)
        if self._shared is not None:
            self._shared.refund()

    def _available(self) -> bool:
        now = self._clock()
        share = self._capacity / _QUOTA  # the pool's refills at the rate of its size
        self._tokens += (now - self._refilled_at) / _REFILL_SECONDS * share
        self._tokens = min(self._capacity, self._tokens)
        self._refilled_at = now
        return self._tokens >= 1


def next_wait(
    outcome: Outcome[Any], policy: RetryPolicy, retry: int, random: Callable[[], float]
) -> float:
    """Give the seconds to wait before the given retry, counted from 1."""
    if outcome.stale:
        return 0.0
    return max(backoff(policy, retry, random), outcome.floor or 0.0)


def asks_too_much(outcome: Outcome[Any], policy: RetryPolicy, time_left: float) -> bool:
    """Tell whether the server asks for a wait that is not worth sitting out."""
    floor = outcome.floor
    return floor is not None and (floor > policy.retry_after_max or floor >= time_left)


async def repeat(  # noqa: PLR0913 - what a retry depends on, from one caller
    first: Outcome[_T],
    attempt: Callable[[], Awaitable[Outcome[_T]]],
    *,
    policy: RetryPolicy,
    quota: Quota,
    random: Callable[[], float],
    time_left: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_sleep: Callable[[Outcome[_T], float], None],
) -> Outcome[_T]:
    """Repeat ``attempt`` with tenacity, after ``first`` failed, and return the last outcome.

    tenacity enters only here, after a failure, because a pass through it costs a tenth of a call.
    Attempts hand over outcomes and raise nothing: an exception that went through tenacity would
    stay behind in a reference cycle with the frames that raised it, and its predicates could
    swallow a cancellation. All callbacks are sync: tenacity keeps the state of a loop per thread,
    and two tasks would mix theirs up if a callback suspended.
    """
    pending: Outcome[_T] | None = first

    async def step() -> Outcome[_T]:
        nonlocal pending
        if pending is None:
            return await attempt()
        outcome, pending = pending, None
        return outcome

    def wait(state: RetryCallState) -> float:
        return next_wait(_outcome(state), policy, state.attempt_number, random)

    def stop(state: RetryCallState) -> bool:
        outcome = _outcome(state)
        return (
            state.attempt_number >= policy.max_attempts
            or asks_too_much(outcome, policy, time_left())
            or not (outcome.stale or quota.spend())
        )

    def announce(state: RetryCallState) -> None:
        before_sleep(_outcome(state), state.upcoming_sleep)

    retrying = AsyncRetrying(
        retry=retry_if_result(_is_repeatable),
        wait=wait,
        stop=stop,
        before_sleep=announce,
        sleep=sleep,
        retry_error_callback=_outcome,
    )
    return await retrying(step)


def _is_repeatable(outcome: Outcome[Any]) -> bool:
    return outcome.repeatable


def _outcome(state: RetryCallState) -> Outcome[Any]:
    assert state.outcome is not None
    return cast("Outcome[Any]", state.outcome.result())
