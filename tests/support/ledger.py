"""A server that accepts messages, keeps a ledger of them, and does its worst to the responses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import attrs
from aiohttp import test_utils, web

from support.users import user

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

LOST = ("dropped", "reset", "cut", "late answer", "500", "502", "503")
"""Faults of a message that arrived."""


@attrs.frozen
class Entry:
    """A message that arrived."""

    uuid: str
    fan: str
    token: str
    """Who sent it: a send of its own has a token of its own."""
    body: dict[str, Any]
    at: datetime
    fault: str


class Ledger:
    """The server. ``fault`` says what happens to the next message."""

    def __init__(self, fault: Callable[[], str]) -> None:
        self.fault = fault
        self.read_fault: Callable[[], str] = lambda: "none"
        self.entries: list[Entry] = []
        self.reads: list[dict[str, str]] = []
        self.delay = 1.0
        """Seconds by which an answer is late."""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.arrived = asyncio.Event()
        self._numbers = count(1)
        self._handlers: set[asyncio.Task[Any]] = set()
        app = web.Application(middlewares=[self._note])
        for prefix in ("", "/creators/{creator}"):
            app.router.add_post(prefix + "/chats/{fan}/message", self._send)
            app.router.add_get(prefix + "/chats/{fan}/messages", self._list)
            app.router.add_post(prefix + "/chats/mass-messages", self._send)
            app.router.add_get(prefix + "/chats/mass-messages", self._list)
        self._server = test_utils.TestServer(app)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._server.make_url("")).rstrip("/")

    async def settle(self) -> None:
        """Wait until nothing arrives any more."""
        while self._handlers:
            await asyncio.wait(self._handlers)

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        work = asyncio.ensure_future(handler(request))
        self._handlers.add(work)
        work.add_done_callback(self._handlers.discard)
        return await asyncio.shield(work)

    def arrive(self, fan: str, token: str, body: dict[str, Any], fault: str = "none") -> Entry:
        """Write a message down."""
        entry = Entry(user(next(self._numbers)), fan, token, body, self.clock(), fault)
        self.entries.append(entry)
        self.arrived.set()
        return entry

    async def _send(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        fault = self.fault()
        if fault == "late arrival":
            await asyncio.sleep(self.delay)
        status = fault.removeprefix("refused ")
        if status != fault:
            return web.Response(status=int(status))
        if fault == "lost request":
            return _end(request, reset=True)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        entry = self.arrive(request.match_info.get("fan", ""), token, body, fault)
        if fault == "late answer":
            await asyncio.sleep(self.delay)
        if fault in {"dropped", "reset"}:
            return _end(request, reset=fault == "reset")
        if fault == "cut":
            return await _cut(request)
        if fault.isdigit():
            headers = {"Retry-After": "0"} if fault == "503" else None
            return web.Response(status=int(fault), headers=headers)
        created = {"id": entry.uuid, "recipientCount": 1, "createdAt": None}
        return web.json_response({"messageUuid": entry.uuid, **created}, status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.reads.append(dict(request.query))
        fault = self.read_fault()
        if fault.isdigit():
            return web.Response(status=int(fault))
        fan = request.match_info.get("fan", "")
        rows = [_row(entry) for entry in reversed(self.entries) if entry.fan == fan]
        page, size = int(request.query["page"]), int(request.query["size"])
        data = rows[(page - 1) * size : page * size]
        more = page * size < len(rows)
        body = {"data": data, "pagination": {"page": page, "size": len(data), "hasMore": more}}
        response = web.json_response(body)
        if fault.startswith("Date: "):
            response.headers["Date"] = fault.removeprefix("Date: ")
        return response


def _row(entry: Entry) -> dict[str, Any]:
    """Show a message as a chat does, and as a list of mass messages does."""
    media, price = entry.body.get("mediaUuids", []), entry.body.get("price")
    at = entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    mine = not entry.body.get("fromFan")
    return {
        "uuid": entry.uuid,
        "text": entry.body.get("text"),
        "sentAt": None if entry.body.get("undated") else at,
        "sender": {"uuid": user(0) if mine else entry.fan, "handle": "me"},
        "recipient": {},
        "hasMedia": bool(media),
        "mediaType": None,
        "mediaUuids": [] if entry.body.get("hidden") else media,
        "type": "SINGLE_RECIPIENT",
        "pricing": {"USD": {"price": price}} if price else None,
        "purchasedAt": None,
        "sentByUserId": None,
        "isRead": False,
        # and of mass messages:
        "status": "SENT",
        "price": price,
        "createdAt": at,
        "publishedAt": None,
        "scheduledAt": entry.body.get("scheduledAt"),
        "recipientCount": 1,
        "viewCount": 0,
        "purchaseCount": 0,
        "totalRevenue": 0,
    }


def _end(request: web.Request, *, reset: bool) -> web.StreamResponse:
    assert request.transport is not None
    if reset:
        request.transport.abort()
    else:
        request.transport.close()
    return web.Response()


async def _cut(request: web.Request) -> web.StreamResponse:
    """Send the head of a response and half of its body."""
    response = web.StreamResponse(status=201, headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"messageUuid": "')
    return _end(request, reset=False)
