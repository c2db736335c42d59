"""The aiogram bot, with Telegram and Fanvue both real servers on this machine."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

pytest.importorskip("aiogram", reason="what requirements-docs.txt lists is not installed")

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import Update
from aiogram_bot import make_dispatcher
from support.programs import assert_clean, started, until
from support.telegram import TOKEN, FakeTelegram
from support.users import USER

from fanvue_async import FanvueClient, RetryPolicy
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OPERATOR, STRANGER = 7, 8


@attrs.define
class Conversation:
    """Somebody who writes to the bot."""

    bot: Bot
    telegram: FakeTelegram

    async def ask(self, fanvue: FanvueClient, text: str, sender: int = OPERATOR) -> list[str]:
        """Write to the bot and return its answers."""
        message = self.telegram.update(text, sender)
        update = Update.model_validate(message, context={"bot": self.bot})
        await make_dispatcher(fanvue, {OPERATOR}).feed_update(self.bot, update)
        return self.telegram.sent


@pytest.fixture
async def conversation() -> AsyncIterator[Conversation]:
    """Run Telegram's API and a bot on it."""
    async with FakeTelegram() as telegram:
        session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url))
        async with Bot(TOKEN, session=session) as bot:
            yield Conversation(bot, telegram)
    # aiogram keeps updates in a cache, and pydantic's time zones in them crash the interpreter when
    # they are freed at its exit: https://github.com/pydantic/pydantic/issues/12867
    vars(Update)["event_type"].fget.cache_clear()


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (None, "The chat is open."),
        ({"status": 503}, "The chat is open."),
        ({"status": 400, "json": {"message": "no"}}, "This user can't be messaged."),
        ({"status": 429, "headers": {"Retry-After": "42"}}, "Too many … again in 42 s."),
        ({"status": 429}, "Too many … again in 60 s."),
        ({"status": 503, "times": 3}, "Fanvue did not confirm it. … or try again."),
        ({"status": 403, "json": {"error": "scope"}}, "That failed, … The log says why."),
    ],
    ids=["success", "passing", "not contactable", "rate limit", "no time", "outage", "scope"],
)
async def test_the_operator_gets_an_answer_for_each_end(
    conversation: Conversation,
    fake: FakeFanvue,
    client: FanvueClient,
    trouble: dict[str, Any] | None,
    answer: str,
) -> None:
    """Success, not contactable, rate limited, outage, refusal: one command, one plain answer."""
    if trouble:
        fake.reply(**trouble)

    (said,) = await conversation.ask(client, f"/chat {USER}")

    start, _, end = answer.partition(" … ")
    assert said.startswith(start)
    assert said.endswith(end)


async def test_an_outage_that_kept_the_request_here_is_told_apart(
    conversation: Conversation,
) -> None:
    """When nothing was sent, the operator need not look whether the chat is there."""
    async with FakeFanvue() as gone:
        url = gone.url
    async with FanvueClient("token", base_url=url, retry=RetryPolicy.never()) as fanvue:
        answers = await conversation.ask(fanvue, f"/chat {USER}")

    assert answers == ["Fanvue cannot be reached. Try again later."]


@pytest.mark.parametrize("text", ["/chat", "/chat Olga", f"/chat {USER} {USER}"])
async def test_a_command_without_a_user_is_explained(
    conversation: Conversation, fake: FakeFanvue, client: FanvueClient, text: str
) -> None:
    """What names no user goes no further than the bot."""
    assert await conversation.ask(client, text) == ["Please write: /chat <user UUID>"]
    assert fake.requests == []


async def test_strangers_open_nothing(
    conversation: Conversation, fake: FakeFanvue, client: FanvueClient
) -> None:
    """Anybody can write to a bot on Telegram; only its operators are obeyed."""
    assert await conversation.ask(client, f"/chat {USER}", sender=STRANGER) == []
    assert fake.requests == []


async def test_the_program_answers_what_is_under_way_and_stops_cleanly(fake: FakeFanvue) -> None:
    """A stop in the middle of a command loses no answer and leaves nothing open."""
    fake.delay(0.3)
    async with (
        FakeTelegram() as telegram,
        started(
            "aiogram_bot.py",
            FANVUE_ACCESS_TOKEN=fake.token,
            FANVUE_BASE_URL=fake.url,
            TELEGRAM_TOKEN=TOKEN,
            TELEGRAM_URL=telegram.url,
            OPERATORS=f"{OPERATOR} 9",
            PYTHONMALLOC="pymalloc",  # else development mode makes sure of the crash named above
        ) as program,
    ):
        await program.read_until("Run polling")
        telegram.write(f"/chat {USER}", OPERATOR)
        await until(lambda: bool(fake.requests))
        program.process.send_signal(signal.SIGTERM)
        output = await program.finish()

        assert telegram.sent == ["The chat is open."]
    assert program.process.returncode == 0
    assert_clean(output)
