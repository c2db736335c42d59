"""Addresses that receive deliveries, for aiohttp.web and for any ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from fanvue_async.errors import (
    ClientStateError,
    EventInProgressError,
    MalformedEventError,
    StoreError,
    UnsignedWebhookError,
    WebhookError,
)
from fanvue_async.log import logger as _logger
from fanvue_async.webhooks.deliveries import Delivery
from fanvue_async.webhooks.signature import MAX_BODY

if TYPE_CHECKING:
    from aiohttp import web

    from fanvue_async.webhooks.events import Event
    from fanvue_async.webhooks.signature import Headers
    from fanvue_async.webhooks.worker import Worker

    Opener: TypeAlias = Callable[[bytes, Headers, str | None], Event]
    Scope: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


_OK, _BAD, _UNAUTHORIZED, _METHOD, _TOO_LARGE, _UNAVAILABLE = 200, 400, 401, 405, 413, 503


@attrs.frozen
class Response:
    """The response to a request."""

    status: int
    text: str = ""
    """Why it was refused, for the list of deliveries in Fanvue's own pages."""


@attrs.frozen
class Endpoint:
    """What an address does with a request, in any framework."""

    open: Opener
    """Verifies a delivery and reads its event, or raises a `WebhookError`."""
    worker: Worker
    told: str | None
    probe: bool

    async def respond(
        self, method: str, headers: Headers, chunks: AsyncIterator[bytes]
    ) -> Response:
        """Respond to a request whose body comes in chunks."""
        if method != "POST":
            allowed = self.probe and method in ("GET", "HEAD")
            return Response(_OK) if allowed else Response(_METHOD, "deliveries are POST requests")
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY:
                return Response(_TOO_LARGE, "the body is longer than 1 MiB")
        try:
            event = self.open(bytes(body), headers, self.told)
            await self.worker.accept(event, Delivery(bytes(body), self.told))
        except WebhookError as error:
            return self._refusal(error)
        except (StoreError, ClientStateError) as error:
            _logger.warning("A webhook delivery was not accepted: %s", error)
            return Response(_UNAVAILABLE, "the delivery could not be stored")
        return Response(_OK)

    def _refusal(self, error: WebhookError) -> Response:
        if self.probe and isinstance(error, UnsignedWebhookError):
            return Response(_OK)
        if isinstance(error, MalformedEventError):  # a signed one: somebody should look at it
            _logger.warning("A signed webhook delivery could not be read: %s", error)
            return Response(_BAD, error.message)
        in_progress = isinstance(error, EventInProgressError)
        return Response(_UNAVAILABLE if in_progress else _UNAUTHORIZED, error.message)

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Respond to a request of aiohttp.web."""
        from aiohttp import web  # noqa: PLC0415 - it costs most of the package's import

        response = await self.respond(request.method, request.headers, _content(request))
        return web.Response(status=response.status, text=response.text)


async def _content(request: web.Request) -> AsyncIterator[bytes]:
    if request.content.at_eof():  # a middleware has read it, of which aiohttp keeps the bytes
        yield await request.read()
        return
    # Not request.read(): its own limit, of the application, is not ours.
    async for chunk in request.content.iter_any():
        yield chunk


class ASGIApp:
    """An ASGI application for one address; a server may also run it alone."""

    def __init__(self, endpoint: Endpoint, shut_down: Callable[[], Awaitable[None]]) -> None:
        self._endpoint = endpoint
        self._shut_down = shut_down

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""
        if scope["type"] == "http":
            chunks = _body(receive)
            try:
                response = await self._endpoint.respond(scope["method"], scope["headers"], chunks)
            except _GoneError:
                return
            await _respond(send, response)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._endpoint.worker.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._shut_down()
        await send({"type": "lifespan.shutdown.complete"})


class _GoneError(Exception):
    """The sender hung up before its body was complete."""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _respond(send: Send, response: Response) -> None:
    content = response.text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(content)),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
