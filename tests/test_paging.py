"""Listing: each style of the API's pages, to its end and no further."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import test_utils, web
from support.users import USER, user

from fanvue_async import (
    FanUser,
    FanvueClient,
    InvalidArgumentError,
    Listing,
    Page,
    ProtocolError,
    RetryPolicy,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Lists:
    """A server of one list, and a client on it."""

    client: FanvueClient

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self.serve: Callable[[dict[str, str]], Any] = self.numbered

    async def handle(self, request: web.Request) -> web.Response:
        """Serve a page, or a 500 where there is none."""
        query = dict(request.query)
        self.queries.append(query)
        page = self.serve(query)
        return web.Response(status=500) if page is None else web.json_response(page)

    def numbered(self, query: dict[str, str]) -> Any:
        """Serve the rows as they are now, by page and size."""
        page, size = int(query["page"]), int(query["size"])
        rows = self.rows[(page - 1) * size : page * size]
        more = page * size < len(self.rows)
        return {"data": rows, "pagination": {"page": page, "size": len(rows), "hasMore": more}}

    def cursored(self, query: dict[str, str]) -> Any:
        """Serve the rows by cursor and limit."""
        begin = int(query.get("cursor", "0"))
        end = begin + int(query["limit"])
        return {
            "data": [_media(row["uuid"]) for row in self.rows[begin:end]],
            "nextCursor": str(end) if end < len(self.rows) else None,
        }


def _row(number: int) -> dict[str, Any]:
    return {
        "uuid": user(number),
        "handle": f"fan{number}",
        "displayName": "Fan",
        "nickname": None,
        "isTopSpender": False,
        "avatarUrl": None,
        "registeredAt": "2024-01-15T00:00:00.000Z",
    }


def _media(uuid: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "messageUuid": uuid,
        "mediaType": "image",
        "created_at": None,
        "sentAt": None,
        "ownerUuid": USER,
        "name": None,
    }


def _numbers(items: list[FanUser] | tuple[FanUser, ...]) -> list[int]:
    return [int(item.uuid[-12:], 16) for item in items]


@pytest.fixture
async def lists() -> AsyncIterator[Lists]:
    """Run the server."""
    lists = Lists()
    app = web.Application()
    app.router.add_get("/{path:.*}", lists.handle)
    async with test_utils.TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with FanvueClient("token", base_url=url, retry=RetryPolicy.never()) as client:
            lists.client = client
            yield lists


async def test_nothing_is_sent_before_it_is_used(lists: Lists) -> None:
    """Making a listing, and asking for none of it, costs no request."""
    listing = lists.client.followers.list()

    assert await listing.collect(limit=0) == []
    aiter(aiter(listing))
    assert repr(listing) == "<Listing of GET /followers>"
    assert lists.queries == []


async def test_numbered_pages_are_read_to_their_end(lists: Lists) -> None:
    """Pages of the API's maximum are asked for, up to the one that says it is the last."""
    lists.rows = [_row(number) for number in range(120)]

    assert _numbers(await lists.client.followers.list().collect()) == list(range(120))
    assert lists.queries == [{"page": str(page), "size": "50"} for page in (1, 2, 3)]


async def test_a_short_page_is_not_the_end(lists: Lists) -> None:
    """The API leaves out whom it may not show; only its own mark ends a list."""
    pages: list[list[int]] = [[1], [], [2], []]

    def serve(query: dict[str, str]) -> Any:
        number = int(query["page"])
        data = [_row(row) for row in pages[number - 1]]
        more = number < len(pages)
        return {"data": data, "pagination": {"page": number, "size": len(data), "hasMore": more}}

    lists.serve = serve

    assert _numbers(await lists.client.followers.list().collect()) == [1, 2]
    sizes = [len(page.items) async for page in lists.client.followers.list().pages()]
    assert sizes == [1, 0, 1, 0]


async def test_cursored_pages_are_read_to_their_end(lists: Lists) -> None:
    """A cursor is passed on as it came, under the names of that endpoint."""
    lists.rows = [_row(number) for number in range(5)]
    lists.serve = lists.cursored
    listing = lists.client.chats.media(USER, media_type="image", page_size=2)

    assert [item.uuid for item in await listing.collect()] == [user(n) for n in range(5)]
    assert lists.queries == [
        {"mediaType": "image", "limit": "2"},
        {"mediaType": "image", "limit": "2", "cursor": "2"},
        {"mediaType": "image", "limit": "2", "cursor": "4"},
    ]


async def test_a_list_that_comes_whole_is_one_page(lists: Lists) -> None:
    """What the API does not cut is listed the same way, with no parameters of paging."""
    lists.serve = lambda _: [{"name": "Muted", "uuid": "muted", "count": 3}]

    (page,) = [page async for page in lists.client.smart_lists.list().pages()]
    assert [item.uuid for item in page.items] == ["muted"]
    assert page.next is None
    assert lists.queries == [{}]


async def test_it_goes_on_where_a_page_ended(lists: Lists) -> None:
    """``Page.next`` is text that another process can start with; it keeps its page size."""
    lists.rows = [_row(number) for number in range(10)]
    first = await anext(lists.client.followers.list(page_size=4).pages())
    assert isinstance(first, Page)
    assert isinstance(first.next, str)

    rest = await lists.client.followers.list(start=first.next, page_size=50).collect()
    assert _numbers(first.items) + _numbers(rest) == list(range(10))
    assert lists.queries[-1] == {"page": "3", "size": "4"}

    lists.serve = lists.cursored
    media = await anext(lists.client.chats.media(USER, page_size=4).pages())
    others = await lists.client.chats.media(USER, start=media.next).collect()
    assert [item.uuid for item in (*media.items, *others)] == [user(n) for n in range(10)]


