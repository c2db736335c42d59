"""What servers, proxies and name servers do to a call, and what the caller is told: the table.

A row is written with the word for its end: ``not_sent``, ``refused``, ``lost``, ``no_http``,
``broken``, ``answered`` or ``fine``, each defined below with what it promises. What follows are

- where the row comes from, in the three parts of the study of aiohttp's failures that came first:
  1a before the request can leave, 1b it may have left, 1c a whole answer came, and proxies;
- its name;
- what the server does with a connection, in the words of ``support.raw_server``; no_http, broken
  and fine take the answer's bytes, which the test sends whole, cut behind the head and in bytes.

Rows of the study that have none here:

- 1a, a call that queues for the engine's own place, and what the constructor or the event loop
  refuses: there is nothing that a server does. They are tests of their own beside this table.
- 1b, ``Expect: 100-continue`` that nobody answers: the engine never sends it.
- 1b and 1a, the timers ``sock_read`` and ``total`` of aiohttp: the engine sets neither. Its own
  clocks are tested on each row that is ``slow``.
- 1c, redirects to ftp:, javascript: and in circles *as they are followed*, and TooManyRedirects:
  the engine follows none. The answers themselves are here.
- 1c, a mere status: it is no fault. They are in ``STATUSES``.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import select
import socket
import zlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from support.proxy import Proxy
from support.raw_server import (
    SUCCESS,
    TOKEN,
    Connection,
    RawServer,
    answer,
    black_hole,
    close_notify,
    endless,
    fin,
    hang,
    head,
    read,
    receive,
    refusing_port,
    rst,
    segmentations,
)
from support.tls import serving, trusting
from support.users import USER

from fanvue_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DecodeError,
    FanvueError,
    NoAnswerError,
    NotContactableError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    Timeout,
    TransportError,
    VersionSunsetError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    from support.raw_server import Step

    from fanvue_async import FanvueClient

    Route = Callable[["RawServer"], AbstractAsyncContextManager[dict[str, Any]]]
    Before = Callable[["FanvueClient"], AbstractAsyncContextManager[object]]

PASSWORD = "proxy-password"
SECRETS = (TOKEN, PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode())
"""What no error and no log may show. Answers quote the token where it could slip through."""

SLOW = Timeout(attempt=0.2)
"""For a server that keeps the call waiting."""
PATIENT = Timeout(attempt=5)
"""For all others: who waits for this clock is late."""

PLAIN, TLS = "plain", "TLS"
BOTH = (PLAIN, TLS)

_JSON = "Content-Type: application/json"
_BODY = b'{"message":"created"}'
_ZIPPED = gzip.compress(_BODY)
_CHUNKED = head(201, _JSON, "Transfer-Encoding: chunked")
_LONG = head(201, _JSON, "Content-Length: 64")
_MEGABYTE = 1024 * 1024
_LARGE = "x" * 8 * _MEGABYTE  # more than the buffers between client and server hold
_TOO_LONG_FOR_BYTES = 1_000


@attrs.frozen(kw_only=True)
class Fault:
    """A row."""

    source: str
    name: str
    steps: tuple[Step, ...] = attrs.field(repr=False)  # they quote the token
    ends: type[FanvueError] | None
    """The class of the error; None for a success."""
    maybe_processed: bool = False
    requests: int = 1
    """How many the server has read in the end, where two attempts are allowed."""
    attempts: int = 1
    slow: bool = False
    """Whether it is a clock of the client that ends it."""
    over: tuple[str, ...] = (PLAIN,)
    cut: bool = False
    """Whether its answer is also sent in pieces."""
    in_pieces: type[FanvueError] | None | str = "the same"
    """How it ends then, if in another way."""
    pure_python: type[FanvueError] | None | str = "the same"
    """How it ends without aiohttp's C extension, if in another way."""
    strict: type[FanvueError] | None | str = "the same"
    """How it ends in Python's development mode, in which aiohttp's C parser is strict."""
    route: Route | None = None
    """Brings about what lies between client and server, and gives the client's options."""
    lasts: bool = False
    """Whether the next call fails too, since it never gets to the server."""
    before: Before | None = None
    """What the client does before the call; the first script goes on behind it."""
    reused: bool = False
    """Whether the connection has served a call before this one."""
    large: bool = False
    """Whether the request is larger than what the network buffers."""
    timeout: Timeout = PATIENT
    context: Callable[[], ssl.SSLContext] | None = None
    """Makes the server's TLS context, if it is another than the usual."""

    @property
    def left(self) -> bool:
        """Whether the request may have left."""
        return self.ends not in {NotSentError, TransportError}

    def cuts(self) -> list[str]:
        """Tell in which ways its answer is cut."""
        if not self.cut:
            return ["whole"]
        data = self.steps[1]
        assert isinstance(data, bytes)
        _, _, body = data.partition(b"\r\n\r\n")
        ways = ["whole"]
        if body:
            ways.append("behind the head")
        if len(data) < _TOO_LONG_FOR_BYTES:
            ways.append("byte by byte")
        return ways

    def script(self, cut: str) -> tuple[Step, ...]:
        """Give the steps, the answer cut in that way."""
        if cut == "whole":
            return self.steps
        first, data, *rest = self.steps
        assert isinstance(data, bytes)
        return (first, *segmentations(data)[cut], *rest)


