"""A server that costs as little as it can, in a process of its own: what is measured is the client.

It answers ``POST /chats`` as the API documents it, ``POST /late/chats`` after 20 milliseconds, and
``POST /hold/chats`` never; ``GET /chats/…`` gives a page of 50 messages.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from benchmarks import TESTS
from benchmarks.page import PAGE

if TYPE_CHECKING:
    from collections.abc import Generator

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_BODY = b'{"message":"Chat created successfully"}'


def _response(status: bytes, body: bytes) -> bytes:
    return b"\r\n".join(
        [
            b"HTTP/1.1 " + status,
            b"Date: Sun, 22 Nov 2026 12:00:00 GMT",
            b"Content-Type: application/json; charset=utf-8",
            b"Content-Length: %d" % len(body),
            b"X-RateLimit-Limit: 200",
            b"X-RateLimit-Remaining: 199",
            b"X-RateLimit-Reset: 1795348860",
            b"",
            body,
        ]
    )


_CREATED = _response(b"201 Created", _BODY)
_MESSAGES = _response(b"200 OK", PAGE)
_LATE = 0.02
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def running() -> Generator[str]:
    """Run a server and give its address."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(  # noqa: S603 - this very module
        command, cwd=TESTS, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


class _Chats(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request as soon as it is whole."""
        received = self._received + data
        while (end := received.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(received, 0, end)
            end += int(length[1]) if length else 0
            if len(received) < end:
                break
            if received.startswith(b"POST /chats "):
                self._transport.write(_CREATED)
            elif received.startswith(b"GET /chats/"):
                self._transport.write(_MESSAGES)
            elif received.startswith(b"POST /late/chats "):
                asyncio.get_running_loop().call_later(_LATE, self._transport.write, _CREATED)
            elif not received.startswith(b"POST /hold/chats "):
                self._transport.write(_NOT_FOUND)
            received = received[end:]
        self._received = received


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Chats, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
