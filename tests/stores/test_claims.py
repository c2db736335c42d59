"""Leases and claims: who works, who comes too late, and what a cancel leaves behind."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from fanvue_async import StoreError
from fanvue_async.stores import ANY, Entry, MemoryStore
from fanvue_async.stores.claims import LEASE, Claim, Lease
from fanvue_async.stores.documents import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanvue_async.stores import Condition


class _Clock:
    """A clock of the store and of the holders, that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Move in small steps, and let everybody act at each."""
        for _ in range(round(seconds)):
            self.now += 1
            for until, sleeper in self._sleepers:
                if until <= self.now and not sleeper.done():
                    sleeper.set_result(None)
            await _settle()


class _Store(MemoryStore):
    """A store that takes a turn of the loop, and that can fail before or after it acts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(_clock=clock)
        self.fails_before: int = 0
        self.fails_after: int = 0
        self.fails_reading: int = 0

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        await asyncio.sleep(0)
        self._fail("fails_before")
        written = await super().put(key, value, version=version, expires_in=expires_in)
        await asyncio.sleep(0)
        self._fail("fails_after")
        return written

    async def get(self, key: str) -> Entry | None:
        await asyncio.sleep(0)
        self._fail("fails_reading")
        return await super().get(key)

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        await asyncio.sleep(0)
        self._fail("fails_before")
        return await super().delete(key, version=version)

    def _fail(self, when: str) -> None:
        left = getattr(self, when)
        setattr(self, when, max(0, left - 1))
        if left:
            raise StoreError("the store failed")


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> _Clock:
    """Give the clock."""
    return _Clock()


@pytest.fixture
def store(clock: _Clock) -> _Store:
    """Give the store."""
    return _Store(clock)


def _lease(store: _Store, clock: _Clock) -> Lease:
    return Lease(store, "work", seconds=30, clock=clock, sleep=clock.sleep)


def _claim(store: _Store, clock: _Clock) -> Claim:
    return Claim(store, "work", seconds=30, clock=clock, sleep=clock.sleep)


# Leases


async def test_one_of_many_has_the_lease(store: _Store, clock: _Clock) -> None:
    """Of twenty who ask at once one gets it, and the next one when it is released."""
    leases = [_lease(store, clock) for _ in range(20)]

    taken = await asyncio.gather(*(lease.acquire() for lease in leases))

    assert sum(taken) == 1
    holder = leases[taken.index(True)]
    assert holder.remaining == 30
    await holder.release()
    assert holder.remaining == 0
    assert await leases[-1].acquire()


async def test_a_lease_ends_by_the_clock(store: _Store, clock: _Clock) -> None:
    """Its holder knows, cannot renew it once another has it, and releases nothing of theirs."""
    first, second = _lease(store, clock), _lease(store, clock)
    await first.acquire()
    assert not await second.acquire()
    await clock.advance(31)

    assert first.remaining == 0
    assert await second.acquire()
    assert not await first.renew()
    await first.release()
    assert not await _lease(store, clock).acquire()


async def test_a_lease_is_renewed_while_the_block_runs(store: _Store, clock: _Clock) -> None:
    """Work longer than the lease keeps it, also over a store that fails now and then."""
    lease, other = _lease(store, clock), _lease(store, clock)
    await lease.acquire()

    async with lease.renewed():
        await _settle()
        for _ in range(10):
            store.fails_before = 1
            await clock.advance(12)
            assert lease.remaining > 0
            assert not await other.acquire()

    assert await other.acquire()


@pytest.mark.parametrize("cancels", [1, 2, 3, 30])
async def test_a_block_that_is_cancelled_again_and_again_gives_its_lease_back(
    store: _Store, clock: _Clock, cancels: int
) -> None:
    """As anyio's scopes cancel: in each turn, until the task has ended."""
    lease, ended = _lease(store, clock), list[str]()
    await lease.acquire()

    async def end() -> None:
        await asyncio.sleep(0)
        ended.append("before the release" if lease.remaining else "too late")

    async def work() -> None:
        async with lease.renewed() as at_end:
            at_end.append(end)
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await _settle()
    for _ in range(cancels):
        working.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([working])
    await _settle()

    assert working.cancelled()
    assert ended == ["before the release"]
    assert await _lease(store, clock).acquire()


async def test_a_lease_that_is_left_ends_by_itself(store: _Store, clock: _Clock) -> None:
    """It is neither renewed nor released."""
    lease = Lease(store, "job", seconds=30, clock=clock, sleep=clock.sleep)
    assert await lease.acquire()
    async with lease.renewed():
        lease.leave()

    assert not await Lease(store, "job", seconds=30, clock=clock).acquire()
    await clock.advance(30)
    assert await Lease(store, "job", seconds=30, clock=clock).acquire()


async def test_a_lease_that_was_lost_is_not_renewed(store: _Store, clock: _Clock) -> None:
    """The block goes on, and `remaining` says that it is no longer alone."""
    lease = _lease(store, clock)
    await lease.acquire()
    async with lease.renewed():
        await _settle()
        await store.delete(LEASE + "work")
        await clock.advance(40)
        assert lease.remaining == 0
        assert not await lease.renew()


async def test_a_lease_is_lost_when_the_store_fails_for_too_long(
    store: _Store, clock: _Clock
) -> None:
    """Renewing ends with the lease."""
    lease = _lease(store, clock)
    await lease.acquire()
    async with lease.renewed():
        await _settle()
        store.fails_before = 100
        await clock.advance(60)
        assert lease.remaining == 0
        assert store.fails_before > 80


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_acquire_leaves_no_lease(
    store: _Store, clock: _Clock, turns: int
) -> None:
    """Wherever the cancel comes, others get the lease at once."""
    taking = asyncio.create_task(_lease(store, clock).acquire())
    for _ in range(turns):
        await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    await _settle()

    if taking.cancelled():
        assert await _lease(store, clock).acquire()


