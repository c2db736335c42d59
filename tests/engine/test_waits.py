"""What a call waits in: the queue for a connection, and the scopes that end a wait in time."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.stages import turns

from fanvue_async import FanvueClient, Timeout
from fanvue_async.engine.waits import Scope, Scopes, Slots, Timer, this_task

# The queue. That calls go through it in their order is in test_pool.py.


@pytest.mark.parametrize("cancelled_first", [True, False])
@pytest.mark.parametrize("others", [0, 1])
async def test_a_slot_is_not_lost_with_who_gave_up(*, cancelled_first: bool, others: int) -> None:
    """Who is cancelled in the queue, or with the slot in hand, leaves it to the next."""
    slots = Slots(1)
    assert slots.take()
    waiters = [asyncio.create_task(slots.wait()) for _ in range(1 + others)]
    await turns(1)

    if cancelled_first:
        waiters[0].cancel()
    slots.release()
    waiters[0].cancel()
    await asyncio.wait(waiters)

    assert [waiter.cancelled() for waiter in waiters] == [True, False][: 1 + others]
    assert slots.take() is (not others)


async def test_a_waiter_that_is_thrown_away_takes_no_slot() -> None:
    """A task that nobody holds any more is closed where it waits; its slot goes to others."""
    slots = Slots(1)
    assert slots.take()
    waiter = slots.wait()
    waiter.send(None)
    waiter.close()

    slots.release()

    assert slots.take()


# Scopes and timers. A test's waits end by the timer or never, so that no bound is needed.


def _scope(scopes: Scopes, timer: Timer) -> Scope:
    task = this_task()
    assert task is not None
    return Scope(scopes, timer, task)


async def _wait_in(scopes: Scopes, timer: Timer) -> float | None:
    """Wait for ever, and return when the timer ended that, if it did."""
    with _scope(scopes, timer) as scope:
        await asyncio.Event().wait()
    return asyncio.get_running_loop().time() if scope.expired else None


def _handles() -> int:
    loop = asyncio.get_running_loop()
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])  # uvloop shows none
    return sum(not handle.cancelled() for handle in scheduled)


@pytest.mark.usefixtures("no_leaks")
async def test_each_wait_ends_at_its_own_time() -> None:
    """Waits that began one after the other end so, none before the timer's time."""
    scopes, timer = Scopes(), Timer(0.03)
    loop = asyncio.get_running_loop()
    began: list[float] = []
    waits: list[asyncio.Task[float | None]] = []
    for _ in range(4):
        began.append(loop.time())
        waits.append(asyncio.create_task(_wait_in(scopes, timer)))
        await asyncio.sleep(0.01)
    ended = [end for end in await asyncio.gather(*waits) if end]

    assert all(end - begin > 0.028 for begin, end in zip(began, ended, strict=True))
    assert ended == sorted(ended)
    assert scopes.open == set()


async def test_who_leaves_early_holds_nobody_else_up() -> None:
    """The timer was set for the first of them; the second has the whole of its own time."""
    scopes, timer = Scopes(), Timer(0.1)
    with _scope(scopes, timer) as first:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    ended = await _wait_in(scopes, timer)

    assert not first.expired
    assert ended is not None
    assert ended - began > 0.09


async def test_a_timer_has_one_handle_and_only_while_somebody_waits() -> None:
    """A thousand waits cost the loop no more than one, and nothing is left of them."""
    scopes, timer = Scopes(), Timer(60)
    before = _handles()
    waits = [asyncio.create_task(_wait_in(scopes, timer)) for _ in range(1_000)]
    await turns(2)
    assert len(scopes.open) == 1_000
    assert _handles() <= before + 1

    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    assert _handles() == before


async def test_a_timer_can_be_changed_under_a_wait() -> None:
    """Then the new one holds, from now, and the old one no longer."""
    scopes = Scopes()
    with _scope(scopes, Timer(0.01)) as scope:
        scope.change_to(Timer(60))
        await asyncio.sleep(0.03)
        assert not scope.expired
        scope.change_to(Timer(0.01))
        await asyncio.Event().wait()
    assert scope.expired


async def test_a_cancel_of_the_callers_goes_through_a_scope() -> None:
    """Also if the timer has asked for the end of the wait in the same turn."""
    for seconds in (0.0, 60.0):
        wait = asyncio.create_task(_wait_in(Scopes(), Timer(seconds)))
        await turns(1)
        if not seconds:
            time.sleep(0.001)  # noqa: ASYNC251 - the timer is due, and has not fired
            asyncio.get_running_loop().call_soon(wait.cancel)
            await turns(1)
        else:
            wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()


async def test_scoped_clients_share_the_timers_of_their_parent() -> None:
    """But for one that has a timeout of its own."""
    client = FanvueClient("token")
    scoped, hasty = client.with_options(access_token="other"), client.with_options(timeout=5)

    bounds = client._session.terms.bounds
    assert scoped._session.terms.bounds is bounds
    assert hasty._session.terms.bounds.timeout == Timeout(5)
    assert hasty._session.terms.bounds.total_timer is not bounds.total_timer
