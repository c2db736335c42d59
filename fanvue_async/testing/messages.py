"""Messages: sending, reading, deleting, and what fans pay for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from fanvue_async.testing.exchange import RefusedError, cursor_page, missing, page
from fanvue_async.testing.media import KINDS, VARIANTS
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, uuid_of
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    cents,
    flag,
    in_json,
    list_of,
    nullable,
    number,
    one_of,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.chats import Chat, Chats
    from fanvue_async.testing.insights import Insights
    from fanvue_async.testing.media import Media
    from fanvue_async.testing.templates import Templates


class Messages:
    """As ``fake.messages``."""

    def __init__(
        self, chats: Chats, *, templates: Templates, media: Media, insights: Insights
    ) -> None:
        self._chats = chats
        self._owner = chats.owner
        self._templates, self._media, self._insights = templates, media, insights

    def of(self, user: UUID | str) -> list[Row]:
        """Return what was said in the chat with a user, oldest first, as the API shows it."""
        uuid = uuid_of(user)
        return self._chats.find(uuid).messages if self._chats.has(uuid) else []

    def buy(self, message: UUID | str) -> None:
        """Let the fan pay for a message that has a price.

        Raises:
            ValueError: there is no such message, it has no price, or it is paid for already.

        """
        uuid = uuid_of(message)
        for chat in self._chats.all():
            for row in chat.messages:
                if row["uuid"] == uuid:
                    self._pay(chat, row)
                    return
        raise ValueError(f"there is no message {uuid}")

    def _pay(self, chat: Chat, row: Row) -> None:
        if row["pricing"] is None or row["purchasedAt"] is not None:
            raise ValueError("the message has no price, or is paid for already")
        price = row["pricing"]["USD"]["price"]
        row["purchasedAt"] = self._owner.world.moment()
        self._insights.earn("message", price, chat.user, message=row["uuid"])

    def tip(self, user: UUID | str, amount: int, *, text: str | None = None) -> str:
        """Let a fan tip in their chat; ``amount`` is in US cents. Returns the message's UUID."""
        fan = uuid_of(user)
        uuid = self._chats.receive(fan, text, type="TIP")
        self._chats.fans[fan].tipped += amount
        self._insights.earn("tip", amount, fan, message=uuid)
        return uuid

    def send(self, call: Call) -> Any:
        """POST /chats/{userUuid}/message; what its text says wins over the template."""
        user, given = call.path["userUuid"], {k: v for k, v in call.body.items() if v is not None}
        world = self._owner.world
        if user in world.users.not_contactable:
            raise RefusedError.saying(400, "This user cannot be contacted")
        if world.needs_chat and not self._chats.has(user):
            raise RefusedError.saying(400, "There is no chat with this user")
        if "templateUuid" in given:
            template = self._templates.find(given["templateUuid"])
            if template is None:
                raise RefusedError.saying(400, "There is no such template")
            given = {**{k: v for k, v in template.items() if v is not None}, **given}
        said, media, price = given.get("text"), given.get("mediaUuids", []), given.get("price")
        check_content(said, media, price)
        message = self._chats.say(user, by_fan=False, text=said, media=media, price=price)
        self._owner.tell("message.sent", {"user": self._chats.fans.row(user), "message": message})
        return {"messageUuid": message["uuid"]}

    def page(self, call: Call) -> Any:
        """GET /chats/{userUuid}/messages, newest first; it marks the chat read unless told not."""
        chat = self._chats.find(call.path["userUuid"])
        if call.query["markAsRead"]:
            self._chats.read(chat)
        return page(chat.messages[::-1], call.query)

    def delete(self, call: Call) -> None:
        """DELETE /chats/{userUuid}/messages/{messageUuid}: own ones that are not sold."""
        chat, message = self._find(call)
        if message["sender"]["uuid"] == chat.user:
            raise RefusedError.saying(400, "Only the sender may delete a message")
        if message["purchasedAt"] is not None:
            raise RefusedError.saying(400, "A purchased message cannot be deleted")
        chat.messages.remove(message)
        self._owner.tell(
            "message.deleted", {"user": self._chats.fans.row(chat.user), "message": message}
        )

    def _find(self, call: Call) -> tuple[Chat, Row]:
        chat = self._chats.find(call.path["userUuid"])
        for message in chat.messages:
            if message["uuid"] == call.path["messageUuid"]:
                return chat, message
        raise missing("Message")

    def batch(self, call: Call) -> Any:
        """POST /chats/messages/batch."""
        limit, since = int(call.body.get("limit", 20)), call.body.get("sinceMessageUuid")
        return {"byChat": {u: self._newest(u, limit, since) for u in call.body["chatUuids"]}}

    def _newest(self, user: str, limit: int, since: str | None) -> Row:
        if not self._chats.has(user):
            return {"error": "not_found"}
        messages = self._chats.find(user).messages[::-1]
        uuids = [message["uuid"] for message in messages]
        if since in uuids:
            messages = messages[: uuids.index(since)]
        shown = messages[:limit]
        return {
            "messages": shown,
            "hasMore": len(messages) > limit,
            "oldestMessageUuid": shown[-1]["uuid"] if shown else None,
        }

    def media(self, call: Call) -> Any:
        """GET /chats/{userUuid}/messages/{messageUuid}/media."""
        _, message = self._find(call)
        results: Row = {}
        errors: list[Row] = []
        for uuid in call.query["mediaUuids"]:
            if uuid in message["mediaUuids"]:
                results[uuid] = self._media_row(uuid, message, call.query["variants"])
            else:
                results[uuid] = None
                said = "The media is not in this message"
                errors.append({"mediaUuid": uuid, "code": "NOT_IN_MESSAGE", "message": said})
        return {"results": results, "errors": errors}

    def chat_media(self, call: Call) -> Any:
        """GET /chats/{userUuid}/media, newest first."""
        chat, kind = self._chats.find(call.path["userUuid"]), call.query["mediaType"]
        rows = [
            self._media_row(uuid, message, None)
            for message in reversed(chat.messages)
            for uuid in message["mediaUuids"]
            if kind in (None, self._media.kind(uuid))
        ]
        return cursor_page(rows, call.query, "limit")

    def _media_row(self, uuid: str, message: Row, variants: list[str] | None) -> Row:
        return {
            "uuid": uuid,
            "messageUuid": message["uuid"],
            "mediaType": self._media.kind(uuid),
            "created_at": message["sentAt"],
            "sentAt": message["sentAt"],
            "ownerUuid": message["sender"]["uuid"],
            "name": self._media.name(uuid),
            "variants": self._media.chat_variants(uuid, variants or []),
        }


