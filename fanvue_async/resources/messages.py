"""Messages: what an account and a user write to each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.engine.sends import Trace, send_once
from fanvue_async.money import Cents
from fanvue_async.paging import PAGE_SIZE, Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.chats import ChatMedia

VariantType = Literal["main", "thumbnail", "thumbnail_gallery", "blurred"]


class MessageType(StrEnum):
    """The known values of ``Message.type``, to compare it with; the API may send others."""

    AUTOMATED_CANCELED = "AUTOMATED_CANCELED"
    AUTOMATED_NEW_FOLLOWER = "AUTOMATED_NEW_FOLLOWER"
    AUTOMATED_NEW_PURCHASE = "AUTOMATED_NEW_PURCHASE"
    AUTOMATED_NEW_SUBSCRIBER = "AUTOMATED_NEW_SUBSCRIBER"
    AUTOMATED_RE_SUBSCRIBED = "AUTOMATED_RE_SUBSCRIBED"
    AUTOMATED_RENEWED = "AUTOMATED_RENEWED"
    AUTOMATED_CHAT_MESSAGE_REPLY = "AUTOMATED_CHAT_MESSAGE_REPLY"
    AUTOMATED_FIRST_MESSAGE_REPLY = "AUTOMATED_FIRST_MESSAGE_REPLY"
    BROADCAST = "BROADCAST"
    CHAT_TEXT_GENERATION = "CHAT_TEXT_GENERATION"
    CHAT_TEXT_REPLY = "CHAT_TEXT_REPLY"
    CHAT_TEXT_REWRITE = "CHAT_TEXT_REWRITE"
    GHOST_PROMOTION = "GHOST_PROMOTION"
    LOCKED_MESSAGE_UNLOCKED = "LOCKED_MESSAGE_UNLOCKED"
    MARKETING_KYC = "MARKETING_KYC"
    SINGLE_RECIPIENT = "SINGLE_RECIPIENT"
    TIP = "TIP"
    VOICE_CALL = "VOICE_CALL"


@attrs.frozen(kw_only=True)
class MessageSender:
    """Who wrote a message."""

    uuid: str
    handle: str = ABSENT


@attrs.frozen(kw_only=True)
class MessageRecipient:
    """Whom a message was written to."""

    uuid: str | None = None
    handle: str | None = None


@attrs.frozen(kw_only=True)
class Price:
    """What unlocking a message costs."""

    price: Cents = ABSENT
    """US cents."""


@attrs.frozen(kw_only=True)
class Pricing:
    """What unlocking a message costs, by currency."""

    usd: Price = attrs.field(default=ABSENT, metadata={"name": "USD"})


@attrs.frozen(kw_only=True)
class Message:
    """A message of a chat."""

    uuid: str
    text: str | None = None
    sent_at: datetime | None = None
    sender: MessageSender
    recipient: MessageRecipient = ABSENT
    has_media: bool | None = None
    media_type: str | None = None
    """``image``, ``video``, ``audio`` or ``document``."""
    media_uuids: tuple[str, ...] = ()
    type: str = ABSENT
    """Compare it with :class:`MessageType`; the API may know more."""
    pricing: Pricing | None = None
    """None: the message is free."""
    purchased_at: datetime | None = None
    sent_by_user_id: str | None = None
    """Who wrote it for the sender, such as a chatter of an agency."""
    is_read: bool | None = None


@attrs.frozen(kw_only=True)
class SentMessage:
    """A message that the API accepted."""

    message_uuid: str


@attrs.frozen(kw_only=True)
class MessageMediaError:
    """Why a media item was not found."""

    media_uuid: str
    code: str = ABSENT
    """``NOT_IN_MESSAGE`` or ``INTERNAL``."""
    message: str = ABSENT


@attrs.frozen(kw_only=True)
class MessageMedia:
    """The media of a message, by UUID; None for those that ``errors`` is about."""

    results: dict[str, ChatMedia | None]
    errors: tuple[MessageMediaError, ...] = ()


@attrs.frozen(kw_only=True)
class ChatMessages:
    """The newest messages of one chat, or why they can't be read."""

    messages: tuple[Message, ...] = ()
    has_more: bool | None = None
    oldest_message_uuid: str | None = None
    error: str | None = None
    """``forbidden``, ``not_found`` or ``internal``; None if the chat was read."""


