"""Chats with fans, and what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, overload
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import RefusedError, look_up
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import body
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans
    from fanvue_async.testing.media import Media
    from fanvue_async.testing.world import Owner


@attrs.define
class Chat:
    """One conversation."""

    user: str
    created_at: str
    messages: list[Row] = attrs.field(factory=list[Row])
    """Oldest first, as ``GET /chats/{userUuid}/messages`` shows them."""
    is_marked_unread: bool = False
    turn: int = 0
    """Grows with each message of the account: the chat with the highest is the newest."""

    def unread(self) -> int:
        """Count the fan's messages that the creator has not read."""
        return sum(not m["isRead"] and m["sender"]["uuid"] == self.user for m in self.messages)

    def read(self) -> None:
        """Mark everything as read."""
        self.is_marked_unread = False
        for message in self.messages:
            if message["sender"]["uuid"] == self.user:
                message["isRead"] = True


class Chats(Sequence[str]):
    """As ``fake.chats``: the users that chats were created with by ``POST /chats``, oldest first.

    ``receive`` lets a fan write.
    """

    def __init__(self, fans: Fans, media: Media) -> None:
        self.fans = fans
        self.owner: Owner = fans.owner
        self._media = media
        self._created: list[str] = []
        self._chats: dict[str, Chat] = {}
        self._turn = 0

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._created[index]

    def __len__(self) -> int:
        return len(self._created)

    def __eq__(self, other: object) -> bool:
        return self._created == (other._created if isinstance(other, Chats) else other)

    __hash__: ClassVar[None]  # type: ignore[assignment] # it changes, and ``__eq__`` takes it away

    def __repr__(self) -> str:
        return repr(self._created)

    def receive(
        self,
        user: UUID | str,
        text: str | None = "Hello",
        *,
        media_uuids: Sequence[UUID | str] = (),
        type: str = "SINGLE_RECIPIENT",  # noqa: A002 - the API's name
    ) -> str:
        """Let a fan write; the chat is opened if needed.

        Args:
            user: the fan.
            text: what they write.
            media_uuids: what they send along.
            type: the message's type.

        Returns:
            The message's UUID.

        """
        fan = uuid_of(user)
        media = [uuid_of(each) for each in media_uuids]
        message = self.say(fan, by_fan=True, text=text, media=media, type_=type)
        self.owner.tell("message.received", {"user": self.fans.row(fan), "message": message})
        uuid: str = message["uuid"]
        return uuid

    def open(self, user: UUID | str) -> Chat:
        """Return the chat with a user, and open it if needed."""
        uuid = uuid_of(user)
        if uuid not in self._chats:
            self._turn += 1
            self._chats[uuid] = Chat(uuid, self.owner.world.moment(), turn=self._turn)
        return self._chats[uuid]

    def read(self, chat: Chat) -> None:
        """Let the account read a chat."""
        had_unread = bool(chat.unread())
        chat.read()
        if had_unread:
            self.owner.tell("message.read", {"user": self.fans.row(chat.user)})

    def find(self, user: str) -> Chat:
        """Return the chat with a user.

        Raises:
            RefusedError: there is no such chat (404).

        """
        return look_up(self._chats, user, "Chat")

    def has(self, user: str) -> bool:
        """Return whether there is a chat with a user."""
        return user in self._chats

    def say(  # noqa: PLR0913 - all but one are options
        self,
        user: str,
        *,
        by_fan: bool,
        text: str | None,
        media: list[str],
        type_: str = "SINGLE_RECIPIENT",
        price: float | None = None,
    ) -> Row:
        """Add a message to a chat, and return it."""
        chat = self.open(user)
        fan, creator = self.fans.row(user), self.owner.world.users[self.owner.uuid]
        message: Row = {
            "uuid": new_uuid(),
            "text": text,
            "sentAt": self.owner.world.moment(),
            "sender": fan if by_fan else creator,
            "recipient": creator if by_fan else fan,
            "hasMedia": bool(media),
            "mediaType": self._media.kind(media[0]) if media else None,
            "mediaUuids": media,
            "type": type_,
            "pricing": None if price is None else {"USD": {"price": price}},
            "purchasedAt": None,
            "sentByUserId": None if by_fan else self.owner.uuid,
            "isRead": False,
        }
        self._turn += 1
        chat.turn = self._turn
        chat.messages.append(message)
        return message

    def all(self) -> list[Chat]:
        """Return all chats, newest activity first."""
        return sorted(self._chats.values(), key=lambda chat: chat.turn, reverse=True)

    def create(self, call: Call) -> Any:
        """POST /chats."""
        user, world = call.body["userUuid"], self.owner.world
        if user in world.users.not_contactable:
            raise RefusedError.saying(400, "This user cannot be contacted")
        if user in self._chats and world.duplicates != 201:  # noqa: PLR2004 - 201 accepts it
            raise RefusedError.saying(world.duplicates, "The chat exists already")
        self.open(user)
        self._created.append(user)
        return {"message": "Chat created successfully"}


_CREATE = body({"userUuid": a_uuid})
_WRITE = Access("write:chat", "read:creator")

CHATS: Routes = (
    Chats,
    (Route("POST", "/chats", Chats.create, _WRITE, status=201, errors="UC", body=_CREATE),),
)
