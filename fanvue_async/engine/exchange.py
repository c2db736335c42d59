"""Exactly one HTTP exchange: the only place that touches an aiohttp response or exception.

An exchange raises nothing but cancellation. It ends in an ``Answer`` (a status came) or in a
``Failure``. What is known of it on the way is in its ``Exchange`` and in the request's body.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError

from fanvue_async.engine.answers import Answer
from fanvue_async.engine.headers import clean
from fanvue_async.engine.transport import NotRepeatedError, RequestBody, send_once
from fanvue_async.errors import (
    DecodeError,
    FanvueError,
    NoAnswerError,
    NotSentError,
    ProtocolError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

BODY_LIMIT = 1024 * 1024
"""Bytes of a body after decompression: more is a DecodeError, or not read of an error."""
_ERROR_BODY_PATIENCE = 1.0
_WATCH_SECONDS = 0.02
_CAUSE_LENGTH = 200
_QUOTE = re.compile(r"[\n'\"]")  # where aiohttp begins to quote the server's bytes
_URL = re.compile(r"https?://\S+")
_NEVER_RESENT_BY_AIOHTTP = frozenset({"POST", "PATCH"})


@attrs.define(eq=False)
class Failure:
    """Why there is no answer: the error it will be, and what a retry needs to know."""

    error: type[FanvueError]
    message: str
    cause: str | None = None
    transient: bool = False
    stale: bool = False
    """Whether a reused connection died without one byte of answer."""
    details: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Further fields of the error."""


class Exchange:
    """One request on its way, and what is known of it."""

    __slots__ = ("_http", "_method", "_url", "answer", "body")

    def __init__(
        self, http: aiohttp.ClientSession, method: str, url: URL, body: RequestBody
    ) -> None:
        self._http = http
        self._method = method
        self._url = url
        self.body: RequestBody = body
        self.answer: Answer | None = None
        """The answer as soon as its status is known to be no success; its body may still grow."""

    async def run(
        self, headers: Mapping[str, str] | None, options: Mapping[str, Any]
    ) -> Answer | Failure:
        """Send the request and read its answer. ``options`` are aiohttp's that stay the same."""
        task = asyncio.current_task()
        cancelling = task.cancelling() if task is not None else 0
        body = self.body
        if self._method not in _NEVER_RESENT_BY_AIOHTTP:
            options = {**options, "middlewares": (send_once,)}
        if body.empty:
            options = {**options, "skip_auto_headers": ("Content-Type",)}
        try:
            response = await self._http.request(
                self._method, self._url, data=body, headers=headers, **options
            )
            try:
                return await self._read(response)
            finally:
                if response.connection is not None:  # not read to its end: no use for another call
                    response.close()
                    body.abort()
        except Exception as error:  # noqa: BLE001 - whatever aiohttp raises becomes a typed error
            body.abort()
            _forget_frames(error)
            return self.answer or _failure(error, body)
        except asyncio.CancelledError as error:
            body.abort()
            _forget_frames(error)
            del headers
            if task is not None and task.cancelling() > cancelling:
                raise
            # The owner of a borrowed session closed it, and aiohttp cancelled what waited in it.
            return self.answer or _failure(aiohttp.ClientConnectionError(), body)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer | Failure:
        """Let the status decide, then read the body, of an error as far as it comes."""
        answer = Answer(response.status, response.headers)
        if answer.succeeded:
            if response.content.is_eof():  # it came with its head, as a small one does
                answer.content = response.content.read_nowait()
            else:
                await _read_content(response, answer)
            if len(answer.content) > BODY_LIMIT:
                return Failure(DecodeError, f"the response is longer than {BODY_LIMIT} bytes")
            return answer
        if not 300 <= answer.status < 600:  # noqa: PLR2004 - the statuses that end an exchange
            return Failure(ProtocolError, f"the response has the status {answer.status}")
        self.answer = answer
        try:
            async with asyncio.timeout(_ERROR_BODY_PATIENCE):
                await _read_content(response, answer)
        except TimeoutError:
            pass  # the status is what counts
        return answer


def _forget_frames(error: BaseException) -> None:
    """Cut an exception from the frames of aiohttp, whose locals hold the token.

    aiohttp keeps some of its exceptions in cycles with those frames, and whoever logs a traceback
    with locals would show them.
    """
    inner: BaseException | None = error
    while inner is not None:
        inner.__traceback__ = None
        inner = inner.__cause__ or inner.__context__


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


def _failure(error: Exception, body: RequestBody) -> Failure:
    """Tell what became of the request: first whether it left, then what aiohttp says."""
    if isinstance(error, NotRepeatedError):
        error = error.failure
    cause = _cause(error)
    if body.left:
        if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
            # Its status is aiohttp's invention (400): the answer could not be read at all.
            return Failure(ProtocolError, "the response is not valid HTTP", cause)
        if isinstance(error, aiohttp.ClientError | OSError):
            stale = body.reused and _without_a_byte(error)
            return Failure(
                NoAnswerError, "the response was lost", cause, transient=True, stale=stale
            )
    elif isinstance(error, aiohttp.ClientError | OSError):
        transient = not _is_permanent(error)
        stale = body.reused
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