async def test_rows_that_arrive_meanwhile_shift_nothing(lists: Lists) -> None:
    """While new rows arrive at the front, none comes twice and no old one is missed."""
    lists.rows = [_row(number) for number in range(1000, 1100)]
    arrivals = iter(range(1000))

    def serve(query: dict[str, str]) -> Any:
        page = lists.numbered(query)
        lists.rows[:0] = [_row(next(arrivals)) for _ in range(2)]
        return page

    lists.serve = serve
    seen = _numbers(await lists.client.followers.list(page_size=5).collect())

    assert len(lists.queries) > 20
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(range(1000, 1100))


async def test_ten_thousand_rows_are_remembered(lists: Lists) -> None:
    """A page that comes again 10,000 rows later is still known; memory is bounded there."""
    lists.rows = [_row(number) for number in range(10_050)]
    lists.rows += [*lists.rows[100:149], _row(20000)]

    seen = _numbers(await lists.client.followers.list().collect())
    assert seen == [*range(10_050), 20_000]


async def test_breaking_out_leaves_nothing(no_leaks: None, lists: Lists) -> None:
    """A loop may end at any item or page: no task, no open connection, no warning."""
    del no_leaks
    lists.rows = [_row(number) for number in range(20)]
    await lists.client.followers.list(page_size=4).collect(limit=1)
    tasks = asyncio.all_tasks()  # the server's included, for the connection is open now
    for stop in (0, 3, 4, 19):
        count = 0
        async for _ in lists.client.followers.list(page_size=4):
            if count == stop:
                break
            count += 1
        assert asyncio.all_tasks() == tasks
    async for _page in lists.client.followers.list(page_size=4).pages():
        break
    assert _numbers(await lists.client.followers.list(page_size=4).collect(limit=6)) == [*range(6)]
    assert len(lists.queries) == 1 + 1 + 1 + 2 + 5 + 1 + 2


async def test_a_cancelled_loop_leaves_nothing(no_leaks: None, lists: Lists) -> None:
    """Cancelling a read in its middle ends it like any call."""
    del no_leaks
    lists.rows = [_row(1)]
    task = asyncio.create_task(lists.client.followers.list().collect())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_page_that_failed_can_be_asked_for_again(lists: Lists) -> None:
    """An error ends the loop, not the iterator: it goes on with the page that failed."""
    lists.rows = [_row(number) for number in range(4)]
    pages = lists.client.followers.list(page_size=2).pages()
    first = await anext(aiter(pages))
    lists.serve = lambda _: None
    with pytest.raises(ServerError):
        await anext(pages)
    lists.serve = lists.numbered

    second = await anext(pages)
    assert _numbers((*first.items, *second.items)) == [0, 1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await anext(pages)


def _empty(_: dict[str, str]) -> Any:
    return {"data": [], "pagination": {"page": 1, "size": 0, "hasMore": True}}


def _same(_: dict[str, str]) -> Any:
    return {"data": [_row(1)], "pagination": {"page": 1, "size": 1, "hasMore": True}}


def _cycle(query: dict[str, str]) -> Any:
    cursor = query.get("cursor", "a")
    return {"data": [_media(user(ord(cursor)))], "nextCursor": {"a": "b", "b": "a"}[cursor]}


def _growing(query: dict[str, str]) -> Any:
    return {"data": [], "nextCursor": query.get("cursor", "") + "x"}


@pytest.mark.parametrize(
    ("serve", "style", "requests"),
    [
        (_empty, "numbered", 20),
        (_same, "numbered", 21),
        (_cycle, "cursored", 3),
        (_growing, "cursored", 20),
    ],
)
async def test_a_list_without_an_end_is_an_error(
    lists: Lists, serve: Callable[[dict[str, str]], Any], style: str, requests: int
) -> None:
    """A server that repeats itself ends in a ProtocolError, not in a loop."""
    lists.serve = serve
    listing: Listing[Any] = lists.client.followers.list()
    if style == "cursored":
        listing = lists.client.chats.media(USER)

    with pytest.raises(ProtocolError, match="does not end") as caught:
        await listing.collect()

    assert caught.value.operation in {"GET /followers", "GET /chats/{userUuid}/media"}
    assert caught.value.maybe_processed is False
    assert len(lists.queries) == requests


@pytest.mark.parametrize("start", ["", "p", "p0.50", "p1.51", "p1.0", "2", "c", "cx", 2, b"p1.50"])
async def test_a_start_from_elsewhere_is_refused(lists: Lists, start: Any) -> None:
    """What is no ``next`` of a page of this style is refused with a sentence."""
    with pytest.raises(InvalidArgumentError, match=r"start must be Page\.next"):
        lists.client.followers.list(start=start)
    if start != "cx":
        with pytest.raises(InvalidArgumentError, match=r"start must be Page\.next"):
            lists.client.chats.media(USER, start=start)


@pytest.mark.parametrize("size", [0, 51, -1, True, 2.0, "10", None])
async def test_page_sizes_are_checked(lists: Lists, size: Any) -> None:
    """A page has 1 to 50 items."""
    with pytest.raises(InvalidArgumentError, match="page_size must be an int, 1 to 50"):
        lists.client.chats.list(page_size=size)


@pytest.mark.parametrize("limit", [-1, True, 2.0, "10"])
async def test_limits_are_checked(lists: Lists, limit: Any) -> None:
    """A limit is None or a whole number of items."""
    with pytest.raises(InvalidArgumentError, match="limit must be"):
        await lists.client.chats.list().collect(limit=limit)
