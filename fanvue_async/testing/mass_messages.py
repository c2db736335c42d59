"""Messages to whole lists of fans."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fanvue_async.testing.exchange import RefusedError, missing, page
from fanvue_async.testing.lists import SELECTION
from fanvue_async.testing.messages import check_content
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    cents,
    fields,
    flag,
    list_of,
    moment,
    nullable,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid
from fanvue_async.testing.world import Owner, written

if TYPE_CHECKING:
    from fanvue_async.testing.lists import CustomLists, SmartLists


class MassMessages:
    """As ``fake.mass_messages``. They are kept here, and do not appear in the chats."""

    def __init__(self, owner: Owner, *, custom: CustomLists, smart: SmartLists) -> None:
        self._owner = owner
        self._custom, self._smart = custom, smart
        self._rows: dict[str, Row] = {}
        self._lists: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    @property
    def rows(self) -> list[Row]:
        """All of them, oldest first, as the API shows them."""
        return [self._as_of_now(uuid) for uuid in self._rows]

    def _recipients(self, included: Mapping[str, Any], excluded: Mapping[str, Any]) -> set[str]:
        chosen = [
            {
                *(u for name in each.get("smartListUuids", ()) for u in self._smart.members(name)),
                *(
                    u
                    for uuid in each.get("customListUuids", ())
                    for u in self._custom.members(uuid)
                ),
            }
            for each in (included, excluded)
        ]
        return chosen[0] - chosen[1]

    def _as_of_now(self, uuid: str) -> Row:
        row = self._rows[uuid]
        if row["status"] == "SCHEDULED" and not self._is_ahead(row["scheduledAt"]):
            row.update(status="SENT", publishedAt=row["scheduledAt"])
        return row

    def _is_ahead(self, scheduled: str) -> bool:
        return datetime.fromisoformat(scheduled).timestamp() > self._owner.world.now()

    def send(self, call: Call) -> Any:
        """POST /chats/mass-messages."""
        given = call.body
        if not any(given["includedLists"].values()):
            raise RefusedError.saying(400, "A mass message needs a list to go to")
        media, price = given.get("mediaUuids", []), given.get("price")
        check_content(given.get("text"), media, price)
        scheduled = given.get("scheduledAt", given.get("scheduled_at"))
        now, uuid = self._owner.world.moment(), new_uuid()
        when = None if scheduled is None else written(scheduled)
        is_later = when is not None and self._is_ahead(when)
        self._lists[uuid] = given["includedLists"], given.get("excludedLists", {})
        self._rows[uuid] = {
            "uuid": uuid,
            "text": given.get("text"),
            "status": "SCHEDULED" if is_later else "SENT",
            "price": price,
            "createdAt": now,
            "publishedAt": None if is_later else now,
            "scheduledAt": when,
            "recipientCount": len(self._recipients(*self._lists[uuid])),
            "viewCount": 0,
            "purchaseCount": 0,
            "totalRevenue": 0,
            "mediaUuids": media,
        }
        self._owner.tell("mass_message.sent", {"message": self._rows[uuid]})
        count = self._rows[uuid]["recipientCount"]
        return {"id": uuid, "recipientCount": count, "createdAt": now}

    def page(self, call: Call) -> Any:
        """GET /chats/mass-messages, newest first."""
        with_deleted = call.query["includeDeleted"]
        wanted = [r for r in reversed(self.rows) if with_deleted or r["status"] != "UNSENT"]
        return page(wanted, call.query)

    def _find(self, call: Call) -> Row:
        uuid = call.path["messageUuid"]
        if uuid not in self._rows or self._rows[uuid]["status"] == "UNSENT":
            raise missing("Mass message")
        return self._as_of_now(uuid)

    def update(self, call: Call) -> None:
        """PATCH /chats/mass-messages/{messageUuid}, while it is scheduled."""
        row, given = self._find(call), dict(call.body)
        if row["status"] != "SCHEDULED":
            raise RefusedError.invalid("only a scheduled message can be changed")
        uuid = row["uuid"]
        included, excluded = self._lists[uuid]
        self._lists[uuid] = (
            given.pop("includedLists", included),
            given.pop("excludedLists", excluded),
        )
        if "scheduledAt" in given:
            given["scheduledAt"] = written(given["scheduledAt"])
        row.update(given, recipientCount=len(self._recipients(*self._lists[uuid])))

    def delete(self, call: Call) -> None:
        """DELETE /chats/mass-messages/{messageUuid}."""
        self._find(call)["status"] = "UNSENT"


_SELECTION = fields(**SELECTION)
_SHARED = {
    "excludedLists": _SELECTION,
    "mediaUuids": list_of(a_uuid),
    "price": nullable(cents),
    "scheduledAt": moment,
}
_SEND = body({"includedLists": _SELECTION}, text=text(1, 5000), scheduled_at=moment, **_SHARED)
_UPDATE = body(includedLists=_SELECTION, text=text(0, 5000), **_SHARED)
_ALL, _ONE = "/chats/mass-messages", "/chats/mass-messages/{messageUuid}"
_READ = Access("read:chat", "read:creator")
_SENDS = Access("write:chat read:fan", "read:creator")
_PAGE = {**PAGE, "includeDeleted": Parameter(flag, default=False)}
_WRITE = Access("write:chat", "read:creator")

MASS_MESSAGES: Routes = (
    MassMessages,
    (
        Route("GET", _ALL, MassMessages.page, _READ, query=_PAGE),
        Route("POST", _ALL, MassMessages.send, _SENDS, status=201, errors="UCM", body=_SEND),
        Route("PATCH", _ONE, MassMessages.update, _WRITE, status=204, body=_UPDATE),
        Route("DELETE", _ONE, MassMessages.delete, _WRITE, status=204),
    ),
)
