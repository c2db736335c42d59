"""Insights: what fans paid, and what else a test puts in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fanvue_async.testing.exchange import cursor_page, missing, page
from fanvue_async.testing.fans import MINI
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, new_uuid
from fanvue_async.testing.values import (
    PAGE,
    Parameter,
    body,
    list_of,
    moment,
    number,
    one_of,
    text,
)
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans

_NET = 0.8  # of the gross; the share that creators keep

SOURCES = (
    *("all", "affiliate", "appStore", "checkoutLink", "mediaLink", "message", "post"),
    *("referral", "renewal", "subscription", "tip", "giveaway"),
)
_PARTS = {
    "subs": ("subscription",),
    "messages": ("message",),
    "posts": ("post",),
    "tips": ("tip",),
    "referrals": ("referral",),
    "renewals": ("renewal",),
    "other": ("affiliate", "appStore", "checkoutLink", "mediaLink", "giveaway"),
}


class Insights:
    """As ``fake.insights``: rows in the API's names, newest first, for tests to fill."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans
        self.earnings: list[Row] = []
        """Rows of ``GET /insights/earnings``; what fans pay is put in."""
        self.spending: list[Row] = []
        """Rows of ``GET /insights/spending``: refunds and chargebacks."""
        self.subscribers: list[Row] = []
        """Rows of ``GET /insights/subscribers``, one a day."""
        self.percentile: float = 0.0
        self.fans: dict[str, Row] = {}
        """What is known of fans, by UUID; of others it follows from what happened."""

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
        row: Row = {
            "date": owner.world.moment(),
            "gross": gross,
            "net": int(gross * _NET),
            "currency": "USD",
            "source": source,
            **{name: uuid for name, uuid in about.items() if uuid is not None},
            "transactionOrderId": new_uuid(),
            "transactionOrderStatus": "pendingBalance",
            "user": {name: fan[name] for name in MINI},
        }
        self._fans[user].spent += gross
        self.earnings.insert(0, row)
        owner.tell("payment.succeeded", {"user": fan, "payment": row})
        return row

    def earnings_page(self, call: Call) -> Any:
        """GET /insights/earnings."""
        return cursor_page(chosen(self.earnings, call.query), call.query, "size")

    def spending_page(self, call: Call) -> Any:
        """GET /insights/spending."""
        return cursor_page(chosen(self.spending, call.query), call.query, "size")

    def subscribers_page(self, call: Call) -> Any:
        """GET /insights/subscribers."""
        return cursor_page(chosen(self.subscribers, call.query), call.query, "size")

    def summary(self, call: Call) -> Any:
        """GET /insights/earnings/summary: the totals follow from the earnings, the rest is zero."""
        rows, query = chosen(self.earnings, call.query), call.query
        by_source = {part: _sum(rows, sources) for part, sources in _PARTS.items()}
        this_month = _sum(rows, SOURCES)
        dates = {name: query[name] and query[name].isoformat() for name in ("startDate", "endDate")}
        return {
            "totals": {
                "allTime": _sum(self.earnings, SOURCES),
                "thisMonth": {
                    **this_month,
                    "previousMonthGross": 0,
                    "previousMonthNet": 0,
                    "grossChangePercentage": None,
                    "netChangePercentage": None,
                },
            },
            "breakdownBySource": by_source,
            "earningsByType": {
                part: by_source[part] for part in ("renewals", "messages", "tips", "subs")
            },
            "overTime": [],
            "averageByDayOfWeek": {str(day): 0 for day in range(1, 8)},
            "averageByHourOfDay": {str(hour): 0 for hour in range(24)},
            "period": {
                **dates,
                "granularity": query["granularity"],
                "timezone": query["timezone"],
            },
        }

    def top_spenders(self, call: Call) -> Any:
        """GET /insights/top-spenders, of the earnings."""
        gross: Counter[str] = Counter()
        for row in chosen(self.earnings, call.query):
            if row["user"] is not None:
                gross[row["user"]["uuid"]] += int(row["gross"])
        rows = [
            {
                "gross": spent,
                "net": int(spent * _NET),
                "messages": 0,
                "user": self._fans.row(user),
            }
            for user, spent in gross.most_common()
        ]
        return page(rows, call.query)

    def percentile_now(self, _: Call) -> Any:
        """GET /insights/earnings/percentile."""
        return {"percentile": self.percentile}

    def _fan(self, user: str) -> Row | None:
        """Return what is known of a fan; None of a stranger."""
        if user in self.fans:
            return self.fans[user]
        status = self._fans.status(user)
        if status is None:
            return None
        return _insights_of(status, self._fans, user, self.earnings)

    def fan(self, call: Call) -> Any:
        """GET /insights/fans/{userUuid}."""
        found = self._fan(call.path["userUuid"])
        if found is None:
            raise missing("Fan")
        return found

    def some_fans(self, call: Call) -> Any:
        """GET /insights/fans."""
        results = {user: self._fan(user) for user in call.query["fanUuids"]}
        errors = [
            {"fanUuid": user, "code": "NOT_FOUND", "message": "Fan not found"}
            for user, found in results.items()
            if found is None
        ]
        return {"results": results, "errors": errors}

    def batch(self, call: Call) -> Any:
        """POST /insights/fans/batch."""
        return {user: self._fan(user) or {"error": "not_found"} for user in call.body["userUuids"]}


