"""Collections of posts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fanvue_async.testing.exchange import RefusedError, look_up, page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid
from fanvue_async.testing.values import PAGE, body, text

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner


class Collections:
    """As ``fake.collections``."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._rows: dict[str, Row] = {}

    def add(self, label: str) -> str:
        """Make a collection. Returns its UUID."""
        uuid = new_uuid()
        made = {"uuid": uuid, "label": label, "createdAt": self._owner.world.moment()}
        self._rows[uuid] = made
        return uuid

    def labels(self, uuids: Iterable[str]) -> list[Row]:
        """Return those of some collections that there are, as posts show them."""
        known = [self._rows[uuid] for uuid in uuids if uuid in self._rows]
        return [{"uuid": row["uuid"], "label": row["label"]} for row in known]

    def _find(self, call: Call) -> Row:
        return look_up(self._rows, call.path["uuid"], "Collection")

    def _check_label(self, label: str, but: Row | None = None) -> None:
        if any(row["label"] == label and row is not but for row in self._rows.values()):
            raise RefusedError.saying(409, "A collection with this label exists already")

    def page(self, call: Call) -> Any:
        """GET /collections; that it takes page and size is not documented."""
        return page(list(self._rows.values()), call.query)

    def create(self, call: Call) -> Any:
        """POST /collections."""
        self._check_label(call.body["label"])
        return self._rows[self.add(call.body["label"])]

    def rename(self, call: Call) -> None:
        """PATCH /collections/{uuid}."""
        found = self._find(call)
        self._check_label(call.body["label"], but=found)
        found["label"] = call.body["label"]

    def delete(self, call: Call) -> None:
        """DELETE /collections/{uuid}; the posts stay."""
        del self._rows[self._find(call)["uuid"]]


_LABEL = body({"label": text(1, 100)})
_WRITE = Access("write:post")

COLLECTIONS: Routes = (
    Collections,
    (
        Route("GET", "/collections", Collections.page, Access("read:post"), query=PAGE),
        Route("POST", "/collections", Collections.create, _WRITE, status=201, body=_LABEL),
        Route("PATCH", "/collections/{uuid}", Collections.rename, _WRITE, status=204, body=_LABEL),
        Route("DELETE", "/collections/{uuid}", Collections.delete, _WRITE, status=204),
    ),
)
