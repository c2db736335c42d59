"""Reading media, and giving them to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanvue_async.testing.exchange import missing, page
from fanvue_async.testing.media import KINDS, STATES, VARIANTS
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    in_json,
    matching,
    number,
    one_of,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.media import Media
    from fanvue_async.testing.vault import Vault


class Library:
    """The media operations, as ``fake.library``; ``fake.media`` is what they are about."""

    def __init__(self, media: Media, vault: Vault) -> None:
        self._media = media
        self._vault = vault
        self._links: dict[str, bool] = {}
        self._grants: dict[tuple[str, str], tuple[str, str, str]] = {}

    def add_link(self, *, purchased: bool = False) -> str:
        """Make a media link, bought or not. Returns its UUID."""
        uuid = new_uuid()
        self._links[uuid] = purchased
        return uuid

    def page(self, call: Call) -> Any:
        """GET /media, newest first."""
        query = call.query
        found = [uuid for uuid in self._media.newest() if self._is_wanted(uuid, query)]
        wanted = page(found, query)
        return {**wanted, "data": [self._media.item(uuid, query) for uuid in wanted["data"]]}

    def _is_wanted(self, uuid: str, query: Any) -> bool:
        row, folder = self._media.find(uuid), query["folderName"]
        return (
            query["mediaType"] in (None, row["mediaType"])
            and (not query["status"] or row["status"] in query["status"])
            and query["usage"] in (None, *self._media.uses(uuid))
            and (folder is None or uuid in self._vault.media(folder))
        )

    def bulk(self, call: Call) -> Any:
        """GET /media/bulk: each media item, or an error beside null."""
        results: Row = {}
        errors: list[Row] = []
        for uuid in call.query["mediaUuids"]:
            known = self._media.has(uuid)
            results[uuid] = self._media.item(uuid, call.query) if known else None
            if not known:
                said = "Media not found"
                errors.append({"mediaUuid": uuid, "code": "NOT_FOUND", "message": said})
        return {"results": results, "errors": errors}

    def one(self, call: Call) -> Any:
        """GET /media/{uuid}."""
        return self._media.item(self._media.find(call.path["uuid"])["uuid"], call.query)

    def update(self, call: Call) -> None:
        """PATCH /media/{uuid}, which the official text does not have."""
        if self._media.has(call.path["uuid"]):
            self._media.find(call.path["uuid"]).update(call.body)

    def delete(self, call: Call) -> None:
        """DELETE /media/{uuid}, which the official text does not have."""
        if self._media.has(call.path["uuid"]):
            self._media.remove(call.path["uuid"])

    def entitled(self, call: Call) -> Any:
        """GET /media/{uuid}/entitled: only what the consumer was granted."""
        uuid, consumer = call.path["uuid"], call.query["consumerId"]
        if not any(granted[:2] == (uuid, consumer) for granted in self._grants.values()):
            raise missing("Entitlement")
        return self._media.item(self._media.find(uuid)["uuid"], call.query)

    def grant(self, call: Call) -> Any:
        """POST /media/{uuid}/grant; a repetition gives the same entitlement."""
        media = self._media.find(call.path["uuid"])["uuid"]
        key = call.body["source"], call.body["sourceRef"]
        if key not in self._grants:
            self._grants[key] = media, call.body["consumerId"], new_uuid()
        return {"entitlementId": self._grants[key][2], "status": "granted"}

    def link(self, call: Call) -> Any:
        """GET /media/links/{uuid}/purchased."""
        if call.path["uuid"] not in self._links:
            raise missing("Media link")
        return {"purchased": self._links[call.path["uuid"]]}


_VARIANTS = {"variants": Parameter(one_of(*VARIANTS), many="commas")}
_PURCHASED = {"purchasedBy": Parameter(a_uuid), **_VARIANTS}
_PAGE = {
    **PAGE,
    **_PURCHASED,
    "mediaType": Parameter(one_of(*KINDS)),
    "folderName": Parameter(text()),
    "usage": Parameter(one_of("subscribers", "followers", "ppv", "mass_messages")),
    "status": Parameter(one_of(*STATES), many="commas"),
}
_BULK = {"mediaUuids": Parameter(a_uuid, required=True, many="commas", most=20), **_VARIANTS}
_ENTITLED = {"consumerId": Parameter(a_uuid, required=True), **_VARIANTS}
_GRANT = body(
    {
        "consumerId": a_uuid,
        "source": matching("[a-z0-9_]+", 100),
        "sourceRef": text(1, 255),
    }
)
_CHANGES = body(
    name=text(0, 255), caption=text(0, 5000), recommendedPrice=in_json(number(0, 50_000))
)
_READ = Access("read:media", "read:creator", creator_errors="UV")
_READ_OWN, _WRITE = Access("read:media"), Access("write:media")
_ONE = "/media/{uuid}"

LIBRARY: Routes = (
    Library,
    (
        Route("GET", "/media", Library.page, _READ, query=_PAGE),
        Route("GET", "/media/bulk", Library.bulk, _READ_OWN, query=_BULK),
        Route("GET", _ONE, Library.one, _READ, query=_PURCHASED),
        Route("PATCH", _ONE, Library.update, _WRITE, status=204, body=_CHANGES),
        Route("DELETE", _ONE, Library.delete, _WRITE, status=204),
        Route("GET", f"{_ONE}/entitled", Library.entitled, _READ_OWN, query=_ENTITLED),
        Route("POST", f"{_ONE}/grant", Library.grant, _WRITE, body=_GRANT),
        Route("GET", "/media/links/{uuid}/purchased", Library.link, _READ_OWN),
    ),
)
