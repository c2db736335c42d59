"""Exactly one HTTP exchange: the only place that touches an aiohttp response or exception.

An exchange never raises but for cancellation. It ends in an ``Answer`` (a status came) or in a
``Failure``, and what is known of the request on the way stands in its ``Sending``.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from fanvue_async.errors import (
    DecodeError,
    FanvueError,
    NoAnswerError,
    NotSentError,
    ProtocolError,
    TransportError,
    clean,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from weakref import WeakSet

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.base_protocol import BaseProtocol
    from yarl import URL

BODY_LIMIT = 1024 * 1024
"""Bytes of a body after decompression: more is a DecodeError, or not read of an error."""
_ERROR_BODY_PATIENCE = 1.0
_WATCH_SECONDS = 0.02
_CAUSE_LENGTH = 200
_UNSENT_IS_DROPPED = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what the kernel still holds
_QUOTE = re.compile(r"[\n'\"]")  # where aiohttp begins to quote the server's bytes
_URL = re.compile(r"https?://\S+")
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_NEVER_RESENT_BY_AIOHTTP = frozenset({"POST", "PATCH"})


@attrs.define(eq=False)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    attempts: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - 2xx


@attrs.define(eq=False)
class Failure:
    """Why there is no answer: the error it will be, and what a retry needs to know."""

    error: type[FanvueError]
    message: str
    cause: str | None = None
    transient: bool = False
    stale: bool = False
    """Whether a reused connection died without one byte of answer."""


class Sending(aiohttp.BytesPayload):
    """A request's body, which notes when it is asked for: then the request leaves.

    aiohttp coalesces the headers with the first piece of the body, so nothing has left before.
    """

    _headers = CIMultiDict({"Content-Type": "application/json"})

    left: bool = False
    """Whether any byte of the request was given to the network."""
    reused: bool = False
    """Whether its connection had carried an earlier request of this pool."""
    answer: Answer | None = None
    """The answer as soon as its status is known to be no success; its body may still grow."""
    _transport: asyncio.Transport | None = None
    _socket: socket.socket | None = None
    _protocol: BaseProtocol | None = None

    def __init__(self, content: bytes | None, used_connections: WeakSet[BaseProtocol]) -> None:
        # Not the base's __init__, which makes headers for each payload and warns about large ones.
        self._value = content or b""
        self._size = len(self._value)
        self._used_connections = used_connections
        self.bodiless: bool = content is None

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


class _NotRepeatedError(aiohttp.ClientError):
    """Carries a failure past the code in aiohttp that would silently send the request again."""

    def __init__(self, failure: aiohttp.ClientError) -> None:
        super().__init__()
        self.failure = failure


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Client middleware for the methods that aiohttp repeats by itself (RFC 9112, 9.3.1).

    It repeats GET, HEAD, PUT and DELETE on a dead keep-alive connection, uncounted and without a
    switch: https://github.com/aio-libs/aiohttp/issues/10790
    """
    if request.method in _WITHOUT_BODY and cast("Sending", request.body).bodiless:
        del request.headers["Content-Length"]  # 0, of a body that only notes the sending
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _NotRepeatedError(error) from None


async def exchange(  # noqa: PLR0913 - the sides of one request, from one caller
    http: aiohttp.ClientSession,
    method: str,
    url: URL,
    sending: Sending,
    *,
    headers: Mapping[str, str],
    options: Mapping[str, Any],
) -> Answer | Failure:
    """Send one request and read its answer. ``options`` are aiohttp's that stay the same."""
    task = asyncio.current_task()
    cancelling = task.cancelling() if task is not None else 0
    if method not in _NEVER_RESENT_BY_AIOHTTP:
        options = {**options, "middlewares": (_send_once,)}
    if sending.bodiless:
        options = {**options, "skip_auto_headers": ("Content-Type",)}
    try:
        response = await http.request(method, url, data=sending, headers=headers, **options)
        try:
            return await _read(response, sending)
        finally:
            if response.connection is not None:  # not read to its end: no use for another call
                response.close()
                sending.abort()
    except Exception as error:  # noqa: BLE001 - whatever aiohttp raises becomes a typed error
        sending.abort()
        _forget_frames(error)
        return sending.answer or _failure(error, sending)
    except asyncio.CancelledError as error:
        sending.abort()
        _forget_frames(error)
        del headers
        if task is not None and task.cancelling() > cancelling:
            raise
        # The owner of a borrowed session closed it, and aiohttp cancelled what waited in it.
        return sending.answer or _failure(aiohttp.ClientConnectionError(), sending)


def _forget_frames(error: BaseException) -> None:
    """Cut an exception from the frames of aiohttp, whose locals hold the token.

    aiohttp keeps some of its exceptions in cycles with those frames, and whoever logs a traceback
    with locals would show them.
    """
    inner: BaseException | None = error
    while inner is not None:
        inner.__traceback__ = None
        inner = inner.__cause__ or inner.__context__


