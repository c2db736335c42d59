"""TLS: whom the client trusts, and what it says when the trust or the connection breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from support.failing import collecting_garbage, error_of, failing_call
from support.raw_server import (
    PURE_PYTHON,
    SUCCESS,
    RawServer,
    answer,
    close_notify,
    endless,
    fin,
    hang,
    head,
    read,
    receive,
    rst,
    segmentations,
)
from support.tls import NOT_UNDER_UVLOOP, serving, trusting
from support.users import USER

from fanvue_async import (
    FanvueError,
    Limits,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    ProtocolError,
    RetryEvent,
    RetryPolicy,
    ServerError,
    Timeout,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from support.raw_server import Step

BODY = b'{"message":"created"}'
CHUNKED = head(201, "Content-Type: application/json", "Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make a certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """Make the context of a client that trusts it."""
    return trusting(authority)


@pytest.fixture
async def server(
    authority: trustme.CA,
    no_leaks: None,  # noqa: ARG001 - it watches over this one too
) -> AsyncIterator[RawServer]:
    """Run a server with a good certificate, of whose trouble nothing must remain."""
    with collecting_garbage(), RawServer(tls=serving(authority)) as running:
        yield running


async def test_a_server_that_is_trusted(server: RawServer, trust: ssl.SSLContext) -> None:
    """Calls are served over TLS, the second on the connection of the first."""
    async with server.client(ssl=trust) as client:
        for _ in range(2):
            assert (await client.chats.create(USER)).message == "created"

    assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("unknown authority", "unable to get local issuer certificate"),
        ("no authority given", "unable to get local issuer certificate"),
        ("another host", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ("expired", "certificate has expired"),
    ],
)
@pytest.mark.usefixtures("no_leaks")
async def test_a_server_that_is_not_trusted(authority: trustme.CA, fault: str, cause: str) -> None:
    """A wrong certificate ends the call at its first connection, with nothing sent."""
    trust: ssl.SSLContext | None = trusting(authority)
    context = serving(authority)
    if fault == "unknown authority":
        trust = trusting(trustme.CA())
    elif fault == "no authority given":
        trust = None
    elif fault == "another host":
        context = serving(authority, "api.fanvue.test")
    else:
        context = serving(authority, expires=datetime.now(UTC) - timedelta(days=1))
    with RawServer(tls=context) as server:
        async with server.client(ssl=trust, limits=Limits(max_connections=1)) as client:
            error = await error_of(client)
            assert server.connections == 1
            assert type(await error_of(client)) is NotSentError  # the place was free again
        assert await server.all_closed()

    assert type(error) is NotSentError
    assert (error.attempts, error.maybe_processed) == (1, False)
    assert error.cause == f"ClientConnectorCertificateError: {cause}"
    assert server.requests == []


@pytest.mark.usefixtures("no_leaks")
async def test_https_to_a_plaintext_port(trust: ssl.SSLContext) -> None:
    """A server that answers a handshake in plain text ends the call at its first connection."""
    with RawServer(receive(1), answer(400), fin) as server:
        url = f"https://127.0.0.1:{server.port}"
        async with server.client(base_url=url, ssl=trust) as client:
            error = await error_of(client)
            assert server.connections == 1
            await error_of(client)
        assert await server.all_closed()

    assert type(error) is NotSentError
    assert (error.attempts, error.maybe_processed) == (1, False)
    assert error.cause is not None
    assert error.cause.startswith("ClientConnectorSSLError: [Errno 1] [SSL")
    assert server.requests == []


async def test_http_to_a_tls_port(server: RawServer) -> None:
    """What a TLS server makes of plain text is not known, so it may have been processed."""
    url = f"http://127.0.0.1:{server.port}"
    async with server.client(base_url=url, retry=RetryPolicy.never()) as client:
        error = await error_of(client)

    assert type(error) is NoAnswerError
    assert (error.attempts, error.maybe_processed) == (1, True)
    assert server.requests == []


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((receive(1), fin), id="closed"),
        pytest.param((receive(1), rst), id="reset"),
        pytest.param((rst,), id="reset at once", marks=NOT_UNDER_UVLOOP),
        pytest.param((receive(1), hang), id="stalled"),
    ],
)
async def test_a_handshake_that_breaks_is_repeated(
    server: RawServer, trust: ssl.SSLContext, steps: tuple[Step, ...]
) -> None:
    """A handshake that breaks off has sent nothing, and the next one may not."""
    server.play(*steps, times=2)
    async with server.client(ssl=trust, timeout=Timeout(connect=0.3)) as client:
        response = await client.request("POST", "/x")

    assert response.attempts == 3
    assert (server.connections, len(server.requests)) == (3, 1)


@pytest.mark.parametrize(
    ("steps", "bounds"),
    [
        ((receive(1), fin), Timeout()),
        ((receive(1), rst), Timeout()),
        ((receive(1), hang), Timeout(connect=0.2)),
        ((receive(1), hang), Timeout(attempt=0.2)),
    ],
    ids=["closed", "reset", "connect timeout", "attempt timeout"],
)
async def test_a_handshake_that_breaks(
    server: RawServer, trust: ssl.SSLContext, steps: tuple[Step, ...], bounds: Timeout
) -> None:
    """Without a handshake nothing was sent."""
    server.play(*steps)

    error = await failing_call(server, ssl=trust, timeout=bounds)

    assert type(error) is NotSentError
    assert (error.attempts, error.maybe_processed) == (1, False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((fin,), NoAnswerError),
        ((rst,), NoAnswerError),
        ((close_notify,), NoAnswerError),
        ((b"HTTP/1.1 201 Cre", fin), NoAnswerError),
        ((head(201, "Content-Length: 64"), BODY, fin), NoAnswerError),
        ((head(201, "Content-Length: 64"), BODY, rst), NoAnswerError),
        ((head(201, "Content-Length: 64"), BODY, close_notify), NoAnswerError),
        ((head(201, "Content-Length: 64") + BODY, close_notify), NoAnswerError),
        ((CHUNKED, b"15\r\n", BODY, fin), NoAnswerError),
        ((head(404, "Content-Length: 64"), BODY, fin), NotFoundError),
        ((head(503, "Content-Length: 64"), BODY, close_notify), ServerError),
        ((head(503), endless(b"x" * 65_536)), ServerError),
        ((head(503, "Transfer-Encoding: chunked"), b"zz\r\nabc", hang), ServerError),
    ],
)
async def test_an_answer_that_is_cut(
    server: RawServer,
    trust: ssl.SSLContext,
    steps: tuple[Step, ...],
    expected: type[FanvueError],
) -> None:
    """Over TLS the end of a connection means what it means without."""
    server.play(read, *steps)

    error = await failing_call(server, ssl=trust)

    assert type(error) is expected
    assert (error.attempts, error.maybe_processed) == (1, expected is not NotFoundError)
    assert len(server.requests) == 2


@pytest.mark.parametrize("cut", list(segmentations(b"")))
@pytest.mark.parametrize(
    "malformed",
    [CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", CHUNKED + b"2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n"],
    ids=["first chunk", "second chunk"],
)
async def test_what_is_no_http_ends_at_once(
    server: RawServer, trust: ssl.SSLContext, malformed: bytes, cut: str
) -> None:
    """A server that keeps its side of TLS open cannot keep the call."""
    server.play(read, *segmentations(malformed)[cut], hang)

    error = await failing_call(server, ssl=trust)

    allowed: set[type[FanvueError]] = {ProtocolError}
    if PURE_PYTHON and cut == "behind the head":
        # Its complaint about a chunk behind a good one gives way to that of the cut connection.
        allowed.add(NoAnswerError)
    assert type(error) in allowed
    assert (error.attempts, error.maybe_processed) == (1, True)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "steps", [(hang,), (head(201), b'{"mess', hang)], ids=["nothing", "half a body"]
)
async def test_an_answer_that_takes_too_long(
    server: RawServer, trust: ssl.SSLContext, steps: tuple[Step, ...]
) -> None:
    """A server that does not say goodbye cannot keep the connection either."""
    server.play(read, *steps)

    error = await failing_call(server, ssl=trust, timeout=Timeout(attempt=0.3))

    assert type(error) is NoAnswerError
    assert (error.attempts, error.maybe_processed) == (1, True)
    assert len(server.requests) == 2


async def test_a_dead_kept_connection_is_repeated_at_once(
    server: RawServer, trust: ssl.SSLContext
) -> None:
    """A kept connection that ends without a byte costs one more attempt, and no wait."""
    events: list[RetryEvent] = []
    server.play(read, SUCCESS, read, close_notify)
    async with server.client(ssl=trust, on_retry=events.append) as client:
        await client.chats.create(USER)
        assert (await client.request("PUT", "/x")).attempts == 2

    assert [event.wait for event in events] == [0]
    assert len(server.requests) == 3
