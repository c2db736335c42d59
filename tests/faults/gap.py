"""A server that is gone for a moment, and idle connections whose server is gone for good.

``python tests/faults/gap.py`` shows what callers see of both; the suite makes the same in
``tests/bugs/test_connections.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does, for when this is run alone

from faults.scale import say
from support.chaos_server import Server, succeed
from support.raw_server import SUCCESS
from support.users import user

from fanvue_async import FanvueClient, FanvueError, Limits

if TYPE_CHECKING:
    from support.chaos_server import Peer, Request

CALLERS, CALLS, SECONDS = 30, 1_600, 0.3
IDLE, AFTERWARDS = 20, 6
_ANSWER_SECONDS = 0.02


class Flickering:
    """A server that can be gone for a while: its port refuses, its connections are reset."""

    def __init__(self) -> None:
        self._transports: set[asyncio.Transport] = set()
        self._port = 0

    async def start(self) -> str:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Answering(self), "127.0.0.1", self._port, backlog=1000
        )
        self._port = self._listener.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Be gone."""
        self._listener.close()
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    def add(self, transport: asyncio.Transport) -> None:
        """Note a connection."""
        self._transports.add(transport)


class _Answering(asyncio.Protocol):
    def __init__(self, server: Flickering) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.add(self._transport)

    def data_received(self, data: bytes) -> None:
        del data
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._transport.write, SUCCESS)


async def gone_for(seconds: float, callers: int, calls: int) -> Counter[str]:
    """Let a server be gone under callers who go on; return how their calls ended."""
    server, ends = Flickering(), Counter[str]()
    is_gone = asyncio.Event()

    async def call_on(client: FanvueClient) -> None:
        while ends.total() < calls:
            try:
                await client.chats.create(user(0))
            except FanvueError as error:
                ends[type(error).__name__] += 1
            else:
                ends["done"] += 1
            if ends.total() > calls / 5:
                is_gone.set()

    async with FanvueClient("token-of-anna", base_url=await server.start()) as client:
        going_on = [asyncio.create_task(call_on(client)) for _ in range(callers)]
        await is_gone.wait()
        server.stop()
        await asyncio.sleep(seconds)
        await server.start()
        await asyncio.gather(*going_on)
    server.stop()
    return ends


class _Deployment:
    """A backend that can be replaced: its old connections answer a request with a reset."""

    def __init__(self, idle: int) -> None:
        self.is_replaced = False
        self._idle = idle
        self._waiting = 0
        self._all_are_here = asyncio.Event()
        self._old: set[Peer] = set()

    async def __call__(self, peer: Peer, request: Request) -> None:
        """Answer, but not before there are as many connections as there shall be."""
        if peer in self._old and self.is_replaced:
            peer.rst()
            return
        if not self.is_replaced:
            self._old.add(peer)
            self._waiting += 1
            if self._waiting == self._idle:
                self._all_are_here.set()
            await self._all_are_here.wait()
        await succeed(peer, request)


async def replaced_behind(
    idle: int, calls: int, *, at_once: bool, **options: Any
) -> tuple[Counter[str], int]:
    """Replace a server behind idle connections; return how calls end then, and the requests."""
    deployment, ends = _Deployment(idle), Counter[str]()
    with Server(deployment) as server:
        if "session" not in options:
            options["limits"] = Limits(max_connections=max(100, idle))
        async with FanvueClient("token-of-anna", base_url=server.url, **options) as client:
            await asyncio.gather(*(client.chats.create(user(n)) for n in range(idle)))
            assert server.connections == idle
            before = server.requests
            deployment.is_replaced = True

            async def call(number: int) -> None:
                try:
                    await client.chats.create(user(number))
                except FanvueError as error:
                    ends[type(error).__name__] += 1
                else:
                    ends["done"] += 1

            if at_once:
                await asyncio.gather(*(call(number) for number in range(calls)))
            else:
                for number in range(calls):
                    await call(number)
    return ends, server.requests - before


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description="A server that is gone, for a moment or for good.")
    parser.add_argument("--callers", type=int, default=CALLERS, help=f"default: {CALLERS}")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"in all; default: {CALLS:,}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"default: {SECONDS}")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"connections; default: {IDLE}")
    parser.add_argument("--afterwards", type=int, default=AFTERWARDS, help="calls over them")
    given = parser.parse_args()
    ends = asyncio.run(gone_for(given.seconds, given.callers, given.calls))
    share = 1 - ends["done"] / ends.total()
    seconds, callers = given.seconds, given.callers
    say(f"gone for {seconds:g} s under {callers} callers: {dict(ends)}, {share:.2%} fail")
    for at_once in (True, False):
        ends, requests = asyncio.run(replaced_behind(given.idle, given.afterwards, at_once=at_once))
        how = "at once" if at_once else "one by one"
        say(f"{given.idle} dead idle connections, {how}: {dict(ends)} in {requests} requests")


if __name__ == "__main__":
    main()