async def _read(response: aiohttp.ClientResponse, sending: Sending) -> Answer | Failure:
    """Let the status decide, then read the body: all of a success, what there is of an error."""
    answer = Answer(response.status, response.headers)
    if answer.succeeded:
        if response.content.is_eof():  # it came with its head, as a small one does
            answer.content = response.content.read_nowait()
        else:
            await _read_content(response, answer)
        if len(answer.content) > BODY_LIMIT:
            return Failure(DecodeError, f"the answer is longer than {BODY_LIMIT} bytes")
        return answer
    if not 300 <= answer.status < 600:  # noqa: PLR2004 - the statuses that end an exchange
        return Failure(ProtocolError, f"the answer has the status {answer.status}")
    sending.answer = answer
    try:
        async with asyncio.timeout(_ERROR_BODY_PATIENCE):
            await _read_content(response, answer)
    except TimeoutError:
        pass  # the status is what counts
    return answer


async def _read_content(response: aiohttp.ClientResponse, answer: Answer) -> None:
    """Read the body into ``answer``, at most one piece more than the limit."""
    content = response.content
    pieces: list[bytes] = []
    size = 0
    watch = _Watch(response)
    try:
        while size <= BODY_LIMIT and (piece := await content.readany()):
            pieces.append(piece)
            size += len(piece)
    finally:
        watch.end()
        answer.content = b"".join(pieces)


class _Watch:
    """Ends the wait for a body that cannot come any more.

    When a body turns malformed in a later segment than its head, or its connection is closed from
    this side, aiohttp may leave the reader of the body waiting for ever.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        connection = response.connection
        self._protocol = connection.protocol if connection is not None else None
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def _look(self) -> None:
        if self._content.is_eof() or self._content.exception() is not None:
            return
        lost = self._protocol.exception() if self._protocol is not None else None
        if lost is not None:
            self._content.set_exception(lost)
        elif self._protocol is None or self._protocol.transport is None:
            self._content.set_exception(aiohttp.ServerDisconnectedError())
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_WATCH_SECONDS, self._look)

    def end(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()


def _failure(error: Exception, sending: Sending) -> Failure:
    """Tell what became of the request: first whether it left, then what aiohttp says."""
    if isinstance(error, _NotRepeatedError):
        error = error.failure
    cause = _cause(error)
    if sending.left:
        if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
            # Its status is aiohttp's invention (400): the answer could not be read at all.
            return Failure(ProtocolError, "the answer is not valid HTTP", cause)
        if isinstance(error, aiohttp.ClientError | OSError):
            stale = sending.reused and _without_a_byte(error)
            return Failure(NoAnswerError, "the answer was lost", cause, transient=True, stale=stale)
    elif isinstance(error, aiohttp.ClientError | OSError):
        transient = not _is_permanent(error)
        stale = sending.reused
        return Failure(NotSentError, "the request was not sent", cause, transient, stale)
    return Failure(TransportError, "the request failed", cause)


def _without_a_byte(error: Exception) -> bool:
    """Tell whether the connection ended before any of an answer came.

    A server that closes in the middle of a head gives ServerDisconnectedError that half head.
    """
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return isinstance(error, aiohttp.ClientOSError)


def _is_permanent(error: Exception) -> bool:
    """Tell whether a request that never left would fail again: certificates, TLS, proxy rules."""
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return not isinstance(_underneath(error), ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # the one status that is no invention
        return error.status < 500  # noqa: PLR2004 - 5xx
    return not isinstance(error, aiohttp.ClientConnectionError | OSError) or isinstance(
        error, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch
    )


def _cause(error: Exception) -> str:
    """Say what aiohttp said: class, errno and text, without what may hold headers or a URL."""
    name = type(error).__name__
    text: str
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        text = getattr(inner, "verify_message", None) or str(inner)
    elif isinstance(error, aiohttp.ClientConnectorError):
        text = _os_error(_underneath(error))
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"{error.status} {error.message}"
    elif isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        said, *quoted = _QUOTE.split(error.message, maxsplit=1)
        text = said.rstrip(": ") if quoted else ""  # else it may be the server's bytes as they came
    elif isinstance(error, OSError):
        text = _os_error(error)
    else:
        text = ""
    text = _URL.sub("[url]", text)  # its query is the caller's
    return clean(f"{name}: {text}", _CAUSE_LENGTH) if text else name


def _underneath(error: aiohttp.ClientConnectorError) -> OSError:
    inner: OSError = error.os_error  # pyright: ignore[reportUnknownMemberType] - not annotated
    return inner


def _os_error(error: OSError) -> str:
    text = error.strerror or ""
    return f"[Errno {error.errno}] {text}" if error.errno is not None else text
