"""Lists in pages, in each of the API's styles."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_origin

import attrs

from fanvue_async.engine.memory import Memory
from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.engine.session import Session
from fanvue_async.errors import InvalidArgumentError, ProtocolError

T = TypeVar("T")

PAGE_SIZE = 50
"""The most items that the API gives in a page."""

_MAX_STALE_PAGES = 20
_NUMBERED_START = re.compile(r"p([1-9][0-9]{0,8})\.([0-9]{1,2})")


@attrs.frozen(kw_only=True)
class Pagination:
    """The position of a page in its list."""

    page: int = ABSENT
    """Its number, from 1."""
    size: int = ABSENT
    """How many items it holds, which may be fewer than were asked for."""
    has_more: bool


@attrs.frozen(kw_only=True)
class Numbered(Generic[T]):
    """A response with one page of a list whose pages have numbers."""

    data: tuple[T, ...]
    pagination: Pagination


@attrs.frozen(kw_only=True)
class Cursored(Generic[T]):
    """A response with one page of a list whose pages are found by a cursor."""

    data: tuple[T, ...]
    next_cursor: str | None = None


@attrs.frozen
class Page(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    next: str | None = None
    """Pass it as ``start=`` to go on after this page, in another process too. None: the end."""


class Listing(Generic[T]):
    """A list of the API, read page by page as it is used. Nothing is sent before that.

    ``async for item in listing`` gives each item once, ``pages()`` whole pages, ``collect()`` a
    list. Each page is its own call with the client's whole deadline, and each use begins anew.
    """

    __slots__ = ("_key", "_operation", "_query", "_session", "_size_name", "_start", "_values")

    def __init__(  # noqa: PLR0913 - what is listed, and how it is cut
        self,
        session: Session,
        operation: Operation[Numbered[T]] | Operation[Cursored[T]] | Operation[list[T]],
        *values: object,
        query: Mapping[str, object] | None = None,
        start: str | None = None,
        page_size: int = PAGE_SIZE,
        size_name: str = "size",
        key: tuple[str, ...] = ("uuid",),
    ) -> None:
        """Prepare a list.

        Args:
            session: calls the API.
            operation: returns ``Numbered``, ``Cursored``, or a list that the API gives whole.
            values: of the path's parameters.
            query: what else is asked for.
            start: ``Page.next`` of an earlier page of this list.
            page_size: items a page, 1 to 50.
            size_name: the API's name of the page size.
            key: the attributes that identify an item (dots lead deeper); empty if nothing does,
                and then items come as they come.

        Raises:
            InvalidArgumentError: an argument is invalid.

        """
        operation.bind(values, query, creator=session.creator)  # checks them, early
        self._session = session
        self._operation: Operation[Any] = operation
        self._values = values
        self._query = query or {}
        self._size_name = size_name
        self._key = attrgetter(*key) if key else None
        self._start = _position(operation, start, page_size)

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Read page by page. An item that an earlier page held is left out of a later one."""
        return _Pages(self._read, self._start, self._key, self._operation.name)

    async def _read(self, position: _Position) -> Any:
        query = {**self._query, **position.query(self._size_name)}
        return await self._session.call(self._operation, *self._values, query=query)

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """Read all items, or the first ``limit``, into a list.

        Raises:
            InvalidArgumentError: ``limit`` is neither None nor an int from 0.

        """
        if limit is not None and (type(limit) is not int or limit < 0):
            raise InvalidArgumentError(
                "limit must be None or an int, at least 0", operation=self._operation.name
            )
        items: list[T] = []
        if limit == 0:
            return items
        async for item in self:
            items.append(item)
            if len(items) == limit:
                break
        return items

    def __repr__(self) -> str:
        return f"<Listing of {self._operation.name}>"


# No async generators: the event loop would have to close one that a `break` leaves behind, in a
# task of its own.


class _Items(Generic[T]):
    """The items of a list, one by one."""

    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._page: Iterator[T] = iter(())

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._page:
                return item
            self._page = iter((await anext(self._pages)).items)


