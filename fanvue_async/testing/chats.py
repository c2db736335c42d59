"""Chats with fans, and what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import attrs

from fanvue_async.testing.exchange import RefusedError, Reply, missing, page
from fanvue_async.testing.lists import SMART
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import PAGE, Parameter, body, boolean, list_of, one_of, text
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from fanvue_async.testing.fans import Fans
    from fanvue_async.testing.lists import CustomLists, SmartLists
    from fanvue_async.testing.media import Media
    from fanvue_async.testing.notifications import Notifications


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

    def __init__(
        self,
        fans: Fans,
        *,
        custom: CustomLists,
        smart: SmartLists,
        media: Media,
        notifications: Notifications,
    ) -> None:
        self.fans, self.notifications = fans, notifications
        self.owner = fans.owner
        self._custom, self._smart, self._media = custom, smart, media
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

    __hash__ = None  # type: ignore[assignment] # it changes

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
        """Let a fan write; the chat is opened if there is none.

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
        """Return the chat with a user; a new one if there is none."""
        uuid = uuid_of(user)
        if uuid not in self._chats:
            self._turn += 1
            self._chats[uuid] = Chat(uuid, self.owner.world.moment(), turn=self._turn)
        return self._chats[uuid]

    def find(self, user: str) -> Chat:
        """Return the chat with a user.

        Raises:
            RefusedError: there is none (404).

        """
        if user not in self._chats:
            raise missing("Chat")
        return self._chats[user]

    def has(self, user: str) -> bool:
        """Tell whether there is a chat with a user."""
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

    def page(self, call: Call) -> Any:
        """GET /chats."""
        filters: list[str] = call.query.get("filter") or []
        if not self.owner.profile["isCreator"] and set(filters) - _FOR_EVERYBODY:
            raise RefusedError(Reply.of(403, {"error": "This filter is for creators"}))
        chats = [chat for chat in self.all() if self._is_wanted(chat, call.query)]
        order = call.query.get("sortBy")
        if order == "online_now":
            chats.sort(key=lambda chat: not self.is_online(chat))
        elif order == "most_unanswered_chats":
            chats.sort(key=lambda chat: -chat.unread())
        wanted = page(chats, call.query)
        return {**wanted, "data": [self.row(chat) for chat in wanted["data"]]}

    def row(self, chat: Chat) -> Row:
        """Return a chat as the list shows it."""
        last = chat.messages[-1] if chat.messages else None
        unread = chat.unread()
        return {
            "createdAt": chat.created_at,
            "lastMessageAt": last["sentAt"] if last else None,
            "isRead": not unread and not chat.is_marked_unread,
            "isMuted": self.fans[chat.user].is_muted,
            "unreadMessagesCount": unread,
            "user": self.fans.row(chat.user),
            "lastMessage": last and _as_last(last),
        }

    def is_online(self, chat: Chat) -> bool:
        """Tell whether the fan of a chat is there now."""
        return bool(self.owner.world.users.presence(chat.user)["isOnline"])

    def _is_wanted(self, chat: Chat, query: Mapping[str, Any]) -> bool:
        filters: list[str] = query.get("filter") or []
        smart: list[str] = query.get("smartListIds") or []
        custom: str | None = query.get("customListId")
        search: str = (query.get("search") or "").lower()
        user = self.owner.world.users[chat.user]
        return (
            all(_FILTERS[name](self, chat) for name in filters)
            and (not smart or any(chat.user in self._smart.members(name) for name in smart))
            and (custom is None or chat.user in self._custom.members(custom))
            and any(search in user[key].lower() for key in ("handle", "displayName"))
        )

    def update(self, call: Call) -> None:
        """PATCH /chats/{userUuid}; its own form declares no 404."""
        user, body = call.path["userUuid"], call.body
        if user not in self._chats:
            if "creatorUserUuid" in call.path:
                raise missing("Chat")
            raise RefusedError.saying(400, "There is no chat with this user")
        chat, relation = self._chats[user], self.fans[user]
        if body.get("isRead"):
            chat.read()
        chat.is_marked_unread = body.get("isRead", not chat.is_marked_unread) is False
        relation.is_muted = body.get("isMuted", relation.is_muted)
        if "nickname" in body:
            relation.nickname = body["nickname"] or None

    def unread(self, _: Call) -> Any:
        """GET /chats/unread."""
        counts = [chat.unread() for chat in self._chats.values()]
        return {
            "unreadChatsCount": sum(
                bool(chat.unread() or chat.is_marked_unread) for chat in self._chats.values()
            ),
            "unreadMessagesCount": sum(counts),
            "unreadNotifications": self.notifications.unread(),
        }

    def statuses(self, call: Call) -> Any:
        """POST /chats/statuses; unknown users are offline, as those who hide it."""
        presence = self.owner.world.users.presence
        return {user: presence(user) for user in call.body["userUuids"]}

    def type(self, call: Call) -> None:
        """POST /chats/{userUuid}/typing, whose success status is not documented."""
        if call.path["userUuid"] not in self._chats:
            raise RefusedError.invalid("there is no chat with this user")


