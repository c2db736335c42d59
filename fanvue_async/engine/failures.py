"""What an exception of aiohttp, or of foreign code inside of it, means for a request.

The first question is always whether the request left, which only its own body knows.
"""

from __future__ import annotations

import re
import ssl
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError

from fanvue_async.engine.transport import NotRepeatedError, RequestBody
from fanvue_async.errors import (
    DecodeError,
    FanvueError,
    NoAnswerError,
    NotSentError,
    ProtocolError,
    TransportError,
)
from fanvue_async.log import clean

_CAUSE_LENGTH = 200
_FRAMES = 12
_QUOTE = re.compile(r"[\n'\"]")  # where aiohttp begins to quote the server's bytes
_URL = re.compile(r"https?://\S+")
# What a SOCKS proxy says (RFC 1928, 6) when another attempt may find it otherwise: a general
# failure, network or host unreachable, refused, timed out; in SOCKS4 the one code for all of it.
_SOCKS_TRANSIENT = frozenset({1, 3, 4, 5, 6, 0x5B})

_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)


@attrs.define(eq=False)
class Failure:
    """Why there is no response: the error it will be, and what a retry needs to know."""

    error: type[FanvueError]
    message: str
    cause: str | None = None
    transient: bool = False
    stale: bool = False
    """Whether a reused connection died without one byte of a response."""
    unexpected: str | None = None
    """The frames that an unexpected exception came through."""
    details: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Further fields of the error."""


def failure_of(error: BaseException, body: RequestBody) -> Failure:
    """Tell what became of the request: first whether it left, then what aiohttp says."""
    if isinstance(error, NotRepeatedError):
        error = error.failure
    cause = _cause(error)
    is_expected = isinstance(error, aiohttp.ClientError | OSError)
    if not body.left:
        transient = not _is_permanent(error)
        # Connectors of others raise their own classes, around what the network or a proxy said.
        is_told = is_expected or _is_of_the_network(error) or hasattr(error, "error_code")
        return Failure(
            NotSentError,
            "the request was not sent",
            cause,
            transient,
            stale=body.reused and is_expected,
            unexpected=None if is_told else _frames(error),
            details={"transient": transient},
        )
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        # Its status is aiohttp's invention (400): the answer could not be read at all.
        return Failure(ProtocolError, "the response is not valid HTTP", cause)
    if is_expected:
        stale = body.reused and _without_a_byte(error)
        return Failure(NoAnswerError, "the response was lost", cause, transient=True, stale=stale)
    return Failure(TransportError, "the request failed", cause, unexpected=_frames(error))


def failure_of_reading(error: Exception) -> Failure:
    """Tell of an exception that nobody expected of reading a success."""
    message = "the response could not be read"
    return Failure(DecodeError, message, type(error).__name__, unexpected=_frames(error))


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Walk from an exception to what caused it; foreign code can make a circle of that."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__


def _frames(error: BaseException) -> str:
    """Say which frames an exception came through: files, lines and functions, nothing else."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__))[-_FRAMES:]
    return "".join(f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


def _without_a_byte(error: BaseException) -> bool:
    """Return whether the connection ended before any of an answer came.

    A server that closes in the middle of a head gives ServerDisconnectedError that half head.
    """
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return isinstance(error, aiohttp.ClientOSError)


def _is_permanent(error: BaseException) -> bool:
    """Return whether a request that never left would fail again: certificates, TLS, proxy rules."""
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return not isinstance(_underneath(error), ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # the one status that is not invented
        return error.status < 500  # noqa: PLR2004 - 5xx
    if isinstance(error, _UNTRUSTED):
        return True
    if hasattr(error, "error_code"):  # what a SOCKS proxy said, told by aiohttp_socks
        return getattr(error, "error_code") not in _SOCKS_TRANSIENT  # noqa: B009 - of no class of ours
    return not _is_of_the_network(error)


def _is_of_the_network(error: BaseException) -> bool:
    """Return whether an exception, or one that it wraps, is of the network."""
    kinds = aiohttp.ClientConnectionError | OSError
    return any(isinstance(inner, kinds) for inner in chain_of(error))


def _cause(error: BaseException) -> str:
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
