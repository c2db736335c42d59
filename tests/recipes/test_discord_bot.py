"""The Discord bot, with Discord and Fanvue both real servers on this machine."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support.discord import CHANNEL, TOKEN, FakeDiscord
from support.programs import assert_clean, started, until
from support.users import USER

from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("discord", reason="what requirements-docs.txt lists is not installed")

OPERATOR, STRANGER = 7, 8
COMMANDS = [
    (OPERATOR, USER, "The chat is open."),
    (OPERATOR, "Olga", "Please write: /chat <user UUID>"),
    (STRANGER, USER, "You may not do that."),
]


async def test_purchases_are_announced_and_chats_opened(tmp_path: Path) -> None:
    """Each payment once, though deliveries are repeated; commands of the operators alone."""
    async with (
        FakeFanvue() as fake,
        FakeDiscord() as discord,
        started(
            *("-W", "ignore:'audioop'", "discord_bot.py"),  # which discord.py still imports
            FANVUE_ACCESS_TOKEN=fake.token,
            FANVUE_BASE_URL=fake.url,
            FANVUE_WEBHOOK_SECRET="whsec_fake",
            DISCORD_TOKEN=TOKEN,
            DISCORD_CHANNEL=str(CHANNEL),
            DISCORD_URL=discord.url,
            OPERATORS=str(OPERATOR),
            PORT="0",
            STORE=str(tmp_path / "bot.db"),
        ) as program,
    ):
        line = await program.read_until("Listening on")
        fake.webhooks.add(f"{line.split()[-1]}/webhooks/fanvue", repeats=2, pause=0.1)
        for count, (sender, user, _) in enumerate(COMMANDS, start=1):
            await discord.command("chat", sender, user=user)
            await until(lambda: len(discord.answers) == count)  # noqa: B023 - called at once
        fake.users.add(USER, display_name="Olga @everyone")
        fake.messages.tip(USER, 1_999)
        await fake.webhooks.settled()
        await until(lambda: bool(discord.messages))
        program.process.send_signal(signal.SIGTERM)
        output = await program.finish()

    assert discord.answers == [answer for _, _, answer in COMMANDS]
    assert fake.chats == [USER]
    assert [command["name"] for command in discord.commands] == ["chat"]
    assert discord.messages == ["Olga @everyone paid 19.99 USD (tip)"]
    assert program.process.returncode == 0
    assert_clean(output)