def _as_last(message: Row) -> Row:
    """Return a message as the list of chats shows it."""
    names = ("text", "type", "uuid", "sentAt", "hasMedia", "mediaType")
    return {
        **{name: message[name] for name in names},
        "senderUuid": message["sender"]["uuid"],
        "sentByUserId": message["sentByUserId"],
    }


def _in_list(name: str) -> Callable[[Chats, Chat], object]:
    return lambda chats, chat: SMART[name][1](chats.fans[chat.user])


_FOR_EVERYBODY = {"unread", "online", "subscribed_to", "not_muted"}
_FILTERS: Mapping[str, Callable[[Chats, Chat], object]] = {
    "unread": lambda _, chat: chat.unread() or chat.is_marked_unread,
    "subscribers": _in_list("subscribers"),
    "followers": _in_list("followers"),
    "online": lambda chats, chat: chats.is_online(chat),
    "recent_subscribers": _in_list("subscribers"),  # how recent is not documented
    "not_answered": lambda _, chat: (
        chat.messages and chat.messages[-1]["sender"]["uuid"] == chat.user
    ),
    "spent_more_than_50": _in_list("spent_more_than_50"),
    "on_free_trial": _in_list("free_trial_subscribers"),
    "has_tipped": lambda chats, chat: chats.fans[chat.user].tipped,
    "spenders": lambda chats, chat: chats.fans[chat.user].spent,
    "exclude_creators": lambda chats, chat: not chats.owner.world.users.is_creator(chat.user),
    "subscribed_to": lambda _, __: False,  # the fake's accounts subscribe to nobody
    "not_muted": lambda chats, chat: not chats.fans[chat.user].is_muted,
    "archived": lambda _, __: False,  # no documented operation archives a chat
}
_QUERY = {
    **PAGE,
    "customListId": Parameter(a_uuid),
    "smartListIds": Parameter(one_of(*SMART), many="repeated"),
    "filter": Parameter(one_of(*_FILTERS), many="repeated"),
    "search": Parameter(text(0, 100)),
    "sortBy": Parameter(one_of("most_recent_messages", "online_now", "most_unanswered_chats")),
}
_CHANGES = body(isRead=boolean, isMuted=boolean, nickname=text(0, 30))
_CREATE = body({"userUuid": a_uuid})
_TYPING = body({"isTyping": boolean})
_USERS = body({"userUuids": list_of(a_uuid, 1, 100)})
_READ = Access("read:chat", "read:creator")
_WRITE = Access("write:chat", "read:creator")

CHATS: Routes = (
    Chats,
    (
        Route("GET", "/chats", Chats.page, _READ, query=_QUERY, creator_query=PAGE),
        Route("POST", "/chats", Chats.create, _WRITE, status=201, errors="UC", body=_CREATE),
        Route("GET", "/chats/unread", Chats.unread, Access("read:chat")),
        Route("POST", "/chats/statuses", Chats.statuses, Access("read:chat"), body=_USERS),
        Route(
            "PATCH",
            "/chats/{userUuid}",
            Chats.update,
            _WRITE,
            status=204,
            errors="UVI",
            body=_CHANGES,
        ),
        Route(
            "POST",
            "/chats/{userUuid}/typing",
            Chats.type,
            Access("write:chat"),
            status=204,
            body=_TYPING,
        ),
    ),
)
