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
_NO_VALUE: Any = None

# 520 to 527, 529 and 530 are what proxies such as Cloudflare answer for an origin they can't reach.
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504, *range(520, 528), 529, 530})

# The quota is counted in tenths of a retry, so that ten successes make exactly one.
_COST = 10
_REFUND = 1
_QUOTA = 10 * _COST
_POOL_QUOTA = 20 * _COST
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

    value: _T = _NO_VALUE
    """The value, if there is no error."""
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
    """What retries cost, so that an outage does not triple the load on the API.

    There are ten retries; a success gives back a tenth of one, and each minute one. With
    ``shared``, a retry must be left there too.
    """

    __slots__ = ("_capacity", "_clock", "_left", "_refilled_at", "_shared")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        capacity: int = _QUOTA,
        shared: Quota | None = None,
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._left: float = capacity
        self._refilled_at = clock()
        self._shared = shared

    @classmethod
    def of_pool(cls, clock: Callable[[], float]) -> Quota:
        """Make the cap over the quotas of all accounts: twice one account's."""
        return cls(clock, capacity=_POOL_QUOTA)

    def spend(self) -> bool:
        """Take a retry; False if there is none."""
        if not self._available() or (self._shared is not None and not self._shared.spend()):
            return False
        self._left -= _COST
        return True

    def refund(self) -> None:
        """Give back a tenth of a retry, for a success."""
        if self._left < self._capacity:
            self._left = min(self._capacity, self._left + _REFUND)
        if self._shared is not None:
            self._shared.refund()

    def _available(self) -> bool:
        now = self._clock()
        minutes = (now - self._refilled_at) / _REFILL_SECONDS
        a_minute = self._capacity / _QUOTA * _COST  # the pool's refills at the rate of its size
        self._left = min(self._capacity, self._left + minutes * a_minute)
        self._refilled_at = now
        return self._left >= _COST


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
    What is raised goes around it: an exception that went through tenacity would stay behind in a
    reference cycle with the frames that raised it, and its predicates could swallow a cancellation.
    """
    repetition = _Repetition(first, attempt, policy, quota, random, time_left, sleep, before_sleep)
    outcome: Outcome[_T] = await _RETRYING(_next_outcome, repetition)
    error, repetition.raised = repetition.raised, None
    if error is None:
        return outcome
    try:
        raise error
    finally:
        del error


@attrs.define(eq=False)
class _Repetition(Generic[_T]):
    """What tenacity's callbacks know of a call; they find it as the step's argument."""

    pending: Outcome[_T] | None
    attempt: Callable[[], Awaitable[Outcome[_T]]]
    policy: RetryPolicy
    quota: Quota
    random: Callable[[], float]
    time_left: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    before_sleep: Callable[[Outcome[_T], float], None]
    wait: float = 0.0
    raised: BaseException | None = None
    """A cancellation, or what a token provider raised."""


async def _next_outcome(repetition: _Repetition[_T]) -> Outcome[_T]:
    """Hand over the outcome of the first attempt, then of each further one."""
    if repetition.pending is not None:
        outcome, repetition.pending = repetition.pending, None
        return outcome
    try:
        await repetition.sleep(repetition.wait)
        return await repetition.attempt()
    except BaseException as error:  # noqa: BLE001 - to be raised again behind tenacity
        repetition.raised = error
        return Outcome()


def _is_repeatable(outcome: Outcome[Any]) -> bool:
    return outcome.repeatable


def _wait(state: RetryCallState) -> float:
    repetition = _repetition(state)
    return next_wait(_outcome(state), repetition.policy, state.attempt_number, repetition.random)


def _stop(state: RetryCallState) -> bool:
    outcome, repetition = _outcome(state), _repetition(state)
    return (
        state.attempt_number >= repetition.policy.max_attempts
        or asks_too_much(outcome, repetition.policy, repetition.time_left())
        or not (outcome.stale or repetition.quota.spend())
    )


def _before_sleep(state: RetryCallState) -> None:
    repetition = _repetition(state)
    repetition.wait = state.upcoming_sleep
    repetition.before_sleep(_outcome(state), repetition.wait)


async def _sleep_later(_: float) -> None:
    """Leave the wait to the next step: tenacity does not say here whose wait it is."""


def _repetition(state: RetryCallState) -> _Repetition[Any]:
    return cast("_Repetition[Any]", state.args[0])


def _outcome(state: RetryCallState) -> Outcome[Any]:
    assert state.outcome is not None
    return cast("Outcome[Any]", state.outcome.result())


# One for all calls: each would leave a reference cycle behind. Sharing it is safe because
# its callbacks never suspend; its state is per thread, and tasks would mix theirs up if they did.
_RETRYING = AsyncRetrying(
    retry=retry_if_result(_is_repeatable),
    wait=_wait,
    stop=_stop,
    before_sleep=_before_sleep,
    sleep=_sleep_later,
    retry_error_callback=_outcome,
)
