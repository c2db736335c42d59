"""Insights: what an account earned and spent, and what is known of its fans.

Amounts are US cents, whatever ``currency`` says: that is what the fan paid in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.money import Cents
from fanvue_async.paging import Cursored, Listing, Numbered
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser, MiniUser

EarningSource = Literal[
    "all",
    "affiliate",
    "appStore",
    "checkoutLink",
    "mediaLink",
    "message",
    "post",
    "referral",
    "renewal",
    "subscription",
    "tip",
    "giveaway",
]
SpendingSource = Literal["all", "refund", "chargeback"]
Granularity = Literal["day", "week"]


@attrs.frozen(kw_only=True)
class Earning:
    """One amount that an account earned."""

    date: datetime = ABSENT
    """When. Declared as plain text; that it is a date or a timestamp is assumed."""
    gross: Cents = ABSENT
    """US cents, before fees."""
    net: Cents = ABSENT
    """US cents, after fees."""
    currency: str | None = None
    """What the fan paid in; the amounts are US cents all the same."""
    source: str = ABSENT
    """What it is for, such as ``message``; the API may know more than ``EarningSource``."""
    message_uuid: str | None = None
    """Of a message only."""
    post_uuid: str | None = None
    """Of a post only."""
    transaction_order_id: str
    """What identifies the row; store rows under it, and you never count one twice."""
    transaction_order_status: str = ABSENT
    """``availableForPayout`` or ``pendingBalance``."""
    user: MiniUser | None = None
    """Who paid, if anybody is known."""


@attrs.frozen(kw_only=True)
class Amounts:
    """An amount before and after fees."""

    gross: Cents = ABSENT
    """US cents."""
    net: Cents = ABSENT
    """US cents."""


@attrs.frozen(kw_only=True)
class MonthAmounts:
    """The current month, and how it compares with the one before."""

    gross: Cents = ABSENT
    """US cents."""
    net: Cents = ABSENT
    """US cents."""
    previous_month_gross: Cents = ABSENT
    """US cents."""
    previous_month_net: Cents = ABSENT
    """US cents."""
    gross_change_percentage: float | None = None
    """Percent; None: there is nothing to compare with."""
    net_change_percentage: float | None = None
    """Percent; None: there is nothing to compare with."""


@attrs.frozen(kw_only=True)
class EarningsTotals:
    """Sums over time."""

    all_time: Amounts = ABSENT
    this_month: MonthAmounts = ABSENT


@attrs.frozen(kw_only=True)
class EarningsBySource:
    """Sums by what was paid for."""

    subs: Amounts = ABSENT
    messages: Amounts = ABSENT
    posts: Amounts = ABSENT
    tips: Amounts = ABSENT
    referrals: Amounts = ABSENT
    renewals: Amounts = ABSENT
    other: Amounts = ABSENT


@attrs.frozen(kw_only=True)
class EarningsByType:
    """Sums by kind."""

    renewals: Amounts = ABSENT
    messages: Amounts = ABSENT
    tips: Amounts = ABSENT
    subs: Amounts = ABSENT


@attrs.frozen(kw_only=True)
class EarningsPoint:
    """The sums of one day or week."""

    period_start: datetime = ABSENT
    gross: Cents = ABSENT
    """US cents."""
    net: Cents = ABSENT
    """US cents."""


@attrs.frozen(kw_only=True)
class SummaryPeriod:
    """What a summary is about."""

    start_date: datetime | None = None
    end_date: datetime | None = None
    granularity: str = ABSENT
    """``day`` or ``week``."""
    timezone: str = ABSENT
    """An IANA name, such as ``Europe/London``."""


@attrs.frozen(kw_only=True)
class EarningsSummary:
    """Earnings, summed up by the API."""

    totals: EarningsTotals = ABSENT
    breakdown_by_source: EarningsBySource = ABSENT
    earnings_by_type: EarningsByType = ABSENT
    over_time: tuple[EarningsPoint, ...] = ()
    average_by_day_of_week: dict[str, float] = ABSENT
    """Average gross in US cents, from ``"1"`` (Monday) to ``"7"``."""
    average_by_hour_of_day: dict[str, float] = ABSENT
    """Average gross in US cents, from ``"0"`` to ``"23"`` in the time zone asked for."""
    period: SummaryPeriod = ABSENT


@attrs.frozen(kw_only=True)
class SubscriberCount:
    """How subscriptions changed on one day."""

    date: datetime = ABSENT
    """Midnight of the day, in the offset of the dates asked for."""
    total: int = ABSENT
    """The sum of new minus cancelled since the first day asked for: no number of subscribers."""
    new_subscribers_count: int = ABSENT
    cancelled_subscribers_count: int = ABSENT


@attrs.frozen(kw_only=True)
class TopSpender:
    """A fan who spent much."""

    gross: Cents = ABSENT
    """US cents, before fees."""
    net: Cents = ABSENT
    """US cents, after fees."""
    messages: int = ABSENT
    """How many were exchanged with the fan."""
    user: FanUser


@attrs.frozen(kw_only=True)
class EarningsPercentile:
    """How an account's earnings compare with those of all."""

    percentile: float
    """Of the gross of the last 30 days; lower is better: 0.01 is the top 0.01 %."""


