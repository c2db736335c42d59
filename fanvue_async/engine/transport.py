"""Our own pieces of aiohttp's transport, and the only use of its private attributes.

Each private attribute has its reason beside it, and a test that fails when aiohttp changes it.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import attrs
from aiohttp import http_parser
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict

if TYPE_CHECKING:
    import ssl as ssl_module

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.base_protocol import BaseProtocol
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader

    from fanvue_async.engine.answers import Answer

_PARSER_IN_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
_UNSENT_IS_DROPPED = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what the kernel still holds
_PIECE = 512 * 1024
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class Connections:
    """The connections that a pool has used, and which of them are suspect.

    When one idle connection turns out dead, a server went away, and with it most likely the other
    ends of its neighbours: what was open at that moment is used for no further request.
    """

    def __init__(self) -> None:
        self.are_checked: bool = False
        """Whether the connector looks at idle connections before it hands them out."""
        self._generation = 0
        # Not weak: a look into a WeakKeyDictionary costs ten times as much, and each call has some.
        self._known: dict[BaseProtocol, _Known] = {}

    def find(self, protocol: BaseProtocol) -> _Known | None:
        """Return what is known of a connection that was used before."""
        return self._known.get(protocol)

    def add(self, protocol: BaseProtocol, transport: asyncio.Transport | None) -> _Known:
        """Note that a connection is used for the first time."""
        for closed in [known for known in self._known if known.transport is None]:
            del self._known[closed]  # since a new one was used last
        socket = transport.get_extra_info("socket") if transport is not None else None
        known = self._known[protocol] = _Known(self._generation, socket, _watch(socket))
        return known

    def forget(self) -> None:
        """Let go of all connections."""
        self._known.clear()

    def note_dead(self, protocol: BaseProtocol) -> None:
        """Suspect what was open when this one, which was idle, turned out dead."""
        known = self._known.get(protocol)
        if known is not None and known.generation == self._generation:
            self._generation += 1

    def is_fit(self, protocol: Any) -> bool:
        """Return whether a connection is fit for another request; a new one is, whatever it does.

        A connection is unfit if anything arrived while it was idle: its end, or a response to no
        request. The kernel is asked, too: it knows what a blocked event loop has not read yet.
        """
        known = self._known.get(protocol)
        return known is None or not (
            known.generation != self._generation
            or protocol.should_close
            # The parser in pure Python keeps to itself what it did not understand, so that only its
            # private attribute tells of it.
            or (_PARSER_IN_PYTHON and getattr(protocol._parser, "_tail", None))  # noqa: SLF001 - see above
            or known.look(0)
        )


@attrs.frozen
class _Known:
    generation: int
    socket: socket.socket | None
    look: Callable[[int], object]
    """Asks the kernel for input, within so many milliseconds."""


def _watch(socket: socket.socket | None) -> Callable[[int], object]:
    """Make the question whether something can be read from a connection."""
    number = socket.fileno() if socket is not None else -1
    if number < 0:
        return bool
    if not hasattr(select, "poll"):  # on Windows, where select() takes sockets of any number
        return lambda _: select.select([number], [], [], 0)[0]
    poller = select.poll()
    poller.register(number, select.POLLIN | getattr(select, "POLLRDHUP", 0))
    return poller.poll


class Connection(ResponseHandler):
    """A connection that tells the body of a request that its response has come to its end.

    That is before the call itself goes on, and both go on in the next turn of the event loop: the
    call, which lets go of the connection, then whoever waits for one. So calls do not begin in
    crowds, whose new objects would send Python's garbage collector round all that wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.body: RequestBody | None = None
        """What has left, if it wants to be told."""

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of a response."""
        super().feed_data(data, size)
        message, content = data
        if self.body is not None and message.code >= 200:  # noqa: PLR2004 - the last head
            content.on_eof(self.body.note_response)
            self.body = None


class Connector(aiohttp.TCPConnector):
    """A connector that drops idle connections that are not fit for another request.

    What came unasked would be taken for the answer to the next request, and every later answer
    would be one off: https://github.com/aio-libs/aiohttp/issues/13656
    """

    def __init__(
        self,
        connections: Connections,
        *,
        limit: int,
        keepalive_expiry: float,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - an option lacks its type
            limit=limit,
            force_close=not keepalive_expiry,
            keepalive_timeout=keepalive_expiry or None,  # aiohttp takes none with force_close
            ssl=True if ssl is None else ssl,
        )
        # aiohttp has no public way to choose the class of its connections, and types it as its own.
        factory: Any = partial(Connection, asyncio.get_running_loop())
        self._factory = factory
        connections.are_checked = True
        self._connections = connections

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature of aiohttp
    ) -> aiohttp.connector.Connection:
        """Connect, or take an idle connection that is fit for another request."""
        connection = await super().connect(req, traces, timeout)
        # Not `if protocol`: one with nothing in its queue is false.
        while (protocol := connection.protocol) is not None and not self._connections.is_fit(
            protocol
        ):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection

    # A connection's handles in the event loop keep the context that it was made in for as long as
    # it lives, and the timer of the pool that of the call which started it. So both begin in an
    # empty one: what a caller keeps in its context is gone with the call.

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> Any:
        # It is private, and typed only in part.
        connecting = super()._wrap_create_connection(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType] # see above
        return await _in_no_context(connecting)

    async def _start_tls_connection(self, *args: Any, **kwargs: Any) -> Any:
        return await _in_no_context(super()._start_tls_connection(*args, **kwargs))

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        if self._cleanup_handle is None:
            Context().run(super()._release, key, protocol, should_close=should_close)
        else:
            super()._release(key, protocol, should_close=should_close)


async def _in_no_context(connecting: Coroutine[Any, Any, Any]) -> Any:
    """Open a connection in a task without the caller's context."""
    task = asyncio.get_running_loop().create_task(connecting, context=Context())
    try:
        return await task
    except BaseException:  # goes on; only a connection that nobody gets is dropped
        # A cancel of ours also ended the task, unless it was done in that very moment.
        if task.done() and not task.cancelled() and task.exception() is None:
            task.result()[0].abort()
        raise


