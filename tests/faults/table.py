"""What servers, proxies and name servers do to a call, and what the caller is told: the table.

A row is written with the word for its end: ``not_sent``, ``refused``, ``lost``, ``no_http``,
``broken``, ``answered`` or ``fine``, each defined below with what it promises. What follows is its
name, and what the server does with a connection, in the words of ``support.raw_server``; no_http,
broken and fine take the answer's bytes, which the test sends whole, cut behind the head and in
bytes. A mere status is no fault; they are in ``STATUSES``.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import select
import socket
import ssl
import zlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
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
from support.tls import AUTHORITY, serving, trusting

from fanvue_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DecodeError,
    FanvueError,
    NoAnswerError,
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
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from support.raw_server import Step

    Route = Callable[["RawServer"], AbstractAsyncContextManager[dict[str, Any]]]

PASSWORD = "proxy-password"
SECRETS = (TOKEN, PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode())
"""What no error and no log may show. Answers quote the token where it could slip through."""

SLOW = Timeout(attempt=0.2)
"""For a server that keeps the call waiting."""
PATIENT = Timeout(attempt=15)
"""For all others: who waits for this clock is late."""

SLOW_TO_CONNECT: dict[str, Any] = {"slow": True, "timeout": Timeout(attempt=15, connect=0.2)}
"""For what keeps the call from getting there."""

SLOWLY: dict[str, Any] = {"slow": True, "timeout": SLOW}
LENIENT: dict[str, Any] = {"ends": ProtocolError, "lenient": DecodeError}
SPILLS: dict[str, Any] = {"in_pieces": None, "pure_python": {"whole": None}, "spills": True}

PLAIN, TLS = ("plain",), ("TLS",)
BOTH = PLAIN + TLS

_JSON = "Content-Type: application/json"
_BODY = b'{"message":"created"}'
_ZIPPED = gzip.compress(_BODY)
_CHUNKED = head(201, _JSON, "Transfer-Encoding: chunked")
_HALF_A_HEAD = f"HTTP/1.1 201 Created\r\nSet-Cookie: key={TOKEN}\r\nContent-Le".encode()
_64 = "Content-Length: 64"
_GZIP = "Content-Encoding: gzip"
_LONG = head(201, _JSON, _64)
_HALF_A_RECORD = b"\x16\x03\x03\x00\x7a\x02"
_MEGABYTE = 1024 * 1024
_LARGE = "x" * 8 * _MEGABYTE  # more than the buffers between client and server hold
_TOO_LONG_FOR_BYTES = 1_000


@attrs.frozen(kw_only=True)
class Fault:
    """A row."""

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
    over: tuple[str, ...] = PLAIN
    cut: bool = False
    """Whether its answer is also sent in pieces."""
    in_pieces: type[FanvueError] | str | None = "the same"
    """How it ends then, if in another way."""
    pure_python: Mapping[str, type[FanvueError] | None] = attrs.field(factory=dict[str, Any])
    """How it ends without aiohttp's C extension, if in another way, for each way to cut it."""
    lenient: type[FanvueError] | str | None = "the same"
    """How it ends outside of Python's development mode, where the C parser lets more pass."""
    route: Route | None = None
    """Brings about what lies between client and server, and gives the client's options."""
    lasts: bool = False
    """Whether the next call fails too, since it never gets to the server."""
    reused: bool = False
    """Whether the first connection has served another call before this one."""
    idle: tuple[Step, ...] = attrs.field(default=(), repr=False)
    """What the server does with a connection that has served a call, before the next one."""
    races: bool = False
    """Whether the connection may also be gone before the request is written: NotSentError."""
    spills: bool = False
    """Whether the server says more than belongs to the answer."""
    large: bool = False
    """Whether the request is larger than what the network buffers."""
    timeout: Timeout = PATIENT
    context: Callable[[], ssl.SSLContext] | None = None
    """Makes the server's TLS context, if it is another than the usual."""

    def slower(self, pace: float) -> Fault:
        """Give the short times of its clock so many times as long."""
        seconds = self.timeout
        return attrs.evolve(
            self,
            timeout=Timeout(
                attempt=min(seconds.attempt * pace, PATIENT.attempt), connect=seconds.connect * pace
            ),
        )

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


