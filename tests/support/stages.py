"""A server in the test's own loop, and calls that are stuck in a chosen phase of their life."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, socket
from typing import TYPE_CHECKING, Any, Self, cast

import attrs

from fanvue_async import CreatedChat, FanvueClient, Limits
from fanvue_async.testing import FakeFanvue
from support.pace import no_time
from support.users import USER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from types import TracebackType

    Answer = Callable[[str, asyncio.Transport], None]

TOKEN = "stage-token"
TURNS = 40
"""More turns of the loop than a call on this machine's own server takes, its retries aside."""


async def until(condition: Callable[[], object]) -> None:
    """Let others run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - most conditions are nobody's event
            await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Let the loop turn that often."""
    for _ in range(count):
        await asyncio.sleep(0)


def waits_of(client: FanvueClient) -> list[float]:
    """Let the client's waits for a retry take no time, and note how long they would have been."""
    noted: list[float] = []

    async def sleep(seconds: float) -> None:
        noted.append(seconds)

    client._session.terms.pool.clockwork.sleep = sleep
    return noted


def nothing(_path: str, _transport: asyncio.Transport) -> None:
    """Leave the client waiting for an answer."""


def say(content: bytes) -> Answer:
    """Answer every request with these bytes."""
    return lambda _, transport: transport.write(content)


def answer(status: int, body: bytes = b'{"message":"hello"}', *fields: str) -> Answer:
    """Answer every request with this."""
    lines = [f"HTTP/1.1 {status} Status", *fields, f"Content-Length: {len(body)}", "", ""]
    return say("\r\n".join(lines).encode() + body)


def say_and_cut(content: bytes) -> Answer:
    """Answer every request with these bytes, then close its connection."""

    def answer(_: str, transport: asyncio.Transport) -> None:
        transport.write(content)
        transport.close()

    return answer


def begin(status: int) -> Answer:
    """Answer every request with a head and the first byte of a body that never ends."""
    return say(b"HTTP/1.1 %d Status\r\nContent-Length: 100\r\n\r\n{" % status)


def cut(_path: str, transport: asyncio.Transport) -> None:
    """Close the connection of every request."""
    transport.close()


def by_path(answers: Mapping[str, Answer]) -> Answer:
    """Answer what is asked for; any other path gets no answer."""
    return lambda path, transport: answers.get(path, nothing)(path, transport)


def _listener() -> socket:
    # With the protocol said, or asyncio takes it for no TCP and leaves Nagle's algorithm on.
    listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


class LoopServer:
    """Reads requests in the test's own loop, and does with each what ``answer`` does.

    It keeps nothing that the garbage collector knows, and its turns are the client's turns.
    """

    def __init__(self, answer: Answer = nothing, listener: socket | None = None) -> None:
        self.answer = answer
        self.heads: list[str] = []
        """The requests' heads, oldest first."""
        self.connections = 0
        """How many connections were accepted."""
        self.open: set[asyncio.Transport] = set()
        self._socket = listener
        self._listener: asyncio.Server | None = None

    @property
    def paths(self) -> list[str]:
        """What was asked for, oldest first."""
        return [head.split(" ", 2)[1] for head in self.heads]

    @property
    def url(self) -> str:
        """The base URL for a client."""
        assert self._listener is not None
        return "http://{}:{}".format(*self._listener.sockets[0].getsockname())

    def client(self, **options: Any) -> FanvueClient:
        """Make a client on this server, whose waits for a retry take no time."""
        client = FanvueClient(TOKEN, base_url=self.url, **options)
        client._session.terms.pool.clockwork.sleep = no_time
        return client

    def accepted(self, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self.connections += 1
        self.open.add(transport)

    def stop_listening(self) -> None:
        """Refuse further connections."""
        assert self._listener is not None
        self._listener.close()

    async def __aenter__(self) -> Self:
        listener = self._socket or _listener()
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), sock=listener, backlog=1_000
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_listening()
        for transport in list(self.open):
            transport.abort()
        await until(lambda: not self.open)


