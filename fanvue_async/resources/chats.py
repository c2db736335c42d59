"""Chats: conversations of an account with its fans and with other creators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import EllipsisType
from typing import Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.errors import NotContactableError
from fanvue_async.paging import Cursored, Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser

ChatFilter = Literal[
    "unread",
    "subscribers",
    "followers",
    "online",
    "recent_subscribers",
    "not_answered",
    "spent_more_than_50",
    "on_free_trial",
    "has_tipped",
    "spenders",
    "exclude_creators",
    "subscribed_to",
    "not_muted",
    "archived",
]
ChatOrder = Literal["most_recent_messages", "online_now", "most_unanswered_chats"]
MediaType = Literal["image", "video", "audio", "document"]
SmartListId = Literal[
    "subscribers",
    "auto_renewing",
    "non_renewing",
    "followers",
    "free_trial_subscribers",
    "expired_subscribers",
    "spent_more_than_50",
    "muted",
]


@attrs.frozen(kw_only=True)
class CreatedChat:
    """The API's response to a created chat."""

    message: str
    """Its wording is not documented."""


@attrs.frozen(kw_only=True)
class LastMessage:
    """The newest message of a chat."""

    text: str | None = None
    type: str = ABSENT
    """Compare it with :class:`MessageType`; the API may know more."""
    uuid: str
    sent_at: datetime | None = None
    has_media: bool | None = None
    media_type: str | None = None
    """``image``, ``video``, ``audio`` or ``document``."""
    sender_uuid: str = ABSENT
    sent_by_user_id: str | None = None
    """Who wrote it for the sender, such as a chatter of an agency."""


@attrs.frozen(kw_only=True)
class Chat:
    """A conversation."""

    created_at: datetime | None = None
    last_message_at: datetime | None = None
    is_read: bool = ABSENT
    is_muted: bool = ABSENT
    unread_messages_count: int = ABSENT
    user: FanUser
    """The other person."""
    last_message: LastMessage | None = None


@attrs.frozen(kw_only=True)
class UnreadNotifications:
    """How many notifications of each kind are unread."""

    new_follower: int = ABSENT
    new_post_comment: int = ABSENT
    new_post_like: int = ABSENT
    new_purchase: int = ABSENT
    new_subscriber: int = ABSENT
    new_tip: int = ABSENT
    new_promotion: int = ABSENT


@attrs.frozen(kw_only=True)
class UnreadCounts:
    """How much is unread."""

    unread_chats_count: int
    unread_messages_count: int
    unread_notifications: UnreadNotifications = ABSENT


@attrs.frozen(kw_only=True)
class OnlineStatus:
    """Whether a user is online. Users who hide their presence always read as offline."""

    is_online: bool
    last_seen_at: datetime | None = None


@attrs.frozen(kw_only=True)
class MediaVariant:
    """One form of a media item."""

    variant_type: str = ABSENT
    """``main``, ``thumbnail``, ``thumbnail_gallery`` or ``blurred``."""
    display_position: int = ABSENT
    url: str | None = attrs.field(default=None, repr=False)
    """Signed: whoever has it can read the file for as long as it works."""
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    length_ms: int | None = None
    """Milliseconds, of audio and video."""


@attrs.frozen(kw_only=True)
class ChatMedia:
    """A media item that was sent in a chat."""

    uuid: str
    message_uuid: str = ABSENT
    media_type: str = ABSENT
    """``image``, ``video``, ``audio``, ``document`` or ``unknown``."""
    created_at: datetime | None = attrs.field(default=None, metadata={"name": "created_at"})
    sent_at: datetime | None = None
    owner_uuid: str = ABSENT
    name: str | None = None
    variants: tuple[MediaVariant, ...] = ()


_LIST = Operation(
    "GET",
    "/chats",
    Numbered[Chat],
    id="listChats",
    creator_id="listCreatorChats",
    scopes=("read:chat",),
)
# That it may be repeated is assumed: a chat is identified by the user, and creating one sends the
# user nothing.
_CREATE = Operation(
    "POST",
    "/chats",
    CreatedChat,
    id="createChat",
    creator_id="createCreatorChat",
    scopes=("write:chat",),
    idempotent=True,
    bare_message=NotContactableError,
)
_UPDATE = Operation[None](
    "PATCH",
    "/chats/{userUuid}",
    id="updateChat",
    creator_id="updateCreatorChat",
    scopes=("write:chat",),
    idempotent=True,
)
_MEDIA = Operation(
    "GET",
    "/chats/{userUuid}/media",
    Cursored[ChatMedia],
    id="listMedia",
    creator_id="listCreatorChatMedia",
    scopes=("read:chat",),
)
_UNREAD = Operation(
    "GET", "/chats/unread", UnreadCounts, id="getUnreadChatsCount", scopes=("read:chat",)
)
_STATUSES = Operation(
    "POST",
    "/chats/statuses",
    dict[str, OnlineStatus],
    id="getBatchStatuses",
    scopes=("read:chat",),
    safe=True,
)
_TYPING = Operation[None](
    "POST",
    "/chats/{userUuid}/typing",
    id="sendTypingIndicator",
    scopes=("write:chat",),
    assumed=True,
)


