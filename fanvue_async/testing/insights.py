"""Insights: what fans paid, and what else a test puts in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanvue_async.testing.users import Row, new_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans

_NET = 0.8  # of the gross; the share that creators keep


class Insights:
    """As ``fake.insights``: lists of rows in the API's names, newest first, for tests to fill."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans
        self.earnings: list[Row] = []
        """Rows of ``GET /insights/earnings``; what fans buy is put in."""

    def earn(
        self,
        source: str,
        gross: int,
        user: str,
        *,
        message: str | None = None,
        post: str | None = None,
    ) -> Row:
        """Add what a fan has paid, in US cents."""
        owner = self._fans.owner
        fan = self._fans.row(user)
        about = {"messageUuid": message, "postUuid": post}
        names = ("uuid", "handle", "displayName", "nickname", "isTopSpender")
        row: Row = {
            "date": owner.world.moment(),
            "gross": gross,
            "net": int(gross * _NET),
            "currency": "USD",
            "source": source,
            **{name: uuid for name, uuid in about.items() if uuid is not None},
            "transactionOrderId": new_uuid(),
            "transactionOrderStatus": "pendingBalance",
            "user": {name: fan[name] for name in names},
        }
        self._fans[user].spent += gross
        self.earnings.insert(0, row)
        owner.tell("payment.succeeded", {"user": fan, "payment": row})
        return row