@attrs.frozen(kw_only=True)
class Spending:
    """One amount that was taken back from an account."""

    date: datetime = ABSENT
    """When, in UTC. Declared as plain text; that it is a date or a timestamp is assumed."""
    gross: Cents = ABSENT
    """US cents; negative in the API's examples."""
    net: Cents = ABSENT
    """US cents; negative in the API's examples."""
    currency: str | None = None
    """What the fan paid in; the amounts are US cents all the same."""
    source: str = ABSENT
    """``refund`` or ``chargeback``."""
    message_uuid: str | None = None
    """Of a message only."""
    post_uuid: str | None = None
    """Of a post only."""
    user: MiniUser | None = None
    """Whose payment it was, if that is known."""


@attrs.frozen(kw_only=True)
class Spent:
    """An amount that a fan spent."""

    gross: Cents = ABSENT
    """Deprecated by the API: the same as ``total``."""
    total: Cents | None = None
    """US cents. New; an older API leaves it out."""


@attrs.frozen(kw_only=True)
class FanSpending:
    """What a fan spent."""

    last_purchase_at: datetime | None = None
    total: Spent = ABSENT
    max_single_payment: Spent = ABSENT
    sources: dict[str, Spent] = ABSENT
    """By what it was spent on."""


@attrs.frozen(kw_only=True)
class FanSubscription:
    """A fan's subscription."""

    created_at: datetime | None = None
    renews_at: datetime | None = None
    auto_renewal_enabled: bool = ABSENT


@attrs.frozen(kw_only=True)
class FanInsights:
    """What is known of a fan."""

    status: str = ABSENT
    """``subscriber``, ``expired``, ``follower`` or ``not_contactable``."""
    spending: FanSpending = ABSENT
    subscription: FanSubscription = ABSENT


@attrs.frozen(kw_only=True)
class FanInsightsError:
    """Why nothing is known of a fan."""

    fan_uuid: str
    code: str = ABSENT
    """``NOT_FOUND`` or ``INTERNAL``."""
    message: str = ABSENT


@attrs.frozen(kw_only=True)
class BulkFanInsights:
    """What is known of several fans, by UUID; None for those that ``errors`` is about."""

    results: dict[str, FanInsights | None]
    errors: tuple[FanInsightsError, ...] = ()


@attrs.frozen(kw_only=True)
class FanInsightsOrError:
    """What is known of a fan, or why nothing is."""

    status: str | None = None
    """``subscriber``, ``expired``, ``follower`` or ``not_contactable``."""
    spending: FanSpending | None = None
    subscription: FanSubscription | None = None
    error: str | None = None
    """``forbidden``, ``not_found`` or ``internal``; None: all is well."""


