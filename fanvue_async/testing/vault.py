"""Folders of the vault, and which media lie in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import RefusedError, look_up, missing, page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, uuid_of
from fanvue_async.testing.values import PAGE, body, list_of, text
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.media import Media
    from fanvue_async.testing.world import Owner


@attrs.define
class _Folder:
    name: str
    created_at: str
    media: list[str] = attrs.field(factory=list[str])

    def row(self) -> Row:
        return {"name": self.name, "createdAt": self.created_at, "mediaCount": len(self.media)}


class Vault:
    """As ``fake.vault``."""

    def __init__(self, owner: Owner, media: Media) -> None:
        self._owner = owner
        self._media = media
        self._folders: dict[str, _Folder] = {}

    def add(self, name: str, media_uuids: Iterable[UUID | str] = ()) -> str:
        """Make a folder. Returns its name."""
        folder = _Folder(name, self._owner.world.moment())
        folder.media += [uuid_of(each) for each in media_uuids]
        self._folders[name] = folder
        return name

    def media(self, name: str) -> list[str]:
        """Return the UUIDs of what lies in a folder; nothing if there is no such folder."""
        return self._folders[name].media if name in self._folders else []

    def _find(self, call: Call) -> _Folder:
        return look_up(self._folders, call.path["folderName"], "Folder")

    def _check_name(self, name: str) -> None:
        if name in self._folders:
            raise RefusedError.saying(409, "A folder with this name exists already")

    def page(self, call: Call) -> Any:
        """GET /vault/folders; that it takes page and size is not documented."""
        return page([folder.row() for folder in self._folders.values()], call.query)

    def create(self, call: Call) -> Any:
        """POST /vault/folders."""
        self._check_name(call.body["name"])
        return self._folders[self.add(call.body["name"])].row()

    def one(self, call: Call) -> Any:
        """GET /vault/folders/{folderName}."""
        return self._find(call).row()

    def rename(self, call: Call) -> None:
        """PATCH /vault/folders/{folderName}."""
        folder, name = self._find(call), call.body["name"]
        if name != folder.name:
            self._check_name(name)
            self._folders[name] = self._folders.pop(folder.name)
            folder.name = name

    def delete(self, call: Call) -> None:
        """DELETE /vault/folders/{folderName}; the media stay."""
        del self._folders[self._find(call).name]

    def media_page(self, call: Call) -> Any:
        """GET /vault/folders/{folderName}/media."""
        found = [self._media.find(uuid) for uuid in self._find(call).media if self._media.has(uuid)]
        names = ("uuid", "name", "createdAt", "mediaType")
        return page([{name: row[name] for name in names} for row in found], call.query)

    def attach(self, call: Call) -> Any:
        """POST /vault/folders/{folderName}/media; others' media are left out."""
        media = self._find(call).media
        wanted = dict.fromkeys(call.body["mediaUuids"])
        new = [uuid for uuid in wanted if uuid not in media and self._media.has(uuid)]
        media += new
        return {"addedCount": len(new)}

    def detach(self, call: Call) -> None:
        """DELETE /vault/folders/{folderName}/media/{mediaUuid}."""
        media = self._find(call).media
        if call.path["mediaUuid"] not in media:
            raise missing("Media")
        media.remove(call.path["mediaUuid"])


_NAME = body({"name": text(1, 255)})
_ALL, _ONE = "/vault/folders", "/vault/folders/{folderName}"
_READ = Access("read:media", "read:creator", creator_errors="UV")
_WRITE = Access("write:media", "write:creator", creator_errors="UV")
_MEDIA = body({"mediaUuids": list_of(a_uuid, 1, 100)})

VAULT: Routes = (
    Vault,
    (
        Route("GET", _ALL, Vault.page, _READ, query=PAGE),
        Route("POST", _ALL, Vault.create, _WRITE, status=201, body=_NAME),
        Route("GET", _ONE, Vault.one, _READ),
        Route("PATCH", _ONE, Vault.rename, _WRITE, status=204, body=_NAME),
        Route("DELETE", _ONE, Vault.delete, _WRITE, status=204),
        Route("GET", f"{_ONE}/media", Vault.media_page, _READ, query=PAGE),
        Route("POST", f"{_ONE}/media", Vault.attach, _WRITE, status=201, body=_MEDIA),
        Route("DELETE", f"{_ONE}/media/{{mediaUuid}}", Vault.detach, _WRITE, status=204),
    ),
)
