"""Mass messages: one message to all members of lists. For creators only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from types import EllipsisType
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.engine.sends import Trace, send_once
from fanvue_async.money import Cents
from fanvue_async.paging import PAGE_SIZE, Listing, Numbered
from fanvue_async.resources._check import Check
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.chats import SmartListId


class MassMessageStatus(StrEnum):
    """The known values of ``MassMessage.status``, to compare it with; the API may send others."""

    FAILED = "FAILED"
    MODERATED = "MODERATED"
    SCHEDULED = "SCHEDULED"
    SENDING = "SENDING"
    SENT = "SENT"
    UNSENT = "UNSENT"


@attrs.frozen(kw_only=True)
class ListSelection:
    """Custom and smart lists, selected for their members."""

    smart_list_uuids: Sequence[SmartListId | str] = ()
    """Words such as ``subscribers``, in spite of the name."""
    custom_list_uuids: Sequence[UUID | str] = ()


@attrs.frozen(kw_only=True)
class MassMessage:
    """A message to all members of lists."""

    uuid: str
    text: str | None = None
    status: str = ABSENT
    """Compare it with :class:`MassMessageStatus`; the API may know more."""
    price: Cents | None = None
    """US cents to unlock the media."""
    created_at: datetime | None = None
    published_at: datetime | None = None
    scheduled_at: datetime | None = None
    recipient_count: int = ABSENT
    view_count: int = ABSENT
    purchase_count: int = ABSENT
    total_revenue: Cents = ABSENT
    """US cents."""
    media_uuids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class SentMassMessage:
    """A mass message that the API accepted."""

    id: str
    """The ``uuid`` of the mass message (assumed)."""
    recipient_count: int = ABSENT
    created_at: datetime | None = None


_LIST = Operation(
    "GET",
    "/chats/mass-messages",
    Numbered[MassMessage],
    id="listMassMessages",
    creator_id="listCreatorMassMessages",
    scopes=("read:chat",),
)
_SEND = Operation(
    "POST",
    "/chats/mass-messages",
    SentMassMessage,
    id="sendMassMessage",
    creator_id="sendCreatorMassMessage",
    scopes=("write:chat", "read:fan"),
)
_UPDATE = Operation[None](
    "PATCH",
    "/chats/mass-messages/{messageUuid}",
    id="updateMassMessage",
    creator_id="updateCreatorMassMessage",
    scopes=("write:chat",),
    idempotent=True,
)
_DELETE = Operation[None](
    "DELETE",
    "/chats/mass-messages/{messageUuid}",
    id="deleteMassMessage",
    creator_id="deleteCreatorMassMessage",
    scopes=("write:chat",),
)


class CreatorMassMessagesResource(Resource):
    """The mass messages of a creator, as ``client.creator(uuid).mass_messages``."""

    async def send(  # noqa: PLR0913 - what a mass message can hold, each by keyword
        self,
        included_lists: ListSelection,
        *,
        excluded_lists: ListSelection | None = None,
        text: str | None = None,
        media_uuids: Sequence[UUID | str] = (),
        price: int | None = None,
        scheduled_at: datetime | None = None,
        confirm: bool = True,
    ) -> SentMassMessage:
        """Send a message to all members of lists, at most once.

        Scopes: ``write:chat``, ``read:fan``. The request is repeated only if it provably never
        left. If the response is lost and time is left, the message is looked for among the newest
        mass messages, as ``messages.send`` does in a chat. Assumed: they are listed newest first.

        Args:
            included_lists: members of these lists get it.
            excluded_lists: members of these lists don't get it.
            text: 1 to 5,000 characters.
            media_uuids: of the account's own media.
            price: US cents to unlock the media, at least 300; needs ``media_uuids``.
            scheduled_at: when to send it; None sends it now.
            confirm: whether to look for it. Needs ``read:chat`` as well; without that scope, the
                outcome stays unknown.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            BadRequestError: the message is rejected.
            FanvueError: anything else. If ``maybe_processed``, it may have been sent; if
                ``looked_for`` too, it was not there, though it may still appear.

        Source: sendMassMessage, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_SEND)
        media = check.uuids("media_uuids", media_uuids)
        lists = _lists(check, "included_lists", included_lists)
        if not lists:
            raise check.refuse("included_lists must name a list, or nobody gets the message")
        if price is not None and not media:
            raise check.refuse("price needs media_uuids: text alone can't be sold")
        json = {
            "includedLists": lists,
            "excludedLists": excluded_lists and _lists(check, "excluded_lists", excluded_lists),
            "text": check.text("text", text, 1, 5_000),
            "mediaUuids": media or None,
            "price": check.price(price),
            "scheduledAt": check.moment("scheduled_at", scheduled_at),
        }
        creator = self._session.creator
        trace = Trace(
            place=("mass messages", creator),
            content=(text and text.strip(), frozenset(media), price),
            page=lambda number: _LIST.bind(
                query={"page": number, "size": PAGE_SIZE}, creator=creator
            ),
            matches=partial(_is_same, text, media, price, scheduled_at),
            sent_at=lambda row: row.created_at,
            result=lambda row: SentMassMessage(
                id=row.uuid, recipient_count=row.recipient_count, created_at=row.created_at
            ),
            identity=lambda sent: sent.id,
        )
        json = {name: value for name, value in json.items() if value is not None}
        request = _SEND.bind(json=json, creator=creator)
        return await send_once(self._session, request, trace, confirm=confirm)

    async def update(  # noqa: PLR0913 - what a mass message can hold, each by keyword
        self,
        message_uuid: UUID | str,
        *,
        included_lists: ListSelection | EllipsisType = ...,
        excluded_lists: ListSelection | EllipsisType = ...,
        text: str | EllipsisType = ...,
        media_uuids: Sequence[UUID | str] | EllipsisType = ...,
        price: int | EllipsisType | None = ...,
        scheduled_at: datetime | EllipsisType = ...,
    ) -> None:
        """Change a mass message that is still scheduled. Scope: ``write:chat``.

        What is left out stays as it is.

        Args:
            message_uuid: the mass message.
            included_lists: members of these lists get it.
            excluded_lists: members of these lists don't get it.
            text: 0 to 5,000 characters.
            media_uuids: of the account's own media.
            price: US cents to unlock the media, at least 300; None makes it free.
            scheduled_at: when to send it.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such mass message.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: updateMassMessage, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_UPDATE)
        json = {
            "includedLists": _lists(check, "included_lists", included_lists),
            "excludedLists": _lists(check, "excluded_lists", excluded_lists),
            "text": check.text("text", text, 0, 5_000),
            "mediaUuids": ... if media_uuids is ... else check.uuids("media_uuids", media_uuids),
            "price": check.price(price),
            "scheduledAt": check.moment("scheduled_at", scheduled_at),
        }
        await self._call(_UPDATE, message_uuid, json=json)

    async def delete(self, message_uuid: UUID | str) -> None:
        """Delete a mass message; buyers keep its media. Scope: ``write:chat``.

        Args:
            message_uuid: the mass message.

        Raises:
            InvalidArgumentError: ``message_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such mass message.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteMassMessage, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, message_uuid)

    def list(
        self, *, include_deleted: bool = False, start: str | None = None, page_size: int = 50
    ) -> Listing[MassMessage]:
        """List the mass messages. Scope: ``read:chat``.

        Args:
            include_deleted: whether to include deleted ones, whose status is ``UNSENT``.
            start: ``Page.next`` of an earlier page.
            page_size: mass messages a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listMassMessages, https://api.fanvue.com/docs/api-reference

        """
        query = {"includeDeleted": self._check(_LIST).flag("include_deleted", include_deleted)}
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)


class MassMessagesResource(CreatorMassMessagesResource):
    """The mass messages of the token's account, as ``client.mass_messages``."""


def _lists(check: Check, name: str, lists: ListSelection | EllipsisType) -> object:
    """Write a selection of lists as the API does."""
    if isinstance(lists, EllipsisType):
        return lists
    if not isinstance(lists, ListSelection):
        raise check.refuse(f"{name} must be a ListSelection")
    written = {
        "smartListUuids": check.several("smart_list_uuids", lists.smart_list_uuids),
        "customListUuids": check.uuids("custom_list_uuids", lists.custom_list_uuids),
    }
    return {key: value for key, value in written.items() if value}


def _is_same(
    text: str | None,
    media: Sequence[str],
    price: int | None,
    scheduled_at: datetime | None,
    row: MassMessage,
) -> bool:
    """Return whether a mass message has the content that was sent."""
    if scheduled_at is not None and row.scheduled_at is not None:
        is_on_time = abs(row.scheduled_at - scheduled_at) < timedelta(seconds=1)
    else:
        is_on_time = scheduled_at is row.scheduled_at
    is_text = (row.text or "").strip() == (text or "").strip()
    return is_on_time and is_text and set(row.media_uuids) == set(media) and row.price == price
