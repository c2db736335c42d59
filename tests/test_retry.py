"""May this be sent again, when, and at whose cost."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanvue_async import RetryEvent, RetryPolicy
from fanvue_async.errors import NoAnswerError, NotSentError
from fanvue_async.engine.retry import (
    TRANSIENT_STATUSES,
    Outcome,
    Quota,
    asks_too_much,
    backoff,
    may_repeat,
    next_wait,
    repeat,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _lost(floor: float | None = None, *, stale: bool = False) -> Outcome[Any]:
    return Outcome(error=NoAnswerError(), repeatable=True, stale=stale, floor=floor)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Script:
    """Repeats a call whose attempts come to what is written here, and keeps what happened."""

    def __init__(
        self,
        first: Outcome[Any],
        *then: Outcome[Any],
        quota: Quota | None = None,
        time_left: float = 60.0,
        random: Callable[[], float] = lambda: 0.5,
        **policy: Any,
    ) -> None:
        self.waits: list[float] = []
        self.announced: list[tuple[Outcome[Any], float]] = []
        self.attempts = 0
        self._first = first
        self._then = deque(then)
        self._quota = quota or Quota(Clock())
        self._time_left = time_left
        self._random = random
        self._policy = RetryPolicy(**policy)

    async def run(self) -> Outcome[Any]:
        """Repeat; what comes after the script is a bug of the test."""
        return await repeat(
            self._first,
            self.attempt,
            policy=self._policy,
            quota=self._quota,
            random=self._random,
            time_left=lambda: self._time_left - sum(self.waits),
            sleep=self.sleep,
            before_sleep=lambda outcome, wait: self.announced.append((outcome, wait)),
        )

    async def attempt(self) -> Outcome[Any]:
        """Come to the next outcome, not without letting others run."""
        self.attempts += 1
        await asyncio.sleep(0)
        return self._then.popleft()

    async def sleep(self, seconds: float) -> None:
        """Take no time, but let others run."""
        self.waits.append(seconds)
        await asyncio.sleep(0)


# May this be sent again?


@pytest.mark.parametrize(
    ("left", "idempotent", "repeat_unknown", "expected"),
    [
        # What never left can't have been processed.
        (False, False, False, True),
        (False, False, True, True),
        (False, True, False, True),
        (False, True, True, True),
        # What left may have been.
        (True, False, False, False),
        (True, False, True, False),
        (True, True, False, False),
        (True, True, True, True),
    ],
)
def test_may_repeat(*, left: bool, idempotent: bool, repeat_unknown: bool, expected: bool) -> None:
    """Only an idempotent call is repeated when nobody knows, and only if the user agrees."""
    policy = RetryPolicy(repeat_unknown=repeat_unknown)

    assert may_repeat(left=left, idempotent=idempotent, policy=policy) is expected


def test_the_transient_statuses() -> None:
    """Those of a server or a proxy in trouble; no 4xx, not 501, nothing that says "never"."""
    transient = [500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530]

    assert sorted(TRANSIENT_STATUSES) == transient


# When?


@pytest.mark.parametrize(
    ("retry", "cap"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (9, 8.0), (10, 8.0)],
)
def test_backoff_is_uniform_up_to_its_cap(retry: int, cap: float) -> None:
    """Full jitter: 10,000 draws pass the test of Kolmogorov and Smirnov at 1 %."""
    count = 10_000
    source = random.Random(retry)  # noqa: S311 - chance, not a secret

    draws = sorted(backoff(RetryPolicy(), retry, source.random) for _ in range(count))

    assert draws[0] >= 0
    assert draws[-1] <= cap
    distance = max(
        max((rank + 1) / count - draw / cap, draw / cap - rank / count)
        for rank, draw in enumerate(draws)
    )
    assert distance < 1.63 / math.sqrt(count)


@pytest.mark.parametrize(
    ("initial", "highest", "caps"),
    [
        (0.5, 8.0, [0.5, 1, 2, 4, 8, 8, 8, 8, 8]),
        (1, 3, [1, 2, 3, 3]),
        (0, 8, [0, 0, 0]),
        (5, 2, [2, 2]),
        (5, 0, [0, 0]),
        (86_400, 86_400, [86_400] * 9),
    ],
)
def test_backoff_doubles_up_to_wait_max(initial: float, highest: float, caps: list[float]) -> None:
    """Retry k waits at the most wait_initial * 2**(k-1), and never more than wait_max."""
    policy = RetryPolicy(wait_initial=initial, wait_max=highest)

    for retry, cap in enumerate(caps, start=1):
        assert backoff(policy, retry, lambda: 1.0) == cap
        assert backoff(policy, retry, lambda: 0.25) == cap / 4
        assert backoff(policy, retry, lambda: 0.0) == 0.0


@pytest.mark.parametrize(
    ("outcome", "wait"),
    [
        (_lost(), 0.5),
        (_lost(0.0), 0.5),
        (_lost(0.4), 0.5),
        (_lost(0.6), 0.6),
        (_lost(30.0), 30.0),
        (_lost(stale=True), 0.0),
    ],
)
def test_next_wait_is_no_shorter_than_the_server_asks(outcome: Outcome[Any], wait: float) -> None:
    """Retry-After is a floor for the drawn wait; a stale connection is no reason to wait."""
    assert next_wait(outcome, RetryPolicy(), 2, lambda: 0.5) == wait


@pytest.mark.parametrize(
    ("floor", "time_left", "expected"),
    [
        (None, 0.0, False),
        (None, -1.0, False),
        (0.0, 10.0, False),
        (9.9, 10.0, False),
        (10.0, 10.0, True),
        (10.1, 10.0, True),
        (30.0, 60.0, False),
        (30.1, 60.0, True),
        (999_999_999.0, 86_400.0, True),
        (0.0, 0.0, True),
    ],
)
def test_asks_too_much(floor: float | None, time_left: float, *, expected: bool) -> None:
    """A wait over retry_after_max, or as long as the time left, is not begun."""
    assert asks_too_much(_lost(floor), RetryPolicy(), time_left) is expected


@pytest.mark.parametrize(("highest", "expected"), [(0, True), (4.9, True), (5, False)])
def test_retry_after_max_is_the_users(highest: float, *, expected: bool) -> None:
    """How long is too long, the policy says; 0 refuses every wait that a server asks for."""
    policy = RetryPolicy(retry_after_max=highest)

    assert asks_too_much(_lost(5.0), policy, 60.0) is expected
    assert not asks_too_much(_lost(0.0), policy, 60.0)


# At whose cost?


def _spend_all(quota: Quota) -> int:
    count = 0
    while quota.spend():
        count += 1
    return count


def test_a_quota_holds_ten_retries() -> None:
    """Ten retries, then none, however often it is asked."""
    quota = Quota(Clock())

    assert _spend_all(quota) == 10
    assert not quota.spend()


def test_ten_successes_give_one_retry_back() -> None:
    """A tenth for each: nine are not enough, the tenth is."""
    quota = Quota(Clock())
    _spend_all(quota)

    for _ in range(9):
        quota.refund()
        assert not quota.spend()
    quota.refund()
    assert _spend_all(quota) == 1


def test_successes_do_not_pile_up() -> None:
    """After a good day there are as many retries as before it."""
    quota = Quota(Clock())
    for _ in range(1000):
        quota.refund()
    assert _spend_all(quota) == 10

    for _ in range(1000):
        quota.refund()
    assert _spend_all(quota) == 10


def test_a_minute_gives_one_retry_back() -> None:
    """Without any success, one comes back per 60 s, up to the ten of the beginning."""
    clock = Clock()
    quota = Quota(clock)
    _spend_all(quota)

    clock.now += 59.9
    assert _spend_all(quota) == 0
    clock.now += 0.2
    assert _spend_all(quota) == 1
    clock.now += 180
    assert _spend_all(quota) == 3
    clock.now += 86_400
    assert _spend_all(quota) == 10


def test_a_minute_asked_for_often_gives_no_less() -> None:
    """A quota that is asked every second fills as one that is asked once."""
    clock = Clock()
    quota = Quota(clock)
    _spend_all(quota)

    spent = 0
    for _ in range(601):
        clock.now += 1
        spent += quota.spend()
    assert spent == 10


def test_a_full_quota_has_no_credit_for_idle_time() -> None:
    """Time before the first retry counts for nothing, the time since counts from there."""
    clock = Clock()
    quota = Quota(clock)
    clock.now += 86_400
    assert _spend_all(quota) == 10

    clock.now += 30
    assert not quota.spend()
    clock.now += 30.1
    assert quota.spend()


def test_one_account_does_not_spend_anothers_quota() -> None:
    """A creator whose calls all fail leaves the other creators theirs."""
    clock = Clock()
    pool = Quota.of_pool(clock)
    failing, healthy = Quota(clock, shared=pool), Quota(clock, shared=pool)

    assert _spend_all(failing) == 10
    assert _spend_all(healthy) == 10


def test_the_pool_caps_all_accounts_together() -> None:
    """A hundred accounts in one outage repeat twenty calls, not a thousand."""
    clock = Clock()
    pool = Quota.of_pool(clock)
    accounts = [Quota(clock, shared=pool) for _ in range(100)]

    assert sum(_spend_all(account) for account in accounts) == 20

    # The pool fills at twice the rate of one account, and what it refused cost the account nothing.
    clock.now += 60.1
    assert _spend_all(accounts[99]) == 2
    clock.now += 86_400
    assert sum(_spend_all(account) for account in accounts) == 20


def test_a_success_of_any_account_fills_the_pool() -> None:
    """The pool learns from every success that the API is well, also from a full account's."""
    clock = Clock()
    pool = Quota.of_pool(clock)
    accounts = [Quota(clock, shared=pool) for _ in range(3)]
    for account in accounts:
        _spend_all(account)

    for _ in range(21):
        accounts[2].refund()

    assert _spend_all(accounts[0]) == 0  # of its own it has none
    assert _spend_all(accounts[2]) == 2


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.just("spend"), st.just("refund"), st.floats(0, 1e6)), min_size=1, max_size=200
    )
)
def test_no_order_of_events_gives_more_than_was_earned(events: list[str | float]) -> None:
    """At any time: no more retries than ten, a tenth of the successes and one per minute."""
    clock = Clock()
    quota = Quota(clock)
    spent = refunded = 0
    for event in events:
        if event == "spend":
            spent += quota.spend()
        elif event == "refund":
            quota.refund()
            refunded += 1
        elif isinstance(event, float):
            clock.now += event

    assert spent <= 10 + refunded / 10 + (clock.now - 1000) / 60 + 1e-6
    assert _spend_all(quota) <= 10


