"""A server for thousands of calls at once, that picks a fault for each and keeps a ledger.

::

    chaos = Chaos(seed=1)
    with Server(chaos.answer, greet=chaos.greet) as server:
        ...  # call server.url
    assert chaos.acted[user] <= 1

It has a thread and an event loop of its own, so that the loop of the test holds the client's tasks
only. What it does with a request is a coroutine, a ``Behaviour``.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import socket
import struct
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import attrs

from support.raw_server import answer, head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine
    from types import TracebackType

_LARGE = 64 * 1024
_USER = re.compile(rb'"userUuid":"([0-9a-f-]{36})"')
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_GAP = 0.002  # seconds between two segments
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for 0 seconds


@attrs.frozen
class Request:
    """A request as it came."""

    path: str
    user: str
    """The user that its body names first, or ``""``."""
    token: str
    is_whole: bool
    """Whether all of it was read; one of more than 64 KiB is shown before that, too."""


if TYPE_CHECKING:
    Behaviour = Callable[["Peer", Request], Coroutine[None, None, None]]
    Greeting = Callable[["socket.socket", int], Coroutine[None, None, bool]]


class Peer(asyncio.Protocol):
    """One connection, as a behaviour sees it."""

    def __init__(self, server: Server) -> None:
        self.is_deaf = False
        """Whether nothing more is read from it."""
        self.requests = 0
        """How many requests came on it."""
        self._server = server
        self._buffer = bytearray()
        self._awaited = 0  # bytes, of a large request whose beginning was shown
        self._tasks: set[asyncio.Task[None]] = set()
        self._was_shown = False
        self._is_closed = False

    def send(self, data: bytes) -> None:
        """Send these bytes, in one segment if the network lets them through."""
        if not self._is_closed:
            self._transport.write(data)

    def fin(self) -> None:
        """Close as a program does that is done; RST if there is something unread."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.close()

    def rst(self) -> None:
        """Close with RST."""
        self._is_closed = True
        if connection := self._transport.get_extra_info("socket"):  # the client may be gone by now
            _reset_when_closed(connection)
        self._transport.abort()

    def be_deaf(self) -> None:
        """Read nothing more, but keep the connection."""
        self.is_deaf = True
        if not self._is_closed:  # TLS that was lost and then closed cannot be paused any more
            self._transport.pause_reading()

    def listen(self) -> None:
        """Read again what comes, and end when nothing comes any more."""
        self.is_deaf = False
        if not self._is_closed:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is done with the requests of this connection."""
        del exc
        self._is_closed = True
        self._server.peers.discard(self)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Start to behave for each request that is there."""
        self._buffer += data
        while (request := self._next_request()) and not self.is_deaf:
            self.requests += 1
            self._server.spawn(self._server.behaviour(self, request), self._tasks)
            if not request.is_whole:
                return

    def _next_request(self) -> Request | None:
        """Take a whole request out of the buffer, or look at the beginning of a large one."""
        if len(self._buffer) < self._awaited:  # not looked through for each piece that comes
            return None
        start, end, body = bytes(self._buffer).partition(b"\r\n\r\n")
        if not end:
            return None
        declared = _LENGTH.search(start + b"\r\n")
        length = int(declared[1]) if declared else 0
        is_whole = len(body) >= length
        if not is_whole and (self._was_shown or length < _LARGE):
            return None
        self._server.shown += not self._was_shown
        self._was_shown = not is_whole
        self._awaited = 0 if is_whole else len(start + end) + length
        if is_whole:
            self._buffer = bytearray(body[length:])
            self._server.requests += 1
        user = _USER.search(body)
        token = start.partition(b"\r\nAuthorization: Bearer ")[2].partition(b"\r\n")[0]
        return Request(
            path=start.split(b" ", 2)[1].decode(),
            user=user[1].decode() if user else "",
            token=token.decode(),
            is_whole=is_whole,
        )


