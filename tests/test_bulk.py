"""Bulk work: each item once, over restarts, processes and whatever a call comes to."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from fanvue_async import (
    AuthenticationError,
    BadRequestError,
    ClientStateError,
    ConfigurationError,
    InvalidArgumentError,
    NoAnswerError,
    NotSentError,
    RateLimitError,
    StoreError,
    bulk,
)
from fanvue_async.stores import MemoryStore, documents
from fanvue_async.stores.claims import LEASE, Claim, Lease

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from fanvue_async import FanvueError
    from fanvue_async.stores import Entry

NAME = "greeting"
LOCKED = RateLimitError("later", status=429)


@pytest.fixture
def store() -> MemoryStore:
    """Remember in memory what was done."""
    return MemoryStore()


@attrs.define
class Work:
    """Does what a test says, and notes for whom."""

    raises: Callable[[int], BaseException | None] = lambda _: None
    done: list[int] = attrs.field(factory=list[int])
    most_at_once: int = 0
    _now: int = 0

    async def __call__(self, item: int) -> str:
        """Handle an item."""
        self.done.append(item)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        for _ in range(20):
            await asyncio.sleep(0)
        self._now -= 1
        error = self.raises(item)
        if error is not None:
            raise error
        return f"value {item}"


async def run(
    items: Iterable[int], work: Work, store: MemoryStore, *, repeat_unknown: bool = False
) -> dict[int, str]:
    """Do a bulk, and return the outcomes."""
    each = bulk.each(items, work, store=store, name=NAME, repeat_unknown=repeat_unknown)
    return {done.item: done.outcome async for done in each}


async def test_each_item_is_done_once(store: MemoryStore) -> None:
    """Duplicates, a second run and three runs side by side repeat nothing."""
    work = Work()
    items = [*range(50), *range(30)]
    runs = await asyncio.gather(*(run(items, work, store) for _ in range(3)))
    assert sorted(work.done) == list(range(50))
    assert sum(map(len, runs)) == 50
    assert await run(items, work, store) == {}
    assert await bulk.progress(NAME, store=store) == bulk.Progress(done=50)
    assert work.most_at_once <= 60


@pytest.mark.parametrize("concurrency", [1, 20])
@pytest.mark.parametrize(
    ("method", "calls", "error"),
    [
        ("put", set[int](), NoAnswerError("lost", maybe_processed=True)),
        ("put", set[int](), NotSentError("refused")),
        ("get", {1}, None),
        ("put", set(range(3, 33)), None),
    ],
    ids=["unknown", "postponed", "postponed by the store", "done, which the store missed"],
)
async def test_an_item_that_comes_twice_is_handled_once(
    monkeypatch: pytest.MonkeyPatch,
    *,
    method: str,
    calls: set[int],
    error: FanvueError | None,
    concurrency: int,
) -> None:
    """Also by a run that repeats what is unknown, and whatever became of it the first time."""
    monkeypatch.setattr(bulk, "_WRITE_PAUSE", 0.0)
    work, store = Work(lambda _: error), Failing(method, calls, after=False)
    each = bulk.each(
        [1, 2, 1, 1],
        work,
        store=store,
        name=NAME,
        concurrency=concurrency,
        repeat_unknown=True,
    )
    assert sorted([done.item async for done in each]) == [1, 2]
    assert len(work.done) == len(set(work.done))


async def test_values_and_concurrency(store: MemoryStore) -> None:
    """What a call returns is in ``value``; no more calls run at once than were allowed."""
    work = Work()
    each = bulk.each(range(30), work, store=store, name=NAME, concurrency=4)
    values = {done.item: done.value async for done in each}
    assert values == {item: f"value {item}" for item in range(30)}
    assert work.most_at_once == 4


@pytest.mark.parametrize(
    ("error", "outcome", "again"),
    [
        (BadRequestError("no", status=400), "refused", False),
        (InvalidArgumentError("no"), "refused", False),
        (NoAnswerError("lost", maybe_processed=True), "unknown", False),
        (NoAnswerError("lost, of a safe request"), "postponed", True),
        (NotSentError("refused"), "postponed", True),
        (RateLimitError("full", status=429), "postponed", True),
        (StoreError("of the call's own"), "postponed", True),
        (asyncio.CancelledError(), "unknown", False),
    ],
)
async def test_an_error_decides_the_outcome(
    store: MemoryStore, *, error: BaseException, outcome: str, again: bool
) -> None:
    """Only what certainly did not happen is tried again by the next run."""
    work = Work(lambda _: error)
    each = bulk.each([1], work, store=store, name=NAME)
    (done,) = [done async for done in each]
    assert (done.outcome, done.error) == (outcome, error)
    work.raises = lambda _: None
    assert await run([1], work, store) == ({1: "done"} if again else {})


async def test_what_is_unknown_is_repeated_when_asked(store: MemoryStore) -> None:
    """``repeat_unknown`` takes up what may have happened already."""
    work = Work(lambda _: NoAnswerError("lost", maybe_processed=True))
    assert await run([1], work, store) == {1: "unknown"}
    work.raises = lambda _: None
    assert await run([1], work, store, repeat_unknown=True) == {1: "done"}
    assert await run([1], work, store, repeat_unknown=True) == {}


@pytest.mark.parametrize(
    "error", [AuthenticationError("no", status=401), ClientStateError("closed"), KeyError("a bug")]
)
async def test_it_stops_at_what_every_item_would_meet(store: MemoryStore, error: Exception) -> None:
    """Nothing new is begun then, and the error is raised once the rest is settled."""
    work = Work(lambda item: error if item == 10 else None)
    each = bulk.each(range(1_000), work, store=store, name=NAME, concurrency=5)
    with pytest.raises(type(error)):
        await _exhausted(each)
    assert len(work.done) < 30
    progress = await bulk.progress(NAME, store=store)
    assert progress.done == len(work.done) - 1
    assert progress.unknown == isinstance(error, KeyError)
    assert [done async for done in each] == []


async def _exhausted(each: bulk.Bulk[int, str]) -> None:
    async for _ in each:
        pass


async def test_an_endless_source_is_pulled_as_needed(store: MemoryStore) -> None:
    """A loop that is left early begins nothing new; what is under way is settled."""
    work = Work()
    each = bulk.each(count(), work, store=store, name=NAME, concurrency=3)
    async for done in each:
        if done.item >= 5:
            break
    await each.aclose()
    assert len(work.done) < 12
    assert await bulk.progress(NAME, store=store) == bulk.Progress(done=len(work.done))


async def test_an_asynchronous_source(store: MemoryStore) -> None:
    """Items may come one by one; results do not wait for the next item."""
    gate = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await gate.wait()
        yield 2

    each = bulk.each(items(), Work(), store=store, name=NAME)
    assert (await anext(each)).item == 1
    gate.set()
    assert (await anext(each)).item == 2
    with pytest.raises(StopAsyncIteration):
        await anext(each)


async def test_closing_while_a_source_is_waited_for(store: MemoryStore) -> None:
    """Leaving ends the wait for the next item."""

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    each = bulk.each(items(), Work(), store=store, name=NAME)
    assert (await anext(each)).item == 1
    waiting = asyncio.ensure_future(anext(each))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await each.aclose()


async def test_a_source_that_fails(store: MemoryStore) -> None:
    """Its error is raised when what was begun is settled."""

    def items() -> Iterable[int]:
        yield 1
        raise LookupError

    each = bulk.each(items(), Work(), store=store, name=NAME)
    assert (await anext(each)).outcome == "done"
    with pytest.raises(LookupError):
        await anext(each)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once at what others are at work on."""
    monkeypatch.setattr(bulk, "_BUSY_PAUSE", 0.0)


