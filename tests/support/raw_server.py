"""A server of raw sockets that does what a script says, to see what a client makes of it.

::

    with RawServer() as server:
        server.play(read, b"HTTP/1.1 201 Cre", rst)  # the next connection
        async with server.client() as client:
            ...
        assert len(server.requests) == 2  # the one that was reset, and its repetition

A script is a row of steps. Bytes are sent as one segment; a function such as ``read``, ``fin``,
``rst`` or ``hang`` gets the connection and does something to it. Each accepted connection runs the
next script. When its script is over, or there was none left, it is served with ``default`` until it
ends: each request is read and answered with success.

With ``tls``, the handshake takes place at the first ``read``. What stands before that happens
instead of a handshake.

Everything runs in threads of its own, so that the loop of the test holds the client's tasks only.
But after each segment the server waits until that loop has looked at its sockets: what a script
sends in two segments is read in two, on a slow machine too.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from http.client import responses
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import http_parser
from multidict import CIMultiDict

from fanvue_async import FanvueClient
from support.pace import no_time

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

TOKEN = "raw-server-token"
"""What ``client()`` authorizes its requests with; the server takes any."""

PURE_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
"""Whether the client parses answers without aiohttp's C extension, which differs in places."""

_PATIENCE = 10.0  # seconds after which a connection is given up, so that no test can hang here
_TURNS = 3  # of an event loop: one may be half over, one reads, one is to be sure
_GAP = 0.002  # seconds between two segments to a client in another process


@attrs.frozen
class RawMessage:
    """A request as it came from the socket."""

    head: bytes
    """From the request line to the empty line, which is included."""
    body: bytes
    connection: int
    """The number of its connection, counted from 0."""

    @property
    def method(self) -> str:
        """The first word of the request line."""
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        """The second word of the request line."""
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> CIMultiDict[str]:
        """The header fields; names compare without case."""
        fields = CIMultiDict[str]()
        for line in self.head.decode("latin-1").split("\r\n")[1:-2]:
            name, _, value = line.partition(":")
            fields.add(name, value.strip())
        return fields


class Connection:
    """One accepted connection, as the steps of a script see it."""

    def __init__(self, server: RawServer, accepted: socket.socket, number: int) -> None:
        self.server = server
        self.socket = accepted
        self.number = number
        self._buffer = b""
        accepted.settimeout(_PATIENCE)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def requests(self) -> list[RawMessage]:
        """What was read from this connection."""
        return [request for request in self.server.requests if request.connection == self.number]

    def run(self, step: Step) -> None:
        """Do one step of a script."""
        if isinstance(step, bytes):
            self.socket.sendall(step)
            self.server.let_client_read()
        else:
            step(self)

    def receive(self) -> bytes:
        """Wait for some bytes.

        Raises:
            OSError: the connection is over.

        """
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError
        return data

    def read_message(self) -> RawMessage:
        """Read a whole request, or the answer of another server."""
        self._secure()
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, empty_line, rest = data.partition(b"\r\n\r\n")
        message = RawMessage(head + empty_line, b"", self.number)
        length = int(message.headers.get("Content-Length", "0"))
        body = bytearray(rest)
        while len(body) < length:
            body += self.receive()
        self._buffer = bytes(body[length:])
        return attrs.evolve(message, body=bytes(body[:length]))

    def _secure(self) -> None:
        tls = self.server.tls
        if tls is None or isinstance(self.socket, ssl.SSLSocket):
            return
        wrapped = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket = wrapped
        wrapped.do_handshake()


if TYPE_CHECKING:
    Step = bytes | Callable[[Connection], object]


def read(connection: Connection) -> None:
    """Read a whole request and keep it."""
    connection.server.requests.append(connection.read_message())


def fin(connection: Connection) -> None:
    """Send FIN, then read on until the client closes too. Over TLS: without close_notify."""
    connection.socket.shutdown(socket.SHUT_WR)
    while connection.receive():
        pass


def rst(connection: Connection) -> None:
    """Send RST."""
    linger_for_0_seconds = struct.pack("ii", 1, 0)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_0_seconds)
    connection.socket.close()


def close_notify(connection: Connection) -> None:
    """End TLS as its standard asks for."""
    assert isinstance(connection.socket, ssl.SSLSocket)
    connection.socket = connection.socket.unwrap()
    fin(connection)


def hang(connection: Connection) -> None:
    """Do nothing more, not even read, until the client closes."""
    poller = select.poll()
    poller.register(connection.socket, select.POLLRDHUP)
    poller.poll(_PATIENCE * 1000)
    raise ConnectionError