# Repeating


async def test_repeats_until_a_value_comes() -> None:
    """The value of the first attempt that succeeds is the value of the call."""
    success = Outcome("value")
    script = Script(_lost(), _lost(), success)

    assert await script.run() is success
    assert script.attempts == 2
    assert script.waits == [0.25, 0.5]


@pytest.mark.parametrize("attempts", range(1, 11))
async def test_stops_at_max_attempts(attempts: int) -> None:
    """max_attempts counts the first one too; the last outcome is the result."""
    outcomes = [_lost() for _ in range(attempts)]
    script = Script(*outcomes, max_attempts=attempts)

    assert await script.run() is outcomes[-1]
    assert script.attempts == len(script.waits) == attempts - 1


async def test_a_value_ends_it() -> None:
    """What succeeded is not sent again, however many attempts are left."""
    script = Script(_lost(), Outcome("value"), max_attempts=10)

    assert (await script.run()).value == "value"
    assert script.attempts == 1


async def test_what_is_not_repeatable_ends_it() -> None:
    """A repetition that ends in a 404, say, is not repeated again."""
    final = Outcome[Any](error=NotSentError(), repeatable=False)
    script = Script(_lost(), final, max_attempts=10)

    assert await script.run() is final
    assert script.attempts == 1


async def test_a_first_outcome_that_is_not_repeatable_is_returned() -> None:
    """Nothing is sent, waited for, announced or paid."""
    quota = Quota(Clock())
    first = Outcome[Any](error=NotSentError(), repeatable=False)
    script = Script(first, quota=quota)

    assert await script.run() is first
    assert (script.attempts, script.waits, script.announced) == (0, [], [])
    assert _spend_all(quota) == 10


