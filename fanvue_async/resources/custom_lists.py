"""Custom lists: lists of users that an account created."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource


@attrs.frozen(kw_only=True)
class CustomList:
    """A list of users."""

    uuid: str
    name: str = ABSENT
    members_count: int = ABSENT
    created_at: datetime | None = None


@attrs.frozen(kw_only=True)
class CreatedCustomList:
    """A list that was just created."""

    uuid: str
    name: str = ABSENT
    created_at: datetime | None = None


@attrs.frozen(kw_only=True)
class ListMember:
    """A user in a list."""

    uuid: str
    display_name: str = ABSENT
    handle: str = ABSENT
    """The name in the profile's address, without ``@``."""
    is_creator: bool = ABSENT


@attrs.frozen(kw_only=True)
class AddedMembers:
    """How many users were added to a list."""

    added: int
    skipped: int = ABSENT
    """Users who were members already."""


_ARGUMENTS = {"uuid": "list_uuid"}

_LIST = Operation(
    "GET",
    "/chats/lists/custom",
    Numbered[CustomList],
    id="getCustomLists",
    creator_id="getCreatorCustomLists",
    scopes=("read:chat", "read:fan"),
)
_MEMBERS = Operation(
    "GET",
    "/chats/lists/custom/{uuid}",
    Numbered[ListMember],
    id="getCustomListMembers",
    creator_id="getCreatorCustomListMembers",
    scopes=("read:chat", "read:fan"),
    arguments=_ARGUMENTS,
)
_CREATE = Operation(
    "POST",
    "/chats/lists/custom",
    CreatedCustomList,
    id="createCustomList",
    scopes=("write:chat",),
)
_RENAME = Operation[None](
    "PATCH",
    "/chats/lists/custom/{uuid}",
    id="updateCustomList",
    scopes=("write:chat",),
    idempotent=True,
    arguments=_ARGUMENTS,
)
_DELETE = Operation[None](
    "DELETE",
    "/chats/lists/custom/{uuid}",
    id="deleteCustomList",
    scopes=("write:chat",),
    arguments=_ARGUMENTS,
)
_ADD_MEMBERS = Operation(
    "POST",
    "/chats/lists/custom/{uuid}/members",
    AddedMembers,
    id="addMembersToCustomList",
    scopes=("write:chat",),
    idempotent=True,
    arguments=_ARGUMENTS,
)
_REMOVE_MEMBER = Operation[None](
    "DELETE",
    "/chats/lists/custom/{uuid}/members/{userUuid}",
    id="removeMemberFromCustomList",
    scopes=("write:chat",),
    arguments=_ARGUMENTS,
)


class CreatorCustomListsResource(Resource):
    """The custom lists of a creator, as ``client.creator(uuid).custom_lists``."""

    def members(
        self, list_uuid: UUID | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[ListMember]:
        """List the members of a list. Scopes: ``read:chat``, ``read:fan``.

        Args:
            list_uuid: the list.
            start: ``Page.next`` of an earlier page.
            page_size: members a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such list.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getCustomListMembers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _MEMBERS, list_uuid, start=start, page_size=page_size)

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[CustomList]:
        """List the lists. Scopes: ``read:chat``, ``read:fan``.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: lists a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: getCreatorCustomLists, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size)


class CustomListsResource(CreatorCustomListsResource):
    """The custom lists of the token's account, as ``client.custom_lists``."""

    async def create(self, name: str) -> CreatedCustomList:
        """Create a list. Scope: ``write:chat``.

        Args:
            name: 1 to 100 characters; no other list may have it.

        Raises:
            InvalidArgumentError: ``name`` is out of bounds; nothing was sent.
            ConflictError: another list has this name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: createCustomList, https://api.fanvue.com/docs/api-reference

        """
        json = {"name": self._check(_CREATE).required_text("name", name, 100)}
        return await self._call(_CREATE, json=json)

    async def rename(self, list_uuid: UUID | str, name: str) -> None:
        """Rename a list. Scope: ``write:chat``.

        Args:
            list_uuid: the list.
            name: 1 to 100 characters; no other list may have it.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such list.
            ConflictError: another list has this name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: updateCustomList, https://api.fanvue.com/docs/api-reference

        """
        json = {"name": self._check(_RENAME).required_text("name", name, 100)}
        await self._call(_RENAME, list_uuid, json=json)

    async def delete(self, list_uuid: UUID | str) -> None:
        """Delete a list. Scope: ``write:chat``.

        Args:
            list_uuid: the list.

        Raises:
            InvalidArgumentError: ``list_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such list.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteCustomList, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, list_uuid)

    async def add_members(
        self, list_uuid: UUID | str, user_uuids: Sequence[UUID | str]
    ) -> AddedMembers:
        """Add users to a list; existing members are skipped. Scope: ``write:chat``.

        Args:
            list_uuid: the list.
            user_uuids: 1 to 100 users.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such list.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: addMembersToCustomList, https://api.fanvue.com/docs/api-reference

        """
        uuids = self._check(_ADD_MEMBERS).uuids("user_uuids", user_uuids, 1, 100)
        return await self._call(_ADD_MEMBERS, list_uuid, json={"userUuids": uuids})

    async def remove_member(self, list_uuid: UUID | str, user_uuid: UUID | str) -> None:
        """Remove a user from a list. Scope: ``write:chat``.

        Args:
            list_uuid: the list.
            user_uuid: the user.

        Raises:
            InvalidArgumentError: an argument is not a UUID; nothing was sent.
            NotFoundError: there is no such list or member.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: removeMemberFromCustomList, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_REMOVE_MEMBER, list_uuid, user_uuid)

    def list(
        self, *, search: str | None = None, start: str | None = None, page_size: int = 50
    ) -> Listing[CustomList]:
        """List the lists. Scopes: ``read:chat``, ``read:fan``.

        Args:
            search: only lists whose name contains this (assumed).
            start: ``Page.next`` of an earlier page.
            page_size: lists a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: see :mod:`fanvue_async.errors`.

        Source: getCustomLists, https://api.fanvue.com/docs/api-reference

        """
        return Listing(
            self._session, _LIST, query={"search": search}, start=start, page_size=page_size
        )
