"""A Discord bot that announces purchases in a channel, and opens chats on Fanvue by a command.

Install and run::

    pip install /path/to/the/clone discord.py
    export FANVUE_ACCESS_TOKEN=… FANVUE_WEBHOOK_SECRET=…
    export DISCORD_TOKEN=… DISCORD_CHANNEL="<channel id>" OPERATORS="<Discord user id> …"
    python discord_bot.py

Register ``https://<your host>/webhooks/fanvue`` for payments. In Discord, write
``/chat 3fa85f64-5717-4562-b3fc-2c963f66afa6``. To try it without the real APIs,
set FANVUE_BASE_URL and DISCORD_URL to servers on this machine; PORT is 8080 unless set.
"""

import asyncio
import logging
import os
import signal
from decimal import Decimal

import discord
from aiohttp import web
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from fanvue_async import (
    FanvueClient,
    FanvueError,
    InvalidArgumentError,
    NotContactableError,
)
from fanvue_async.stores import SQLiteStore
from fanvue_async.webhooks import Event, PaymentSucceeded, Webhooks

logger = logging.getLogger("bot")


class Bot(discord.Client):
    """Discord on one side, Fanvue on the other."""

    def __init__(self, fanvue: FanvueClient, *, channel: int, operators: set[int]) -> None:
        super().__init__(intents=discord.Intents(guilds=True))
        self._fanvue = fanvue
        self._channel = self.get_partial_messageable(channel)
        self._operators = operators
        self._tree = app_commands.CommandTree(self)
        self._tree.add_command(
            app_commands.Command(
                name="chat", description="Open a chat on Fanvue", callback=self.open_chat
            )
        )

    async def setup_hook(self) -> None:
        """Tell Discord of the command."""
        await self._tree.sync()

    async def open_chat(self, interaction: discord.Interaction, user: str) -> None:
        """Answer ``/chat <user UUID>``; Discord waits 3 seconds, unless asked to wait longer."""
        if interaction.user.id not in self._operators:
            await interaction.response.send_message("You may not do that.", ephemeral=True)
            return
        await interaction.response.defer(ephemeral=True)
        try:
            await self._fanvue.chats.create(user)
        except FanvueError as error:
            answer = explain(error)
        else:
            answer = "The chat is open."
        await interaction.edit_original_response(content=answer)

    async def on_fanvue(self, event: Event) -> None:
        """Announce a payment; if Discord fails, the event comes again."""
        match event:
            case PaymentSucceeded(payer=payer, amount=int(cents), source=source):
                name = (payer and (payer.display_name or payer.handle)) or "Somebody"
                paid = f"{Decimal(cents).scaleb(-2)} {event.currency or 'USD'}"
                await self._channel.send(
                    f"{name} paid {paid} ({source or 'unknown'})",
                    allowed_mentions=discord.AllowedMentions.none(),  # a name may be "@everyone"
                )
            case _:
                logger.debug("%s is not announced", event.type)


def explain(error: FanvueError) -> str:
    """Tell the operator what to do about an error."""
    match error:
        case InvalidArgumentError():
            return "Please write: /chat <user UUID>"
        case NotContactableError():
            return "This user can't be messaged."
        case FanvueError(transient=True):
            return "Fanvue can't be reached. Try again later."
        case _:  # the token, a scope, the version: a matter for whoever runs the bot
            logger.error("%s: %s", type(error).__name__, error)
            return "That failed, and trying again won't help. The log says why."


async def main() -> None:
    """Run the bot until SIGINT or SIGTERM."""
    if url := os.environ.get("DISCORD_URL"):
        Route.BASE = url
        DiscordWebSocket.DEFAULT_GATEWAY = URL(url) / "gateway"
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        SQLiteStore(os.environ.get("STORE", "discord_bot.db")) as store,
        FanvueClient(timeout=20) as fanvue,  # an operator is waiting
        Bot(
            fanvue,
            channel=int(os.environ["DISCORD_CHANNEL"]),
            operators={int(number) for number in os.environ["OPERATORS"].split()},
        ) as bot,
        Webhooks(secrets=os.environ["FANVUE_WEBHOOK_SECRET"].split(), store=store) as webhooks,
    ):
        app = web.Application()
        app.router.add_post("/webhooks/fanvue", webhooks.aiohttp_handler(bot.on_fanvue))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT", "8080")))
        running = asyncio.create_task(bot.start(os.environ["DISCORD_TOKEN"]))
        stopped = asyncio.create_task(stop.wait())
        try:
            await site.start()
            logger.info("Listening on %s", site.name)
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            await runner.cleanup()  # no new deliveries
            await webhooks.aclose()  # what is being announced is finished
            await bot.close()
        await running  # raises what ended the bot, if that was an error


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
