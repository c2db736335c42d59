"""The aiohttp.web backend, served and called over HTTP."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from aiohttp_app import FANVUE, SESSION, make_app
from support.programs import assert_clean, started
from support.users import USER

from fanvue_async import ClientStateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from fanvue_async.testing import FakeFanvue


@pytest.fixture
def app(fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch) -> web.Application:
    """Make the backend, for a creator of the fake server."""
    monkeypatch.setenv("FANVUE_BASE_URL", fake.url)
    monkeypatch.setenv("FANVUE_ACCESS_TOKEN", fake.token)
    return make_app()


@pytest.fixture
async def backend(app: web.Application, no_leaks: None) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the backend, and make a session on it."""
    del no_leaks  # looks at what the backend leaves behind
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(server.make_url("/")) as session,
    ):
        yield session


async def post(backend: aiohttp.ClientSession, user: str = USER) -> tuple[int, Any]:
    """Ask the backend for a chat; return status and document."""
    async with backend.post(f"/chats/{user}") as response:
        return response.status, await response.json()


async def test_a_chat_is_created(backend: aiohttp.ClientSession, fake: FakeFanvue) -> None:
    """One request to the backend is one to Fanvue."""
    assert await post(backend) == (201, {"detail": "Chat created successfully"})
    assert fake.chats == [USER]


@pytest.mark.parametrize(
    ("trouble", "status", "detail"),
    [
        ({"status": 400, "json": {"message": "no"}}, 409, "This user can't be messaged."),
        ({"status": 429}, 429, "Too many requests to Fanvue."),
        ({"status": 501}, 503, "Fanvue is not available."),
        ({"status": 401}, 502, "Fanvue refused the request."),
    ],
    ids=["not contactable", "rate limit", "outage", "token"],
)
async def test_each_error_has_its_answer(
    backend: aiohttp.ClientSession,
    fake: FakeFanvue,
    trouble: dict[str, Any],
    status: int,
    detail: str,
) -> None:
    """Typed errors become HTTP answers, in one place for all routes."""
    fake.reply(**trouble)

    may_be_processed = {"maybe_processed": True} if status == 503 else {}
    assert await post(backend) == (status, {"detail": detail} | may_be_processed)


async def test_the_rate_limit_is_passed_on(
    backend: aiohttp.ClientSession, fake: FakeFanvue
) -> None:
    """The caller learns when to come back."""
    fake.reply(429, headers={"Retry-After": "42"})

    async with backend.post(f"/chats/{USER}") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "42")


async def test_what_is_no_uuid_goes_no_further(
    backend: aiohttp.ClientSession, fake: FakeFanvue
) -> None:
    """The client refuses it before anything is sent."""
    assert await post(backend, "Olga") == (400, {"detail": "This is not a user UUID."})
    assert fake.requests == []


async def test_the_session_outlives_the_client_that_borrows_it(app: web.Application) -> None:
    """Contexts end in the reverse order: the client first, then the session it borrows from."""
    async with TestServer(app):
        session, fanvue = app[SESSION], app[FANVUE]
        assert fanvue._session.terms.pool.http is not None
        assert fanvue._session.terms.pool.http.connector is session.connector
        await fanvue.aclose()
        assert not session.closed

    assert session.closed
    with pytest.raises(ClientStateError):
        await fanvue.chats.create(USER)


async def test_the_program_starts_and_stops_cleanly(fake: FakeFanvue) -> None:
    """The command of the docstring serves; SIGTERM ends it with nothing left open."""
    async with started(
        "aiohttp_app.py",
        FANVUE_BASE_URL=fake.url,
        FANVUE_ACCESS_TOKEN=fake.token,
        PORT="0",
    ) as program:
        line = await program.read_until("Running on")
        url = next(word for word in line.split() if word.startswith("http://"))
        async with aiohttp.ClientSession(url) as backend:
            assert (await post(backend))[0] == 201
        program.process.send_signal(signal.SIGTERM)
        output = await program.finish()

    assert program.process.returncode == 0
    assert_clean(output)