@pytest.mark.parametrize("failure", ["fails_before", "fails_after"])
async def test_a_cancelled_acquire_that_fails_is_told_to_nobody(
    store: _Store, clock: _Clock, failure: str
) -> None:
    """The failure is retrieved, and what it may have taken is given back."""
    setattr(store, failure, 1)
    taking = asyncio.create_task(_lease(store, clock).acquire())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    await _settle()

    assert await _lease(store, clock).acquire()


async def test_an_acquire_that_its_store_cancels_gives_back_what_it_took(
    store: _Store, clock: _Clock
) -> None:
    """As one does whose connection is shared with a task that was cancelled."""
    put, cancels = store.put, [True]

    async def cut(*given: Any, **options: Any) -> str | None:
        written = await put(*given, **options)
        if cancels:
            cancels.pop()
            raise asyncio.CancelledError
        return written

    store.put = cut  # type: ignore[method-assign] # of this one object
    with pytest.raises(asyncio.CancelledError):
        await _lease(store, clock).acquire()
    await _settle()

    assert await _lease(store, clock).acquire()


async def test_an_acquire_that_failed_after_it_acted(store: _Store, clock: _Clock) -> None:
    """The same holder finds the lease that it has without knowing."""
    store.fails_after = 1
    lease = _lease(store, clock)
    with pytest.raises(StoreError):
        await lease.acquire()
    assert not await _lease(store, clock).acquire()

    assert await lease.acquire()
    assert lease.remaining == 30


async def test_a_renewal_that_failed_after_it_acted(store: _Store, clock: _Clock) -> None:
    """The next renewal goes by the version that is there."""
    lease = _lease(store, clock)
    await lease.acquire()
    store.fails_after = 1
    with pytest.raises(StoreError):
        await lease.renew()

    assert await lease.renew()
    await lease.release()
    assert await _lease(store, clock).acquire()


async def test_a_release_that_fails_is_no_error(
    store: _Store, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The lease ends by itself."""
    lease = _lease(store, clock)
    await lease.acquire()
    store.fails_before = 1
    with caplog.at_level(logging.DEBUG, "fanvue_async"):
        await lease.release()

    assert "ends by itself" in caplog.text
    assert not await _lease(store, clock).acquire()
    await clock.advance(31)
    assert await _lease(store, clock).acquire()


# Claims


async def test_a_claim_remembers_beyond_its_lease(store: _Store, clock: _Clock) -> None:
    """Who comes later finds the mark: never begun, begun, done."""
    first = _claim(store, clock)
    assert await first.take()
    assert first.mark is None
    assert await first.write(b"begun")
    assert not await _claim(store, clock).take()
    await clock.advance(31)

    second = _claim(store, clock)
    assert await second.take()
    assert second.mark is not None
    assert second.mark.value == b"begun"
    assert await second.write(b"done", expires_in=100)
    assert await second.write(b"done, and told", expires_in=100)
    await second.lease.release()
    assert await store.get("work") == second.mark


async def test_a_paused_holder_comes_too_late(store: _Store, clock: _Clock) -> None:
    """What it writes is refused by the mark's version, whoever has the lease."""
    paused, other = _claim(store, clock), _claim(store, clock)
    await paused.take()
    await paused.write(b"begun")
    await clock.advance(31)
    await other.take()
    await other.write(b"done by another")

    assert not await paused.write(b"done")
    assert not await paused.forget()
    entry = await store.get("work")
    assert entry is not None
    assert entry.value == b"done by another"


async def test_a_claim_can_be_forgotten(store: _Store, clock: _Clock) -> None:
    """Then it is as if nobody had begun; without a mark there is nothing to forget."""
    claim = _claim(store, clock)
    await claim.take()
    assert await claim.forget()
    await claim.write(b"begun")
    assert await claim.forget()
    await claim.lease.release()

    later = _claim(store, clock)
    assert await later.take()
    assert later.mark is None


async def test_a_claim_whose_mark_cannot_be_read(store: _Store, clock: _Clock) -> None:
    """The lease is given back."""
    claim = _claim(store, clock)
    store.fails_reading = 1
    with pytest.raises(StoreError):
        await claim.take()

    assert await _claim(store, clock).take()


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_take_leaves_no_lease(store: _Store, clock: _Clock, turns: int) -> None:
    """Also between the lease and the mark."""
    taking = asyncio.create_task(_claim(store, clock).take())
    for _ in range(turns):
        await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    await _settle()

    if taking.cancelled():
        assert await _claim(store, clock).take()


# Documents


def test_a_document_is_read_again() -> None:
    """Fields of a later release of the same version are kept."""
    assert load(dump({"a": 1, "b": [None, "x"]})) == {"a": 1, "b": [None, "x"]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "did not write"),
        (b"\xff", "did not write"),
        (b"[" * 100_000, "did not write"),
        (b'["v"]', "did not write"),
        (b'{"v":"1"}', "did not write"),
        (b'{"a":1}', "did not write"),
        (dump({}, version=2), "newer release"),
    ],
)
def test_a_document_of_others_is_refused(value: bytes, words: str) -> None:
    """It is a StoreError that quotes nothing."""
    with pytest.raises(StoreError, match=words):
        load(value)
