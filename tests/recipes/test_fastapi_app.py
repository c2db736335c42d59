"""The FastAPI backend, served by uvicorn and called over HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

pytest.importorskip("fastapi", reason="what requirements-docs.txt lists is not installed")

import fastapi_app
import uvicorn
from support.programs import assert_clean, started
from support.users import USER

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = {"anna": "token-of-anna", "bert": "token-of-bert", "carl": "expired"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeFanvue]:
    """Run a fake server that knows two of the creators."""
    async with FakeFanvue(tokens=["token-of-anna", "token-of-bert"]) as server:
        yield server


@pytest.fixture
async def backend(
    fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch, no_leaks: None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the backend, and make a session on it."""
    del no_leaks  # looks at what the backend leaves behind
    monkeypatch.setenv("FANVUE_BASE_URL", fake.url)
    monkeypatch.setenv("CREATOR_TOKENS", json.dumps(TOKENS))
    server = uvicorn.Server(uvicorn.Config(fastapi_app.app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.001)
    host, port = server.servers[0].sockets[0].getsockname()
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    server.should_exit = True
    await serving


async def post(
    backend: aiohttp.ClientSession, creator: str = "anna", user: str = USER
) -> tuple[int, Any]:
    """Ask the backend for a chat; return status and document."""
    async with backend.post(f"/creators/{creator}/chats/{user}") as response:
        return response.status, await response.json()


async def test_each_request_acts_for_its_creator(
    backend: aiohttp.ClientSession, fake: FakeFanvue
) -> None:
    """Two creators at once share the connections, and nothing else."""
    answers = await asyncio.gather(*(post(backend, creator) for creator in ["anna", "bert"] * 5))

    assert answers == [(201, {"detail": "Chat created successfully"})] * 10
    sent = sorted(request.headers["Authorization"] for request in fake.requests)
    assert sent == ["Bearer token-of-anna"] * 5 + ["Bearer token-of-bert"] * 5


@pytest.mark.parametrize(
    ("trouble", "status", "detail"),
    [
        ({"status": 400, "json": {"message": "no"}}, 409, "This user can't be messaged."),
        ({"status": 403}, 403, "This creator must connect Fanvue again."),
        ({"status": 429}, 429, "Too many requests to Fanvue."),
        ({"status": 501}, 503, "Fanvue is not available."),
        ({"status": 418}, 502, "Fanvue refused the request."),
    ],
    ids=["not contactable", "scope", "rate limit", "outage", "unexpected"],
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

    async with backend.post(f"/creators/anna/chats/{USER}") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "42")


async def test_an_expired_token_is_not_the_callers_fault(
    backend: aiohttp.ClientSession, fake: FakeFanvue
) -> None:
    """A 401 of Fanvue becomes a 403: the caller is logged in, the creator is not."""
    assert await post(backend, "carl") == (
        403,
        {"detail": "This creator must connect Fanvue again."},
    )
    assert len(fake.requests) == 1


@pytest.mark.parametrize(("creator", "user", "status"), [("dora", USER, 404), ("anna", "x", 422)])
async def test_what_is_wrong_in_the_path_goes_no_further(
    backend: aiohttp.ClientSession, fake: FakeFanvue, creator: str, user: str, status: int
) -> None:
    """An unknown creator never acts as another one, and no UUID is no user."""
    assert (await post(backend, creator, user))[0] == status
    assert fake.requests == []


async def test_the_program_starts_and_stops_cleanly(fake: FakeFanvue) -> None:
    """The command of the docstring serves; SIGTERM ends it with nothing left open."""
    async with started(
        *("-m", "uvicorn", "fastapi_app:app", "--port", "0"),
        FANVUE_BASE_URL=fake.url,
        CREATOR_TOKENS=json.dumps(TOKENS),
    ) as program:
        line = await program.read_until("Uvicorn running on")
        url = next(word for word in line.split() if word.startswith("http://"))
        async with aiohttp.ClientSession(url) as backend:
            assert (await post(backend))[0] == 201
        program.process.send_signal(signal.SIGTERM)
        output = await program.finish()

    assert "Application shutdown complete" in output
    assert_clean(output)