class Server:
    """The server. Use it in ``with``; until then, its port refuses connections."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        greet: Greeting | None = None,
        tls: ssl.SSLContext | None = None,
        small_buffers: bool = False,
        port: int = 0,
    ) -> None:
        """Make it.

        Args:
            behaviour: what it does with each request.
            greet: sees each accepted connection first; what it returns False for is not served.
            tls: for TLS, whose handshake takes place after the greeting.
            small_buffers: whether the kernel takes little of what a deaf peer does not read, on
                either side: a quarter of a megabyte instead of ten, or whatever the machine allows.
            port: where it listens; 0 lets the system choose.

        """
        self.behaviour = behaviour
        self.greet = greet
        self.requests = 0
        """How many requests were read to their end."""
        self.shown = 0
        """How many requests behaviours saw, a large one that is not read to its end included."""
        self.connections = 0
        """How many connections were accepted."""
        self.peers: set[Peer] = set()
        self._tls = tls
        self._listener = socket.socket()
        if small_buffers:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            # The client's side sizes its own buffer by it; that of the loopback is 64 KiB.
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.setblocking(False)  # noqa: FBT003 - as in socket
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._sockets: set[socket.socket] = set()
        self._own_connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._bugs: list[BaseException] = []
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name="chaos-server")

    def stop_accepting(self) -> None:
        """Let connections hang from now on, neither accepted nor refused: the backlog is full."""
        done = threading.Event()

        def stop() -> None:
            self._loop.remove_reader(self._listener)
            self._listener.listen(0)
            self._sockets.add(socket.create_connection(("127.0.0.1", self.port)))
            self._own_connections += 1
            done.set()

        self._loop.call_soon_threadsafe(stop)
        done.wait()

    async def has_heard_all(self) -> bool:
        """Let deaf peers listen, and tell whether the client is gone and has closed them all."""
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._hear_all(), self._loop)
        )

    async def _hear_all(self) -> bool:
        for peer in list(self.peers):
            peer.listen()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                while self.peers:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.001)
        return not self.peers

    @property
    def clients_sockets(self) -> int:
        """How many sockets a client has that lead here, accepted or not, connected or not yet."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # Those that no program holds any more have no inode.
        held = sum(int(row[2][-4:], 16) == self.port and row[9] != "0" for row in rows)
        return held - self._own_connections

    def spawn(self, coroutine: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        """Run a coroutine in a task that is kept in ``tasks``, and keep what it raises."""
        task = self._loop.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._note_bug)

    def _note_bug(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()):
            self._bugs.append(bug)

    def __enter__(self) -> Self:
        self._listener.listen(4096)
        self._loop.add_reader(self._listener, self._accept)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()
        if self._bugs:
            raise self._bugs[0]

    def close(self) -> None:
        """Give up the port of a server that was never started."""
        self._listener.close()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _end(self) -> None:
        """Read what lies there still, for the ledger's sake, then end all connections."""
        self._loop.remove_reader(self._listener)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while any(not peer.is_deaf for peer in self.peers):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.001)
        for task in self._tasks:
            task.cancel()
        for peer in list(self.peers):
            peer.rst()
        while self.peers or self._tasks:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        for connection in self._sockets:
            connection.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                self.spawn(self._serve(connection, self.connections), self._tasks)
                self.connections += 1

    async def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setblocking(False)  # noqa: FBT003 - as in socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.greet is not None and not await self.greet(connection, number):
            self._sockets.add(connection)
            return
        with suppress(OSError):  # the client is gone, or gives up during the handshake
            await self._loop.connect_accepted_socket(lambda: Peer(self), connection, ssl=self._tls)