def not_sent(source: str, name: str, *steps: Step, **more: Any) -> Fault:
    """NotSentError after two attempts: nothing left, and it may go better next time."""
    ends = {"ends": NotSentError, "requests": 0, "attempts": 2}
    return Fault(source=source, name=name, steps=steps, **(ends | more))


def refused(source: str, name: str, *steps: Step, **more: Any) -> Fault:
    """NotSentError after one attempt: nothing left, and another attempt would end alike."""
    return not_sent(source, name, *steps, attempts=1, **more)


def lost(source: str, name: str, *steps: Step, **more: Any) -> Fault:
    """NoAnswerError after two attempts, two requests read; the API may have acted."""
    ends = {"ends": NoAnswerError, "maybe_processed": True, "requests": 2, "attempts": 2}
    if hang in steps or more.get("slow"):
        ends |= {"slow": True, "timeout": SLOW}
    return Fault(source=source, name=name, steps=steps, **(ends | more))


def no_http(source: str, name: str, data: bytes, **more: Any) -> Fault:
    """ProtocolError at once, one request read; the API may have acted.

    The server waits for what the client does, so one that waits for more would hang.
    """
    ends: dict[str, Any] = {"ends": ProtocolError, "maybe_processed": True, "cut": True}
    return Fault(source=source, name=name, steps=(read, data, hang), **(ends | more))


def broken(source: str, name: str, data: bytes, **more: Any) -> Fault:
    """DecodeError at once, one request read; the API has acted."""
    ends: dict[str, Any] = {"ends": DecodeError, "maybe_processed": True, "cut": True}
    return Fault(source=source, name=name, steps=(read, data), **(ends | more))


def answered(source: str, name: str, status: int, *steps: Step, **more: Any) -> Fault:
    """End in the class of the status, after two attempts if it is a transient one.

    ``steps`` are what comes behind ``read``.
    """
    attempts = 2 if status >= 500 else 1
    ends: dict[str, Any] = {
        "ends": STATUSES[status],
        "maybe_processed": not 400 <= status < 500,
        "requests": attempts,
        "attempts": attempts,
    }
    return Fault(source=source, name=name, steps=(read, *steps), **(ends | more))


def fine(source: str, name: str, data: bytes, **more: Any) -> Fault:
    """No error at all, after one request."""
    return Fault(source=source, name=name, steps=(read, data), ends=None, **({"cut": True} | more))


STATUSES: dict[int, type[APIError]] = {
    **dict.fromkeys((300, 301, 302, 303, 304, 307, 308), APIError),
    **dict.fromkeys((402, 405, 406, 408, 411, 413, 415, 417, 418, 422, 425, 431, 451), APIError),
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: VersionSunsetError,
    429: RateLimitError,
    **dict.fromkeys((500, 501, 502, 503, 504, 505, 520, 521, 525, 529, 530, 599), ServerError),
}


# Steps that only this table needs


def arrived(connection: Connection) -> None:
    """Wait until the request is there, and leave it unread."""
    select.select([connection.socket], [], [], 5)