_SCOPES = ("read:insights",)
_WITH_FANS = ("read:insights", "read:fan")

_EARNINGS = Operation(
    "GET",
    "/insights/earnings",
    Cursored[Earning],
    id="getEarnings",
    creator_id="getCreatorEarnings",
    scopes=_SCOPES,
    commas=("source",),
)
_EARNINGS_SUMMARY = Operation(
    "GET",
    "/insights/earnings/summary",
    EarningsSummary,
    id="getEarningsSummary",
    creator_id="getCreatorEarningsSummary",
    scopes=_SCOPES,
)
_SUBSCRIBERS = Operation(
    "GET",
    "/insights/subscribers",
    Cursored[SubscriberCount],
    id="getSubscribers",
    creator_id="getCreatorSubscribers",
    scopes=_SCOPES,
)
_TOP_SPENDERS = Operation(
    "GET",
    "/insights/top-spenders",
    Numbered[TopSpender],
    id="getTopSpenders",
    creator_id="getCreatorTopSpenders",
    scopes=_WITH_FANS,
)
_PERCENTILE = Operation(
    "GET",
    "/insights/earnings/percentile",
    EarningsPercentile,
    id="getEarningsPercentile",
    scopes=_SCOPES,
)
_SPENDING = Operation(
    "GET",
    "/insights/spending",
    Cursored[Spending],
    id="getSpending",
    scopes=_SCOPES,
    commas=("source",),
)
_FAN = Operation(
    "GET", "/insights/fans/{userUuid}", FanInsights, id="getFanInsights", scopes=_WITH_FANS
)
_FANS = Operation(
    "GET",
    "/insights/fans",
    BulkFanInsights,
    id="getBulkFanInsights",
    scopes=_WITH_FANS,
    commas=("fanUuids",),
)
_FANS_BATCH = Operation(
    "POST",
    "/insights/fans/batch",
    dict[str, FanInsightsOrError],
    id="batchFanInsights",
    scopes=_WITH_FANS,
    safe=True,
)