def not_sent(name: str, *steps: Step, **more: Any) -> Fault:
    """NotSentError after two attempts: nothing left, and it may go better next time."""
    ends: dict[str, Any] = {"ends": NotSentError, "requests": 0, "attempts": 2}
    return Fault(name=name, steps=steps, **(ends | more))


def refused(name: str, *steps: Step, **more: Any) -> Fault:
    """NotSentError after one attempt: nothing left, and another attempt would end alike."""
    return not_sent(name, *steps, attempts=1, **more)


def lost(name: str, *steps: Step, **more: Any) -> Fault:
    """NoAnswerError after two attempts, two requests read; the API may have acted."""
    ends: dict[str, Any] = {"ends": NoAnswerError, "maybe_processed": True}
    ends |= {"requests": 2, "attempts": 2}
    if hang in steps or more.get("slow"):
        ends |= SLOWLY
    return Fault(name=name, steps=steps, **(ends | more))


def no_http(name: str, data: bytes, **more: Any) -> Fault:
    """ProtocolError at once, one request read; the API may have acted.

    The server waits for what the client does, so one that waits for more would hang.
    """
    ends: dict[str, Any] = {"ends": ProtocolError, "maybe_processed": True, "cut": True}
    last = more.pop("then", hang)
    return Fault(name=name, steps=(read, data, last), **(ends | more))


def broken(name: str, data: bytes, **more: Any) -> Fault:
    """DecodeError at once, one request read; the API has acted."""
    ends: dict[str, Any] = {"ends": DecodeError, "maybe_processed": True, "cut": True}
    steps = (read, data, more.pop("then")) if "then" in more else (read, data)
    return Fault(name=name, steps=steps, **(ends | more))


def answered(name: str, status: int, *steps: Step, **more: Any) -> Fault:
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
    return Fault(name=name, steps=(read, *steps), **(ends | more))


def fine(name: str, data: bytes, **more: Any) -> Fault:
    """No error at all, after one request."""
    ends: dict[str, Any] = {"ends": None, "cut": True}
    return Fault(name=name, steps=(read, data), **(ends | more))


def early(name: str, status: int) -> Fault:
    """End in the class of the status, which came before the request was read."""
    fault = answered(name, status, large=True)
    steps = (receive(100_000), answer(status, b'{"message":"too much"}'), hang)
    return attrs.evolve(fault, steps=steps, requests=0)


