"""Notifications: what happened to an account, newest first."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource


class NotificationType(IntEnum):
    """The known values of ``Notification.event_type``, to compare it with."""

    COMMENT = 6
    LIKE = 7
    PURCHASE = 9
    NEW_SUBSCRIBER = 10
    TIP = 11
    FOLLOWER = 12
    PROMOTION = 14
    CREATOR_PROMO_PAYMENT = 19
    ACCOUNT_HEALTH = 26
    POLL_CLOSED = 27
    CHURN_RISK = 28


@attrs.frozen(kw_only=True)
class NotificationOriginator:
    """Who caused a notification."""

    uuid: str
    handle: str = ABSENT
    """The name in the profile's address, without ``@``."""
    display_name: str = ABSENT
    avatar_url: str | None = attrs.field(default=None, repr=False)
    is_creator: bool = ABSENT


@attrs.frozen(kw_only=True)
class Notification:
    """Something that happened to an account."""

    uuid: str
    created_at: datetime = ABSENT
    event_type: int = ABSENT
    """Compare it with :class:`NotificationType`; the API may know more."""
    is_read: bool = ABSENT
    data: dict[str, Any] = ABSENT
    """Depends on ``event_type``, and is not documented."""
    originator: NotificationOriginator | None = None
    receiver_uuid: str = ABSENT


_LIST = Operation(
    "GET",
    "/notifications",
    Numbered[Notification],
    id="listNotifications",
    creator_id="listCreatorNotifications",
    scopes=("read:self",),
)


class CreatorNotificationsResource(Resource):
    """The notifications of a creator, as ``client.creator(uuid).notifications``."""

    def list(
        self, *, event_type: int | None = None, start: str | None = None, page_size: int = 50
    ) -> Listing[Notification]:
        """List the notifications, newest first. Scope: ``read:self``.

        Args:
            event_type: only those of this :class:`NotificationType`.
            start: ``Page.next`` of an earlier page.
            page_size: notifications a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listNotifications, https://api.fanvue.com/docs/api-reference

        """
        query = {"eventType": event_type}
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)


class NotificationsResource(CreatorNotificationsResource):
    """The notifications of the token's account, as ``client.notifications``."""