def check_content(said: str | None, media: list[str], price: float | None) -> None:
    """Refuse a message that says nothing, or sells nothing."""
    if said is None and not media:
        raise RefusedError.saying(400, "A message needs a text or media")
    if price is not None and not media:
        raise RefusedError.saying(400, "A price needs at least one media")


_CONTENT = {"mediaUuids": list_of(a_uuid), "price": nullable(cents)}
_MESSAGE = body(text=nullable(text(1, 5000)), templateUuid=nullable(a_uuid), **_CONTENT)
_BATCH = body(
    {"chatUuids": list_of(a_uuid, 1, 50)}, limit=in_json(number(1, 50)), sinceMessageUuid=a_uuid
)
_PAGE = {**PAGE, "markAsRead": Parameter(flag, default=True)}
_CHAT_MEDIA = {
    "cursor": Parameter(text()),
    "mediaType": Parameter(one_of(*KINDS)),
    "limit": Parameter(number(1, 50), 20),
}
_MEDIA = {
    "mediaUuids": Parameter(a_uuid, required=True, many="commas", most=20),
    "variants": Parameter(one_of(*VARIANTS), many="commas"),
}
_READ = Access("read:chat", "read:creator")
_WRITE = Access("write:chat", "read:creator")
_ALL = "/chats/{userUuid}/messages"

MESSAGES: Routes = (
    Messages,
    (
        Route("GET", _ALL, Messages.page, _READ, errors="UVI", query=_PAGE),
        Route(
            "POST",
            "/chats/{userUuid}/message",
            Messages.send,
            _WRITE,
            status=201,
            errors="UCM",
            body=_MESSAGE,
        ),
        Route(
            "DELETE",
            f"{_ALL}/{{messageUuid}}",
            Messages.delete,
            Access("write:chat"),
            status=204,
            errors="M",
        ),
        Route("POST", "/chats/messages/batch", Messages.batch, Access("read:chat"), body=_BATCH),
        Route(
            "GET",
            f"{_ALL}/{{messageUuid}}/media",
            Messages.media,
            _READ,
            errors="UVI",
            query=_MEDIA,
        ),
        Route(
            "GET",
            "/chats/{userUuid}/media",
            Messages.chat_media,
            _READ,
            errors="UVI",
            query=_CHAT_MEDIA,
        ),
    ),
)
