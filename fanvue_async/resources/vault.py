"""The vault: folders that an account keeps its media in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._resource import Resource

_NAME_LENGTH = 255


@attrs.frozen(kw_only=True)
class VaultFolder:
    """A folder of the vault; its name is its identity."""

    name: str
    created_at: datetime | None = None
    media_count: int = ABSENT


@attrs.frozen(kw_only=True)
class VaultFolderMedia:
    """A media item in a folder."""

    uuid: str
    name: str | None = None
    created_at: datetime | None = None
    media_type: str = ABSENT
    """``image``, ``video``, ``audio`` or ``document``; the API may know more."""


@attrs.frozen(kw_only=True)
class AttachedMedia:
    """How many media were put into a folder."""

    added_count: int
    """Those that were in it already are not counted."""


_READ, _WRITE = ("read:media",), ("write:media",)
_WRITE_FOR_CREATOR = ("write:media", "write:creator")
_TEXTS = ("folderName",)

_FOLDERS = Operation(
    "GET",
    "/vault/folders",
    Numbered[VaultFolder],
    id="listVaultFolders",
    creator_id="listCreatorVaultFolders",
    scopes=_READ,
)
_CREATE = Operation(
    "POST",
    "/vault/folders",
    VaultFolder,
    id="createVaultFolder",
    creator_id="createCreatorVaultFolder",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
)
_GET = Operation(
    "GET",
    "/vault/folders/{folderName}",
    VaultFolder,
    id="getVaultFolder",
    creator_id="getCreatorVaultFolder",
    scopes=_READ,
    texts=_TEXTS,
)
# Not idempotent: once it is done, there is no folder of the old name.
_RENAME = Operation[None](
    "PATCH",
    "/vault/folders/{folderName}",
    id="renameVaultFolder",
    creator_id="renameCreatorVaultFolder",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=_TEXTS,
)
_DELETE = Operation[None](
    "DELETE",
    "/vault/folders/{folderName}",
    id="deleteVaultFolder",
    creator_id="deleteCreatorVaultFolder",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=_TEXTS,
)
_MEDIA = Operation(
    "GET",
    "/vault/folders/{folderName}/media",
    Numbered[VaultFolderMedia],
    id="listVaultFolderMedia",
    creator_id="listCreatorVaultFolderMedia",
    scopes=_READ,
    texts=_TEXTS,
)
_ATTACH = Operation(
    "POST",
    "/vault/folders/{folderName}/media",
    AttachedMedia,
    id="attachMediaToVaultFolder",
    creator_id="attachCreatorVaultMedia",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=_TEXTS,
)
_DETACH = Operation[None](
    "DELETE",
    "/vault/folders/{folderName}/media/{mediaUuid}",
    id="detachMediaFromVaultFolder",
    creator_id="detachCreatorVaultMedia",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    texts=_TEXTS,
)


class VaultResource(Resource):
    """The folders of an account's media, as ``client.vault`` and ``client.creator(uuid).vault``.

    A folder is named by any text of 1 to 255 characters; ``.``, ``..``, ``/`` and ``%`` in it
    reach the API as they are.
    """

    def folders(self, *, start: str | None = None, page_size: int = 50) -> Listing[VaultFolder]:
        """List the folders. Scope: ``read:media``.

        The response has pages, while no parameter for them is documented: ``page`` and ``size``
        are **assumed**, as other programs send them.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: folders a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listVaultFolders, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _FOLDERS, start=start, page_size=page_size, key=("name",))

    async def create_folder(self, name: str) -> VaultFolder:
        """Create a folder. Scope: ``write:media``.

        Args:
            name: 1 to 255 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            ConflictError: there is one of this name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: createVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        json = {"name": self._check(_CREATE).required_text("name", name, _NAME_LENGTH)}
        return await self._call(_CREATE, json=json)

    async def get_folder(self, folder_name: str) -> VaultFolder:
        """Read about a folder. Scope: ``read:media``.

        Args:
            folder_name: the folder.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such folder.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_GET, folder_name)

    async def rename_folder(self, folder_name: str, name: str) -> None:
        """Rename a folder. Scope: ``write:media``.

        Args:
            folder_name: the folder.
            name: its new name, 1 to 255 characters.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such folder.
            ConflictError: there is another one of the new name.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: renameVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        json = {"name": self._check(_RENAME).required_text("name", name, _NAME_LENGTH)}
        await self._call(_RENAME, folder_name, json=json)

    async def delete_folder(self, folder_name: str) -> None:
        """Delete a folder; its media stay. Scope: ``write:media``.

        Args:
            folder_name: the folder.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such folder.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, folder_name)

    def media(
        self, folder_name: str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[VaultFolderMedia]:
        """List the media in a folder. Scope: ``read:media``.

        Args:
            folder_name: the folder.
            start: ``Page.next`` of an earlier page.
            page_size: media a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such folder.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listVaultFolderMedia, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _MEDIA, folder_name, start=start, page_size=page_size)

    async def attach(self, folder_name: str, media_uuids: Sequence[UUID | str]) -> AttachedMedia:
        """Put media into a folder. Scope: ``write:media``.

        Args:
            folder_name: the folder.
            media_uuids: 1 to 100 of the account's own media.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such folder.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: attachMediaToVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        json = {"mediaUuids": self._check(_ATTACH).uuids("media_uuids", media_uuids, 1, 100)}
        return await self._call(_ATTACH, folder_name, json=json)

    async def detach(self, folder_name: str, media_uuid: UUID | str) -> None:
        """Take a media item out of a folder; the media item stays. Scope: ``write:media``.

        Args:
            folder_name: the folder.
            media_uuid: the media item.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such folder, or no such media item in it.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: detachMediaFromVaultFolder, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DETACH, folder_name, media_uuid)
