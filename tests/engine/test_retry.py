"""What retries cost; when a call is sent again, test_call.py shows from outside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pace import Clock

from fanvue_async import NoAnswerError, RetryPolicy
from fanvue_async.engine.retry import Failed, Quota, is_in_vain, next_wait

RETRIES = 100
"""What an account's quota holds; the pool's holds twice as much."""
A_MINUTE = 10
"""Retries that come back to an account in 60 seconds."""


def spend_all(quota: Quota) -> int:
    """Spend what there is, and count it."""
    count = 0
    while quota.spend():
        count += 1
    return count


@pytest.mark.parametrize(
    ("stale", "floor", "time_left", "wait", "in_vain"),
    [
        (True, None, 9.0, 0.0, False),
        (False, None, 9.0, 0.25, False),
        (False, 0.5, 9.0, 0.5, False),
        (False, 0.6, 9.0, 0.6, True),
        (False, 0.5, 0.5, 0.5, True),
    ],
)
def test_a_wait(
    *, stale: bool, floor: float | None, time_left: float, wait: float, in_vain: bool
) -> None:
    """A stale connection needs no wait; otherwise the longer one counts, unless it is too long."""
    policy = RetryPolicy(wait_initial=0.25, retry_after_max=0.5)
    failed = Failed(NoAnswerError(), repeatable=True, stale=stale, floor=floor)

    assert next_wait(failed, policy, 1, lambda: 1.0) == wait
    assert is_in_vain(failed, wait, policy, time_left) is in_vain


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
    quota, started = Quota(clock), clock.now
    spent = refunded = 0
    for event in events:
        if event == "spend":
            spent += quota.spend()
        elif event == "refund":
            quota.refund()
            refunded += 1
        elif isinstance(event, float):
            clock.now += event

    assert spent <= RETRIES + refunded / 10 + A_MINUTE * (clock.now - started) / 60 + 1e-6
    assert spend_all(quota) <= RETRIES
