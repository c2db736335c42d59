"""Response bodies: read to their end within a limit, and decompressed."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import aiohttp

from fanvue_async.engine.transport import forget_context

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

LIMIT = 1024 * 1024
"""Bytes of a body after decompression: more is a DecodeError, or not read of an error."""
_WATCH_SECONDS = 0.02
_FLOW_CONTROL = 64 * 1024  # bytes, from which on aiohttp may pause a connection
_MEMBERS = 100  # of a gzip stream; more are only sent to keep somebody busy
_ENCODINGS = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,  # RFC 9110, 8.4.1.3
    "deflate": zlib.MAX_WBITS,
}


class CutBodyError(ValueError):
    """A compressed body that is damaged."""


class ExcessError(ValueError):
    """Bytes after the end of a compressed body that are not padding."""


def decompress(content: bytes, encoding: str | None) -> tuple[bytes, bool]:
    """Decompress a body, at most one byte more than the limit; tell whether it has its end.

    An encoding that is not known, or more than one, leaves it as it is. Zeros after the end are
    padding (RFC 1952, 2.2), as gzip takes it.

    Raises:
        CutBodyError: the body does not decompress.
        ExcessError: it does, and something else follows it.

    """
    window = _ENCODINGS.get(encoding.strip().lower()) if encoding and content else None
    if window is None:
        return content, True
    value, rest, has_end = _member(content, window, LIMIT + 1)
    for _ in range(_MEMBERS):
        rest = rest.lstrip(b"\0")
        if not rest or len(value) > LIMIT:
            return value, has_end
        try:
            more, rest, has_end = _member(rest, window, LIMIT + 1 - len(value))
        except CutBodyError:
            break
        value += more
    raise ExcessError


def _member(content: bytes, window: int, limit: int) -> tuple[bytes, bytes, bool]:
    """Decompress one stream; return the bytes after it, too, and whether it came to its end."""
    decompressor = zlib.decompressobj(window)
    try:
        value = decompressor.decompress(content, limit)
    except zlib.error:
        if window != zlib.MAX_WBITS:
            raise CutBodyError from None
        return _member(content, -window, limit)  # many call a stream without a header deflate
    return value, decompressor.unused_data, decompressor.eof


async def read(response: aiohttp.ClientResponse, answer: Answer) -> None:
    """Read the body into ``answer``, at most one piece more than the limit."""
    content = response.content
    pieces: list[bytes] = []
    size = 0
    protocol = response.connection.protocol if response.connection is not None else None
    watch = _Watch(response)
    try:
        while size <= LIMIT and (piece := await content.readany()):
            pieces.append(piece)
            size += len(piece)
    finally:
        watch.end()
        if size > _FLOW_CONTROL:
            forget_context(protocol)
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
