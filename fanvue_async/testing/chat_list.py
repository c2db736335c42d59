"""The list of chats: its filters and counts, and what can be changed of a chat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fanvue_async.testing.exchange import RefusedError, Reply, page
from fanvue_async.testing.lists import SMART
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row
from fanvue_async.testing.values import PAGE, Parameter, body, boolean, list_of, one_of, text
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.chats import Chat, Chats
    from fanvue_async.testing.lists import CustomLists, SmartLists
    from fanvue_async.testing.notifications import Notifications


class ChatList:
    """The operations on chats but for opening them; ``fake.chats`` is what they are about."""

    def __init__(
        self, chats: Chats, *, custom: CustomLists, smart: SmartLists, notifications: Notifications
    ) -> None:
        self._chats = chats
        self._fans, self._owner = chats.fans, chats.owner
        self._custom, self._smart, self._notifications = custom, smart, notifications

    def page(self, call: Call) -> Any:
        """GET /chats."""
        filters: list[str] = call.query.get("filter") or []
        if not self._owner.profile["isCreator"] and set(filters) - _FOR_EVERYBODY:
            raise RefusedError(Reply.of(403, {"error": "This filter is for creators"}))
        chats = [chat for chat in self._chats.all() if self._is_wanted(chat, call.query)]
        order = call.query.get("sortBy")
        if order == "online_now":
            chats.sort(key=lambda chat: not is_online(self._chats, chat))
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
            "isMuted": self._fans[chat.user].is_muted,
            "unreadMessagesCount": unread,
            "user": self._fans.row(chat.user),
            "lastMessage": last and _as_last(last),
        }

    def _is_wanted(self, chat: Chat, query: Mapping[str, Any]) -> bool:
        filters: list[str] = query.get("filter") or []
        smart: list[str] = query.get("smartListIds") or []
        custom: str | None = query.get("customListId")
        search: str = (query.get("search") or "").lower()
        user = self._owner.world.users[chat.user]
        return (
            all(_FILTERS[name](self._chats, chat) for name in filters)
            and (not smart or any(chat.user in self._smart.members(name) for name in smart))
            and (custom is None or chat.user in self._custom.members(custom))
            and any(search in user[key].lower() for key in ("handle", "displayName"))
        )

    def update(self, call: Call) -> None:
        """PATCH /chats/{userUuid}; its own form declares no 404."""
        user, body = call.path["userUuid"], call.body
        if not self._chats.has(user) and "creatorUserUuid" not in call.path:
            raise RefusedError.saying(400, "There is no chat with this user")
        chat, relation = self._chats.find(user), self._fans[user]
        if body.get("isRead"):
            self._chats.read(chat)
        chat.is_marked_unread = body.get("isRead", not chat.is_marked_unread) is False
        relation.is_muted = body.get("isMuted", relation.is_muted)
        if "nickname" in body:
            relation.nickname = body["nickname"] or None

    def unread(self, _: Call) -> Any:
        """GET /chats/unread."""
        counts = [chat.unread() for chat in self._chats.all()]
        return {
            "unreadChatsCount": sum(
                bool(chat.unread() or chat.is_marked_unread) for chat in self._chats.all()
            ),
            "unreadMessagesCount": sum(counts),
            "unreadNotifications": self._notifications.unread(),
        }

    def statuses(self, call: Call) -> Any:
        """POST /chats/statuses; unknown users are offline, as those who hide it."""
        presence = self._owner.world.users.presence
        return {user: presence(user) for user in call.body["userUuids"]}

    def type(self, call: Call) -> None:
        """POST /chats/{userUuid}/typing, whose success status is not documented."""
        if not self._chats.has(call.path["userUuid"]):
            raise RefusedError.invalid("there is no chat with this user")


def _as_last(message: Row) -> Row:
    """Return a message as the list of chats shows it."""
    names = ("text", "type", "uuid", "sentAt", "hasMedia", "mediaType")
    return {
        **{name: message[name] for name in names},
        "senderUuid": message["sender"]["uuid"],
        "sentByUserId": message["sentByUserId"],
    }


def is_online(chats: Chats, chat: Chat) -> bool:
    """Return whether the fan of a chat is there now."""
    return bool(chats.owner.world.users.presence(chat.user)["isOnline"])


def _in_list(name: str) -> Callable[[Chats, Chat], object]:
    return lambda chats, chat: SMART[name][1](chats.fans[chat.user])


_FOR_EVERYBODY = {"unread", "online", "subscribed_to", "not_muted"}
_FILTERS: Mapping[str, Callable[[Chats, Chat], object]] = {
    "unread": lambda _, chat: chat.unread() or chat.is_marked_unread,
    "subscribers": _in_list("subscribers"),
    "followers": _in_list("followers"),
    "online": is_online,
    "recent_subscribers": _in_list("subscribers"),  # how recent is not documented
    "not_answered": lambda _, chat: (
        chat.messages and chat.messages[-1]["sender"]["uuid"] == chat.user
    ),
    "spent_more_than_50": _in_list("spent_more_than_50"),
    "on_free_trial": _in_list("free_trial_subscribers"),
    "has_tipped": lambda chats, chat: chats.fans[chat.user].tipped,
    "spenders": lambda chats, chat: chats.fans[chat.user].spent,
    "exclude_creators": lambda chats, chat: not chats.owner.world.users.is_creator(chat.user),
    "subscribed_to": lambda _, __: False,  # accounts of the fake have no subscriptions of their own
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
_TYPING = body({"isTyping": boolean})
_USERS = body({"userUuids": list_of(a_uuid, 1, 100)})
_READ = Access("read:chat", "read:creator")
_WRITE = Access("write:chat", "read:creator")

CHAT_LIST: Routes = (
    ChatList,
    (
        Route("GET", "/chats", ChatList.page, _READ, query=_QUERY, creator_query=PAGE),
        Route("GET", "/chats/unread", ChatList.unread, Access("read:chat")),
        Route("POST", "/chats/statuses", ChatList.statuses, Access("read:chat"), body=_USERS),
        Route(
            "PATCH",
            "/chats/{userUuid}",
            ChatList.update,
            _WRITE,
            status=204,
            errors="UVI",
            body=_CHANGES,
        ),
        Route(
            "POST",
            "/chats/{userUuid}/typing",
            ChatList.type,
            Access("write:chat"),
            status=204,
            body=_TYPING,
        ),
    ),
)
