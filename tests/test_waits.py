"""What a call waits in: the queue for a connection, and the scopes that end a wait in time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from support.stages import turns

from fanvue_async import FanvueClient, Timeout
from fanvue_async.engine.waits import Places, Scope, Timer

if TYPE_CHECKING:
    from fanvue_async.engine.pool import Pool

# The queue. That calls go through it in their order is in test_pool.py.


async def test_a_place_is_not_handed_to_who_gave_up() -> None:
    """Who was cancelled in the queue is passed over, and nobody's place is lost."""
    places = Places(1)
    assert places.take()
    first, second = (asyncio.create_task(places.wait()) for _ in range(2))
    await turns(1)

    first.cancel()
    places.leave()
    await asyncio.wait([first, second])

    assert first.cancelled()
    assert second.done()
    assert not second.cancelled()
    assert not places.take()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_place_that_comes_with_a_cancel_is_passed_on(others: int) -> None:
    """Who is cancelled in the moment in which a place is handed over gives it back."""
    places = Places(1)
    assert places.take()
    waiters = [asyncio.create_task(places.wait()) for _ in range(1 + others)]
    await turns(1)

    places.leave()
    waiters[0].cancel()
    await asyncio.wait(waiters)

    assert [waiter.cancelled() for waiter in waiters] == [True, False][: 1 + others]
    assert places.take() is (not others)


async def test_a_waiter_that_is_thrown_away_takes_no_place() -> None:
    """A task that nobody holds any more is closed where it waits; its place goes to others."""
    places = Places(1)
    assert places.take()
    waiter = places.wait()
    waiter.send(None)
    waiter.close()

    places.leave()

    assert places.take()


# The timer.


@pytest.fixture
async def pool() -> Pool:
    """Make a pool that is open."""
    client = FanvueClient("token")
    pool = client._session.terms.pool
    pool.start()
    return pool


async def _wait_on(pool: Pool, timer: Timer, seconds: float = 5) -> float | None:
    """Wait so long, and return when the timer ended that, if it did."""
    with Scope(pool, timer) as scope:
        await asyncio.sleep(seconds)
    return time.monotonic() if scope.is_over else None


def _timers() -> int:
    loop = asyncio.get_running_loop()
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    return sum(not timer.cancelled() for timer in scheduled)


@pytest.mark.usefixtures("no_leaks")
async def test_each_wait_ends_at_its_own_time(pool: Pool) -> None:
    """Waits that began one after the other end so, each after the timer's time."""
    timer = Timer(0.1)
    began: list[float] = []
    waits: list[asyncio.Task[float | None]] = []
    for _ in range(4):
        began.append(time.monotonic())
        waits.append(asyncio.create_task(_wait_on(pool, timer)))
        await asyncio.sleep(0.03)
    ended = await asyncio.gather(*waits)

    lasted = [end - begin for begin, end in zip(began, ended, strict=True) if end]
    assert len(lasted) == 4
    assert all(0.09 < seconds < 1 for seconds in lasted)
    assert ended == sorted(ended, key=lambda end: end or 0)
    assert pool.in_flight == set()
    await pool.aclose()


async def test_who_leaves_early_holds_nobody_else_up(pool: Pool) -> None:
    """The timer was set for the first of them; the second has the whole of its own time."""
    timer = Timer(0.1)
    first = asyncio.create_task(_wait_on(pool, timer, 0.02))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    second = await _wait_on(pool, timer)

    assert await first is None
    assert second is not None
    assert 0.09 < second - began < 1
    await pool.aclose()


async def test_a_timer_has_one_timer_and_only_while_somebody_waits(pool: Pool) -> None:
    """A thousand waits cost the loop no more than one, and nothing is left of them."""
    timer = Timer(5)
    before = _timers()
    waits = [asyncio.create_task(_wait_on(pool, timer, 1)) for _ in range(1_000)]
    await turns(2)
    assert len(pool.in_flight) == 1_000
    if hasattr(asyncio.get_running_loop(), "_scheduled"):  # of asyncio; uvloop shows none
        assert _timers() == before + 1_001  # a sleep each, and the timer

    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    assert _timers() == before
    await pool.aclose()


async def test_a_timer_can_be_changed_under_a_wait(pool: Pool) -> None:
    """Then the new one holds, from now, and the old one no longer."""
    with Scope(pool, Timer(0.05)) as scope:
        scope.change_to(Timer(0.2))
        await asyncio.sleep(0.1)
        assert not scope.is_over
        await asyncio.sleep(5)
    assert scope.is_over
    await pool.aclose()


async def test_a_cancel_of_the_callers_goes_through_a_scope(pool: Pool) -> None:
    """Also if the timer has asked for the end of the wait in the same turn."""
    timer = Timer(0)
    for late in (False, True):
        wait = asyncio.create_task(_wait_on(pool, timer if late else Timer(5)))
        await turns(1)
        if late:
            time.sleep(0.001)  # noqa: ASYNC251 - the timer is due, and has not rung
            asyncio.get_running_loop().call_soon(wait.cancel)
            await turns(1)
        else:
            wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()
    await pool.aclose()


async def test_views_share_the_timers_of_their_parent() -> None:
    """But for one that has a timeout of its own."""
    client = FanvueClient("token")
    view, hasty = client.with_options(access_token="other"), client.with_options(timeout=5)

    bounds = client._session._bounds
    assert view._session._bounds is bounds
    assert hasty._session._bounds.timeout == Timeout(5)
    assert hasty._session._bounds.total_timer is not bounds.total_timer