def mark(item: int) -> str:
    """Return the key of an item's mark, as a process that was killed left it."""
    return bulk._prefix(NAME) + sha256(str(item).encode()).hexdigest()


async def test_what_a_killed_process_had_begun(store: MemoryStore) -> None:
    """It is left alone while its lease lasts, and unknown from then on."""
    lease = Lease(store, mark(1), seconds=60)
    await lease.acquire()
    await store.put(mark(1), documents.dump({"state": "begun"}))
    work = Work()
    running = asyncio.create_task(run([1, 2], work, store))
    expected = bulk.Progress(begun=1, done=1)
    while await bulk.progress(NAME, store=store) != expected:  # noqa: ASYNC110 - nobody's event
        await asyncio.sleep(0.001)
    await lease.release()
    assert await running == {1: "unknown", 2: "done"}
    assert work.done == [2]


async def test_a_late_done_replaces_unknown(store: MemoryStore) -> None:
    """Who was paused beyond its lease corrects what another had to assume."""

    async def slow(item: int) -> None:
        del item
        key = mark(1)
        entry = await store.get(key)
        assert entry is not None
        await store.put(key, documents.dump({"state": "unknown"}), version=entry.version)

    outcomes = [done.outcome async for done in bulk.each([1], slow, store=store, name=NAME)]
    assert outcomes == ["done"]
    assert await bulk.progress(NAME, store=store) == bulk.Progress(done=1)