async def test_waits_grow_from_retry_to_retry() -> None:
    """Each retry draws from its own range."""
    script = Script(*[_lost()] * 6, random=lambda: 1.0, max_attempts=6)

    await script.run()

    assert script.waits == [0.5, 1.0, 2.0, 4.0, 8.0]


async def test_a_wait_is_slept_once() -> None:
    """The sleep is the one that was handed over, and tenacity adds none of its own."""
    script = Script(_lost(10.0), Outcome("value"))

    async with asyncio.timeout(5):
        await script.run()

    assert script.waits == [10.0]


async def test_each_wait_is_announced_with_what_it_is_for() -> None:
    """What on_retry and the log tell is the failed outcome and the wait that follows it."""
    first, second = _lost(), _lost(7.0)
    script = Script(first, second, Outcome("value"))

    await script.run()

    assert [(id(outcome), wait) for outcome, wait in script.announced] == [
        (id(first), 0.25),
        (id(second), 7.0),
    ]
    assert script.waits == [0.25, 7.0]


async def test_a_retry_after_is_a_floor() -> None:
    """The drawn wait counts only where it is longer than what the server asks for."""
    script = Script(_lost(3.0), _lost(0.1), _lost(0.0), Outcome("value"), max_attempts=4)

    await script.run()

    assert script.waits == [3.0, 0.5, 1.0]