def receive(count: int) -> Step:
    """Read ``count`` bytes of whatever comes, over TLS its records."""

    def step(connection: Connection) -> None:
        missing = count
        while missing > 0:
            missing -= len(connection.receive())

    return step


def endless(data: bytes, every: float = _GAP) -> Step:
    """Send ``data`` again and again until the client is gone."""

    def step(connection: Connection) -> None:
        while not connection.server.stopped.wait(every):
            connection.socket.sendall(data)

    return step


def head(status: int, *fields: str) -> bytes:
    """Write the head of an answer."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def answer(status: int, body: bytes = b"", *fields: str) -> bytes:
    """Write a whole answer."""
    return head(status, *fields, f"Content-Length: {len(body)}") + body


SUCCESS = answer(201, b'{"message":"created"}', "Content-Type: application/json")


def segmentations(data: bytes) -> dict[str, tuple[bytes, ...]]:
    """Cut an answer in the ways that matter to a parser: not, behind its head, everywhere."""
    answer_head, empty_line, body = data.partition(b"\r\n\r\n")
    return {
        "whole": (data,),
        "behind the head": (answer_head + empty_line, body),
        "byte by byte": tuple(data[i : i + 1] for i in range(len(data))),
    }


class RawServer:
    """The server. Use it in ``with``; it listens as soon as it is made."""

    def __init__(
        self, *default: Step, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.tls = tls
        self.requests: list[RawMessage] = []
        """What ``read`` read, oldest first."""
        self.connections = 0
        """How many connections were accepted."""
        self.stopped = threading.Event()
        self._default = default or (read, SUCCESS)
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._open: list[Connection] = []
        self._listener = socket.create_server((host, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._threads = [threading.Thread(target=self._accept, name="accept")]
        self._loop: asyncio.AbstractEventLoop | None = None

    def play(self, *script: Step, times: int = 1) -> None:
        """Let the next connections run this script."""
        self._scripts.extend([script] * times)

    async def say(self, data: bytes) -> None:
        """Send something unasked for on all open connections, and let the client read it.

        Not over TLS, whose state belongs to the thread of the connection.
        """
        for connection in list(self._open):
            with suppress(OSError):  # the client has closed it
                connection.socket.sendall(data)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def all_closed(self) -> bool:
        """Tell whether the client has closed all connections, or does so soon."""
        return await soon(lambda: not self._open)

    async def has_read(self, count: int) -> bool:
        """Tell whether so many requests were read, or are soon."""
        return await soon(lambda: len(self.requests) >= count)

    def client(self, **options: Any) -> FanvueClient:
        """Make a client on this server, whose waits for a retry take no time.

        Args:
            options: what ``FanvueClient`` takes.

        """
        client = FanvueClient(TOKEN, base_url=options.pop("base_url", self.url), **options)
        client._session.terms.pool.clockwork.sleep = no_time
        return client

    def __enter__(self) -> Self:
        with suppress(RuntimeError):  # none runs in this thread
            self._loop = asyncio.get_running_loop()
        self._threads[0].start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):  # it may have ended by itself
                # Not SSLSocket's own shutdown, which takes TLS away from under its thread.
                socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def let_client_read(self) -> None:
        """Wait until the client has read what was sent last."""
        loop = self._loop
        if loop is None:
            time.sleep(_GAP)
            return
        has_turned = threading.Event()

        def turn(left: int) -> None:
            if left:
                loop.call_soon(turn, left - 1)
            else:
                has_turned.set()

        loop.call_soon_threadsafe(turn, _TURNS)
        while not (has_turned.wait(0.02) or self.stopped.is_set()):
            pass

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # the listener was shut down
                return
            connection = Connection(self, accepted, self.connections)
            self.connections += 1
            script = self._scripts.popleft() if self._scripts else ()
            thread = threading.Thread(target=self._serve, args=(connection, script))
            self._open.append(connection)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection, script: tuple[Step, ...]) -> None:
        try:
            for step in script:
                connection.run(step)
            while True:
                for step in self._default:
                    connection.run(step)
        except OSError:
            pass  # the client is gone, or a step ended the connection
        finally:
            connection.socket.close()
            self._open.remove(connection)


async def soon(is_true: Callable[[], bool]) -> bool:
    """Wait until something is true, for two seconds at the most."""
    for _ in range(400):
        if is_true():
            return True
        await asyncio.sleep(0.005)
    return False


@contextmanager
def refusing_port() -> Generator[int]:
    """Keep a port on which connections are refused."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@contextmanager
def black_hole() -> Generator[int]:
    """Keep a port on which connections are neither accepted nor refused: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port
