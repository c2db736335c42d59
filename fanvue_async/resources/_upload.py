"""The bytes of an upload: cut into parts, and brought to the addresses that the API names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeAlias

import attrs
from yarl import URL

from fanvue_async.engine import wire
from fanvue_async.engine.operation import Request
from fanvue_async.engine.session import Session
from fanvue_async.errors import InvalidArgumentError, ProtocolError, TransportError
from fanvue_async.log import PASSING
from fanvue_async.log import logger as _logger
from fanvue_async.resources._check import is_whole

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | AsyncIterable[bytes]
Progress: TypeAlias = Callable[[int, int | None], object]

MAX_SIZE = 1_610_612_736
"""Bytes of the largest file that other programs could upload; the limit is not documented."""

_IN_FLIGHT = 4
_LEAST_PART = 5 * 1024 * 1024  # what the store wants of all parts but the last
_PART = 8 * 1024 * 1024
_MAX_PARTS_OF_OURS = 100  # each costs a call of the rate limit
_NAME = "PUT (part of an upload)"
_CUT_SHORT = "something other than the upload cancelled one of its parts"
_CHANGED = "source changed while it was read"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_UNBOUNDED = 24 * 3600.0  # seconds of a part: what bounds it is progress


@attrs.frozen
class UploadPart:
    """A part that the object store has."""

    number: int
    """From 1."""
    etag: str
    """The storage's ``ETag``, without its quotes."""


@attrs.frozen
class _File:
    """A file, of which each part is opened, read and closed in a thread."""

    path: str | os.PathLike[str]
    size: int
    changed_at: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> _File:
        status = os.stat(path)  # noqa: PTH116 - on what may be no Path; called in a thread
        return cls(path, status.st_size, status.st_mtime_ns)

    def read(self, start: int, into: memoryview) -> int:
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
            file.seek(start)
            done = 0
            while done < len(into) and (read := file.readinto(into[done:])):
                done += read
        return done

    def is_unchanged(self) -> bool:
        return _File.of(self.path) == self


def checked_seconds(timeout: float | None) -> float | None:
    """Check a number of seconds, or None for no bound."""
    if timeout is None or (
        isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0
    ):
        return timeout
    raise InvalidArgumentError("timeout must be a number of seconds above 0")


