"""When a call is sent again, and at whose cost; that it is, test_call.py shows from outside."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanvue_async import RetryPolicy
from fanvue_async.engine.retry import Quota, backoff

RETRIES = 100
"""What an account's quota holds; the pool's holds twice as much."""
A_MINUTE = 10
"""Retries that come back to an account in 60 seconds."""


@pytest.mark.parametrize(("retry", "cap"), [(1, 0.5), (3, 2.0), (5, 8.0), (10, 8.0)])
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
        for drawn in (0.0, 0.25, 1.0):
            assert backoff(policy, retry, lambda drawn=drawn: drawn) == cap * drawn  # type: ignore[misc] # a default is no argument


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def spend_all(quota: Quota) -> int:
    """Spend what there is, and count it."""
    count = 0
    while quota.spend():
        count += 1
    return count


def test_ten_successes_give_one_retry_back() -> None:
    """A tenth for each, and never more than the quota holds."""
    quota = Quota(Clock())
    for _ in range(1_000):  # of a good day
        quota.refund()
    assert spend_all(quota) == RETRIES

    for _ in range(9):
        quota.refund()
        assert not quota.spend()
    quota.refund()
    assert spend_all(quota) == 1


@pytest.mark.parametrize("step", [60.1, 1.0])
def test_time_gives_retries_back(step: float) -> None:
    """Without any success some come back each minute, however often the quota is asked."""
    clock = Clock()
    quota = Quota(clock)
    clock.now += 86_400  # a full quota has no credit for idle time
    assert spend_all(quota) == RETRIES

    spent = 0
    start = clock.now
    while clock.now <= start + 600:
        clock.now += step
        spent += spend_all(quota)
    assert spent == 10 * A_MINUTE
    clock.now += 86_400
    assert spend_all(quota) == RETRIES


def test_the_pool_caps_all_accounts_together() -> None:
    """In one outage a hundred accounts spend twice the quota of one, and none spends another's."""
    clock = Clock()
    pool = Quota.of_pool(clock)
    accounts = [Quota(clock, shared=pool) for _ in range(100)]

    assert [spend_all(account) for account in accounts] == [RETRIES] * 2 + [0] * 98
    # It fills at twice the rate of an account, and what it refused has cost the account nothing.
    clock.now += 60.1
    assert spend_all(accounts[99]) == 2 * A_MINUTE
    # It learns from every success that the API is well, also from a full account's.
    for _ in range(21):
        accounts[98].refund()
    assert spend_all(accounts[98]) == 2
    clock.now += 86_400
    assert sum(map(spend_all, accounts)) == 2 * RETRIES


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.just("spend"), st.just("refund"), st.floats(0, 1e6)), min_size=1, max_size=200
    )
)
def test_no_order_of_events_gives_more_than_was_earned(events: list[str | float]) -> None:
    """At any time: no more than the quota, a tenth of the successes and what time brought."""
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

    assert spent <= RETRIES + refunded / 10 + A_MINUTE * (clock.now - 1000) / 60 + 1e-6
    assert spend_all(quota) <= RETRIES
