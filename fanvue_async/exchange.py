"""Exactly one HTTP exchange: the only place that touches an aiohttp response or exception.

An exchange never raises but for cancellation. It ends in an ``Answer`` (a status came) or in a
``Failure``, and what is known of the request on the way stands in its ``Sending``.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError

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
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http import StreamWriter
    from yarl import URL

BODY_LIMIT = 1024 * 1024
"""Bytes of a success body after decompression; a longer one is a DecodeError."""
_ERROR_BODY_LIMIT = 64 * 1024
_ERROR_BODY_PATIENCE = 1.0
_CAUSE_LENGTH = 200
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

    def __init__(self, content: bytes | None, used_connections: WeakSet[ResponseHandler]) -> None:
        super().__init__(content or b"", content_type="application/json")
        self._used_connections = used_connections
        self.bodiless = content is None
        self.left = False
        """Whether any byte of the request was given to the network."""
        self.reused = False
        """Whether its connection had carried an earlier request of this pool."""
        self.answer: Answer | None = None
        """The answer as soon as its status is known to be no success; its body may still grow."""

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Note what is known, then write the body."""
        stream = cast("StreamWriter", writer)
        transport = stream.transport
        self.left = transport is not None and not transport.is_closing()
        protocol = cast("ResponseHandler", stream.protocol)
        self.reused = protocol in self._used_connections
        if not self.reused:
            self._used_connections.add(protocol)
        if not self.bodiless:
            await super().write_with_length(writer, content_length)


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


@attrs.frozen(repr=False)
class Route:
    """How the requests of one pool reach the API."""

    ssl: ssl.SSLContext | bool
    proxy: URL | None
    proxy_headers: Mapping[str, str] | None


async def exchange(  # noqa: PLR0913 - the sides of one request, from one caller
    http: aiohttp.ClientSession,
    method: str,
    url: URL,
    sending: Sending,
    *,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's setting, not a scope of ours
    route: Route,
) -> Answer | Failure:
    """Send one request and read its answer."""
    try:
        response = await http.request(
            method,
            url,
            data=sending,
            headers=headers,
            skip_auto_headers=("Content-Type",) if sending.bodiless else None,
            allow_redirects=False,
            timeout=timeout,
            ssl=route.ssl,
            proxy=route.proxy,
            proxy_headers=route.proxy_headers,
            middlewares=None if method in _NEVER_RESENT_BY_AIOHTTP else (_send_once,),
        )
        try:
            return await _read(response, sending)
        finally:
            if response.connection is not None:  # not read to its end: no use for another call
                response.close()
    except Exception as error:  # noqa: BLE001 - whatever aiohttp raises becomes a typed error
        return sending.answer or _failure(error, sending)


async def _read(response: aiohttp.ClientResponse, sending: Sending) -> Answer | Failure:
    """Let the status decide, then read the body: all of a success, what there is of an error."""
    answer = Answer(response.status, response.headers)
    if answer.succeeded:
        await _read_content(response, answer, BODY_LIMIT)
        if len(answer.content) > BODY_LIMIT:
            return Failure(DecodeError, f"the answer is longer than {BODY_LIMIT} bytes")
        return answer
    if not 300 <= answer.status < 600:  # noqa: PLR2004 - the statuses that end an exchange
        return Failure(ProtocolError, f"the answer has the status {answer.status}")
    sending.answer = answer
    try:
        async with asyncio.timeout(_ERROR_BODY_PATIENCE):
            await _read_content(response, answer, _ERROR_BODY_LIMIT)
    except TimeoutError:
        pass  # the status is what counts
    return answer


async def _read_content(response: aiohttp.ClientResponse, answer: Answer, limit: int) -> None:
    """Read the body into ``answer``, at most one piece more than ``limit`` bytes."""
    content = response.content
    if content.is_eof():
        answer.content = content.read_nowait()
        return
    pieces: list[bytes] = []
    size = 0
    wake = _Wake(response)
    try:
        while size <= limit and (piece := await content.readany()):
            pieces.append(piece)
            size += len(piece)
    finally:
        wake.cancel()
        answer.content = b"".join(pieces)


class _Wake:
    """Ends the wait for a body when its connection is gone.

    When a body turns malformed in a later segment than its headers, aiohttp closes the connection
    and leaves the reader waiting for ever.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._protocol = response.connection.protocol if response.connection else None
        self._closed = self._protocol.closed if self._protocol else None
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)

    def cancel(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_closed)
            self._closed.remove_done_callback(_retrieve)
            self._closed.add_done_callback(_retrieve)

    def _on_closed(self, closed: asyncio.Future[None]) -> None:
        _retrieve(closed)
        assert self._protocol is not None
        if not self._content.is_eof() and self._content.exception() is None:
            lost = self._protocol.exception() or aiohttp.ServerDisconnectedError()
            self._content.set_exception(lost)


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Look at the future's exception, or asyncio reports that nobody did."""
    if not closed.cancelled():
        closed.exception()


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
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        text = getattr(inner, "verify_message", None) or str(inner)
    elif isinstance(error, aiohttp.ClientConnectorError):
        text = _os_error(_underneath(error))
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"{error.status} {error.message}"
    elif isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        text = error.message
    elif isinstance(error, OSError):
        text = _os_error(error)
    else:
        text = ""
    return clean(f"{name}: {text}", _CAUSE_LENGTH) if text else name


def _underneath(error: aiohttp.ClientConnectorError) -> OSError:
    inner: OSError = error.os_error  # pyright: ignore[reportUnknownMemberType] - not annotated
    return inner


def _os_error(error: OSError) -> str:
    text = error.strerror or ""
    return f"[Errno {error.errno}] {text}" if error.errno is not None else text