class CreatorChatsResource(Resource):
    """The chats of a creator, as ``client.creator(uuid).chats``."""

    async def create(self, user_uuid: UUID | str) -> CreatedChat:
        """Open a chat with a user. Scope: ``write:chat``.

        What the API does when the chat exists is not documented; that a repetition is harmless is
        assumed, so transient failures are repeated (``RetryPolicy(repeat_unknown=False)`` is for
        those who doubt it).

        Args:
            user_uuid: a ``uuid.UUID``, or its canonical text of 36 characters.

        Returns:
            What the API says about it.

        Raises:
            InvalidArgumentError: ``user_uuid`` is not a UUID; nothing was sent.
            NotContactableError: the user can't be messaged.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: createChat, https://api.fanvue.com/docs/api-reference

        """
        uuid = self._check(_CREATE).required_uuid("user_uuid", user_uuid)
        return await self._call(_CREATE, json={"userUuid": uuid})

    async def update(
        self,
        user_uuid: UUID | str,
        *,
        is_read: bool | EllipsisType = ...,
        is_muted: bool | EllipsisType = ...,
        nickname: str | EllipsisType = ...,
    ) -> None:
        """Mark a chat as read or unread, mute it, or nickname the user. Scope: ``write:chat``.

        What is left out stays as it is.

        Args:
            user_uuid: whom the chat is with.
            is_read: whether the account has read it.
            is_muted: whether its notifications are off.
            nickname: what the account calls the user, 0 to 30 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: updateChat, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_UPDATE)
        json = {
            "isRead": check.flag("is_read", is_read),
            "isMuted": check.flag("is_muted", is_muted),
            "nickname": check.text("nickname", nickname, 0, 30),
        }
        await self._call(_UPDATE, user_uuid, json=json)

    def media(
        self,
        user_uuid: UUID | str,
        *,
        media_type: MediaType | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[ChatMedia]:
        """List the media of a chat, newest first. Scope: ``read:chat``.

        Args:
            user_uuid: whom the chat is with.
            media_type: only media of this type.
            start: ``Page.next`` of an earlier page.
            page_size: items a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no chat with this user.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listMedia, https://api.fanvue.com/docs/api-reference

        """
        return Listing(
            self._session,
            _MEDIA,
            user_uuid,
            query={"mediaType": media_type},
            start=start,
            page_size=page_size,
            size_name="limit",
            key=("uuid", "message_uuid"),
        )

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[Chat]:
        """List the chats. Scope: ``read:chat``.

        **Assumed**: the one with the newest message comes first.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: chats a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listCreatorChats, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size, key=("user.uuid",))


class ChatsResource(CreatorChatsResource):
    """The chats of the token's account, as ``client.chats``."""

    async def unread(self) -> UnreadCounts:
        """Count what is unread: chats, messages, notifications. Scope: ``read:chat``.

        Raises:
            FanvueError: see :mod:`fanvue_async.errors`.

        Source: getUnreadChatsCount, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_UNREAD)

    async def statuses(self, user_uuids: Sequence[UUID | str]) -> dict[str, OnlineStatus]:
        """Look up who is online. Scope: ``read:chat``.

        Args:
            user_uuids: 1 to 100 users.

        Returns:
            The status by the user's UUID. Users who hide it are always offline.

        Raises:
            InvalidArgumentError: not 1 to 100 UUIDs; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getBatchStatuses, https://api.fanvue.com/docs/api-reference

        """
        uuids = self._check(_STATUSES).uuids("user_uuids", user_uuids, 1, 100)
        return await self._call(_STATUSES, json={"userUuids": uuids})

    async def typing(self, user_uuid: UUID | str, *, is_typing: bool = True) -> None:
        """Show the user that the account is typing, or has stopped. Scope: ``write:chat``.

        **Assumed**: seen in public programs, not in the API's documentation.

        Args:
            user_uuid: whom the chat is with.
            is_typing: False takes it back.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        """
        json = {"isTyping": self._check(_TYPING).flag("is_typing", is_typing)}
        await self._call(_TYPING, user_uuid, json=json)

    def list(  # noqa: PLR0913 - the API's filters, each by keyword
        self,
        *,
        filter: Sequence[ChatFilter] = (),  # noqa: A002 - the API's name
        search: str | None = None,
        custom_list_id: UUID | str | None = None,
        smart_list_ids: Sequence[SmartListId] = (),
        sort_by: ChatOrder | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[Chat]:
        """List the chats. Scope: ``read:chat``.

        Args:
            filter: only chats that pass all of these (assumed). Accounts that are not creators
                may use ``unread``, ``online``, ``subscribed_to`` and ``not_muted``.
            search: only users whose name contains this (assumed), at most 100 characters.
            custom_list_id: only members of this custom list.
            smart_list_ids: only members of these smart lists.
            sort_by: default ``most_recent_messages``.
            start: ``Page.next`` of an earlier page.
            page_size: chats a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            PermissionDeniedError: while listing: a filter is for creators only.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listChats, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_LIST)
        query = {
            "customListId": check.uuid("custom_list_id", custom_list_id),
            "smartListIds": check.several("smart_list_ids", smart_list_ids),
            "filter": check.several("filter", filter),
            "search": check.text("search", search, 0, 100),
            "sortBy": sort_by,
        }
        return Listing(
            self._session,
            _LIST,
            query=query,
            start=start,
            page_size=page_size,
            key=("user.uuid",),
        )