class CreatorInsightsResource(Resource):
    """The insights of a creator, as ``client.creator(uuid).insights``.

    In all methods, ``start_date`` is included and ``end_date`` is not, and both need a time zone.
    """

    def earnings(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        source: Sequence[EarningSource] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[Earning]:
        """List what was earned, amount by amount. Scope: ``read:insights``.

        An amount is identified by its ``transaction_order_id`` and comes once, also while new ones
        arrive. Over several listings, store them under it.

        Args:
            start_date: the first moment.
            end_date: the moment after the last.
            source: only what was paid for these; default: all.
            start: ``Page.next`` of an earlier page.
            page_size: amounts a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getEarnings, https://api.fanvue.com/docs/api-reference

        """
        query = self._dates(_EARNINGS, start_date, end_date)
        query["source"] = self._check(_EARNINGS).several("source", source)
        return Listing(
            self._session,
            _EARNINGS,
            query=query,
            start=start,
            page_size=page_size,
            key=("transaction_order_id",),
        )

    async def earnings_summary(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        granularity: Granularity = "day",
        timezone: str = "UTC",
    ) -> EarningsSummary:
        """Read earnings as the API sums them up. Scope: ``read:insights``.

        Args:
            start_date: the first moment of what is summed over time.
            end_date: the moment after the last.
            granularity: ``day`` or ``week``.
            timezone: the IANA name of the time zone that days and hours are cut by.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getEarningsSummary, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_EARNINGS_SUMMARY)
        query = self._dates(_EARNINGS_SUMMARY, start_date, end_date)
        query["granularity"] = check.required_text("granularity", granularity)
        query["timezone"] = check.required_text("timezone", timezone)
        return await self._call(_EARNINGS_SUMMARY, query=query)

    def subscribers(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[SubscriberCount]:
        """List how subscriptions changed, day by day. Scope: ``read:insights``.

        A time series: who subscribes now is in ``subscribers.list`` and ``smart_lists``.

        Args:
            start_date: the first day; its offset from UTC sets where days begin, its time of day
                does not matter.
            end_date: the day after the last.
            start: ``Page.next`` of an earlier page.
            page_size: days a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getSubscribers, https://api.fanvue.com/docs/api-reference

        """
        query = self._dates(_SUBSCRIBERS, start_date, end_date)
        return Listing(
            self._session, _SUBSCRIBERS, query=query, start=start, page_size=page_size, key=()
        )

    def top_spenders(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[TopSpender]:
        """List the fans who spent most, highest first. Scopes: ``read:insights``, ``read:fan``.

        Args:
            start_date: the first moment.
            end_date: the moment after the last.
            start: ``Page.next`` of an earlier page.
            page_size: fans a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getTopSpenders, https://api.fanvue.com/docs/api-reference

        """
        return Listing(
            self._session,
            _TOP_SPENDERS,
            query=self._dates(_TOP_SPENDERS, start_date, end_date),
            start=start,
            page_size=page_size,
            key=("user.uuid",),
        )

    def _dates(
        self,
        operation: Operation[Any],
        start_date: datetime | None,
        end_date: datetime | None,
    ) -> dict[str, object]:
        check = self._check(operation)
        check.period(start_date, end_date)
        return {"startDate": start_date, "endDate": end_date}


class InsightsResource(CreatorInsightsResource):
    """The insights of the token's account, as ``client.insights``.

    In all methods, ``start_date`` is included and ``end_date`` is not, and both need a time zone.
    """

    async def percentile(self) -> EarningsPercentile:
        """Read how the account's earnings compare with those of all. Scope: ``read:insights``.

        Raises:
            FanvueError: see :mod:`fanvue_async.errors`.

        Source: getEarningsPercentile, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_PERCENTILE)

    def spending(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        source: Sequence[SpendingSource] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[Spending]:
        """List what was taken back: refunds and chargebacks. Scope: ``read:insights``.

        Args:
            start_date: the first moment.
            end_date: the moment after the last.
            source: ``refund``, ``chargeback``; default: all.
            start: ``Page.next`` of an earlier page.
            page_size: amounts a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: getSpending, https://api.fanvue.com/docs/api-reference

        """
        query = self._dates(_SPENDING, start_date, end_date)
        query["source"] = self._check(_SPENDING).several("source", source)
        return Listing(
            self._session, _SPENDING, query=query, start=start, page_size=page_size, key=()
        )

    async def fan(self, user_uuid: UUID | str) -> FanInsights:
        """Read what is known of a fan. Scopes: ``read:insights``, ``read:fan``.

        Args:
            user_uuid: the fan.

        Raises:
            InvalidArgumentError: ``user_uuid`` is not a UUID; nothing was sent.
            NotFoundError: there is no such fan.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getFanInsights, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_FAN, user_uuid)

    async def fans(self, fan_uuids: Sequence[UUID | str]) -> BulkFanInsights:
        """Read what is known of up to 20 fans. Scopes: ``read:insights``, ``read:fan``.

        Args:
            fan_uuids: 1 to 20 fans; :meth:`fans_batch` takes 100.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getBulkFanInsights, https://api.fanvue.com/docs/api-reference

        """
        query = {"fanUuids": self._check(_FANS).uuids("fan_uuids", fan_uuids, 1, 20)}
        return await self._call(_FANS, query=query)

    async def fans_batch(self, user_uuids: Sequence[UUID | str]) -> dict[str, FanInsightsOrError]:
        """Read what is known of up to 100 fans. Scopes: ``read:insights``, ``read:fan``.

        Args:
            user_uuids: 1 to 100 fans.

        Returns:
            Insights or an error for each fan, by UUID; the call succeeds even if all are errors.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: batchFanInsights, https://api.fanvue.com/docs/api-reference

        """
        uuids = self._check(_FANS_BATCH).uuids("user_uuids", user_uuids, 1, 100)
        return await self._call(_FANS_BATCH, json={"userUuids": uuids})