def forget_context(protocol: Any) -> None:
    """Let a connection that was paused, and resumed by a caller, forget that caller's context."""
    transport = protocol.transport if protocol is not None else None
    if transport is not None and not transport.is_closing() and transport.is_reading():
        transport.pause_reading()
        Context().run(transport.resume_reading)


def abandon(connector: aiohttp.BaseConnector) -> None:
    """Close the sockets of a connector whose event loop is closed, and which can't do it itself."""
    # aiohttp has no public list of its connections, neither of these nor of those in use.
    idle = [protocol for kept in connector._conns.values() for protocol, _ in kept]  # noqa: SLF001 - see above
    for protocol in [*idle, *connector._acquired]:  # noqa: SLF001 - see above
        transport: Any = protocol.transport
        tls: Any = getattr(transport, "_ssl_protocol", None)
        if tls is not None:
            transport._closed = True  # noqa: SLF001 - or it warns of itself
            transport = getattr(tls, "_transport", None)
        # What the loop would call; it closes the socket, even if what it tells then needs a loop.
        with suppress(Exception):
            transport._call_connection_lost(None)  # noqa: SLF001 - see above
    connector._close()  # noqa: SLF001 - the part of close() that waits for nothing


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop:
    """Return the loop that a session belongs to."""
    # aiohttp's public property for this warns that it is deprecated, and names no other.
    return session._loop  # noqa: SLF001 - see above


@lru_cache(maxsize=16)
def _content_headers(content_type: str) -> CIMultiDict[str]:
    """Return the headers of a body of that type, which aiohttp only reads."""
    return CIMultiDict({"Content-Type": content_type})


