"""The auto-responder, in one process and in four, with Fanvue a real server on this machine."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING
from uuid import UUID

import aiohttp
import pytest
from support.programs import assert_clean, started, until

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_fake"
FANS = [str(UUID(int=number)) for number in range(1, 13)]


def answers(fake: FakeFanvue) -> list[int]:
    """Count the answers that each fan got."""
    return [
        sum(message["sender"]["uuid"] == fake.uuid for message in fake.messages.of(fan))
        for fan in FANS
    ]


def environment(fake: FakeFanvue, folder: Path) -> dict[str, str]:
    """Return the settings of a responder."""
    return {
        "FANVUE_ACCESS_TOKEN": fake.token,
        "FANVUE_BASE_URL": fake.url,
        "FANVUE_WEBHOOK_SECRET": SECRET,
        "STORE": str(folder / "responder.db"),
    }


async def test_each_fan_is_answered_once_by_one_process(tmp_path: Path) -> None:
    """Registered by a probe; deliveries are repeated, out of order, and one was lost before."""
    async with FakeFanvue() as fake:
        fake.chats.receive(FANS[0], "written while nobody listened")
        async with started(
            "auto_responder.py", PORT="0", REGISTERING="yes", **environment(fake, tmp_path)
        ) as program:
            line = await program.read_until("Running on")
            url = next(word for word in line.split() if word.startswith("http://"))
            address = f"{url.rstrip('/')}/webhooks/fanvue"
            await fake.webhooks.subscribe(address, repeats=2, shuffle=0.1, pause=0.1)
            for fan in FANS[1:]:
                fake.chats.receive(fan, "hello")
            await fake.webhooks.settled()
            await until(lambda: min(answers(fake)) > 0)
            program.process.send_signal(signal.SIGTERM)
            output = await program.finish()

    assert answers(fake) == [1] * len(FANS)
    assert program.process.returncode == 0
    assert_clean(output)


@pytest.mark.timeout(60)
async def test_each_fan_is_answered_once_by_four_processes(tmp_path: Path) -> None:
    """They share nothing but a file; Fanvue's answers fail now and then."""
    pytest.importorskip("fastapi", reason="what requirements-docs.txt lists is not installed")
    async with FakeFanvue() as fake:
        fake.reply(429, on="POST /chats/{userUuid}/message", times=2)
        command = ["-m", "uvicorn", "auto_responder_fastapi:app", "--workers", "4", "--port", "0"]
        async with started(*command, **environment(fake, tmp_path)) as program:
            line = await program.read_until("Uvicorn running on")
            url = next(word for word in line.split() if word.startswith("http://"))
            await serving(url)
            fake.webhooks.add(f"{url}/webhooks/fanvue", repeats=2, shuffle=0.2, pause=0.1)
            for fan in FANS:
                fake.chats.receive(fan, "hello")
            await fake.webhooks.settled()
            await until(lambda: sum(answers(fake)) >= len(FANS) - 2)
            program.process.send_signal(signal.SIGTERM)
            output = await program.finish()

    # One that was refused twice may wait in the store for the next start.
    assert set(answers(fake)) <= {0, 1}
    assert program.process.returncode == 0
    for sign in ("Unclosed", "Traceback", "never", "destroyed"):
        assert sign not in output, output  # "unclosed" is what uvicorn says of its own socket


async def serving(url: str) -> None:
    """Wait until the first process serves."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
