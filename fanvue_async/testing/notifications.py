"""Notifications of an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fanvue_async.testing.exchange import page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid, uuid_of
from fanvue_async.testing.values import PAGE, Parameter, number

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner

_COUNTED = {
    "newFollower": 12,
    "newPostComment": 6,
    "newPostLike": 7,
    "newPurchase": 9,
    "newSubscriber": 10,
    "newTip": 11,
    "newPromotion": 14,
}
"""The documented numbers of the kinds that ``GET /chats/unread`` counts."""


class Notifications:
    """As ``fake.notifications``."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._rows: list[Row] = []

    def add(
        self,
        event_type: int,
        data: Mapping[str, Any] | None = None,
        *,
        originator: UUID | str | None = None,
    ) -> str:
        """Add a notification.

        Args:
            event_type: the number of its kind, such as 11 for a tip.
            data: what it is about.
            originator: the user who caused it.

        Returns:
            Its UUID.

        """
        uuid = new_uuid()
        row: Row = {
            "uuid": uuid,
            "createdAt": self._owner.world.moment(),
            "eventType": event_type,
            "isRead": False,
            "data": dict(data or {}),
            "originator": None if originator is None else self._originator(uuid_of(originator)),
            "receiverUuid": self._owner.uuid,
        }
        self._rows.insert(0, row)
        return uuid

    def _originator(self, user: str) -> Row:
        users = self._owner.world.users
        names = ("uuid", "handle", "displayName", "avatarUrl")
        return {
            **{name: users[user][name] for name in names},
            "isCreator": users.is_creator(user),
        }

    def unread(self) -> Row:
        """Count what is new, as ``GET /chats/unread`` shows it."""
        new = [row["eventType"] for row in self._rows if not row["isRead"]]
        return {name: new.count(number) for name, number in _COUNTED.items()}

    def page(self, call: Call) -> Any:
        """GET /notifications, newest first."""
        kind = call.query.get("eventType")
        return page([r for r in self._rows if kind in (None, r["eventType"])], call.query)


_READ = Access("read:self", "read:creator")
_QUERY = {**PAGE, "eventType": Parameter(number())}

NOTIFICATIONS: Routes = (
    Notifications,
    (Route("GET", "/notifications", Notifications.page, _READ, query=_QUERY),),
)
