"""Do something once for each of many items, over restarts, processes and machines.

::

    async for done in bulk.each(users, greet, store=store, name="greeting-2026-11"):
        print(done.item, done.outcome)

Each item has a mark in the store, written before its call and after it. A second run, and other
processes with the same ``name``, pass over the items that are settled.
"""

from __future__ import annotations

import asyncio
import enum
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, Final, Generic, Literal, Self, TypeVar, get_args
from urllib.parse import quote

import attrs

from fanvue_async.config import checked_store
from fanvue_async.engine.cancels import kept
from fanvue_async.engine.wire import uuid_text
from fanvue_async.errors import LASTING, FanvueError, InvalidArgumentError, StoreError
from fanvue_async.stores import Entry, Store, documents
from fanvue_async.stores.claims import Claim

T = TypeVar("T")
V = TypeVar("V")

Outcome = Literal["done", "refused", "unknown", "postponed"]
"""``done``; ``refused``: the API's last word on it; ``unknown``: it may have happened, and is not
repeated unless asked; ``postponed``: nothing happened, the next run tries again."""

_BEGUN: Final = "begun"
_LEASE_SECONDS = 15.0
_BUSY_PAUSE = 0.5  # seconds until an item is looked at again that another is at work on
_WRITE_TRIES = 30
_WRITE_PAUSE = 1.0  # seconds between tries to write what a call came to, and after a failed look
_NAME_LENGTH = 200
_ENCODED_LENGTH = 900  # so that every key fits the 1,000 characters of a store
_MAX_CONCURRENCY = 10_000


@attrs.frozen
class Done(Generic[T, V]):
    """What became of one item."""

    item: T
    outcome: Outcome
    value: V | None = None
    """What the call returned, if it is ``done``."""
    error: BaseException | None = None
    """What the call raised; None for ``unknown`` if a killed process had begun it."""


@attrs.frozen
class Progress:
    """How many items of a bulk are in which state; those without a mark are not counted."""

    done: int = 0
    refused: int = 0
    unknown: int = 0
    begun: int = 0
    """In flight right now, or begun by a process that was killed."""


def each(  # noqa: PLR0913 - what is to be done, and how
    items: Iterable[T] | AsyncIterable[T],
    call: Callable[[T], Awaitable[V]],
    *,
    store: Store,
    name: str,
    key: Callable[[T], str] = str,
    concurrency: int = 20,
    repeat_unknown: bool = False,
) -> Bulk[T, V]:
    """Call ``call`` once for each item, and give what became of those handled by this run.

    An item that another process is at work on is looked at again at the end, until it is settled:
    by that process, or by this one once the lease of a killed process has ended, 15 s later.

    It stops at the first error that every item would meet (token, scope, version, closed client)
    and at any exception that is not a ``FanvueError``, and raises it once the calls in flight have
    ended. A loop that is left early starts nothing new; what is in flight is settled all the same.

    Args:
        items: may be endless, and asynchronous; an item that comes twice is handled once.
        call: its value is ``Done.value``. A FanvueError that it raises decides the outcome.
        store: remembers what was done, for as long as :func:`forget` is not called.
        name: of this piece of work, 1 to 200 characters, at most 900 when percent-encoded; runs of
            the same name share their marks.
        key: what identifies an item, as text. Needed unless items are str, int or UUID.
        concurrency: calls at once, 1 to 10,000.
        repeat_unknown: whether an item is called again that may have been handled already.

    Raises:
        InvalidArgumentError: an argument is invalid, or later, an item needs a ``key``.
        ConfigurationError: ``store`` is no store.

    """
    if key is str:
        key = _text_of
    if not isinstance(items, Iterable | AsyncIterable):
        raise InvalidArgumentError("items must be an iterable, or an asynchronous one")
    if not callable(call):
        raise InvalidArgumentError("call must be a function that returns an awaitable")
    if type(concurrency) is not int or not 0 < concurrency <= _MAX_CONCURRENCY:
        raise InvalidArgumentError(f"concurrency must be an int, 1 to {_MAX_CONCURRENCY:,}")
    worker = _Worker(call, checked_store(store), _prefix(name), key, repeat_unknown=repeat_unknown)
    return Bulk(items, worker, concurrency)


async def progress(name: str, *, store: Store) -> Progress:
    """Count the items of a bulk by their state. It reads every mark.

    Raises:
        StoreError: the store failed.
        InvalidArgumentError, ConfigurationError: ``name`` or ``store`` is none.

    """
    counts = dict.fromkeys((*get_args(Outcome), _BEGUN), 0)
    async for mark_key in checked_store(store).keys(_prefix(name)):
        entry = await store.get(mark_key)
        if entry is not None:
            counts[_state(entry)] += 1
    del counts["postponed"]
    return Progress(**counts)


