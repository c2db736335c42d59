"""Requests made by hand, by nothing of this package: the good one, and every bad one."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs

from support.users import USER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

GOOD_HEADERS: Mapping[str, str] = {
    "Authorization": "Bearer fake-token",
    "X-Fanvue-API-Version": "2025-06-26",
    "Content-Type": "application/json",
}
GOOD_BODY = b'{"userUuid":"%s"}' % USER.encode()


@attrs.frozen
class Answer:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Decode the body."""
        return json.loads(self.content)


def changed(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Make the good headers with some changed, and those left out that are None."""
    merged = {**GOOD_HEADERS, **changes}
    return {name: value for name, value in merged.items() if value is not None}


async def send(
    url: str,
    *,
    method: str = "POST",
    path: str = "/chats",
    headers: Mapping[str, str] = GOOD_HEADERS,
    body: bytes = GOOD_BODY,
) -> Answer:
    """Send one request on a connection of its own: the good one, but for what is given."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            url + path,
            headers=headers,
            data=body,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        ) as response,
    ):
        return Answer(response.status, response.headers.copy(), await response.read())


class Wire:
    """One raw connection to a server on this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self) -> None:
        """Write the good request, keep-alive."""
        lines = [
            "POST /chats HTTP/1.1",
            "Host: 127.0.0.1",
            *(f"{name}: {value}" for name, value in GOOD_HEADERS.items()),
            f"Content-Length: {len(GOOD_BODY)}",
        ]
        await self.write("\r\n".join([*lines, "", ""]).encode() + GOOD_BODY)

    async def write(self, content: bytes) -> None:
        """Write these bytes; that the server is gone already is for reading to find out."""
        self._writer.write(content)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def read_answer(self) -> bytes:
        """Read one answer that has a length."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await self._reader.readexactly(int(length))

    async def read_to_end(self) -> bytes:
        """Read until the server ends the connection, in order or by a reset."""
        received = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(5):
                while piece := await self._reader.read(65_536):
                    received += piece
        return received


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Wire, None]:
    """Open a raw connection."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server may have been first
            await writer.wait_closed()
