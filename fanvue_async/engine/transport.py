"""Our own pieces of aiohttp's transport, and the only use of its private attributes.

Each private attribute has its reason beside it, and a test that fails when aiohttp changes it.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp import http_parser
from multidict import CIMultiDict

if TYPE_CHECKING:
    import asyncio
    from weakref import WeakSet

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.base_protocol import BaseProtocol

_PARSER_IN_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
_UNSENT_IS_DROPPED = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what the kernel still holds
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class Connector(aiohttp.TCPConnector):
    """A connector that drops an idle connection on which the server has spoken out of turn.

    What came unasked would be taken for the answer to the next request, and every later answer
    would be one off: https://github.com/aio-libs/aiohttp/issues/13656
    """

    def __init__(
        self, used_connections: WeakSet[BaseProtocol], *, limit: int, keepalive_expiry: float
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - an option lacks its type
            limit=limit,
            force_close=not keepalive_expiry,
            keepalive_timeout=keepalive_expiry or None,  # aiohttp takes none with force_close
        )
        self._used_connections = used_connections

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature of aiohttp
    ) -> aiohttp.connector.Connection:
        """Connect, or take an idle connection that is fit for another request."""
        connection = await super().connect(req, traces, timeout)
        # Not `if protocol`: one with nothing in its queue is false.
        while (protocol := connection.protocol) is not None and (
            protocol.should_close
            # The parser in pure Python keeps to itself what it did not understand, so that only its
            # private attribute tells of it.
            or (_PARSER_IN_PYTHON and getattr(protocol._parser, "_tail", None))  # noqa: SLF001
        ):
            if protocol not in self._used_connections:  # a new one would be like this again
                break
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop:
    """Return the loop that a session belongs to."""
    # aiohttp's public property for this warns that it is deprecated, and names no other.
    return session._loop  # noqa: SLF001


@lru_cache(maxsize=16)
def content_headers(content_type: str) -> CIMultiDict[str]:
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
    _transport: asyncio.Transport | None = None
    _socket: socket.socket | None = None
    _protocol: BaseProtocol | None = None

    def __init__(
        self,
        content: bytes | None,
        headers: CIMultiDict[str],
        used_connections: WeakSet[BaseProtocol],
    ) -> None:
        # Not the base's __init__, which makes headers for each payload and warns about large ones.
        self._value = content or b""
        self._size = len(self._value)
        self._headers = headers
        self._used_connections = used_connections
        self.empty: bool = content is None

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 - it is the length of the whole body
    ) -> None:
        """Note what is known, then write the body."""
        stream: Any = writer  # the abstract one lacks what the only one of aiohttp has
        transport: asyncio.Transport | None = stream.transport
        self._transport = transport
        self.left = transport is not None and not transport.is_closing()
        self._socket = transport.get_extra_info("socket") if transport is not None else None
        protocol: BaseProtocol = stream.protocol
        self._protocol = protocol
        self.reused = protocol in self._used_connections
        if not self.reused:
            self._used_connections.add(protocol)
        await writer.write(self._value)

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
    """Carries a failure past the code in aiohttp that would silently send the request again."""

    def __init__(self, failure: aiohttp.ClientError) -> None:
        super().__init__()
        self.failure = failure


async def send_once(
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
