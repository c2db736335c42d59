"""Discord's API and gateway, as far as a bot with one command needs them, on a local server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from types import TracebackType

TOKEN = "made-up.token"
CHANNEL = 4_242
_BOT = {
    "id": "1",
    "username": "bot",
    "discriminator": "0",
    "global_name": None,
    "avatar": None,
    "bot": True,
}
_APPLICATION = {
    "id": "2",
    "name": "bot",
    "icon": None,
    "description": "",
    "bot_public": False,
    "bot_require_code_grant": False,
    "verify_key": "",
    "flags": 0,
    "owner": _BOT,
    "team": None,
    "hook": True,
    "summary": "",
}


class FakeDiscord:
    """Hands out the commands that it was told, and keeps what a bot says."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        """The commands that the bot registered."""
        self.messages: list[str] = []
        """What the bot said in the channel, oldest first."""
        self.answers: list[str] = []
        """What the bot answered to commands, oldest first."""
        self._gateway: web.WebSocketResponse | None = None
        self._ready = asyncio.Event()
        self._ids = iter(range(1_000, 1_000_000))
        app = web.Application()
        app.router.add_get("/gateway", self._connect)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        """The address for ``Route.BASE``."""
        return str(self._server.make_url("")).rstrip("/")

    async def command(self, name: str, sender: int, **options: str) -> None:
        """Let somebody use a command of the bot."""
        await self._ready.wait()
        assert self._gateway is not None
        user = {**_BOT, "id": str(sender), "username": "olga", "bot": False}
        interaction: dict[str, Any] = {
            "id": str(next(self._ids)),
            "application_id": "2",
            "type": 2,
            "token": "interaction-token",
            "version": 1,
            "channel_id": str(CHANNEL),
            "channel": {"id": str(CHANNEL), "type": 1},
            "user": user,
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {},
            "context": 1,
            "app_permissions": "0",
            "attachment_size_limit": 0,
            "data": {
                "id": "3",
                "name": name,
                "type": 1,
                "options": [
                    {"name": key, "type": 3, "value": text} for key, text in options.items()
                ],
            },
        }
        await self._gateway.send_json(
            {"op": 0, "s": 2, "t": "INTERACTION_CREATE", "d": interaction}
        )

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

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        gateway = self._gateway = web.WebSocketResponse()
        await gateway.prepare(request)
        await gateway.send_json(
            {"op": 10, "s": None, "t": None, "d": {"heartbeat_interval": 45_000}}
        )
        async for message in gateway:
            if message.type is not WSMsgType.TEXT:
                break
            match json.loads(message.data):
                case {"op": 1}:
                    await gateway.send_json({"op": 11, "s": None, "t": None, "d": None})
                case {"op": 2}:
                    await gateway.send_json({"op": 0, "s": 1, "t": "READY", "d": self._welcome()})
                    self._ready.set()
                case _:
                    pass
        return gateway

    def _welcome(self) -> dict[str, Any]:
        return {
            "v": 10,
            "user": _BOT,
            "guilds": [],
            "session_id": "session",
            "resume_gateway_url": f"{self.url}/gateway",
            "application": {"id": "2", "flags": 0},
        }

    async def _handle(self, request: web.Request) -> web.Response:
        document: Any = await request.json() if request.can_read_body else {}
        answer: Any
        match request.method, request.match_info["path"].split("/"):
            case "GET", ["users", "@me"]:
                answer = _BOT
            case "GET", ["oauth2", "applications", "@me"]:
                answer = _APPLICATION
            case "PUT", ["applications", "2", "commands"]:
                self.commands = document
                ids = {"id": "3", "application_id": "2", "version": "1"}
                answer = [{**command, **ids} for command in self.commands]
            case "POST", ["channels", _, "messages"]:
                self.messages.append(document["content"])
                answer = self._message(document["content"])
            case "POST", ["interactions", _, _, "callback"]:
                if document["type"] == 4:  # an answer at once, no promise of one
                    self.answers.append(document["data"]["content"])
                answer = {"interaction": {"id": str(next(self._ids)), "type": 2}}
            case "PATCH", ["webhooks", "2", _, "messages", "@original"]:
                self.answers.append(document["content"])
                answer = self._message(document["content"])
            case _:
                return _json({"message": request.path, "code": 0}, status=404)
        return _json(answer)

    def _message(self, content: str) -> dict[str, Any]:
        return {
            "id": str(next(self._ids)),
            "type": 0,
            "content": content,
            "channel_id": str(CHANNEL),
            "author": _BOT,
            "attachments": [],
            "embeds": [],
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "pinned": False,
            "tts": False,
            "timestamp": "2025-11-26T19:03:07.000000+00:00",
            "edited_timestamp": None,
            "components": [],
        }


def _json(document: object, status: int = 200) -> web.Response:
    """Answer as Discord does: discord.py reads JSON only where no charset is named."""
    kind = {"Content-Type": "application/json"}
    return web.Response(status=status, body=json.dumps(document).encode(), headers=kind)
