"""TLS: whom the client trusts, and what it says when the trust or the connection breaks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme
from support.failing import collecting_garbage, error_of
from support.raw_server import RawServer
from support.tls import TRUST, serving, trusting
from support.users import USER

from fanvue_async import Limits, NotSentError

if TYPE_CHECKING:
    import ssl

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_server_that_is_trusted() -> None:
    """Calls are served over TLS, the second on the connection of the first."""
    with collecting_garbage(), RawServer(tls=serving()) as server:
        async with server.client(ssl=TRUST) as client:
            for _ in range(2):
                assert (await client.chats.create(USER)).message == "created"

        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize(
    ("trust", "context", "cause"),
    [
        (trusting(trustme.CA()), serving(), "unable to get local issuer certificate"),
        (None, serving(), "unable to get local issuer certificate"),
        (
            TRUST,
            serving("api.fanvue.test"),
            "IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
        (TRUST, serving(expires=datetime(2001, 1, 1, tzinfo=UTC)), "certificate has expired"),
    ],
    ids=["unknown authority", "no authority given", "another host", "expired"],
)
async def test_a_server_that_is_not_trusted(
    trust: ssl.SSLContext | None, context: ssl.SSLContext, cause: str
) -> None:
    """A wrong certificate ends the call at its first connection, with nothing sent."""
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
