"""The sockets of the fake: it reads and records requests, and plays the script."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import web
from multidict import CIMultiDict

from fanvue_async.engine.cancels import to_its_end
from fanvue_async.testing.exchange import ReceivedRequest, Reply
from fanvue_async.testing.script import REFUSALS, Drop, HangUp, Script

_SHUTDOWN_SECONDS = 0.01  # how long handlers that wait in delay() may go on


class Server:
    """A scripted HTTP server.

    Args:
        script: what comes before ``answer``.
        admit: counts a request, and returns rate-limit headers and whether it may pass.
        answer: responds to a request that the script leaves alone.

    """

    def __init__(
        self,
        script: Script,
        admit: Callable[[ReceivedRequest], tuple[Mapping[str, str], bool]],
        answer: Callable[[ReceivedRequest, bool], Reply],
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.log: Callable[[str], None] | None = None
        self.address: tuple[str, int] | None = None
        self._script = script
        self._admit = admit
        self._answer = answer
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._ending = asyncio.Event()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it runs in, if it does; that may be one of another thread."""
        return None if self._listener is None else self._listener.get_loop()

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 lets the system choose."""
        if self._listener is not None:
            raise RuntimeError("the fake server is running already")
        loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._server = web.Server(self._handle, access_log=None)
        self._listener = await loop.create_server(self._accept, host, port, backlog=4096)
        self.address = self._listener.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """End all connections, and what still waits in a delay, whatever is cancelled meanwhile."""
        await to_its_end(self._stop())

    async def _stop(self) -> None:
        assert self._listener is not None
        assert self._server is not None
        assert self.address is not None
        REFUSALS.forget(self.address)
        with suppress(NotImplementedError):  # loops on Windows have no readers to remove
            for listening in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(3):  # a connection accepted just now is made by then, and ended below;
            await asyncio.sleep(0)  # asyncio itself would lose it if its server were closed first
        self._listener.close()
        self._ending.set()  # which ends the delays
        self._server.pre_shutdown()
        await self._server.shutdown(_SHUTDOWN_SECONDS)
        self._listener = self._server = self.address = None

    def refuse(self, times: int) -> None:
        """Let the next connections be refused; those that are open are closed first."""
        if self.address is None or self._server is None or self.loop is None:
            raise RuntimeError("the fake server is not running; use it in 'async with'")
        REFUSALS.add(self.address, times)
        for transport in [each.transport for each in self._server.connections if each.transport]:
            # At once, so that a client that looks before it reuses a connection sees it.
            # On a copy: the sockets that uvloop gives out have no shutdown().
            with (
                suppress(OSError),
                socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as copy,
            ):
                copy.shutdown(socket.SHUT_RDWR)
            self.loop.call_soon_threadsafe(transport.close)

    def _accept(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection: the server's, or one that hangs up."""
        if self._script.next_is_accept():
            return HangUp()
        assert self._server is not None
        return self._server()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._script.next_is_accept():
            # A kept-alive connection: to the client it is one that died before it was read.
            return _hang_up(request)
        body = await request.content.read()  # request.read() refuses a large one
        received = ReceivedRequest(
            request.method, request.raw_path, CIMultiDict(request.headers), body
        )
        self.requests.append(received)
        step = self._script.next(received.method, received.path)
        delay = self._script.next_delay(received.method, received.path)
        if delay is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
                return _hang_up(request)
        limits, may_pass = self._admit(received)
        if step == Drop("request"):
            return _hang_up(request)
        reply = step if isinstance(step, Reply) else self._answer(received, may_pass)
        if self.log is not None:
            self.log(f"{received.method} {received.path.partition('?')[0]} {reply.status}")
        headers = CIMultiDict(limits)
        headers.update(reply.headers)
        if step == Drop("headers"):
            response = web.StreamResponse(status=reply.status, headers=headers)
            response.content_length = len(reply.content)
            await response.prepare(request)
            return _hang_up(request)
        return web.Response(status=reply.status, body=reply.content, headers=headers)


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection under a request; what is returned then goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