async def forget(name: str, *, store: Store) -> None:
    """Delete all marks of a bulk, so that its items may be handled again.

    Raises:
        StoreError: the store failed.
        InvalidArgumentError, ConfigurationError: ``name`` or ``store`` is none.

    """
    async for mark_key in checked_store(store).keys(_prefix(name)):
        await store.delete(mark_key)


def _text_of(item: object) -> str:
    if isinstance(item, str | int) or uuid_text(item):
        return str(item)
    raise InvalidArgumentError(
        f"key must say what identifies a {type(item).__name__}: its text may change between runs"
    )


def _prefix(name: str) -> str:
    if isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH:
        encoded = quote(name, safe="", errors="surrogatepass")
        if len(encoded) <= _ENCODED_LENGTH:
            return f"bulk/{encoded}/"
    raise InvalidArgumentError(
        f"name must be a str of 1 to {_NAME_LENGTH} characters,"
        f" at most {_ENCODED_LENGTH} when percent-encoded"
    )


def _state(entry: Entry) -> str:
    state = str(documents.load(entry.value).get("state"))
    return state if state in get_args(Outcome) else _BEGUN


class Bulk(Generic[T, V]):
    """A bulk in progress: iterate over it with ``async for``."""

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        worker: _Worker[T, V],
        concurrency: int,
    ) -> None:
        self._worker = worker
        self._concurrency = concurrency
        self._source: _Source[T] = _Source(items)
        self._pulling: asyncio.Task[T | _End] | None = None
        self._working: dict[asyncio.Task[Done[T, V] | _Busy | None], T] = {}
        self._busy: list[T] = []  # to be looked at again when the rest is done
        self._is_exhausted = False
        self._error: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Done[T, V]:
        while True:
            if not self._is_exhausted and self._pulling is None and self._has_room:
                self._pulling = kept(self._source.next())
            waited: set[asyncio.Task[Any]] = {*self._working}
            if self._pulling is not None:
                waited.add(self._pulling)
            if not waited and self._busy:
                await asyncio.sleep(_BUSY_PAUSE)
                self._source, self._busy = _Source(self._busy), []
                self._is_exhausted = False
                continue
            if not waited:
                self._raise()
                raise StopAsyncIteration
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            self._start_next()
            if (done := self._finished()) is not None:
                return done

    async def aclose(self) -> None:
        """Start nothing new, and wait for the calls in flight."""
        self._is_exhausted = True
        self._busy.clear()
        if self._pulling is not None:
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
            self._pulling = None
        if self._working:
            await asyncio.wait(self._working)

    @property
    def _has_room(self) -> bool:
        return len(self._working) < self._concurrency

    def _start_next(self) -> None:
        """Take up the item that was pulled, if there is one."""
        pulling = self._pulling
        if pulling is None or not pulling.done():
            return
        self._pulling = None
        try:
            item = pulling.result()
        except BaseException as error:  # noqa: BLE001 - the source's, raised when all is settled
            self._stop(error)
            return
        if isinstance(item, _End):
            self._is_exhausted = True
        else:
            self._working[kept(self._worker.handle(item))] = item

    def _finished(self) -> Done[T, V] | None:
        """Return what one of the finished calls came to, unless it had nothing to do."""
        for task in [task for task in self._working if task.done()]:
            item = self._working.pop(task)
            try:
                done = task.result()
            except BaseException as error:  # noqa: BLE001 - raised when all is settled
                self._stop(error)
                continue
            if done is _Busy.BUSY:
                self._busy.append(item)
            elif done is not None:
                if isinstance(done.error, LASTING):
                    self._stop(done.error)
                return done
        return None

    def _stop(self, error: BaseException) -> None:
        self._is_exhausted = True
        self._busy.clear()
        self._error = self._error or error

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