async def test_marks_that_go_while_they_are_counted(store: MemoryStore) -> None:
    """What is deleted meanwhile is not counted."""
    await run([1, 2], Work(), store)
    get = store.get

    async def forgetful(key: str) -> Entry | None:
        await store.delete(key)
        return await get(key)

    store.get = forgetful  # type: ignore[method-assign] # of this one object
    assert await bulk.progress(NAME, store=store) == bulk.Progress()


async def test_forgetting_a_bulk(store: MemoryStore) -> None:
    """Its items may be handled again; those of others are left."""
    work = Work()
    await run([1], work, store)
    async for _ in bulk.each([1], work, store=store, name=f"{NAME}/other"):
        pass
    await bulk.forget(NAME, store=store)
    assert await run([1], work, store) == {1: "done"}
    assert await bulk.progress(f"{NAME}/other", store=store) == bulk.Progress(done=1)


@pytest.mark.parametrize("name", ["x" * 200, "é" * 150, "/" * 200, "\ud800"])
async def test_every_name_that_is_accepted_fits_a_store(store: MemoryStore, name: str) -> None:
    """Its keys, those of the leases included, are no longer than a store allows."""
    done = [done.outcome async for done in bulk.each([1], Work(), store=store, name=name)]
    assert done == ["done"]


class Failing(MemoryStore):
    """A store that fails at chosen calls, before or after it has done what it was asked for."""

    def __init__(self, method: str, calls: set[int], *, after: bool) -> None:
        super().__init__()
        self._method, self._calls, self._after = method, calls, after
        self._count = 0

    def _is_due(self, method: str) -> bool:
        self._count += method == self._method
        return method == self._method and self._count in self._calls

    async def get(self, key: str) -> Entry | None:
        """Read, or fail."""
        if self._is_due("get"):
            raise StoreError("down")
        return await super().get(key)

    async def put(self, key: str, value: bytes, **options: object) -> str | None:
        """Write, or fail."""
        is_due = self._is_due("put")
        if is_due and not self._after:
            raise StoreError("down")
        version = await super().put(key, value, **options)  # type: ignore[arg-type] # passed on as they came
        if is_due:
            raise StoreError("down")
        return version

    async def delete(self, key: str, **options: object) -> bool:
        """Delete a mark, or fail."""
        is_due = not key.startswith(LEASE) and self._is_due("delete")
        if is_due and not self._after:
            raise StoreError("down")
        deleted = await super().delete(key, **options)  # type: ignore[arg-type] # passed on as they came
        if is_due:
            raise StoreError("down")
        return deleted


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("method", "calls", "outcome"),
    [
        ("get", {1}, "postponed"),
        ("put", {1}, "postponed"),
        ("put", {2}, "postponed"),
        ("put", {3}, "done"),
        ("put", {3, 4, 5}, "done"),
        ("put", set(range(3, 40)), "done"),
    ],
)
async def test_a_store_that_fails(
    monkeypatch: pytest.MonkeyPatch,
    *,
    method: str,
    calls: set[int],
    outcome: str,
    after: bool,
) -> None:
    """Before the call it postpones; after it, the outcome is written once the store is back."""
    monkeypatch.setattr(bulk, "_WRITE_PAUSE", 0.0)
    work, store = Work(), Failing(method, calls, after=after)
    assert await run([1], work, store) == {1: outcome}
    assert work.done == ([1] if outcome == "done" else [])
    if outcome == "done" and len(calls) < 30:
        assert await bulk.progress(NAME, store=store) == bulk.Progress(done=1)
    await run([1], work, store)
    assert len(work.done) <= 1


@pytest.mark.parametrize(
    ("method", "calls", "error"),
    [("put", {2}, None), ("delete", {1}, NotSentError("refused")), ("delete", {1, 2}, LOCKED)],
)
@pytest.mark.parametrize("after", [False, True])
async def test_what_a_store_postponed_is_tried_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
    *,
    method: str,
    calls: set[int],
    error: FanvueError | None,
    after: bool,
) -> None:
    """No mark stays of what did not happen, whichever call of the store failed."""
    monkeypatch.setattr(bulk, "_WRITE_PAUSE", 0.0)
    store, errors = Failing(method, calls, after=after), [error]
    work = Work(lambda _: errors.pop() if errors else None)
    assert await run([1], work, store) == {1: "postponed"}
    errors.clear()
    assert await run([1], work, store) == {1: "done"}


