"""Followers: users who follow an account and do not subscribe to it."""

from __future__ import annotations

from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser

_LIST = Operation(
    "GET",
    "/followers",
    Numbered[FanUser],
    id="listFollowers",
    creator_id="listCreatorFollowers",
    scopes=("read:fan",),
)


class CreatorFollowersResource(Resource):
    """The followers of a creator, as ``client.creator(uuid).followers``."""

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[FanUser]:
        """List the followers, without those who have a subscription. Scope: ``read:fan``.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: followers a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: listFollowers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size)


class FollowersResource(CreatorFollowersResource):
    """The followers of the token's account, as ``client.followers``."""
