"""Smart lists: lists of users that the API maintains, such as all subscribers."""

from __future__ import annotations

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.chats import SmartListId
from fanvue_async.resources.custom_lists import ListMember


@attrs.frozen(kw_only=True)
class SmartList:
    """A list of users that the API maintains."""

    name: str = ABSENT
    uuid: str
    """A word such as ``subscribers`` or ``muted``, in spite of the name."""
    count: int = ABSENT
    """How many members it has."""


_LIST = Operation(
    "GET",
    "/chats/lists/smart",
    list[SmartList],
    id="getSmartLists",
    creator_id="getCreatorSmartLists",
    scopes=("read:chat", "read:fan"),
)
_MEMBERS = Operation(
    "GET",
    "/chats/lists/smart/{uuid}",
    Numbered[ListMember],
    id="getSmartListMembers",
    creator_id="getCreatorSmartListMembers",
    scopes=("read:chat", "read:fan"),
    arguments={"uuid": "list_id"},
    texts=("uuid",),
)


class CreatorSmartListsResource(Resource):
    """The smart lists of a creator, as ``client.creator(uuid).smart_lists``."""

    def members(
        self, list_id: SmartListId | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[ListMember]:
        """List the members of a list who can be contacted. Scopes: ``read:chat``, ``read:fan``.

        Args:
            list_id: the list, such as ``"subscribers"``.
            start: ``Page.next`` of an earlier page.
            page_size: members a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: getSmartListMembers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _MEMBERS, list_id, start=start, page_size=page_size)

    def list(self) -> Listing[SmartList]:
        """List the lists, which the API sends in one piece. Scopes: ``read:chat``, ``read:fan``.

        Raises:
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: getSmartLists, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST)


class SmartListsResource(CreatorSmartListsResource):
    """The smart lists of the token's account, as ``client.smart_lists``."""
