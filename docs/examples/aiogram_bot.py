"""A Telegram bot (aiogram 3) whose operators open chats on Fanvue with a command.

Install and run::

    pip install /path/to/the/clone aiogram
    export FANVUE_ACCESS_TOKEN=… TELEGRAM_TOKEN=… OPERATORS="<Telegram user id> …"
    python aiogram_bot.py

Then write to the bot: ``/chat 3fa85f64-5717-4562-b3fc-2c963f66afa6``. To try it without the real
APIs, set FANVUE_BASE_URL and TELEGRAM_URL to servers on this machine.
"""

import asyncio
import logging
import math
import os

from aiogram import Bot, Dispatcher, F
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from fanvue_async import (
    FanvueClient,
    FanvueError,
    InvalidArgumentError,
    NotContactableError,
    RateLimitError,
)

logger = logging.getLogger("bot")


async def open_chat(message: Message, command: CommandObject, fanvue: FanvueClient) -> None:
    """Answer ``/chat <user UUID>``."""
    try:
        await fanvue.chats.create(command.args or "")
    except FanvueError as error:
        answer = explain(error)
    else:
        answer = "The chat is open."
    await message.answer(answer)


def explain(error: FanvueError) -> str:
    """Tell the operator what to do about an error."""
    match error:
        case InvalidArgumentError():
            return "Please write: /chat <user UUID>"
        case NotContactableError():
            return "This user can't be messaged."
        case RateLimitError(retry_after=seconds):
            seconds = 60 if seconds is None else math.ceil(seconds)
            return f"Too many requests. Try again in {seconds} s."
        case FanvueError(transient=True):
            if error.maybe_processed:
                return "Fanvue did not confirm it. Check whether the chat is there, or try again."
            return "Fanvue cannot be reached. Try again later."
        case _:  # the token, a scope, the version: for whoever runs the bot
            logger.error("%s: %s", type(error).__name__, error)
            return "That failed, and trying again won't help. The log says why."


def make_dispatcher(fanvue: FanvueClient, operators: set[int]) -> Dispatcher:
    """Register the command; aiogram passes ``fanvue`` to every handler that names it."""
    dispatcher = Dispatcher(fanvue=fanvue)
    dispatcher.message.register(open_chat, Command("chat"), F.from_user.id.in_(operators))
    return dispatcher


async def main() -> None:
    """Run the bot until SIGINT or SIGTERM."""
    operators = {int(number) for number in os.environ["OPERATORS"].split()}
    telegram = os.environ.get("TELEGRAM_URL", "https://api.telegram.org")
    session = AiohttpSession(api=TelegramAPIServer.from_base(telegram))
    async with (
        Bot(os.environ["TELEGRAM_TOKEN"], session=session) as bot,
        FanvueClient(timeout=20) as fanvue,  # an operator is waiting
    ):
        dispatcher = make_dispatcher(fanvue, operators)
        await dispatcher.start_polling(  # pyright: ignore[reportUnknownMemberType] - aiogram's
            bot, close_bot_session=False
        )
        # aiogram leaves running commands to us: let them reply.
        if under_way := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(under_way)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
