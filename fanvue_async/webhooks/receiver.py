"""Deliveries in, events out, each handled once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Self

from fanvue_async import config
from fanvue_async.errors import (
    ConfigurationError,
    InvalidArgumentError,
    MalformedEventError,
    WebhookError,
)
from fanvue_async.stores import Store
from fanvue_async.webhooks.deliveries import Deliveries
from fanvue_async.webhooks.events import Event
from fanvue_async.webhooks.handlers import ASGIApp, Endpoint
from fanvue_async.webhooks.reading import check_type, parse
from fanvue_async.webhooks.signature import (
    NO_TOLERANCE,
    TOLERANCE,
    Headers,
    Secrets,
    is_number,
    is_tolerance,
    judge,
)
from fanvue_async.webhooks.worker import Callback, Worker

if TYPE_CHECKING:
    from aiohttp import web


class Webhooks:
    """Receives Fanvue's events, verified and typed, and has each of them handled once.

    In a handler of your own::

        async with webhooks.receive(await request.read(), request.headers) as event:
            match event:
                case MessageReceived(sender=fan, text=text): ...

    Or with one of ours, which responds immediately and works afterwards::

        app.router.add_post("/webhooks/fanvue", webhooks.aiohttp_handler(on_event))

    All processes that serve the same address share one store. Whoever made it closes it.

    Args:
        secrets: the signing secrets; during a rotation, the old one and the new one.
        store: where it is kept which events were handled, for 30 days, and which are being handled.
        tolerance: seconds that a signature may be old, or ahead of this machine's clock; None
            accepts any age.
        lease: seconds after which another worker takes up what a crashed one was handling; it is
            renewed while a handler runs, however long that takes. 1 to 300.
        name: what keys in the store begin with; two applications on one store need two names.

    Raises:
        ConfigurationError: there is no secret, or a setting makes no sense.

    """

    def __init__(
        self,
        *,
        secrets: Iterable[str | bytes],
        store: Store,
        tolerance: float | None = TOLERANCE,
        lease: float = 30.0,
        name: str = "webhooks",
    ) -> None:
        self._secrets = Secrets.of(secrets)
        if not is_tolerance(tolerance):
            raise ConfigurationError(NO_TOLERANCE)
        if not (is_number(lease) and 0 < lease <= 300):  # noqa: PLR2004 - as the stores see leases
            raise ConfigurationError("lease must be more than 0 seconds and at most 300")
        if not isinstance(name, str) or not name:
            raise ConfigurationError("name must be a non-empty str")
        self._tolerance = tolerance
        self._deliveries = Deliveries(config.checked_store(store), name, lease)
        self._worker = Worker(self._deliveries, lease)

    @asynccontextmanager
    async def receive(
        self,
        body: bytes,
        headers: Headers,
        *,
        type: str | None = None,  # noqa: A002 - Fanvue's word
        received_at: datetime | float | None = None,
    ) -> AsyncGenerator[Event | None]:
        """Verify a delivery, claim its event, and give it to the block; None if it was handled.

        The event counts as handled when the block ends, and is free again when it raises. Respond
        200 after the block, within 10 seconds, and anything else if it raised.

        Args:
            body: the raw bytes of the request body, at most 1 MiB.
            headers: the headers of the request.
            type: what the event is, if the body does not say so; see `parse`.
            received_at: when the delivery came, if it waited in a queue; see `verify`.

        Raises:
            UnsignedWebhookError, BadSignatureError, StaleWebhookError: respond 401.
            MalformedEventError: respond 400.
            EventInProgressError: another worker is handling the event, and may yet crash: respond
                503, so that it is delivered again.
            StoreError: the store failed: respond 503.
            ClientStateError: closed.

        """
        self._worker.check()
        event, error = self._read(body, headers, type, received_at)
        del body, headers  # keeps them out of tracebacks with locals
        if error is not None:
            raise error
        assert event is not None
        work = await self._deliveries.claim(event.id)
        if work is None:
            yield None
            return
        async with work.claim.lease.renewed() as at_end:
            yield event
            at_end.append(partial(work.note, work.finish))

    def aiohttp_handler(
        self,
        callback: Callback,
        *,
        type: str | None = None,  # noqa: A002 - Fanvue's word
        accept_unsigned_probe: bool = False,
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Make a handler for aiohttp.web that stores a delivery, responds, and calls ``callback``.

        ::

            app.router.add_post("/webhooks/fanvue", webhooks.aiohttp_handler(on_event))

        It responds 200 as soon as the delivery is stored, 401 for a bad signature, 400 for a
        malformed event, 413 over 1 MiB, 503 if the event is being handled or the store fails.

        Args:
            callback: an async function that takes the event. If it raises, it is called again
                after a lease, then after twice as long, up to an hour, for 30 days. One for each
                `Webhooks`.
            type: what the events at this address are, if their bodies do not say so.
            accept_unsigned_probe: respond 200 to a request without a signature, with no event, as
                Fanvue asks for while an address is registered; and to GET, for which the route
                has to be ``add_route("*", …)``.

        Raises:
            ConfigurationError: ``callback`` cannot be called, or is not the first one.

        """
        return self._endpoint(callback, type, probe=accept_unsigned_probe).aiohttp

    def asgi_app(
        self,
        callback: Callback,
        *,
        type: str | None = None,  # noqa: A002 - Fanvue's word
        accept_unsigned_probe: bool = False,
    ) -> ASGIApp:
        """Make an ASGI application that does what `aiohttp_handler` does.

        With Starlette or FastAPI, route to it; a mount would redirect the address without a slash
        at its end, and Fanvue follows no redirect::

            app.router.routes.append(Route("/webhooks/fanvue", webhooks.asgi_app(on_event)))
        """
        return ASGIApp(self._endpoint(callback, type, probe=accept_unsigned_probe), self.aclose)

    async def resume(self) -> int:
        """Take up stored deliveries that no worker is handling; return how many.

        Both handlers do so at the start and once a lease, from the first request or ``async with``
        on. Deliveries are stored until their callback has ended without an error.

        Raises:
            ClientStateError: closed, or no handler was made.
            StoreError: the store failed.

        """
        return await self._worker.resume()

    async def aclose(self, *, drain: float = 10.0) -> None:
        """Accept nothing more, and let running callbacks go on for up to ``drain`` seconds.

        What has not ended then is cancelled, and waited for 5 seconds more at most; it stays in
        the store, for another process or the next start.
        """
        if not (is_number(drain) and drain >= 0):
            raise InvalidArgumentError("drain must be seconds, at least 0")
        await self._worker.aclose(drain)

    async def __aenter__(self) -> Self:
        self._worker.check()
        self._worker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Webhooks {'closed' if self._worker.closed else 'open'}>"

    def _endpoint(self, callback: Callback, told: str | None, *, probe: bool) -> Endpoint:
        check_type(told)
        self._worker.register(callback)
        return Endpoint(self._open, self._worker, told, probe)

    def _open(self, body: bytes, headers: Headers, told: str | None) -> Event:
        event, error = self._read(body, headers, told, None)
        if error is not None:
            raise error
        assert event is not None
        return event

    def _read(
        self,
        body: bytes,
        headers: Headers,
        told: str | None,
        received_at: datetime | float | None,
    ) -> tuple[Event | None, WebhookError | None]:
        error = judge(body, headers, self._secrets, received_at, self._tolerance)
        if error is not None:
            return None, error
        try:
            return parse(body, type=told), None
        except MalformedEventError as malformed:
            return None, malformed.with_traceback(None)