class _Pages(Generic[T]):
    """The pages of a list, one by one."""

    def __init__(
        self,
        read: Callable[[_Position], Awaitable[Any]],
        start: _Position,
        key: Callable[[T], Hashable] | None,
        name: str,
    ) -> None:
        self._read = read
        self._position: _Position | None = start
        self._key = key
        self._name = name
        self._known_items: Memory[Hashable] = Memory()
        self._known_positions: Memory[Hashable] = Memory()
        self._newest: tuple[T, ...] = ()
        self._stale_pages = 0

    def __aiter__(self) -> AsyncIterator[Page[T]]:
        return self

    async def __anext__(self) -> Page[T]:
        position = self._position
        if position is None:
            raise StopAsyncIteration
        if position in self._known_positions:
            raise self._endless("sent the same cursor again")
        if self._stale_pages == _MAX_STALE_PAGES:
            raise self._endless(f"sent {_MAX_STALE_PAGES} pages without a new item")
        response = await self._read(position)
        self._known_positions.add(position)
        fresh = self._new_of(position.items(response))
        self._stale_pages = 0 if fresh and fresh != self._newest else self._stale_pages + 1
        self._newest = fresh
        self._position = position.following(response)
        return Page(fresh, self._position.text if self._position else None)

    def _new_of(self, items: tuple[T, ...]) -> tuple[T, ...]:
        """Leave out what was there before; what has no key comes as it comes."""
        if self._key is None:
            return items
        keys = [*map(self._key, items)]
        if None not in keys and self._known_items.add_all(keys):  # as nearly always
            return items
        return tuple(filter(self._is_new, items))

    def _is_new(self, item: T) -> bool:
        assert self._key is not None
        key = self._key(item)
        return key is None or self._known_items.add(key)

    def _endless(self, what: str) -> ProtocolError:
        return ProtocolError(f"the list does not end: the server {what}", operation=self._name)


@attrs.frozen
class _Numbered:
    """A page by its number."""

    size: int
    number: int = 1

    def query(self, size_name: str) -> dict[str, object]:
        return {"page": self.number, size_name: self.size}

    def items(self, response: Numbered[Any]) -> tuple[Any, ...]:
        return response.data

    def following(self, response: Numbered[Any]) -> _Numbered | None:
        return _Numbered(self.size, self.number + 1) if response.pagination.has_more else None

    @property
    def text(self) -> str:
        return f"p{self.number}.{self.size}"


@attrs.frozen
class _Cursored:
    """A page by its cursor."""

    size: int
    cursor: str | None = None

    def query(self, size_name: str) -> dict[str, object]:
        return {"cursor": self.cursor, size_name: self.size}

    def items(self, response: Cursored[Any]) -> tuple[Any, ...]:
        return response.data

    def following(self, response: Cursored[Any]) -> _Cursored | None:
        return _Cursored(self.size, response.next_cursor) if response.next_cursor else None

    @property
    def text(self) -> str:
        return f"c{self.cursor}"


@attrs.frozen
class _Whole:
    """The only page."""

    text: str = ""

    def query(self, _: str) -> dict[str, object]:
        return {}

    def items(self, response: tuple[Any, ...]) -> tuple[Any, ...]:
        return response

    def following(self, _: object) -> None:
        return None


_Position = _Numbered | _Cursored | _Whole


def _position(operation: Operation[Any], start: str | None, page_size: int) -> _Position:
    """Find where a list is to begin."""
    if type(page_size) is not int or not 0 < page_size <= PAGE_SIZE:
        raise InvalidArgumentError(
            f"page_size must be an int, 1 to {PAGE_SIZE}", operation=operation.name
        )
    style = get_origin(operation.returns)
    if style is Numbered:
        if start is None:
            return _Numbered(page_size)
        match = _NUMBERED_START.fullmatch(start) if isinstance(start, str) else None
        if match and 0 < int(match[2]) <= PAGE_SIZE:
            return _Numbered(int(match[2]), int(match[1]))
    elif style is Cursored:
        if start is None:
            return _Cursored(page_size)
        if isinstance(start, str) and start.startswith("c") and len(start) > 1:
            return _Cursored(page_size, start[1:])
    else:
        return _Whole()
    raise InvalidArgumentError(
        "start must be Page.next of an earlier page of this list", operation=operation.name
    )
