"""TLS: whom the client trusts, and what it says when the trust or the connection breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from support.failing import collecting_garbage, error_of
from support.raw_server import (
    RawServer,
)
from support.tls import serving, trusting
from support.users import USER

from fanvue_async import (
    Limits,
    NotSentError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


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
