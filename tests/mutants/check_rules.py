"""Security rules that no other test would miss; each has its mutant in ``security.diff``."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from support.stages import LoopServer, say
from support.users import USER

from fanvue_async import APIError, FanvueClient
from mutants import TESTS

if TYPE_CHECKING:
    from fanvue_async.testing import FakeFanvue


def test_the_floor_of_aiohttp_has_its_security_fixes() -> None:
    """Before 3.14.3 a malformed answer read beyond a buffer of the parser (CVE-2026-69244)."""
    stated = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]["dependencies"]

    assert "aiohttp>=3.14.4" in stated


async def test_an_announcement_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What a header says of the version's end moves no cursor and fills no disk."""
    hostile = b"\xff%s{0}" + b"x" * 4_000  # bytes that are no UTF-8 arrive as lone surrogates
    answer = b"HTTP/1.1 201 Created\r\nDeprecation: %s\r\nContent-Length: 15\r\n\r\n" % hostile
    async with LoopServer(say(answer + b'{"message":"x"}')) as server, server.client() as client:
        await client.chats.create(USER)

    (message,) = [r.getMessage() for r in caplog.records if r.name == "fanvue_async"]
    assert message.isprintable()
    assert r"\udcff%s{0}" in message
    assert len(message) < 500


async def test_an_announcement_echoes_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """A server that repeats what it was sent does not bring the token into the log."""
    answer = b"HTTP/1.1 201 Created\r\nSunset: of fanvue-token\r\nContent-Length: 15\r\n\r\n"
    async with (
        LoopServer(say(answer + b'{"message":"x"}')) as server,
        FanvueClient("fanvue-token", base_url=server.url) as client,
    ):
        await client.chats.create(USER)

    (message,) = [r.getMessage() for r in caplog.records if r.name == "fanvue_async"]
    assert "Sunset: of [token]" in message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 429])
async def test_a_refusal_after_an_error_of_the_server_is_no_comfort(
    client: FanvueClient, fake: FakeFanvue, status: int
) -> None:
    """A 503 may come after the deed, and the 4xx that follows does not undo it."""
    fake.reply(503)
    fake.reply(status)

    with pytest.raises(APIError) as caught:
        await client.chats.create(USER)

    assert (caught.value.status, caught.value.attempts) == (status, 2)
    assert caught.value.maybe_processed
