"""Handles events after their deliveries were acknowledged, and takes up what others left."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from fanvue_async.errors import ClientStateError, ConfigurationError, StoreError, WebhookError
from fanvue_async.log import PASSING
from fanvue_async.log import logger as _logger
from fanvue_async.webhooks.deliveries import Deliveries, Delivery, Work
from fanvue_async.webhooks.events import Event
from fanvue_async.webhooks.reading import parse

Callback: TypeAlias = Callable[[Event], Awaitable[object]]


_CLOSED = "this Webhooks is closed"
_AT_ONCE = 100  # stored deliveries that one process takes up and has not handled yet
_PATIENCE = 5.0  # seconds that closing waits for a callback that was cancelled, and for the store


class Worker:
    """The tasks of one `Webhooks`: each holds the lease of its event while it runs."""

    def __init__(self, deliveries: Deliveries, lease: float) -> None:
        self._deliveries = deliveries
        self._lease = lease
        self._callback: Callback | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.Task[None] | None = None
        self._is_over = False  # whether callbacks are ended
        self.closed: bool = False

    def register(self, callback: Callback) -> None:
        """Set what handles events.

        Raises:
            ConfigurationError: it cannot be called, or another one was set before: a stored
                delivery does not know which of two it was for.

        """
        if not callable(callback):
            raise ConfigurationError("callback must be an async function that takes an event")
        if self._callback not in (None, callback):
            raise ConfigurationError("one Webhooks has one callback; tell events apart in it")
        self._callback = callback

    def start(self) -> None:
        """Take up stored deliveries now and once a lease, if there is a callback."""
        if self._resuming is None and self._callback is not None and not self.closed:
            self._resuming = self._spawn(self._resume_for_ever())

    async def accept(self, event: Event, delivery: Delivery) -> None:
        """Store a delivery and begin to handle it; nothing is done for one that is known.

        A caller that is cancelled leaves it to a task of ours.

        Raises:
            EventInProgressError: another worker is at it.
            StoreError: the store failed.
            ClientStateError: closed.

        """
        self.check()
        self.start()
        await asyncio.shield(self._spawn(self._take(event, delivery)))

    async def resume(self) -> int:
        """Take up stored deliveries that no worker is handling; return how many.

        Raises:
            ClientStateError: closed, or there is no callback.
            StoreError: the store failed.

        """
        self.check()
        if self._callback is None:
            raise ClientStateError("make a handler before calling resume(): it has the callback")
        taken = 0
        async for work in self._deliveries.waiting():
            delivery = await self._delivery_of(work)
            if delivery is None:
                continue
            taken += 1
            self._spawn(self._resumed(work, delivery))
            if len(self._tasks) > _AT_ONCE:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return taken

    def check(self) -> None:
        """Refuse to go on after `aclose`."""
        if self.closed:
            raise ClientStateError(_CLOSED)

    async def aclose(self, drain: float) -> None:
        """Let what runs go on for ``drain`` seconds; what is left then stays stored."""
        self.closed = True
        if self._resuming is not None:
            self._resuming.cancel()  # the one task that does not end by itself
        try:
            await self._wait(drain)
        finally:
            self._is_over = True
            for call in self._calls:  # their tasks go on, and note how they ended
                call.cancel()
        await self._wait(_PATIENCE)
        for task in self._tasks:
            task.cancel()

    async def _wait(self, seconds: float) -> None:
        """Wait until nothing runs, so long at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _resume_for_ever(self) -> None:
        while True:
            try:
                await self.resume()
            except StoreError as error:
                _logger.warning("Stored webhook deliveries could not be looked for: %s", error)
            except Exception:  # noqa: BLE001 - of a store that somebody wrote
                _logger.exception("Stored webhook deliveries could not be looked for")
            await asyncio.sleep(self._lease)

    async def _delivery_of(self, work: Work) -> Delivery | None:
        """Return what is left to do for a claimed event; if nothing is, give it back."""
        delivery = None
        try:
            if work.done:  # its worker ended between two lines
                await work.finish()
            elif not await work.is_paused():  # asked again: it may have failed before our claim
                delivery = await work.kept()
        except StoreError as error:
            _logger.warning("A stored webhook delivery was left alone: %s", error)
        finally:
            if delivery is None or self.closed:
                await work.claim.lease.release()
        return None if self.closed else delivery

    async def _take(self, event: Event, delivery: Delivery) -> None:
        try:
            work = await self._deliveries.claim(event.id)
            if work is None:
                return
            try:
                await work.keep(delivery)
            except BaseException:  # goes on; another worker may take it at once
                await work.claim.lease.release()
                raise
        except asyncio.CancelledError:  # by closing, which is no end of the request's own task
            raise ClientStateError(_CLOSED) from None
        self._spawn(self._handle(work, delivery, event))

    async def _resumed(self, work: Work, delivery: Delivery) -> None:
        try:
            event = parse(delivery.body, type=delivery.type)
        except WebhookError as error:  # this release reads less than the one that stored it
            _logger.error("A stored webhook delivery was left alone: %s", error)
            await work.claim.lease.release()
        else:
            await self._handle(work, delivery, event)

    async def _handle(self, work: Work, delivery: Delivery, event: Event) -> None:
        """Run the callback under the renewed lease, and note how it ended."""
        async with work.claim.lease.renewed():
            # In a task of its own, so that closing ends the callback and not the note.
            calling = asyncio.create_task(self._call(event))
            self._calls.add(calling)
            calling.add_done_callback(self._calls.discard)
            if self._is_over:
                calling.cancel()
            await asyncio.wait([calling])
            if self._is_over and calling.cancelled():
                return
            try:
                calling.result()
            except PASSING:
                raise
            except BaseException:  # noqa: BLE001 - the application's, told here
                _logger.exception(
                    "The callback failed for webhook event %s and will be called again", event.id
                )
                await work.note(partial(work.postpone, delivery, self._lease))
            else:
                await work.note(work.finish)

    async def _call(self, event: Event) -> None:
        assert self._callback is not None  # nothing is taken before there is one
        outcome = self._callback(event)
        # Its type says that it is; of a callback that nobody type-checked it may not be so.
        if inspect.isawaitable(outcome):  # pyright: ignore[reportUnnecessaryIsInstance] # see above
            await outcome
