"""An auto-responder (aiohttp.web) that answers each message of a fan once.

Install and run::

    pip install /path/to/the/clone
    export FANVUE_ACCESS_TOKEN=… FANVUE_WEBHOOK_SECRET=…
    python auto_responder.py

Register ``https://<your host>/webhooks/fanvue`` for the event "message received". Messages come by
webhook; once a minute the inbox is read for those whose delivery was lost. To try it without the
real API, set FANVUE_BASE_URL to a server on this machine; PORT is 8080 unless set.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from fanvue_async import FanvueClient, FanvueError, SentMessage, bulk
from fanvue_async.inbox import Inbox
from fanvue_async.stores import SQLiteStore, Store
from fanvue_async.webhooks import Event, MessageReceived, Webhooks

logger = logging.getLogger("responder")

ANSWER = "Thank you for writing! I will answer soon."


class Responder:
    """Answers messages, whichever way and however often it hears of them."""

    def __init__(self, fanvue: FanvueClient, store: Store) -> None:
        self._fanvue = fanvue
        self._store = store

    async def on_event(self, event: Event) -> None:
        """Answer a message that came by webhook; if this raises, it is called again later."""
        match event:
            # Another creator who writes is no fan, and an automatic message wants no answer.
            case MessageReceived(sender_role="creator") | MessageReceived(is_automated=True):
                pass
            case MessageReceived(sender=fan, message_uuid=str(message)):
                if not await self._answer(fan.uuid, message):
                    raise RuntimeError("the answer was not sent")
            case _:
                logger.debug("%s is left alone", event.type)

    async def catch_up(self, stopping: asyncio.Event, every: float = 60.0) -> None:
        """Answer what came by no webhook, until the program stops."""
        inbox = Inbox(self._fanvue, store=self._store, name="responder")
        while not stopping.is_set():
            try:
                async for message in inbox.new():
                    if not await self._answer(message.sender.uuid, message.uuid):
                        break  # it counts as new until the next one is asked for
                    if stopping.is_set():
                        break
            except FanvueError as error:
                logger.warning("The inbox could not be read: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every)

    async def _answer(self, fan: str, message: str) -> bool:
        """Answer once, over all processes; False if nothing was sent and it may be tried again."""

        async def send(_: str) -> SentMessage:
            return await self._fanvue.messages.send(fan, text=ANSWER)

        async for done in bulk.each([message], send, store=self._store, name="answers"):
            if done.outcome == "postponed":
                return False
            if done.outcome != "done":  # refused, or it may have been sent: a person should look
                logger.error("Answering %s: %s (%s)", message, done.outcome, done.error)
        return True


def make_app() -> web.Application:
    """Put the application together."""
    store = SQLiteStore(os.environ.get("STORE", "responder.db"))
    fanvue = FanvueClient(timeout=30)
    webhooks = Webhooks(secrets=os.environ["FANVUE_WEBHOOK_SECRET"].split(), store=store)
    responder = Responder(fanvue, store)

    async def running(_: web.Application) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        async with store, fanvue, webhooks, asyncio.TaskGroup() as group:
            group.create_task(responder.catch_up(stopping))
            yield
            stopping.set()  # what is being answered is finished, here and by the webhooks

    app = web.Application()
    app.router.add_route(
        "*",
        "/webhooks/fanvue",
        webhooks.aiohttp_handler(
            responder.on_event,
            accept_unsigned_probe="REGISTERING" in os.environ,
        ),
    )
    app.cleanup_ctx.append(running)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