def _reset_when_closed(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


# What a server does with a request. A behaviour ends with its connection, however long it waits.


def saying(
    *pieces: bytes | Callable[[Request], bytes],
    then: Callable[[Peer], None] | None = None,
    after: float = _GAP,
) -> Behaviour:
    """Make a behaviour that sends these segments, then does something to the connection.

    Args:
        pieces: what is sent, or what makes it of the request.
        then: what is done in the end.
        after: seconds between the last piece and that.

    """

    async def behave(peer: Peer, request: Request) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(_GAP)
            peer.send(piece if isinstance(piece, bytes) else piece(request))
        if then is not None:
            if after:
                await asyncio.sleep(after)
            then(peer)

    return behave


def success_of(request: Request) -> bytes:
    """Write the answer to a request that did what it asked for: it names the request's user."""
    return answer(
        201, b'{"message":"%s"}' % request.user.encode(), "Content-Type: application/json"
    )


async def succeed(peer: Peer, request: Request) -> None:
    """Answer with success."""
    peer.send(success_of(request))


async def _slow(peer: Peer, request: Request) -> None:
    await asyncio.sleep(random.uniform(0.15, 0.35))
    await succeed(peer, request)


def _drip(seconds: float) -> Behaviour:
    async def behave(peer: Peer, request: Request) -> None:
        for byte in success_of(request):
            peer.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return behave


async def _too_late(peer: Peer, request: Request) -> None:
    """Answer, then do as proxies do with an idle connection: 408 unasked for, and no more."""
    await succeed(peer, request)
    requests = peer.requests
    await asyncio.sleep(0.01)
    if peer.requests > requests:  # it is not idle, and one that was read must not be denied
        return
    peer.be_deaf()
    peer.send(answer(408, b"", "Connection: close"))
    await asyncio.sleep(0.05)
    peer.fin()


def _early(status: int, *fields: str) -> Behaviour:
    """Answer before the request was read, and read no more of it, or it had two answers."""

    async def behave(peer: Peer, _request: Request) -> None:
        peer.be_deaf()
        peer.send(answer(status, b"", *fields))
        await asyncio.sleep(0.05)
        peer.fin()

    return behave


_JSON = "Content-Type: application/json"
_GZIP = "Content-Encoding: gzip"
_CREATED = answer(201, b'{"message":"somebody else"}', _JSON)
_CHUNKED = head(201, "Transfer-Encoding: chunked")
_BOMB = gzip.compress(bytes(8 * 1024 * 1024))


@attrs.frozen
class Fault:
    """Something a server does with a request."""

    name: str
    behave: Behaviour
    weight: int = 1
    acts: bool = True
    """Whether the request was processed; what is answered with 4xx was not."""


def _refusal(status: int, *fields: str, weight: int = 1) -> Fault:
    content = answer(status, b'{"message":"no"}', _JSON, *fields)
    return Fault(f"{status}", saying(content), weight, acts=False)


def _failure(status: int, *fields: str, body: bytes = b"") -> Fault:
    return Fault(" ".join([str(status), *fields]), saying(answer(status, body, *fields)))


FAULTS = (
    Fault("none", succeed, weight=60),
    # It takes its time.
    Fault("slow", _slow, weight=3),
    Fault("quick drip", _drip(0.0005)),
    Fault("slow drip", _drip(0.02)),
    Fault("interim answers", saying(head(100) * 3 + head(103, "Link: </x>"), success_of)),
    Fault("no answer", saying(), weight=2),
    Fault("no end of a head", saying(head(201, _JSON)[:-2])),
    Fault("no body", saying(head(201, "Content-Length: 50"))),
    Fault("no next chunk", saying(_CHUNKED, b"1\r\n{\r\n")),
    # The connection ends.
    Fault("FIN", saying(then=Peer.fin), weight=2),
    Fault("RST", saying(then=Peer.rst), weight=2),
    Fault("half a status line, FIN", saying(b"HTTP/1.1 2", then=Peer.fin)),
    Fault("half a head, FIN", saying(head(201, _JSON)[:-4], then=Peer.fin)),
    Fault("half a head, RST", saying(head(201, _JSON)[:-4], then=Peer.rst)),
    Fault("body cut, FIN", saying(head(201, "Content-Length: 50"), b"{", then=Peer.fin)),
    Fault("body cut, RST", saying(head(201, "Content-Length: 50"), b"{", then=Peer.rst)),
    Fault("chunk cut", saying(_CHUNKED, b"5\r\n{", then=Peer.fin)),
    Fault("no last chunk", saying(_CHUNKED, b"2\r\n{}\r\n", then=Peer.fin)),
    Fault("body until the end, cut", saying(head(201), b'{"mess', then=Peer.fin)),
    # The connection ends unannounced, after a good answer.
    Fault("answer, FIN", saying(success_of, then=Peer.fin, after=0), weight=4),
    Fault("answer, RST", saying(success_of, then=Peer.rst, after=0)),
    Fault("answer, FIN later", saying(success_of, then=Peer.fin, after=0.005), weight=4),
    Fault("answer, RST later", saying(success_of, then=Peer.rst, after=0.005), weight=2),
    # The server says more than it was asked.
    Fault("two answers", saying(lambda request: success_of(request) + _CREATED), weight=2),
    Fault("answer and garbage", saying(lambda request: success_of(request) + b"and so on")),
    Fault("answer, 408 later", _too_late, weight=2),
    # It is no HTTP.
    Fault("banner", saying(b"SSH-2.0-OpenSSH_9.6\r\n")),
    Fault("bad status line", saying(b"HTTP/1.1 OK\r\n\r\n")),
    Fault("NUL in a head", saying(head(201, "X-A: a\0b") + b"{}")),
    Fault("two lengths", saying(head(201, "Content-Length: 2", "Content-Length: 3") + b"{}")),
    Fault("huge header", saying(head(201, "X-A: " + "a" * 9000))),
    Fault("bad chunk", saying(_CHUNKED + b"no size\r\n")),
    Fault("bad chunk later", saying(_CHUNKED, b"no size\r\n")),
    Fault("status 600", saying(answer(600))),
    Fault("status 101", saying(head(101, "Upgrade: x", "Connection: upgrade"))),
    # The body is unusable.
    Fault("HTML", saying(answer(201, b"<html>", "Content-Type: text/html"))),
    Fault("empty", saying(answer(201))),
    Fault("null", saying(answer(201, b"null", _JSON))),
    Fault("no UTF-8", saying(answer(201, b'{"message":"\xff"}', _JSON))),
    Fault("2 MiB", saying(answer(201, b"[%s]" % (b" " * 2 * 1024 * 1024), _JSON))),
    Fault("no gzip", saying(answer(201, b"\x1f\x8bnonsense", _GZIP))),
    Fault("gzip cut", saying(answer(201, gzip.compress(_CREATED)[:-20], _GZIP))),
    Fault("gzip bomb", saying(answer(201, _BOMB, _GZIP))),
    # It fails.
    Fault("302", saying(answer(302, b"", "Location: http://127.0.0.1:1/"))),
    _failure(500, body=b'{"error":"oh"}'),
    _failure(502, body=b"<html>"),
    _failure(503),
    _failure(503, "Retry-After: 0"),
    _failure(503, "Retry-After: 1"),
    _failure(503, "Retry-After: 99999"),
    _failure(503, "Retry-After: nan"),
    _failure(504, "Connection: close"),
    Fault("500, endless", saying(head(500, "Content-Length: 50"), b"{")),
    Fault("500 cut", saying(head(500, "Content-Length: 50"), b"{", then=Peer.rst)),
    # It refuses.
    _refusal(400),
    _refusal(401, weight=5),  # which a provider's token survives once
    _refusal(403),
    _refusal(404),
    _refusal(409),
    _refusal(429, "Retry-After: 60"),
    Fault("429 cut", saying(head(429, "Content-Length: 50"), then=Peer.fin), acts=False),
)

# What a server does while it reads a large request.
_LARGE_FAULTS = (
    Fault("none while reading", saying(), weight=4, acts=False),
    Fault("RST while reading", saying(then=Peer.rst), acts=False),
    Fault("deaf while reading", saying(then=Peer.be_deaf), acts=False),
    Fault("413 while reading", _early(413, "Connection: close"), acts=False),
    Fault("500 while reading", _early(500), acts=False),
)


GREETINGS: dict[str, int] = dict.fromkeys(
    ("FIN at once", "RST at once", "closed unread", "left alone"), 1
)
GREETINGS["accepted"] = 40
"""What becomes of a connection, and how often."""


class Chaos:
    """Faults drawn at random, and a ledger of what the server did.

    What is drawn depends on the seed, the user and how often that user was asked for, and not on
    the order in which requests arrive.
    """

    def __init__(self, seed: int) -> None:
        self.read = Counter[str]()
        """How many requests were read to their end, by user."""
        self.acted = Counter[str]()
        """How often the server did what was asked for, by user."""
        self.played = Counter[str]()
        """How often each fault was played."""
        self.story = defaultdict[str, list[str]](list)
        """Which faults were played, by user."""
        self._seed = seed

    async def answer(self, peer: Peer, request: Request) -> None:
        """Draw a fault for the request, note it in the ledger, and play it."""
        draw = random.Random(f"{self._seed} {request.user} {self.read[request.user]}")
        faults = FAULTS if request.is_whole else _LARGE_FAULTS
        (fault,) = draw.choices(faults, [fault.weight for fault in faults])
        self.played[fault.name] += 1
        self.story[request.user].append(fault.name)
        self.read[request.user] += request.is_whole
        self.acted[request.user] += fault.acts
        await fault.behave(peer, request)

    async def greet(self, connection: socket.socket, number: int) -> bool:
        """Draw a fault for the connection and play it."""
        draw = random.Random(f"{self._seed} connection {number}")
        (name,) = draw.choices(list(GREETINGS), list(GREETINGS.values()))
        self.played[name] += 1
        if name == "RST at once":
            _reset_when_closed(connection)
        elif name == "closed unread":
            await asyncio.sleep(0.01)
        if name not in {"accepted", "left alone"}:
            connection.close()
        return name == "accepted"
