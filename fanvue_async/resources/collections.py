"""Collections: named groups of posts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource

_LABEL_LENGTH = 100


@attrs.frozen(kw_only=True)
class Collection:
    """A named group of posts."""

    uuid: str
    label: str = ABSENT
    created_at: datetime | None = None


_LIST = Operation(
    "GET", "/collections", Numbered[Collection], id="listCollections", scopes=("read:post",)
)
_CREATE = Operation(
    "POST", "/collections", Collection, id="createCollection", scopes=("write:post",)
)
_RENAME = Operation[None](
    "PATCH",
    "/collections/{uuid}",
    id="renameCollection",
    scopes=("write:post",),
    idempotent=True,
    arguments={"uuid": "collection_uuid"},
)
_DELETE = Operation[None](
    "DELETE",
    "/collections/{uuid}",
    id="deleteCollection",
    scopes=("write:post",),
    arguments={"uuid": "collection_uuid"},
)


class CollectionsResource(Resource):
    """The collections of the token's account, as ``client.collections``."""

    async def create(self, label: str) -> Collection:
        """Create a collection. Scope: ``write:post``.

        Args:
            label: its name, 1 to 100 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            ConflictError: there is one of this name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: createCollection, https://api.fanvue.com/docs/api-reference

        """
        json = {"label": self._check(_CREATE).required_text("label", label, _LABEL_LENGTH)}
        return await self._call(_CREATE, json=json)

    async def rename(self, collection_uuid: UUID | str, label: str) -> None:
        """Rename a collection. Scope: ``write:post``.

        Args:
            collection_uuid: the collection.
            label: its new name, 1 to 100 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such collection.
            ConflictError: there is another one of this name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: renameCollection, https://api.fanvue.com/docs/api-reference

        """
        json = {"label": self._check(_RENAME).required_text("label", label, _LABEL_LENGTH)}
        await self._call(_RENAME, collection_uuid, json=json)

    async def delete(self, collection_uuid: UUID | str) -> None:
        """Delete a collection; its posts stay. Scope: ``write:post``.

        Args:
            collection_uuid: the collection.

        Raises:
            InvalidArgumentError: ``collection_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such collection.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteCollection, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, collection_uuid)

    def list(self, *, start: str | None = None, page_size: int = 50) -> Listing[Collection]:
        """List the collections. Scope: ``read:post``.

        The response has pages, while no parameter for them is documented: ``page`` and ``size``
        are **assumed**.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: collections a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listCollections, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _LIST, start=start, page_size=page_size)