@attrs.frozen(kw_only=True)
class MessagesBatch:
    """The newest messages of several chats, by the UUID of the user."""

    by_chat: dict[str, ChatMessages]


_LIST = Operation(
    "GET",
    "/chats/{userUuid}/messages",
    Numbered[Message],
    id="listMessages",
    creator_id="listCreatorMessages",
    scopes=("read:chat",),
)
_SEND = Operation(
    "POST",
    "/chats/{userUuid}/message",
    SentMessage,
    id="sendMessage",
    creator_id="sendCreatorMessage",
    scopes=("write:chat",),
)
_MEDIA = Operation(
    "GET",
    "/chats/{userUuid}/messages/{messageUuid}/media",
    MessageMedia,
    id="getMessageMediaByUuids",
    creator_id="getCreatorMessageMediaByUuids",
    scopes=("read:chat",),
    commas=("mediaUuids", "variants"),
)
_DELETE = Operation[None](
    "DELETE", "/chats/{userUuid}/messages/{messageUuid}", id="deleteMessage", scopes=("write:chat",)
)
_BATCH = Operation(
    "POST",
    "/chats/messages/batch",
    MessagesBatch,
    id="messagesBatch",
    scopes=("read:chat",),
    safe=True,
)


class CreatorMessagesResource(Resource):
    """The messages of a creator, as ``client.creator(uuid).messages``."""

    async def send(  # noqa: PLR0913 - what a message can hold, each by keyword
        self,
        user_uuid: UUID | str,
        *,
        text: str | None = None,
        media_uuids: Sequence[UUID | str] = (),
        price: int | None = None,
        template_uuid: UUID | str | None = None,
        confirm: bool = True,
    ) -> SentMessage:
        """Send a message in an existing chat, at most once. Scope: ``write:chat``.

        The request is repeated only if it provably never left. If the response is lost and time is
        left, the chat is read and the message looked for by sender, text, media, price and time.
        If exactly one matches, its UUID is returned as if the response had arrived. An equal
        message that another program sends within the same second can be mistaken for it.

        Args:
            user_uuid: whom the chat is with.
            text: 1 to 5,000 characters.
            media_uuids: of the account's own media.
            price: US cents to unlock the media, at least 300; needs ``media_uuids``.
            template_uuid: a template to send; it is never looked for, since its text is unknown.
            confirm: whether to look for it. Needs ``read:chat`` as well; without that scope, the
                outcome stays unknown.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            BadRequestError: the user can't be messaged, or the message is rejected.
            FanvueError: anything else. If ``maybe_processed``, it may have been sent; if
                ``looked_for`` too, it was not in the chat, though it may still appear.

        Source: sendMessage, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_SEND)
        user = check.required_uuid("user_uuid", user_uuid)
        media = check.uuids("media_uuids", media_uuids)
        json = {
            "text": ... if text is None else check.text("text", text, 1, 5_000),
            "mediaUuids": media or ...,
            "price": ... if price is None else check.price(price),
            "templateUuid": check.uuid("template_uuid", template_uuid) or ...,
        }
        if text is None and not media and template_uuid is None:
            raise check.refuse("a message needs text, media_uuids or template_uuid")
        if price is not None and not media and template_uuid is None:
            raise check.refuse("price needs media_uuids: text alone can't be sold")
        creator = self._session.creator
        trace = Trace(
            place=(creator, user),
            content=None if template_uuid else (text and text.strip(), frozenset(media), price),
            page=lambda number: _LIST.bind(
                (user,),
                query={"page": number, "size": PAGE_SIZE, "markAsRead": False},
                creator=creator,
            ),
            matches=partial(_is_same, user, text, media, price),
            sent_at=lambda message: message.sent_at,
            result=lambda message: SentMessage(message_uuid=message.uuid),
            identity=lambda sent: sent.message_uuid,
        )
        request = _SEND.bind((user,), json=json, creator=creator)
        return await send_once(self._session, request, trace, confirm=confirm)

    async def media(
        self,
        user_uuid: UUID | str,
        message_uuid: UUID | str,
        media_uuids: Sequence[UUID | str],
        *,
        variants: Sequence[VariantType] = (),
    ) -> MessageMedia:
        """Read media of a message. Scope: ``read:chat``.

        Args:
            user_uuid: whom the chat is with.
            message_uuid: the message.
            media_uuids: 1 to 20 of its ``media_uuids``.
            variants: the forms to get an address for; without one, no form has an address.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such message.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getMessageMediaByUuids, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_MEDIA)
        query = {
            "mediaUuids": check.uuids("media_uuids", media_uuids, 1, 20),
            "variants": check.several("variants", variants),
        }
        return await self._call(_MEDIA, user_uuid, message_uuid, query=query)

    def list(
        self,
        user_uuid: UUID | str,
        *,
        mark_as_read: bool = False,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[Message]:
        """List the messages of a chat, newest first. Scope: ``read:chat``.

        Args:
            user_uuid: whom the chat is with.
            mark_as_read: whether reading marks the chat as read, which the user sees. The API's
                own default is True.
            start: ``Page.next`` of an earlier page.
            page_size: messages a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no chat with this user.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listMessages, https://api.fanvue.com/docs/api-reference

        """
        query = {"markAsRead": self._check(_LIST).flag("mark_as_read", mark_as_read)}
        return Listing(
            self._session, _LIST, user_uuid, query=query, start=start, page_size=page_size
        )


class MessagesResource(CreatorMessagesResource):
    """The messages of the token's account, as ``client.messages``."""

    async def delete(self, user_uuid: UUID | str, message_uuid: UUID | str) -> None:
        """Delete a message that the account has sent. Scope: ``write:chat``.

        Args:
            user_uuid: whom the chat is with.
            message_uuid: the message. One that was bought, or sent to many, can't be deleted here.

        Raises:
            InvalidArgumentError: an argument is not a UUID; nothing was sent.
            BadRequestError: this message can't be deleted.
            NotFoundError: there is no such message.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteMessage, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, user_uuid, message_uuid)

    async def batch(
        self,
        chat_uuids: Sequence[UUID | str],
        *,
        limit: int = 20,
        since_message_uuid: UUID | str | None = None,
    ) -> MessagesBatch:
        """Read the newest messages of several chats in one call. Scope: ``read:chat``.

        Args:
            chat_uuids: 1 to 50 users, whom the chats are with.
            limit: messages a chat, 1 to 50.
            since_message_uuid: only messages that were published after this one.

        Returns:
            Messages or an error for each chat; the call succeeds even if no chat can be read.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: messagesBatch, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_BATCH)
        json = {
            "chatUuids": check.uuids("chat_uuids", chat_uuids, 1, 50),
            "limit": check.whole("limit", limit, 1, 50),
            "sinceMessageUuid": check.uuid("since_message_uuid", since_message_uuid) or ...,
        }
        return await self._call(_BATCH, json=json)


def _is_same(
    user: str, text: str | None, media: list[str], price: int | None, message: Message
) -> bool:
    """Return whether a message of a chat is the one that was sent there."""
    if message.sender.uuid == user:
        return False
    if (message.text or "").strip() != (text or "").strip():
        return False
    usd = message.pricing.usd if message.pricing else None
    if (usd.price if usd else None) != price:
        return False
    if message.media_uuids:
        return set(message.media_uuids) == set(media)
    return bool(message.has_media) == bool(media)  # the API did not say which