async def test_a_short_outage_of_the_store_does_not_postpone_the_whole_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Items wait while the store is down, so that most of them are done when it is back."""
    monkeypatch.setattr(bulk, "_WRITE_PAUSE", 0.01)
    store, work = Failing("get", set(), after=False), Work()
    down_until = asyncio.get_running_loop().time() + 0.03

    def is_due(_: str) -> bool:
        return asyncio.get_running_loop().time() < down_until

    monkeypatch.setattr(store, "_is_due", is_due)
    await run(range(1_000), work, store)
    assert len(work.done) >= 800


async def test_a_call_whose_hook_cancels_its_task(store: MemoryStore) -> None:
    """It is the task of that item alone: nobody else is cancelled."""

    async def call(item: int) -> int:
        task = asyncio.current_task()
        if item == 2 and task is not None:
            task.cancel()
        await asyncio.sleep(0)
        return item

    each = bulk.each([1, 2, 3], call, store=store, name=NAME)
    outcomes = {done.item: done.outcome async for done in each}
    assert outcomes == {1: "done", 2: "unknown", 3: "done"}
    assert await bulk.progress(NAME, store=store) == bulk.Progress(done=2, unknown=1)


async def test_what_was_unknown_stays_so_when_its_repetition_is_postponed(
    store: MemoryStore,
) -> None:
    """The first call may have happened, whatever became of the second."""
    errors = [NotSentError("refused"), NoAnswerError("lost", maybe_processed=True)]
    work = Work(lambda _: errors.pop() if errors else None)
    assert await run([1], work, store) == {1: "unknown"}
    assert await run([1], work, store, repeat_unknown=True) == {1: "unknown"}
    assert await run([1], work, store) == {}
    assert await run([1], work, store, repeat_unknown=True) == {1: "done"}


async def test_items_without_a_lasting_text_need_a_key(store: MemoryStore) -> None:
    """What a chat looks like as text changes with it, and it would be handled again."""

    async def call(_: object) -> None:
        pass

    async def handled(item: object, **options: Any) -> list[str]:
        each = bulk.each([item], call, store=store, name=NAME, **options)
        return [done.outcome async for done in each]

    assert await handled(UUID(int=1)) == ["done"]
    assert await handled("half \ud83d") == ["done"]
    with pytest.raises(InvalidArgumentError, match="key must say what identifies a Work"):
        await handled(Work())
    with pytest.raises(InvalidArgumentError, match="key must return a str, not a int"):
        await handled(Work(), key=id)
    assert await handled(Work(), key=repr) == ["done"]


@pytest.mark.parametrize("after", [False, True])
async def test_what_was_unknown_stays_so_when_the_store_postpones_it(*, after: bool) -> None:
    """The fifth write would have been the mark of the repetition."""
    store = Failing("put", {5}, after=after)
    errors = [NoAnswerError("lost", maybe_processed=True)]
    work = Work(lambda _: errors.pop() if errors else None)
    assert await run([1], work, store) == {1: "unknown"}
    assert await run([1], work, store, repeat_unknown=True) == {1: "unknown"}
    assert work.done == [1]
    assert await run([1], work, store, repeat_unknown=True) == {1: "done"}


@pytest.mark.parametrize("before", [True, False])
async def test_a_mark_that_another_sets_in_between(store: MemoryStore, *, before: bool) -> None:
    """Who loses the race for a mark leaves the item alone."""
    take = Claim.take

    async def slow_take(claim: Claim) -> bool:
        if before:
            await store.put(mark(1), documents.dump({"state": "done"}))
        taken = await take(claim)
        await store.put(mark(1), documents.dump({"state": "done"}))
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Claim, "take", slow_take)
        assert await run([1], Work(), store) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "é" * 151}, "name must .* at most 900 when percent-encoded"),
        ({"name": 1}, "name"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"call": None}, "call"),
        ({"items": None}, "items"),
    ],
)
def test_arguments_that_make_no_sense(
    store: MemoryStore, options: dict[str, object], message: str
) -> None:
    """They are refused before anything is done."""
    arguments: Any = {"items": [1], "call": Work(), "store": store, "name": NAME, **options}
    with pytest.raises(InvalidArgumentError, match=message):
        bulk.each(**arguments)


async def test_what_is_no_store_is_refused() -> None:
    """Before anything is done, too."""
    no_store: Any = {}
    with pytest.raises(ConfigurationError, match="store"):
        bulk.each([1], Work(), store=no_store, name=NAME)
    for use in (bulk.progress, bulk.forget):
        with pytest.raises(ConfigurationError, match="store"):
            await use(NAME, store=no_store)
