"""Template messages, which no documented operation makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from fanvue_async.testing.exchange import look_up, page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import PAGE, Parameter, text


class Templates:
    """As ``fake.templates``."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def add(
        self,
        text: str | None = None,
        *,
        price: int | None = None,
        media_uuids: Iterable[UUID | str] = (),
        folder_name: str | None = None,
    ) -> str:
        """Add a template; the price is in US cents. Returns its UUID."""
        uuid = new_uuid()
        self._rows[uuid] = {
            "uuid": uuid,
            "text": text,
            "price": price,
            "mediaUuids": [uuid_of(each) for each in media_uuids],
            "folderName": folder_name,
        }
        return uuid

    def find(self, uuid: str) -> Row | None:
        """Return a template."""
        return self._rows.get(uuid)

    def page(self, call: Call) -> Any:
        """GET /chats/templates; a part of the folder's name is enough."""
        part = (call.query["folderName"] or "").lower()
        found = [r for r in self._rows.values() if part in (r["folderName"] or "").lower()]
        return page(found, call.query)

    def one(self, call: Call) -> Any:
        """GET /chats/templates/{templateUuid}."""
        return look_up(self._rows, call.path["templateUuid"], "Template")


_QUERY = {**PAGE, "folderName": Parameter(text())}

TEMPLATES: Routes = (
    Templates,
    (
        Route("GET", "/chats/templates", Templates.page, Access("read:chat"), query=_QUERY),
        Route(
            "GET",
            "/chats/templates/{templateUuid}",
            Templates.one,
            Access("read:chat"),
            errors="UVI",
        ),
    ),
)