def corrupt(connection: Connection) -> None:
    """Send a TLS record that nobody can decrypt."""
    socket.socket.sendall(connection.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    connection.server.let_client_read()


def no_gzip(size: int) -> bytes:
    """Compress so many bytes of nothing."""
    return gzip.compress(bytes(size))


def redirect(location: str) -> bytes:
    """Answer 307, which would send the request once more."""
    return answer(307, b"", f"Location: {location}")


# What lies between client and server

AUTHORITY = trustme.CA()
TRUST = trusting(AUTHORITY)


def _url(server: RawServer, port: int) -> str:
    return f"{'https' if server.tls else 'http'}://127.0.0.1:{port}"


@asynccontextmanager
async def nobody_listens(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Refuse the connection."""
    with refusing_port() as port:
        yield {"base_url": _url(server, port)}


@asynccontextmanager
async def nobody_accepts(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Drop what asks for a connection."""
    with black_hole() as port:
        yield {"base_url": _url(server, port)}


@asynccontextmanager
async def http(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Speak HTTP without TLS to a server that expects it."""
    yield {"base_url": f"http://127.0.0.1:{server.port}"}


@asynccontextmanager
async def https(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Expect TLS of a server that has none."""
    yield {"base_url": f"https://127.0.0.1:{server.port}"}


@asynccontextmanager
async def another_authority(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Trust somebody else."""
    yield {"ssl": trusting(trustme.CA())}


@asynccontextmanager
async def another_fingerprint(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Expect another certificate than the server has."""
    connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(bytes(32)), limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield {"session": session, "limits": None}


@asynccontextmanager
async def slow_to_write(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Let some time pass between the connection and the request."""

    async def pause(*_: object) -> None:
        await asyncio.sleep(0.03)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(pause)  # which aiohttp calls just before it writes
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[tracing]) as session:
        yield {"session": session, "limits": None}


@asynccontextmanager
async def a_busy_owner(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Borrow a session whose only connection its owner is using."""
    server.play(receive(1), hang)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        owners = asyncio.create_task(session.request("GET", server.url))
        while not server.connections:  # noqa: ASYNC110 - it is nobody's event
            await asyncio.sleep(0.001)
        yield {"session": session, "limits": None}
        owners.cancel()
        await asyncio.wait([owners])


class _Names(AbstractResolver):
    """Finds these addresses for every name, after that time, or raises that error."""

    def __init__(self, *hosts: str, after: float = 0, error: OSError | None = None) -> None:
        self._hosts = hosts
        self._after = after
        self._error = error

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(self._after)
        if self._error is not None:
            raise self._error
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0, flags=0
            )
            for address in self._hosts
        ]

    async def close(self) -> None:
        """Release nothing."""


def names(*hosts: str, **how: Any) -> Route:
    """Look names up in this way."""

    @asynccontextmanager
    async def route(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
        connector = aiohttp.TCPConnector(resolver=_Names(*hosts, **how), limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"http://localhost:{server.port}"
            yield {"session": session, "limits": None, "base_url": url}

    return route


def proxy(*steps: Step) -> Route:
    """Put a proxy before the server that does this with each of two connections."""

    @asynccontextmanager
    async def route(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
        with Proxy() as between:
            between.play(read, *steps, times=2)
            yield {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{between.port}"}

    return route


@asynccontextmanager
async def no_proxy(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Go through a proxy that is not there."""
    with refusing_port() as port:
        yield {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{port}"}


# What the client has done before


@asynccontextmanager
async def one_call(client: FanvueClient) -> AsyncGenerator[None]:
    """Make a call that succeeds, and give the server time to go on."""
    await client.chats.create(USER)
    await asyncio.sleep(0.01)
    yield


def expired() -> ssl.SSLContext:
    """Make the context of a server whose certificate is too old."""
    return serving(AUTHORITY, expires=datetime.now(UTC) - timedelta(days=1))


def of_another_host() -> ssl.SSLContext:
    """Make the context of a server with the certificate of another."""
    return serving(AUTHORITY, "api.fanvue.test")


def asks_for_a_certificate(version: ssl.TLSVersion) -> Callable[[], ssl.SSLContext]:
    """Make the context of a server that lets nobody in without a certificate."""

    def make() -> ssl.SSLContext:
        context = serving(AUTHORITY)
        context.maximum_version = version
        AUTHORITY.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
        context.verify_mode = 2  # type: ignore[assignment] # pyright: ignore
        return context

    return make