@pytest.mark.parametrize(("floor", "time_left"), [(30.1, 60.0), (5.0, 5.0), (999_999_999.0, 60.0)])
async def test_a_retry_after_that_asks_too_much_ends_it(floor: float, time_left: float) -> None:
    """Nobody sleeps for what can't help: the error comes at once, and costs no quota."""
    quota = Quota(Clock())
    first = _lost(floor)
    script = Script(first, time_left=time_left, quota=quota)

    assert await script.run() is first
    assert (script.attempts, script.waits, script.announced) == (0, [], [])
    assert _spend_all(quota) == 10


async def test_the_time_left_is_looked_at_before_each_wait() -> None:
    """A wait that was possible at first may be too long later."""
    late = _lost(4.0)
    script = Script(_lost(4.0), _lost(4.0), late, time_left=12.0, max_attempts=10)

    assert await script.run() is late
    assert script.waits == [4.0, 4.0]


async def test_each_retry_costs_one_of_the_quota() -> None:
    """Not the first attempt, not the last outcome: as many as there were retries."""
    quota = Quota(Clock())

    await Script(_lost(), _lost(), _lost(), quota=quota).run()

    assert _spend_all(quota) == 8


async def test_without_quota_the_error_comes_at_once() -> None:
    """In an outage a call costs one request; the quota is asked again before each retry."""
    quota = Quota(Clock())
    for _ in range(9):
        quota.spend()
    first, second = _lost(), _lost()
    script = Script(first, second, quota=quota)

    assert await script.run() is second
    assert script.attempts == 1
    script = Script(first, quota=quota)
    assert await script.run() is first
    assert (script.attempts, script.waits, script.announced) == (0, [], [])