def chosen(rows: Iterable[Row], query: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a time and of some sources."""
    start, end, sources = query["startDate"], query["endDate"], query.get("source") or ["all"]
    everything = "all" in sources
    return [
        row
        for row in rows
        if (everything or row["source"] in sources)
        and (start is None or _time_of(row) >= start)
        and (end is None or _time_of(row) < end)
    ]


def _time_of(row: Row) -> datetime:
    """Read the time of a row; a day begins at midnight UTC."""
    read = datetime.fromisoformat(row["date"])
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _sum(rows: Iterable[Row], sources: Iterable[str]) -> Row:
    found = [row for row in rows if row["source"] in sources]
    return {kind: sum(row[kind] for row in found) for kind in ("gross", "net")}


def _insights_of(status: str, fans: Fans, user: str, earnings: Iterable[Row]) -> Row:
    paid = [row for row in earnings if row["user"] and row["user"]["uuid"] == user]
    relation = fans[user]

    def money(amount: int) -> Row:
        return {"gross": amount, "total": amount}

    by_source: Counter[str] = Counter()
    for row in paid:
        by_source[row["source"]] += row["gross"]
    return {
        "status": status,
        "spending": {
            "lastPurchaseAt": paid[0]["date"] if paid else None,
            "total": money(sum(row["gross"] for row in paid)),
            "maxSinglePayment": money(max((row["gross"] for row in paid), default=0)),
            "sources": {source: money(gross) for source, gross in by_source.items()},
        },
        "subscription": {
            "createdAt": relation.subscribed_at,
            "renewsAt": None,
            "autoRenewalEnabled": bool(relation.subscribed_at) and relation.renews,
        },
    }


DATES = {"startDate": Parameter(moment), "endDate": Parameter(moment)}
_CURSOR = {**DATES, "cursor": Parameter(text()), "size": Parameter(number(1, 50), 20)}
_EARNINGS = {**_CURSOR, "source": Parameter(one_of(*SOURCES), many="commas")}
_SPENDING = {**_CURSOR, "source": Parameter(one_of("all", "refund", "chargeback"), many="commas")}
_SUMMARY = {
    **DATES,
    "granularity": Parameter(one_of("day", "week"), "day"),
    "timezone": Parameter(text(), "UTC"),
}
_FANS = {"fanUuids": Parameter(a_uuid, required=True, many="commas", most=20)}
_BATCH = body({"userUuids": list_of(a_uuid, 1, 100)})
_READ = Access("read:insights", "read:creator")
_READ_FANS = Access("read:insights read:fan", "read:creator")
_OWN, _OWN_FANS = Access("read:insights"), Access("read:insights read:fan")
_ALL = "/insights"

INSIGHTS: Routes = (
    Insights,
    (
        Route("GET", f"{_ALL}/earnings", Insights.earnings_page, _READ, query=_EARNINGS),
        Route("GET", f"{_ALL}/earnings/summary", Insights.summary, _READ, query=_SUMMARY),
        Route("GET", f"{_ALL}/earnings/percentile", Insights.percentile_now, _OWN),
        Route("GET", f"{_ALL}/subscribers", Insights.subscribers_page, _READ, query=_CURSOR),
        Route(
            "GET",
            f"{_ALL}/top-spenders",
            Insights.top_spenders,
            _READ_FANS,
            query={**DATES, **PAGE},
        ),
        Route("GET", f"{_ALL}/spending", Insights.spending_page, _OWN, query=_SPENDING),
        Route("GET", f"{_ALL}/fans", Insights.some_fans, _OWN_FANS, query=_FANS),
        Route("GET", f"{_ALL}/fans/{{userUuid}}", Insights.fan, _OWN_FANS),
        Route("POST", f"{_ALL}/fans/batch", Insights.batch, _OWN_FANS, body=_BATCH),
    ),
)