class Parts:
    """The parts of a source, in order and one at a time.

    Args:
        source: what to cut.
        part_size: bytes of a part; None leaves it to the size of the source.

    """

    def __init__(self, source: Source, part_size: int | None) -> None:
        if part_size is not None and not is_whole(part_size, _LEAST_PART, MAX_SIZE):
            raise InvalidArgumentError(
                f"part_size must be an int, 5 MiB ({_LEAST_PART:,}) to {MAX_SIZE:,} bytes"
            )
        self._source = source
        self._part_size = part_size
        self._file: _File | None = None
        self._stream: AsyncIterator[bytes] | None = None
        self._rest = bytearray()
        self._at = 0
        self._number = 0
        self._turn = asyncio.Lock()
        self.size: int | None = None
        """Bytes of the source; None if only its end will tell."""

    async def __aenter__(self) -> Self:
        """Find out how large the source is.

        Raises:
            InvalidArgumentError: it is empty, too large, or no source.
            OSError: the file cannot be read.

        """
        source = self._source
        if isinstance(source, str | os.PathLike):
            self._file = await asyncio.to_thread(_File.of, source)
            self.size = self._file.size
            await asyncio.to_thread(
                self._file.read, 0, memoryview(bytearray(1))
            )  # refused: told now
        elif isinstance(source, bytes | bytearray | memoryview):
            self.size = memoryview(source).nbytes
        elif isinstance(source, AsyncIterable):
            self._stream = aiter(source)
        else:
            kind = type(source).__name__
            raise InvalidArgumentError(
                f"source must be a path, bytes or an async iterator of bytes, not a {kind}"
            )
        if self.size == 0:
            raise InvalidArgumentError("source is empty")
        self._check_size(self.size or 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of an async generator that was not read to its end."""
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    def cut_by(self, asked_for: int | None) -> None:
        """Take over the size of a part that the API asks for, if it asks for one."""
        if asked_for is not None and asked_for > 0:
            self._part_size = asked_for
        elif self._part_size is None:
            self._part_size = max(_PART, -(-(self.size or 0) // _MAX_PARTS_OF_OURS))

    def buffer(self) -> bytearray:
        """Make what a part of a file is read into."""
        assert self._part_size is not None
        return bytearray(0 if self._file is None else min(self._part_size, self._file.size))

    async def next(self, buffer: bytearray) -> tuple[int, bytes | memoryview] | None:
        """Return number and content of the next part; None behind the last.

        Args:
            buffer: one of :meth:`buffer`, for one part at a time. Fresh memory for each part would
                not all go back to the system.

        Raises:
            InvalidArgumentError: the source is empty, too large, or changed while it was read.
            OSError: the file cannot be read.

        """
        assert self._part_size is not None
        if self._stream is not None:
            async with self._turn:
                return await self._next_of_stream(self._stream, self._part_size)
        assert self.size is not None
        start = self._at
        size = min(self._part_size, self.size - start)
        if not size:
            return None
        self._at += size
        self._number = number = self._number + 1
        if self._file is None:
            assert isinstance(self._source, bytes | bytearray | memoryview)
            return number, memoryview(self._source).cast("B")[start : start + size]
        content = memoryview(buffer)[:size]
        if await asyncio.to_thread(self._file.read, start, content) != size:
            raise InvalidArgumentError(_CHANGED)
        return number, content

    async def _next_of_stream(
        self, stream: AsyncIterator[bytes], part_size: int
    ) -> tuple[int, memoryview] | None:
        while len(self._rest) < part_size:
            try:
                piece = await anext(stream)
            except StopAsyncIteration:
                break
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise InvalidArgumentError("source must give bytes")
            self._rest += piece
        content, self._rest = self._rest, self._rest[part_size:]  # of which little is copied
        del content[part_size:]
        self._at += len(content)
        self._check_size(self._at)
        if not self._at:
            raise InvalidArgumentError("source is empty")
        if not content:
            return None
        self._number += 1
        return self._number, memoryview(content)

    async def check_unchanged(self) -> None:
        """Refuse a file that is not the one that was begun.

        Raises:
            InvalidArgumentError: it changed.
            OSError: it is gone.

        """
        if self._file is not None and not await asyncio.to_thread(self._file.is_unchanged):
            raise InvalidArgumentError(_CHANGED)

    @staticmethod
    def _check_size(size: int) -> None:
        if size > MAX_SIZE:
            raise InvalidArgumentError(f"source may have {MAX_SIZE:,} bytes at most")


class Transfer:
    """Brings all parts to their addresses, a few at a time; each is retried on its own."""

    def __init__(
        self,
        session: Session,
        parts: Parts,
        address_of: Callable[[int], Awaitable[str]],
        progress: Progress | None,
    ) -> None:
        terms = session.terms
        timeout = terms.bounds.timeout
        self._session: Session = Session(
            terms.derive(timeout=attrs.evolve(timeout, total=_UNBOUNDED))
        )
        self._parts = parts
        self._address_of = address_of
        self._progress = progress
        self._sent: dict[int, int] = {}
        self._done: list[UploadPart] = []
        self._error: BaseException | None = None

    async def run(self) -> list[UploadPart]:
        """Send everything.

        Raises:
            BaseException: the first error of a part, when all other parts have been given up.

        """
        workers: list[asyncio.Task[None]] = []
        with suppress(BaseExceptionGroup):  # the first error is kept
            async with asyncio.TaskGroup() as group:
                workers += [group.create_task(self._work()) for _ in range(_IN_FLIGHT)]
        if self._error is not None:
            raise self._error
        # By the source, or by a hook. To the group that is no error, and a part is missing.
        if any(worker.cancelled() for worker in workers):
            raise TransportError(_CUT_SHORT, operation=_NAME)
        await self._parts.check_unchanged()
        return self._done

    async def _work(self) -> None:
        # An eager task that fails while its group starts it would leave the caller with a cancel:
        # https://github.com/python/cpython/pull/117407
        await asyncio.sleep(0)
        buffer = self._parts.buffer()
        try:
            while (part := await self._parts.next(buffer)) is not None:
                sending = self._send(*part)
                del part  # out of memory before the next one is read
                await sending
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # its group does not tell which came first
            self._error = self._error or error
            raise

    async def _send(self, number: int, content: bytes | memoryview) -> None:
        request = Request(
            "PUT",
            _NAME,
            _checked(await self._address_of(number), self._session.terms.pool.origin.base_url),
            _etag,
            idempotent=True,
            body=content,
            content_type="",
            on_progress=lambda sent: self._note(number, sent),
            headers={},
        )
        sending = self._session.send(request)
        del request, content  # out of this frame: the one is signed, the other is large
        self._done.append(UploadPart(number, await sending))

    def _note(self, number: int, sent: int) -> None:
        """Tell how much was sent; what is sent again is not counted again."""
        self._sent[number] = max(sent, self._sent.get(number, 0))
        if self._progress is None:
            return
        try:
            self._progress(sum(self._sent.values()), self._parts.size)
        except PASSING:
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's, and not worth an upload
            self._progress = None
            kind = type(error).__name__
            _logger.error("progress raised %s; it is not called again", kind)


def _etag(answer: Answer) -> str:
    etag = str(answer.headers.get("ETag", "")).strip().strip('"')
    if not etag:
        raise wire.MalformedBodyError("without an ETag")
    return etag


def _checked(address: str, base_url: str) -> str:
    """Refuse an address that would send the file in the clear, but to this machine or a fake's."""
    try:
        url, base = URL(address, encoded=True), URL(base_url)
        in_the_clear = {*_LOOPBACK, base.host} if base.scheme == "http" else _LOOPBACK
        is_usable = bool(url.host) and (
            url.scheme == "https" or (url.scheme == "http" and url.host in in_the_clear)
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ProtocolError("the API named an address for a part that is no https URL")
    return address