async def test_a_stale_connection_costs_nothing() -> None:
    """It is repeated at once, also with an empty quota, and counts as an attempt."""
    quota = Quota(Clock())
    _spend_all(quota)
    outcomes = [_lost(stale=True) for _ in range(3)]
    script = Script(*outcomes, quota=quota)

    assert await script.run() is outcomes[-1]
    assert script.waits == [0.0, 0.0]
    assert script.attempts == 2

    quota = Quota(Clock())
    await Script(_lost(stale=True), Outcome("value"), quota=quota).run()
    assert _spend_all(quota) == 10


async def test_never_is_never() -> None:
    """RetryPolicy.never() returns what there is, stale or not."""
    for first in (_lost(), _lost(stale=True), _lost(1.0)):
        script = Script(first, max_attempts=RetryPolicy.never().max_attempts)

        assert await script.run() is first
        assert (script.attempts, script.waits) == (0, [])


def _scripts(source: random.Random) -> Iterator[tuple[Script, Outcome[Any], int]]:
    """Make calls of different lengths that each end in an outcome of their own."""
    for number in range(200):
        failures = source.randrange(1, 9)
        result = Outcome[Any](number) if number % 3 else _lost()
        script = Script(
            *[_lost() for _ in range(failures)], result, max_attempts=failures + 1, wait_initial=1
        )
        yield script, result, failures


async def test_calls_at_once_do_not_mix() -> None:
    """200 repeated calls in one loop each have their own count, waits and result."""
    scripts = list(_scripts(random.Random(1)))  # noqa: S311 - chance, not a secret

    results = await asyncio.gather(*(script.run() for script, _, _ in scripts))

    for (script, expected, failures), result in zip(scripts, results, strict=True):
        assert result is expected
        assert script.attempts == failures
        assert script.waits == [min(8.0, 2.0**retry) / 2 for retry in range(failures)]


async def _stuck(*_: object) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("stuck_in", ["attempt", "sleep"])
async def test_a_cancellation_passes_through(
    stuck_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled in an attempt or in a wait ends at once, cancelled."""
    script = Script(_lost(), _lost(), Outcome("value"))
    monkeypatch.setattr(script, stuck_in, _stuck)
    task = asyncio.create_task(script.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()

    task.cancel("by the caller")

    with pytest.raises(asyncio.CancelledError, match="by the caller"):
        await task
    assert task.cancelled()
    assert script.attempts == 0


class _BoomError(Exception):
    """Something that nobody foresaw."""


@pytest.mark.parametrize("raised", [_BoomError("boom"), TimeoutError("the caller's"), KeyError(1)])
@pytest.mark.parametrize("raised_in", ["attempt", "sleep"])
async def test_an_unexpected_exception_passes_unchanged(
    raised_in: str, raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very exception comes out, without a chain, and nothing is repeated."""
    calls = 0

    async def fail(*_: object) -> Any:
        nonlocal calls
        calls += 1
        raise raised

    script = Script(_lost(), max_attempts=10)
    monkeypatch.setattr(script, raised_in, fail)

    with pytest.raises(type(raised)) as caught:
        await script.run()

    assert caught.value is raised
    assert (raised.__cause__, raised.__context__) == (None, None)
    assert calls == 1


def test_an_outcome_is_not_compared_by_value() -> None:
    """Two attempts that came to the same are still two; the defaults are those of a success."""
    outcome = Outcome("value")

    assert outcome != Outcome("value")
    assert (outcome.error, outcome.repeatable, outcome.stale, outcome.floor) == (
        None,
        False,
        False,
        None,
    )
    assert _lost().value is None


def test_an_event_is_a_value() -> None:
    """A hook may keep or compare what it was told; nobody changes it afterwards."""
    event = RetryEvent("POST /chats", 1, 0.5, 503, "ServerError", 0.1)

    assert event == attrs.evolve(event) != attrs.evolve(event, attempt=2)
    assert len({event, attrs.evolve(event)}) == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.wait = 0.0  # type: ignore[misc] # what is tried here
