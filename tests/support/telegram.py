"""Telegram's Bot API, as far as a bot in a private chat needs it, on a real local server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from types import TracebackType

TOKEN = "123456:made-up"
BOT = {"id": 123456, "is_bot": True, "first_name": "Bot", "username": "chat_bot"}


class FakeTelegram:
    """Hands out the updates that it was told, and keeps the messages that a bot sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        """The texts of the messages that the bot sent, oldest first."""
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._ids = iter(range(1, 1_000_000))
        app = web.Application()
        app.router.add_post(f"/bot{TOKEN}/{{method}}", self._handle)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        """The address for ``TelegramAPIServer.from_base``."""
        return str(self._server.make_url("")).rstrip("/")

    def update(self, text: str, sender: int) -> dict[str, Any]:
        """Make the update that Telegram delivers when somebody writes to the bot."""
        update_id = next(self._ids)
        return {
            "update_id": update_id,
            "message": {
                "message_id": update_id,
                "date": int(time.time()),
                "chat": {"id": sender, "type": "private"},
                "from": {"id": sender, "is_bot": False, "first_name": "Olga"},
                "text": text,
            },
        }

    def write(self, text: str, sender: int) -> None:
        """Let somebody write to a bot that polls."""
        self._updates.put_nowait(self.update(text, sender))

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.close()

    async def _handle(self, request: web.Request) -> web.Response:
        form = await request.post()
        result: Any
        match request.match_info["method"]:
            case "getMe":
                result = BOT
            case "getUpdates":
                result = [await self._updates.get()]
            case "sendMessage":
                self.sent.append(str(form["text"]))
                chat = {"id": int(str(form["chat_id"])), "type": "private"}
                result = {"message_id": next(self._ids), "date": int(time.time()), "chat": chat}
            case unknown:
                return web.json_response({"ok": False, "description": unknown}, status=404)
        return web.json_response({"ok": True, "result": result})
