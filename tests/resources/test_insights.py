"""Earnings that are counted once, whatever happens while they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fanvue_async import Cents, FanvueClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fanvue_async.testing import FakeFanvue

RATE = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199", "X-RateLimit-Reset": "1"}


def row(number: int) -> dict[str, object]:
    """Make a row of earnings."""
    return {
        "date": "2026-01-15T10:00:00.000Z",
        "gross": 1000 + number,
        "net": 800 + number,
        "currency": "EUR",
        "source": "tip",
        "transactionOrderId": f"order-{number}",
        "transactionOrderStatus": "pendingBalance",
        "user": None,
    }


class Ledger:
    """An API whose newest rows come first, whose cursor is a position, and which fails once."""

    def __init__(self, rows: int, failing_page: int) -> None:
        self.rows = deque(row(number) for number in range(rows))
        self.pages = 0
        self._failing_page = failing_page
        self._next = rows

    async def handle(self, request: web.Request) -> web.Response:
        """Give a page, after which a new row arrives."""
        self.pages += 1
        if self.pages == self._failing_page:
            return web.Response(status=502)
        start, size = int(request.query.get("cursor", 0)), int(request.query["size"])
        rows: list[Any] = list(self.rows)[start : start + size]
        end = start + size
        following = str(end) if end < len(self.rows) else None
        self.rows.appendleft(row(self._next))  # all that follow are one place further back now
        self._next += 1
        return web.json_response({"data": rows, "nextCursor": following}, headers=RATE)


@asynccontextmanager
async def serving(ledger: Ledger) -> AsyncGenerator[FanvueClient, None]:
    """Serve a ledger; gives a client of it."""
    app = web.Application()
    app.router.add_get("/insights/earnings", ledger.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    async with FanvueClient("a-token", base_url=url) as client:
        client._session.terms.pool.clockwork.sleep = lambda _: asyncio.sleep(0)
        yield client
    await runner.cleanup()


async def test_ten_thousand_earnings_are_counted_once() -> None:
    """Rows arrive with every page and one page fails once: no row twice, none of the old missing.

    The rows that shift back come again in the next page: they are known by their order's id.
    """
    ledger = Ledger(10_000, failing_page=77)
    async with serving(ledger) as client:
        rows = await client.insights.earnings().collect()

    ids = [earning.transaction_order_id for earning in rows]
    assert len(ids) == len(set(ids)) == 10_000
    assert set(ids) == {f"order-{number}" for number in range(10_000)}
    assert ledger.pages > 200
    assert sum((earning.net for earning in rows), Cents(0)) == sum(800 + n for n in range(10_000))


async def test_days_begin_where_the_offset_says(client: FanvueClient, fake: FakeFanvue) -> None:
    """The offset of the dates reaches the API, which cuts days by it."""
    fake.reply(200, json={"data": [], "nextCursor": None})
    berlin = timezone(timedelta(hours=2))
    days = client.insights.subscribers(
        start_date=datetime(2026, 6, 1, tzinfo=berlin), end_date=datetime(2026, 7, 1, tzinfo=UTC)
    )
    assert await days.collect() == []

    (request,) = fake.requests
    assert "startDate=2026-06-01T00%3A00%3A00.000%2B02%3A00" in request.path
    assert "endDate=2026-07-01T00%3A00%3A00.000Z" in request.path


async def test_a_day_for_a_timestamp_is_midnight_in_utc(
    client: FanvueClient, fake: FakeFanvue
) -> None:
    """The format of an earning's date is not documented: a day is read, too."""
    fake.reply(200, json={"data": [{**row(1), "date": "2026-01-15"}], "nextCursor": None})
    (earning,) = await client.insights.earnings().collect()

    assert earning.date == datetime(2026, 1, 15, tzinfo=UTC)
    assert earning.net.dollars * 100 == 801