class _Worker(Generic[T, V]):
    """Handles one item: mark, call, mark."""

    def __init__(
        self,
        call: Callable[[T], Awaitable[V]],
        store: Store,
        prefix: str,
        key: Callable[[T], str],
        *,
        repeat_unknown: bool,
    ) -> None:
        self._call = call
        self._store = store
        self._prefix = prefix
        self._key = key
        self._skipped = {"done", "refused"} if repeat_unknown else {"done", "refused", "unknown"}
        # Marks of items that this run handles or has handled, unless the store has them settled: no
        # more than are in flight, postponed or to be repeated, however long the list is.
        self._open: set[str] = set()

    async def handle(self, item: T) -> Done[T, V] | _Busy | None:
        """Handle an item; None if it is settled, or came before in this run."""
        key = self._key(item)
        if not isinstance(key, str):
            raise InvalidArgumentError(f"key must return a str, not a {type(key).__name__}")
        mark = self._prefix + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        if mark in self._open:
            return None
        self._open.add(mark)
        done = await self._claimed(item, mark)
        if not isinstance(done, Done):
            self._open.discard(mark)
        return done

    async def _claimed(self, item: T, mark: str) -> Done[T, V] | _Busy | None:
        claim = Claim(self._store, mark, seconds=_LEASE_SECONDS)
        try:
            entry = await self._store.get(mark)
            if entry is not None and _state(entry) in self._skipped:
                return None
            if not await claim.take():
                return _Busy.BUSY
        except StoreError as error:
            await claim.lease.release()  # it may have been taken all the same
            await asyncio.sleep(_WRITE_PAUSE)  # or a short outage would postpone the whole list
            return Done(item, "postponed", error=error)
        async with claim.lease.renewed():
            return await self._handle(item, mark, claim)

    async def _handle(self, item: T, mark: str, claim: Claim) -> Done[T, V] | None:
        state = None if claim.mark is None else _state(claim.mark)
        if state in self._skipped:
            return None
        if state == _BEGUN and "unknown" in self._skipped:  # by a process that was killed
            await self._settle(mark, claim, "unknown")
            return Done(item, "unknown")
        begun = documents.dump({"state": _BEGUN, "by": secrets.token_hex(8)})
        try:
            if not await claim.write(begun):
                return None
        except StoreError as error:
            if state is None:
                await _insist(partial(self._take_back, mark, claim, begun))
            return Done(item, "postponed" if state is None else "unknown", error=error)
        done = await self._called(item, mark, claim)
        if done.outcome == "postponed" and state is not None:  # what happened before is not known
            done = attrs.evolve(done, outcome="unknown")
        await self._settle(mark, claim, done.outcome)
        return done

    async def _settle(self, mark: str, claim: Claim, outcome: Outcome) -> None:
        if await _write(self._store, mark, claim, outcome) and outcome in self._skipped:
            self._open.discard(mark)

    async def _take_back(self, mark: str, claim: Claim, begun: bytes) -> bool:
        """Delete our mark of a call that was not made, if the store has it after all."""
        entry = await self._store.get(mark)
        if entry is not None and entry.value == begun:
            claim.mark = entry
            await claim.forget()
        return True

    async def _called(self, item: T, mark: str, claim: Claim) -> Done[T, V]:
        try:
            return Done(item, "done", await self._call(item))
        except FanvueError as error:
            return Done(item, _outcome(error), error=error)
        except asyncio.CancelledError as error:  # of something that it waited for, by a hook
            return Done(item, "unknown", error=error)
        except BaseException:  # a bug: nobody knows how far the call came
            await _write(self._store, mark, claim, "unknown")
            raise


def _outcome(error: FanvueError) -> Outcome:
    """Decide what an error of a call means for its item."""
    if error.maybe_processed:
        return "unknown"
    if error.transient or isinstance(error, (*LASTING, StoreError)):
        return "postponed"
    return "refused"


async def _write(store: Store, mark: str, claim: Claim, outcome: Outcome) -> bool:
    """Note what a call came to, for as long as the store needs to be back; False if it was not.

    A late ``done`` replaces the ``unknown`` that another wrote when the lease had ended.
    """
    value = documents.dump({"state": outcome})

    async def write() -> bool:
        if outcome == "postponed":
            await claim.forget()
            return True
        if await claim.write(value):
            return True
        entry = claim.mark = await store.get(mark)
        return entry is not None and (outcome != "done" or _state(entry) == outcome)

    return await _insist(write)


async def _insist(step: Callable[[], Awaitable[bool]]) -> bool:
    """Take a step until it says that it is done, also over a store that fails for a while."""
    for _ in range(_WRITE_TRIES):
        with suppress(StoreError):
            if await step():
                return True
            continue
        await asyncio.sleep(_WRITE_PAUSE)
    return False


class _End(enum.Enum):
    END = enum.auto()


class _Busy(enum.Enum):
    """Another process is at work on the item, or was until it was killed."""

    BUSY = enum.auto()


class _Source(Generic[T]):
    """The items, whether they come asynchronously or not."""

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        self._later: AsyncIterator[T] | None = None
        self._now: Iterator[T] | None = None
        if isinstance(items, AsyncIterable):
            self._later = aiter(items)
        else:
            self._now = iter(items)

    async def next(self) -> T | _End:
        """Return the next item."""
        if self._later is not None:
            return await anext(self._later, _End.END)
        assert self._now is not None
        return next(self._now, _End.END)
