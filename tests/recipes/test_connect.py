"""Creators connect in a backend of several workers, and a bot acts for them through one store."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest

pytest.importorskip("fastapi", reason="what requirements-docs.txt lists is not installed")

from support.programs import started
from support.servers import DURABLE, redis_server
from support.users import USER

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_CREATORS = ("anna", "ben", "carla", "dana")


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """Give the address of a store."""
    if request.param == "sqlite":
        yield str(tmp_path / "fanvue.db")
    else:
        with redis_server(*DURABLE) as server:
            yield server.url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_it_answers(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url}/callback") as response:
                    assert response.status == 400
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def _connect(url: str, creator: str) -> None:
    """Be the browser of a creator."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        aiohttp.ClientSession(cookie_jar=jar) as browser,
        browser.get(f"{url}/connect/{creator}") as response,
    ):
        assert await response.json() == {"connected": creator}


async def test_a_backend_and_a_bot_share_a_store(where: str) -> None:
    """Whichever process needs a token renews it, once, and no sign-in is lost."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    async with FakeFanvue() as fake:
        fake.oauth.expires_in = 2
        environment = {
            "FANVUE_BASE_URL": fake.url,
            "FANVUE_AUTH_URL": fake.url,
            "FANVUE_CLIENT_ID": "fake-client",
            "FANVUE_CLIENT_SECRET": "fake-secret",
            "FANVUE_REDIRECT_URI": f"{url}/callback",
            "FANVUE_STORE": where,
            "EVERY": "0.2",
        }
        command = ("-m", "uvicorn", "connect_app:app", "--workers", "2", "--port", str(port))
        async with (
            started(*command, "--log-level", "warning", **environment) as backend,
            started("connect_bot.py", **environment) as bot,
        ):
            await _until_it_answers(url)
            await asyncio.gather(*(_connect(url, creator) for creator in _CREATORS))
            for creator in _CREATORS:
                await bot.read_until(f"{creator}: 0 unread chats")
            async with aiohttp.ClientSession() as http:
                for _ in range(12):
                    for creator in _CREATORS:
                        async with http.post(f"{url}/creators/{creator}/chats/{USER}") as answer:
                            assert answer.status == 201, await answer.text()
                    await asyncio.sleep(0.3)
                fake.oauth.revoke()
                # The bot first: a worker may know an older token than the store, and would adopt
                # that one, which is refused, too, before it finds out.
                await bot.read_until("anna must connect again")
                async with http.post(f"{url}/creators/anna/chats/{USER}") as answer:
                    assert await answer.json() == {"detail": "Connect at /connect/anna first."}
                    assert answer.status == 403
            for program in (bot, backend):
                program.process.send_signal(signal.SIGINT)
                output = await program.finish()
                assert "Traceback" not in output, output

        assert fake.oauth.counts["repeated"] == 0
        assert fake.oauth.counts["refresh_token"] >= len(_CREATORS)
        assert {grant.ended_by for grant in fake.oauth.grants} == {"user"}