class RequestBody(aiohttp.BytesPayload):
    """The body of a request, which notes when it is asked for: then the request leaves.

    aiohttp coalesces the headers with the first piece of the body, so nothing has left before.
    """

    left: bool = False
    """Whether any byte of the request was given to the network."""
    reused: bool = False
    """Whether its connection had carried an earlier request of this pool."""
    unfit: bool = False
    """Whether its idle connection was given up before anything was sent; there may be another."""
    answer: Answer | None = None
    """The answer as soon as its status is known to be no success; its body may still grow."""
    on_piece: Callable[[int], None] | None = None
    """Called with the number of bytes given to the network; then the body is written in pieces."""
    _transport: asyncio.Transport | None = None
    _socket: socket.socket | None = None
    _protocol: BaseProtocol | None = None

    def __init__(
        self,
        content: bytes | memoryview | None,
        content_type: str,
        connections: Connections,
        on_response: Callable[[], None] | None,
    ) -> None:
        # Not the base's __init__, which makes headers for each payload and warns about large ones.
        self._value: Any = content or b""
        self._size = len(self._value)
        self._headers = _content_headers(content_type)
        self._connections = connections
        self._on_response = on_response  # called when the response has come to its end
        self.empty: bool = content is None
        self.has_type: bool = content is not None and content_type != ""

    def __deepcopy__(self, _: object) -> bytes | None:
        """Give what was sent, to whoever records requests (vcrpy)."""
        return None if self.empty else self._value

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 - it is the length of the whole body
    ) -> None:
        """Note what is known, then write the body."""
        stream: Any = writer  # the abstract one lacks what the only one of aiohttp has
        transport: asyncio.Transport | None = stream.transport
        self._transport = transport
        protocol: BaseProtocol = stream.protocol
        self._protocol = protocol
        known = self._connections.find(protocol)
        self.reused = known is not None
        self._socket = (known or self._connections.add(protocol, transport)).socket
        if not (self._connections.are_checked or self._connections.is_fit(protocol)):
            self.unfit = self.reused  # a new one would be followed by one like it
            raise aiohttp.ClientConnectionError
        self.left = transport is not None and not transport.is_closing()
        on_piece = self.on_piece
        if on_piece is None or transport is None:
            await writer.write(self._value)
            # Not before: as long as something is left to send, a response frees no connection.
            if self._on_response is not None and isinstance(protocol, Connection):
                protocol.body = self
            return
        # There is always a piece left to send while the next one is being made ready.
        transport.set_write_buffer_limits(high=2 * _PIECE, low=_PIECE)
        pieces = memoryview(self._value)
        for start in range(0, len(pieces), _PIECE):
            end = min(start + _PIECE, len(pieces))
            await writer.write(pieces[start:end])  # which waits while there is much left to send
            on_piece(end)
        transport.set_write_buffer_limits()  # as it was, for the next request

    def end(self) -> None:
        """Tell nobody anything any more, and leave the connection."""
        self._on_response = self.on_piece = None
        if isinstance(self._protocol, Connection) and self._protocol.body is self:
            self._protocol.body = None  # no response came

    def note_response(self) -> None:
        """Tell that the response has come to its end."""
        if self._on_response is not None:  # else its call did not wait for that
            self._on_response()

    def note_dead(self) -> None:
        """Suspect the neighbours of a reused connection that turned out dead."""
        assert self._protocol is not None  # it was used, so it is known
        self._connections.note_dead(self._protocol)

    def abort(self) -> None:
        """Cut the connection if aiohttp closes it, or it lives until the server has done its part.

        That is to read the rest, or to answer the end of TLS. A connection that is not closing went
        back to the pool, and may be another call's by now.
        """
        if self._transport is None or self._socket is None or self._protocol is None:
            return
        if self._protocol.transport is None or self._transport.is_closing():
            # It is closed already, or one of uvloop's, which can't shut down.
            with suppress(OSError, TypeError, ValueError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _UNSENT_IS_DROPPED)
                # In Python 3.11 a TLS transport that aiohttp closed twice can't be aborted.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._transport.abort()


class NotRepeatedError(aiohttp.ClientError):
    """Carries a failure past aiohttp's code that would silently send the request again."""

    def __init__(self, failure: aiohttp.ClientError) -> None:
        super().__init__()
        self.failure = failure


async def not_resent(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Client middleware for the methods that aiohttp repeats by itself (RFC 9112, 9.3.1).

    It repeats GET, HEAD, PUT and DELETE on a dead keep-alive connection, uncounted and without a
    switch: https://github.com/aio-libs/aiohttp/issues/10790
    """
    if request.method in _WITHOUT_BODY and cast("RequestBody", request.body).empty:
        del request.headers["Content-Length"]  # 0, of a body that only notes the sending
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NotRepeatedError(error) from None
