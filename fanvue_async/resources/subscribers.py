"""Subscribers: users with an active subscription to an account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser


@attrs.frozen(kw_only=True)
class OnlineSubscriber:
    """A subscriber who is online."""

    uuid: str
    last_seen_at: datetime | None = None


@attrs.frozen(kw_only=True)
class OnlineSubscribers:
    """The subscribers who are online."""

    count: int = ABSENT
    """How many there are in ``data``."""
    data: tuple[OnlineSubscriber, ...]


_LIST = Operation(
    "GET",
    "/subscribers",
    Numbered[FanUser],
    id="listSubscribers",
    creator_id="listCreatorSubscribers",
    scopes=("read:fan",),
)
_ONLINE = Operation(
    "GET",
    "/creators/{creatorUserUuid}/subscribers/online",
    OnlineSubscribers,
    id="getOnlineSubscribers",
    scopes=("read:creator", "read:fan"),
    commas=("subscriberUuids",),
)


class CreatorSubscribersResource(Resource):
    """What the subscribers of a creator and those of the token's account have in common."""

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[FanUser]:
        """List the subscribers. Scope: ``read:fan``.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: subscribers a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listCreatorSubscribers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size)


class CreatorOnlySubscribersResource(CreatorSubscribersResource):
    """The subscribers of a creator, as ``client.creator(uuid).subscribers``."""

    async def online(
        self, *, limit: int | None = None, subscriber_uuids: Sequence[UUID | str] = ()
    ) -> OnlineSubscribers:
        """Look up which subscribers are online. Scopes: ``read:creator``, ``read:fan``.

        Args:
            limit: how many at most. The documentation allows 1 to 50 and names 1,000 as the
                default, so it is sent as it is.
            subscriber_uuids: look at these only.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getOnlineSubscribers, https://api.fanvue.com/docs/api-reference

        """
        uuids = self._check(_ONLINE).uuids("subscriber_uuids", subscriber_uuids)
        return await self._call(_ONLINE, query={"limit": limit, "subscriberUuids": uuids})


class SubscribersResource(CreatorSubscribersResource):
    """The subscribers of the token's account, as ``client.subscribers``."""

    def list(
        self,
        *,
        sort_field: Literal["name", "subscribedAt"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[FanUser]:
        """List the subscribers. Scope: ``read:fan``.

        Args:
            sort_field: what to sort by.
            sort_direction: which end comes first.
            start: ``Page.next`` of an earlier page.
            page_size: subscribers a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listSubscribers, https://api.fanvue.com/docs/api-reference

        """
        query = {"sortField": sort_field, "sortDirection": sort_direction}
        return Listing(self._session, _LIST, query=query, start=start, page_size=page_size)