class _Connection(asyncio.Protocol):
    def __init__(self, server: LoopServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.accepted(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while head := self._next_head():
            self._server.heads.append(head)
            self._server.answer(head.split(" ", 2)[1], self._transport)

    def _next_head(self) -> str | None:
        """Take the next whole request out of the buffer."""
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        size = int(length.split(b"\r\n")[0] or b"0")
        if not end or len(rest) < size:
            return None
        self._buffer = rest[size:]
        return head.decode()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.open.discard(self._transport)


class CountingFake(FakeFanvue):
    """A fake that counts the connections it accepted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.connections = 0
        accept = self._server._accept

        def count() -> asyncio.BaseProtocol:
            self.connections += 1
            return accept()

        setattr(self._server, "_accept", count)  # noqa: B010 - only here, for what it counts


class Provider:
    """Gives these tokens, one after the other, the last one for ever; an exception is raised."""

    def __init__(self, *tokens: object, invalidate: Exception | None = None) -> None:
        self._tokens = list(tokens)
        self._invalidate = invalidate
        self.asked = 0
        self.refused: list[str] = []
        """The tokens that it was told were refused."""

    async def get_token(self) -> Any:
        """Give the next token."""
        self.asked += 1
        token = self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]
        if isinstance(token, Exception):
            raise token
        return token

    async def invalidate(self, token: str) -> None:
        """Note the token."""
        self.refused.append(token)
        if self._invalidate is not None:
            raise self._invalidate


class StuckProvider:
    """Never comes back from one of its methods."""

    def __init__(self, phase: str, token: str = TOKEN) -> None:
        self._phase = phase
        self._token = token
        self.stuck = 0
        """How many calls of it do not come back."""

    async def get_token(self) -> str:
        """Give a token."""
        await self._wait_in("token")
        return self._token

    async def invalidate(self, token: str) -> None:
        """Do nothing about it."""
        del token
        await self._wait_in("invalidate")

    async def _wait_in(self, phase: str) -> None:
        if phase == self._phase:
            self.stuck += 1
            await asyncio.Event().wait()


PHASES = {
    "queue": False,
    "token": False,
    "connect": False,
    "headers": True,
    "body": True,
    "error body": True,
    "back-off": True,
    "invalidate": False,
}
"""The phases of a call, and whether the API may have acted by then."""

_ANSWERS: dict[str, Answer] = {
    "body": begin(201),
    "error body": begin(500),
    "back-off": answer(503),
    "invalidate": answer(401),
}


@attrs.frozen
class Stage:
    """A client with one connection, whose next call gets stuck."""

    client: FanvueClient
    _is_reached: Callable[[], object]
    _blockers: list[asyncio.Task[CreatedChat]]

    async def call(self, total: float = 60.0) -> asyncio.Task[CreatedChat]:
        """Start a call, and come back when it is stuck."""
        view = self.client.with_options(timeout=total)
        call = asyncio.create_task(view.chats.create(USER))
        await until(lambda: call.done() or self._is_reached())
        assert self._is_reached(), "the call was over before it got stuck"
        await turns(10)  # for the client to read what the server wrote
        return call

    async def free_slots(self) -> int:
        """Count the connections that another call could take now."""
        for blocker in self._blockers:
            blocker.cancel()
        await asyncio.gather(*self._blockers, return_exceptions=True)
        slots = self.client._session.terms.pool.slots
        return sum(slots.take() for _ in range(100))


@asynccontextmanager
async def stuck_in(phase: str, token: str = TOKEN) -> AsyncGenerator[Stage]:
    """Set the stage on which a call gets stuck in one of ``PHASES``."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(LoopServer(_ANSWERS.get(phase, nothing)))
        provider = StuckProvider(phase, token)
        client = FanvueClient(
            provider if phase in {"token", "invalidate"} else token,
            base_url=server.url.replace("http:", "https:") if phase == "connect" else server.url,
            limits=Limits(max_connections=1),
        )
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.Event().wait()

        clockwork = client._session.terms.pool.clockwork
        clockwork.sleep, clockwork.random = sleep, lambda: 0.001  # short enough for any deadline
        await stack.enter_async_context(client)
        blockers: list[asyncio.Task[CreatedChat]] = []
        if phase == "queue":
            blockers.append(asyncio.create_task(client.chats.create(USER)))
            await until(lambda: server.paths)
        reached: dict[str, Callable[[], object]] = {
            "queue": lambda: client._session.terms.pool.slots.waiters,
            "token": lambda: provider.stuck,
            "connect": lambda: server.connections,
            "back-off": lambda: slept,
            "invalidate": lambda: provider.stuck,
        }
        yield Stage(client, reached.get(phase, lambda: server.paths), blockers)
        for blocker in blockers:
            blocker.cancel()
        await asyncio.gather(*blockers, return_exceptions=True)