STATUSES: dict[int, type[APIError]] = {
    **dict.fromkeys((300, 301, 302, 303, 304, 307, 308, 399), APIError),
    **dict.fromkeys((402, 405, 406, 407, 408, 411, 413, 415, 417, 418, 422), APIError),
    **dict.fromkeys((425, 428, 431, 451, 499), APIError),
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
    """Send a TLS record that nobody can decrypt, and no more."""
    socket.socket.sendall(connection.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    connection.server.let_client_read()
    hang(connection)


def no_gzip(size: int) -> bytes:
    """Compress so many bytes of nothing."""
    return gzip.compress(bytes(size))


def redirect(location: str) -> bytes:
    """Answer 307, which would send the request once more."""
    return answer(307, b"", f"Location: {location}")


# What lies between client and server


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


def options(make: Callable[[RawServer], dict[str, Any]]) -> Route:
    """Give the client these options."""

    @asynccontextmanager
    async def route(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
        yield make(server)

    return route


HTTP = options(lambda server: {"base_url": f"http://127.0.0.1:{server.port}"})
"""Speaks HTTP without TLS, whatever the server expects."""
HTTPS = options(lambda server: {"base_url": f"https://127.0.0.1:{server.port}"})
ANOTHER_AUTHORITY = options(lambda _: {"ssl": trusting(trustme.CA())})


@asynccontextmanager
async def lending(**connector: Any) -> AsyncGenerator[dict[str, Any]]:
    """Lend the client a session with one connection."""
    tcp = aiohttp.TCPConnector(limit=1, **connector)
    async with aiohttp.ClientSession(connector=tcp) as session:
        yield {"session": session, "limits": None}


@asynccontextmanager
async def another_fingerprint(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Expect another certificate than the server has."""
    async with lending(ssl=aiohttp.Fingerprint(bytes(32))) as lent:
        yield lent


@asynccontextmanager
async def slow_to_write(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Let some time pass between the connection and the request."""

    async def pause(*_: object) -> None:
        await asyncio.sleep(0.03)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(pause)  # which aiohttp calls just before it writes
    async with lending() as lent:
        lent["session"].trace_configs.append(tracing)
        tracing.freeze()
        yield lent


@asynccontextmanager
async def a_busy_owner(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Borrow a session whose only connection its owner is using."""
    server.play(receive(1), hang)
    async with lending() as lent:
        owners = asyncio.create_task(lent["session"].request("GET", server.url))
        while not server.connections:  # noqa: ASYNC110 - it is nobody's event
            await asyncio.sleep(0.001)
        try:
            yield lent
        finally:
            owners.cancel()
            await asyncio.wait([owners])


class _Names(AbstractResolver):
    """Finds these addresses for every name, after that time, or raises that error."""

    def __init__(self, *hosts: str, after: float = 0, error: OSError | None = None) -> None:
        self._hosts = hosts
        self._after = after
        self._error = error

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - as aiohttp calls it
    ) -> list[ResolveResult]:
        """Look up a name."""
        await asyncio.sleep(self._after)
        if self._error is not None:
            raise self._error
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for address in self._hosts
        ]

    async def close(self) -> None:
        """Release nothing."""


def names(*hosts: str, **how: Any) -> Route:
    """Look names up in this way."""

    @asynccontextmanager
    async def route(server: RawServer) -> AsyncGenerator[dict[str, Any]]:
        async with lending(resolver=_Names(*hosts, **how)) as lent:
            yield lent | {"base_url": f"http://localhost:{server.port}"}

    return route


def proxy(*steps: Step, times: int = 2) -> Route:
    """Put a proxy before the server that does this with its first connections."""

    @asynccontextmanager
    async def route(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
        with Proxy() as between:
            between.play(read, *steps, times=times)
            yield {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{between.port}"}

    return route


@asynccontextmanager
async def no_proxy(_: RawServer) -> AsyncGenerator[dict[str, Any]]:
    """Go through a proxy that is not there."""
    with refusing_port() as port:
        yield {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{port}"}


# Contexts of a server

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def asks_for_a_certificate(version: ssl.TLSVersion) -> Callable[[], ssl.SSLContext]:
    """Make the context of a server that lets nobody in without a certificate."""

    def make() -> ssl.SSLContext:
        context = serving()
        context.maximum_version = version
        AUTHORITY.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    return make


BEFORE_IT_CAN_LEAVE = [
    not_sent("connection refused", route=nobody_listens, lasts=True, over=BOTH),
    not_sent(
        "no such name", route=names(error=OSError(socket.EAI_NONAME, "not known")), lasts=True
    ),
    not_sent(
        "no name server", route=names(error=OSError(socket.EAI_AGAIN, "temporary")), lasts=True
    ),
    refused("a name without an address", route=names(), lasts=True),
    not_sent("a name server that hangs", route=names(after=60), lasts=True, **SLOW_TO_CONNECT),
    not_sent("a TCP black hole", route=nobody_accepts, lasts=True, **SLOW_TO_CONNECT),
    fine(
        "the first of two addresses is dead",
        SUCCESS,
        route=names("127.0.0.2", "127.0.0.1"),
        cut=False,
    ),
    not_sent(
        "the pool is exhausted by its owner", route=a_busy_owner, lasts=True, **SLOW_TO_CONNECT
    ),
    refused("untrusted authority", route=ANOTHER_AUTHORITY, over=TLS, lasts=True),
    refused("wrong host", context=lambda: serving("api.fanvue.test"), over=TLS, lasts=True),
    refused("expired certificate", context=lambda: serving(expires=LONG_AGO), over=TLS, lasts=True),
    refused("fingerprint mismatch", route=another_fingerprint, over=TLS, lasts=True),
    refused("https to a plaintext port", receive(1), answer(400), fin, route=HTTPS, lasts=True),
    refused("https to a mail server", b"220 mail.example ESMTP\r\n", hang, route=HTTPS, lasts=True),
    not_sent("FIN at once during handshake", fin, over=TLS),
    not_sent("FIN during handshake", receive(1), fin, over=TLS),
    not_sent("RST during handshake", receive(1), rst, over=TLS),
    not_sent("FIN in a handshake record", receive(1), _HALF_A_RECORD, fin, over=TLS),
    not_sent("RST in a handshake record", receive(1), _HALF_A_RECORD, rst, over=TLS),
    refused(
        "TLS alert during handshake", receive(1), b"\x15\x03\x03\x00\x02\x02\x28", fin, over=TLS
    ),
    refused(
        "no TLS version in common", receive(1), b"\x15\x03\x03\x00\x02\x02\x46", hang, over=TLS
    ),
    not_sent("TLS handshake stalls at once", hang, over=TLS, **SLOW_TO_CONNECT),
    not_sent("TLS handshake stalls", receive(1), _HALF_A_RECORD, hang, over=TLS, **SLOWLY),
    refused(
        "client certificate required, TLS 1.2",
        read,
        context=asks_for_a_certificate(ssl.TLSVersion.TLSv1_2),
        over=TLS,
        lasts=True,
    ),
    not_sent("write on a closing transport", fin, route=slow_to_write),
    fine("FIN on the idle connection", SUCCESS, idle=(fin,), cut=False, over=BOTH),
    fine("RST on the idle connection", SUCCESS, idle=(rst,), cut=False, over=BOTH),
]

PROXIES = [
    refused("CONNECT answered 407", route=proxy(answer(407), times=1), over=TLS),
    not_sent("CONNECT answered 502", route=proxy(answer(502)), over=TLS),
    not_sent("CONNECT closed", route=proxy(fin), over=TLS),
    not_sent("CONNECT reset", route=proxy(rst), over=TLS),
    not_sent("CONNECT hangs", route=proxy(hang, times=3), over=TLS, lasts=True, **SLOW_TO_CONNECT),
    not_sent("proxy down", route=no_proxy, over=BOTH, lasts=True),
    not_sent("CONNECT answered 200 and closed", route=proxy(head(200), fin), over=TLS),
    refused(
        "CONNECT answered with no HTTP", route=proxy(b"SSH-2.0-x\r\n\r\n", fin, times=1), over=TLS
    ),
]

NO_ANSWER = [
    lost("accepted, then FIN without reading", arrived, fin, requests=0),
    lost("accepted, then RST without reading", arrived, rst, requests=0),
    lost("stale keep-alive, FIN", arrived, fin, requests=0, reused=True),
    lost("stale keep-alive, RST", arrived, rst, requests=0, reused=True),
    lost("stale keep-alive, FIN after reading", read, fin, reused=True, over=BOTH),
    lost("stale keep-alive, RST after reading", read, rst, reused=True, over=BOTH),
    lost("http to a TLS port", read, route=HTTP, over=TLS, lasts=True, requests=0),
    lost(
        "client certificate required, TLS 1.3",
        read,
        context=asks_for_a_certificate(ssl.TLSVersion.TLSv1_3),
        over=TLS,
        lasts=True,
        races=True,
        requests=0,
    ),
    lost("request read, then FIN", read, fin, over=BOTH),
    lost("request read, then RST", read, rst, over=BOTH),
    lost("TLS: clean close after request", read, close_notify, over=TLS),
    lost("TLS: corrupt record", read, corrupt, over=TLS),
    lost("TLS: corrupt record in the body", read, _LONG, _BODY, corrupt, over=TLS),
    lost("close after one byte", read, b"H", fin, over=BOTH),
    lost("close inside the status line", read, b"HTTP/1.1 20", fin, over=BOTH),
    lost("RST inside the status line", read, b"HTTP/1.1 20", rst, over=BOTH),
    lost("close_notify inside the status line", read, b"HTTP/1.1 20", close_notify, over=TLS),
    lost("close after the status line", read, b"HTTP/1.1 201 Created\r\n", fin, over=BOTH),
    lost("close mid-headers", read, _HALF_A_HEAD, fin, over=BOTH),
    lost("RST mid-headers", read, _HALF_A_HEAD, rst, over=BOTH),
    lost("close before the empty line", read, SUCCESS.partition(b"\r\n\r\n")[0] + b"\r\n", fin),
    lost("close after 100 Continue", read, head(100), fin, over=BOTH),
    lost("close after the head", read, _LONG, fin, over=BOTH),
    lost("Content-Length short by FIN", read, _LONG, _BODY, fin, over=BOTH),
    lost("Content-Length short by FIN, one segment", read, _LONG + _BODY, fin, over=BOTH),
    lost("Content-Length short by RST", read, _LONG, _BODY, rst, over=BOTH),
    lost("Content-Length short by close_notify", read, _LONG, _BODY, close_notify, over=TLS),
    lost("cut before the first chunk", read, _CHUNKED, fin, over=BOTH),
    lost("cut in a chunk size", read, _CHUNKED, b"1", fin, over=BOTH),
    lost("cut in a chunk", read, _CHUNKED, b"15\r\n", _BODY[:9], fin, over=BOTH),
    lost("cut in a chunk by RST", read, _CHUNKED, b"15\r\n", _BODY[:9], rst, over=BOTH),
    lost("cut behind a chunk", read, _CHUNKED, b"15\r\n" + _BODY, fin, over=BOTH),
    lost("no terminal chunk", read, _CHUNKED, b"15\r\n%b\r\n" % _BODY, fin, over=BOTH),
    lost("no terminal chunk by RST", read, _CHUNKED, b"15\r\n%b\r\n" % _BODY, rst, over=BOTH),
    lost("half a terminal chunk", read, _CHUNKED, b"15\r\n%b\r\n0\r\n" % _BODY, fin, over=BOTH),
    lost("gzip cut by FIN", read, head(201, _GZIP, "Content-Length: 99"), _ZIPPED[:12], fin),
    lost("never answers", read, hang, over=BOTH),
    lost("never ends the status line", read, b"HTTP/1.1 20", hang),
    lost("never ends the head", read, _HALF_A_HEAD, hang),
    lost("never begins the body", read, _LONG, hang),
    lost("never ends the body", read, _LONG, _BODY, hang, over=BOTH),
    lost("never ends the chunks", read, _CHUNKED, b"15\r\n%b\r\n" % _BODY, hang),
    lost("never closes what only closing ends", read, head(201), _BODY, hang),
    lost("drips a body", read, head(201, "Content-Length: 999"), endless(b" ", 0.02), slow=True),
    lost("drips a head", read, b"HTTP/1.1 201 Created\r\n", endless(b"X: y\r\n", 0.02), slow=True),
    lost("endless 100 Continue", read, endless(head(100)), slow=True),
    lost("stops reading a large body", receive(100_000), hang, requests=0, large=True),
    lost("reads nothing of a large body", hang, requests=0, large=True),
    lost("RST in a large body", receive(100_000), rst, requests=0, large=True),
    early("413 while a large body is uploading", 413),
    early("401 while a large body is uploading", 401),
]


_OK = b"\r\nContent-Length: 2\r\n\r\n{}"

# Why some rows end in another way with aiohttp's pure-Python parser.
_WAYS = ("whole", "behind the head", "byte by byte")
_ENDLESS_INTEGERS: dict[str, Any] = {
    "then": fin,
    "pure_python": dict.fromkeys(_WAYS, NoAnswerError),
}
"""Its integers have no end, so it waits for as much as they say."""
_BEHIND_A_GOOD_CHUNK: dict[str, Any] = {"pure_python": {"behind the head": NoAnswerError}}
"""Its complaint about a chunk behind a good one gives way to that of the cut connection."""

NO_HTTP = [
    # The head
    no_http("garbage", b"garbage\r\n\r\n"),
    no_http("garbage that quotes the token", f"Bearer {TOKEN}\r\n\r\n".encode()),
    no_http("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    no_http("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    no_http("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n"),
    no_http("a request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    no_http("HTTP/0.9", b"<html>Created</html>\r\n\r\n"),
    no_http("HTTP of no version", b"HTTP 201 Created" + _OK),
    no_http("HTTP of a long version", b"HTTP/1.11 201 Created" + _OK),
    no_http("http in small letters", b"http/1.1 201 Created" + _OK),
    no_http("status missing", b"HTTP/1.1 Created" + _OK),
    no_http("status of words", b"HTTP/1.1 abc Strange" + _OK),
    no_http("status negative", b"HTTP/1.1 -201 Created" + _OK),
    no_http("status with a sign", b"HTTP/1.1 +20 Created" + _OK),
    no_http("status broken", b"HTTP/1.1 2.1 Created" + _OK),
    no_http("status 99", b"HTTP/1.1 99 Odd" + _OK),
    broken("status 099", b"HTTP/1.1 099 Odd" + _OK, ends=ProtocolError),
    broken("status 600", b"HTTP/1.1 600 Odd" + _OK, ends=ProtocolError),
    no_http("status 1000", b"HTTP/1.1 1000 Odd" + _OK),
    no_http("unsolicited 101", head(101, "Upgrade: websocket", "Connection: upgrade")),
    no_http("NUL in a header", head(201, "X-Nul: a\0b", "Content-Length: 2") + b"{}"),
    no_http("CR in a header", head(201, "X-Cr: a\rb", "Content-Length: 2") + b"{}"),
    broken(
        "a control character in a header",
        head(201, "X: a\x01b", "Content-Length: 2") + b"{}",
        **LENIENT,
    ),
    no_http("a header without a colon", head(201, "Content-Length 2") + b"{}"),
    no_http("a header without a name", head(201, ": x", "Content-Length: 2") + b"{}"),
    no_http("a space in a header's name", head(201, "X Y: x", "Content-Length: 2") + b"{}"),
    broken("a space behind a header's name", head(201, "Content-Length : 2") + b"{}", **LENIENT),
    broken("a folded first header", b"HTTP/1.1 201 Created\r\n X: y" + _OK, **LENIENT),
    no_http("9 kB header", head(201, "X: " + "x" * 9_000, "Content-Length: 2") + b"{}"),
    no_http("9 kB status line", b"HTTP/1.1 201 " + b"x" * 9_000 + _OK),
    no_http(
        "200 headers", head(201, *[f"X-{n}: x" for n in range(200)], "Content-Length: 2") + b"{}"
    ),
    # The framing
    no_http("Content-Length empty", head(201, "Content-Length:") + b"{}"),
    no_http("Content-Length of words", head(201, "Content-Length: many") + b"{}"),
    no_http("Content-Length negative", head(201, "Content-Length: -2") + b"{}"),
    no_http("Content-Length with a sign", head(201, "Content-Length: +2") + b"{}"),
    no_http("Content-Length hexadecimal", head(201, "Content-Length: 0x2") + b"{}"),
    no_http("Content-Length a list", head(201, "Content-Length: 2, 2") + b"{}"),
    no_http(
        "Content-Length of 20 digits",
        head(201, "Content-Length: " + "9" * 20) + b"{}",
        **_ENDLESS_INTEGERS,
    ),
    no_http("two Content-Length", head(201, "Content-Length: 2", "Content-Length: 3") + b"{}"),
    no_http("CL+TE", head(201, "Content-Length: 2", "Transfer-Encoding: chunked") + b"{}"),
    no_http("chunk size of words", _CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", over=BOTH),
    no_http("chunk size empty", _CHUNKED + b"\r\n{}\r\n0\r\n\r\n", over=BOTH),
    no_http("chunk size negative", _CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", over=BOTH),
    no_http("chunk size with a sign", _CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n", over=BOTH),
    no_http(
        "chunk size of 17 digits",
        _CHUNKED + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
        over=BOTH,
        **_ENDLESS_INTEGERS,
    ),
    no_http(
        "chunk longer than its size",
        _CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
        over=BOTH,
        **_BEHIND_A_GOOD_CHUNK,
    ),
    no_http(
        "second chunk malformed",
        _CHUNKED + b"2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n",
        over=BOTH,
        **_BEHIND_A_GOOD_CHUNK,
    ),
    broken(
        "trailer malformed",
        _CHUNKED + b"15\r\n%b\r\n0\r\nno trailer\r\n\r\n" % _BODY,
        ends=ProtocolError,
        over=BOTH,
        pure_python=dict.fromkeys(_WAYS[1:], NoAnswerError),
    ),
    # What stands behind a good answer
    no_http(
        "204 + body",
        head(204) + b"{}",
        in_pieces=DecodeError,
        pure_python={"whole": DecodeError},
        spills=True,
    ),
    no_http("extra bytes after the body", SUCCESS + b"extra", **SPILLS),
    no_http(
        "extra bytes after the chunks", _CHUNKED + b"15\r\n%b\r\n0\r\n\r\nextra" % _BODY, **SPILLS
    ),
    # The coding
    broken("zstd, which was not asked for", answer(201, _ZIPPED, "Content-Encoding: zstd")),
    broken("brotli, which was not asked for", answer(201, _ZIPPED, "Content-Encoding: br")),
    lost("corrupt gzip", read, answer(201, _ZIPPED[:12] + b"xx" + _ZIPPED[14:], _GZIP), cut=True),
    lost("gzip with a bad CRC", read, answer(201, _ZIPPED[:-8] + bytes(8), _GZIP), cut=True),
    lost('"gzip" that is not', read, answer(201, _BODY, _GZIP), cut=True),
    lost('"deflate" that is not', read, answer(201, _BODY, "Content-Encoding: deflate"), cut=True),
]

_ONE_CHUNK = b"15\r\n%b\r\n0\r\n\r\n" % _BODY
_DEEP = b'{"message":"created","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
_DIGITS = b'{"message":"created","x":' + b"1" * 5_000 + b"}"
_CREATED = '{"message":"cr\xe9ated"}'

WHOLE = [
    fine("100 Continue first", head(100) + SUCCESS),
    fine("1000 x 100 Continue first", head(100) * 1_000 + SUCCESS),
    fine("103 first", head(103, "Link: </x>") + SUCCESS),
    fine("chunked twice", head(201, "Transfer-Encoding: chunked, chunked") + _ONE_CHUNK),
    fine("gzip cut, length right, JSON whole", answer(201, _ZIPPED[:-8], _GZIP)),
    fine("text/html around JSON", answer(201, _BODY, "Content-Type: text/html")),
    fine("no type", answer(201, _BODY)),
    fine("charset=utf-16 of UTF-8", answer(201, _BODY, f"{_JSON}; charset=utf-16")),
    fine("charset=zlib", answer(201, _BODY, f"{_JSON}; charset=zlib")),
    fine("charset=bogus", answer(201, _BODY, f"{_JSON}; charset=bogus")),
    fine("unknown Content-Encoding, not encoded", answer(201, _BODY, "Content-Encoding: x-none")),
    fine("deflate", answer(201, zlib.compress(_BODY), "Content-Encoding: deflate")),
    fine("408 on the idle connection", SUCCESS, idle=(answer(408),), cut=False),
    fine("408 and FIN on the idle connection", SUCCESS, idle=(answer(408), fin), cut=False),
    broken("text/html", answer(201, b"<html>Created</html>", "Content-Type: text/html")),
    broken("empty", answer(201)),
    broken("204", head(204)),
    broken("null", answer(201, b"null", _JSON)),
    broken("not JSON", answer(201, b"{'message':'created'}", _JSON)),
    broken("BOM", answer(201, b"\xef\xbb\xbf" + _BODY, _JSON)),
    broken("invalid UTF-8", answer(201, _CREATED.encode("latin-1"), _JSON)),
    broken("UTF-16", answer(201, _BODY.decode().encode("utf-16"), f"{_JSON}; charset=utf-16")),
    fine("an integer of 5000 digits in a field that nobody reads", answer(201, _DIGITS, _JSON)),
    broken("nested 100000 times", answer(201, _DEEP, _JSON)),
    broken("NaN", answer(201, b'{"message":"created","x":NaN}', _JSON)),
    broken("Infinity", answer(201, b'{"message":"created","x":-Infinity}', _JSON)),
    broken("a list", answer(201, b"[%b]" % _BODY, _JSON)),
    broken("a number where text should be", answer(201, b'{"message":5}', _JSON)),
    broken("a field missing", answer(201, b"{}", _JSON)),
    broken("two documents", answer(201, _BODY * 2, _JSON)),
    broken("unknown Content-Encoding, encoded", answer(201, _ZIPPED, "Content-Encoding: x-gzip2")),
    broken("gzip, gzip", answer(201, gzip.compress(_ZIPPED), "Content-Encoding: gzip, gzip")),
    broken("gzip cut, length right, JSON cut", answer(201, _ZIPPED[:16], _GZIP)),
    broken("gzip bomb", answer(201, no_gzip(64 * _MEGABYTE), _GZIP)),
    broken("longer than the cap", answer(201, b" " * _MEGABYTE + _BODY, _JSON)),
    broken("close-delimited body cut by FIN", head(201, _JSON) + _BODY[:9], then=fin),
    broken("close-delimited body cut by RST", head(201, _JSON) + _BODY[:9], then=rst),
    broken("endless", head(201, _JSON), then=endless(b" " * 65_536), cut=False),
    broken(
        "1 TiB announced",
        head(201, f"Content-Length: {2**40}"),
        then=endless(b" " * 65_536),
        cut=False,
    ),
]

_TOKEN_QUOTED = f'{{"message":"no: Bearer {TOKEN}"}}'.encode()

REFUSALS = [
    answered("redirect to another origin", 307, redirect("http://127.0.0.2:9/chats")),
    answered(
        "redirect that quotes the token", 307, redirect(f"http://{TOKEN}@127.0.0.1:9/?key={TOKEN}")
    ),
    answered("redirect in a circle", 307, redirect("/chats")),
    answered("redirect without Location", 307, answer(307)),
    answered("redirect to ftp:", 307, redirect("ftp://127.0.0.1/")),
    answered("redirect to javascript:", 307, redirect("javascript:alert(1)")),
    answered("redirect to what is no URL", 307, redirect("http://[:::1/")),
    answered(
        "503 with Retry-After", 503, answer(503, b"", "Retry-After: 0", "Connection: close"), fin
    ),
    answered("429 with Retry-After", 429, answer(429, b"", "Retry-After: 0")),
    answered("429 whose body is cut", 429, head(429, _64), b"{", fin, over=BOTH),
    answered("503 whose body is cut", 503, head(503, _64), b"{", fin, over=BOTH),
    answered("429 whose body is reset", 429, head(429, _64), b"{", rst, over=BOTH),
    answered("503 whose body is reset", 503, head(503, _64), b"{", rst, over=BOTH),
    answered(
        "403 with malformed chunks",
        403,
        head(403, "Transfer-Encoding: chunked"),
        b"zz\r\n{",
        hang,
        over=BOTH,
    ),
    answered("403 that is no gzip", 403, head(403, _GZIP, "Content-Length: 3"), b"abc"),
    answered("403 that is a gzip bomb", 403, answer(403, no_gzip(64 * _MEGABYTE), _GZIP)),
    answered("403 that never begins", 403, head(403, _64), hang, **SLOWLY),
    answered("503 that never ends", 503, head(503, _64), b"{", hang, **SLOWLY),
    answered("403 without an end", 403, head(403), endless(b"x" * 65_536), over=BOTH),
    answered("403 of HTML", 403, answer(403, b"<h1>Forbidden</h1>", "Content-Type: text/html")),
    answered("403 nested 100000 times", 403, answer(403, _DEEP[:60_000], _JSON)),
    answered(
        "401 that quotes the token",
        401,
        answer(401, _TOKEN_QUOTED, _JSON, f"X-Request-Id: {TOKEN}"),
    ),
    answered("400 of a strange shape", 400, answer(400, b'[{"errors":5}]', _JSON)),
]

FAULTS = [*BEFORE_IT_CAN_LEAVE, *PROXIES, *NO_ANSWER, *NO_HTTP, *WHOLE, *REFUSALS]
