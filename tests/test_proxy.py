"""Proxies: what they see, and what the caller is told when they fail."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING

import pytest
from support.failing import collecting_garbage, error_of
from support.leaks import shown_by
from support.proxy import Proxy
from support.raw_server import RawServer, answer, fin, hang, read, rst
from support.tls import TRUST, serving
from support.users import USER

from fanvue_async import (
    APIError,
    FanvueError,
    Limits,
    NoAnswerError,
    NotSentError,
    ServerError,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.raw_server import Step

USERINFO = "some-user:pass%20word"
SECRETS = ("pass%20word", "pass word", base64.b64encode(b"some-user:pass word").decode())
CREDENTIALS = f"Basic {SECRETS[-1]}"


@pytest.fixture(params=["https", "http"])
async def origin(
    request: pytest.FixtureRequest,
    no_leaks: None,  # noqa: ARG001 - it watches over this one too
) -> AsyncIterator[RawServer]:
    """Run what is behind the proxy: over TLS, which needs a tunnel, or in plain text."""
    context = serving() if request.param == "https" else None
    with collecting_garbage(), RawServer(tls=context) as running:
        yield running


@pytest.fixture
async def proxy(origin: RawServer) -> AsyncIterator[Proxy]:  # noqa: ARG001 - it ends after its proxy
    """Run a proxy."""
    with Proxy() as running:
        yield running


only_tunnelled = pytest.mark.parametrize("origin", ["https"], indirect=True)
only_forwarded = pytest.mark.parametrize("origin", ["http"], indirect=True)


def through(port: int) -> str:
    """Write the address of the proxy with user and password."""
    return f"http://{USERINFO}@127.0.0.1:{port}"


async def failing_call(
    origin: RawServer,
    port: int,
    caplog: pytest.LogCaptureFixture,
    trust: ssl.SSLContext = TRUST,
    attempt: float = 15,
) -> FanvueError:
    """Make two calls that fail alike on the only connection there may be, and show no secret."""
    caplog.set_level(1)
    async with origin.client(
        ssl=trust,
        proxy=through(port),
        limits=Limits(max_connections=1),
        timeout=Timeout(attempt=attempt),
    ) as client:
        error = await error_of(client)
        # This one would wait for the place if the first had kept it.
        assert type(await error_of(client)) is type(error)
    shown = shown_by(error) + caplog.text
    assert not [secret for secret in SECRETS if secret in shown]
    return error


async def test_calls_go_through_the_proxy(
    origin: RawServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The proxy learns the password, the origin does not, and no log shows it."""
    caplog.set_level(1)
    async with origin.client(ssl=TRUST, proxy=through(proxy.port)) as client:
        for _ in range(2):
            assert (await client.chats.create(USER)).message == "created"
        shown = f"{client!r} {client._session.terms.pool.origin!r} {caplog.text}"

    assert {request.headers.get("Proxy-Authorization") for request in proxy.requests} == {
        CREDENTIALS
    }
    assert len(origin.requests) == 2
    assert [request.target for request in origin.requests] == ["/chats", "/chats"]
    assert not any("Proxy-Authorization" in request.headers for request in origin.requests)
    assert not [secret for secret in SECRETS if secret in shown]


@only_tunnelled
async def test_a_tunnel_hides_the_call(origin: RawServer, proxy: Proxy) -> None:
    """A proxy of an https address learns host and port, and is asked once for many calls."""
    async with origin.client(ssl=TRUST, proxy=through(proxy.port)) as client:
        for _ in range(3):
            await client.chats.create(USER)

    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", f"127.0.0.1:{origin.port}")
    assert "Authorization" not in request.headers
    assert (origin.connections, len(origin.requests)) == (1, 3)


async def test_a_proxy_without_a_password(origin: RawServer, proxy: Proxy) -> None:
    """Without user and password the proxy is told none."""
    async with origin.client(ssl=TRUST, proxy=proxy.url) as client:
        await client.chats.create(USER)

    assert "Proxy-Authorization" not in proxy.requests[0].headers
    assert len(origin.requests) == 1


@only_tunnelled
async def test_a_certificate_behind_a_proxy(
    origin: RawServer, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """A tunnel does not make the server at its end more trustworthy."""
    error = await failing_call(origin, proxy.port, caplog, ssl.create_default_context())

    assert type(error) is NotSentError
    assert (error.attempts, error.maybe_processed) == (1, False)
    assert "unable to get local issuer certificate" in (error.cause or "")
    assert (len(proxy.requests), len(origin.requests)) == (2, 0)


@only_forwarded
@pytest.mark.parametrize(
    ("steps", "attempts", "expected"),
    [
        ((answer(407),), 1, APIError),
        ((answer(502),), 3, ServerError),
        ((fin,), 3, NoAnswerError),
        ((rst,), 3, NoAnswerError),
        ((hang,), 3, NoAnswerError),
    ],
)
async def test_a_proxy_that_does_not_forward(  # noqa: PLR0913, PLR0917 - fixtures, and columns of the table
    origin: RawServer,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
    steps: tuple[Step, ...],
    attempts: int,
    expected: type[FanvueError],
) -> None:
    """A forwarded request left with the first byte to the proxy, whose word is the answer."""
    proxy.play(*[read, *steps] * 6, times=6)

    error = await failing_call(origin, proxy.port, caplog, attempt=0.3)

    assert type(error) is expected
    assert (error.attempts, error.maybe_processed) == (attempts, expected is not APIError)
    assert len(proxy.requests) == 2 * attempts
    assert origin.connections == 0
