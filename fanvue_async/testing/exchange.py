"""A request as the fake server read it, and a reply to it."""

from __future__ import annotations

import base64
import json as json_module
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
from multidict import CIMultiDict

from fanvue_async.engine import wire

T = TypeVar("T")


@attrs.frozen
class ReceivedRequest:
    """A request as the fake server read it."""

    method: str
    """In capitals, such as ``"POST"``."""
    path: str
    """The path with its query."""
    headers: Mapping[str, str]
    """Names compare without case."""
    body: bytes
    """The bytes of the body; ``b""`` if there was none."""

    def json(self) -> Any:
        """Decode the body.

        Raises:
            ValueError: it is not JSON in UTF-8.

        """
        return wire.loads(self.body)


@attrs.frozen
class Reply:
    """A status, the bytes of a body, and headers."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, status: int, document: object, headers: Mapping[str, str] | None = None) -> Reply:
        """Make a reply with a JSON body."""
        content = json_module.dumps(document).encode()
        return cls.with_body(status, content, "application/json", headers)

    @classmethod
    def with_body(
        cls, status: int, content: bytes, kind: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Make a reply; ``headers`` win over the kind of the content, in any case of letters."""
        merged = CIMultiDict({"Content-Type": kind} if content else {})
        merged.update(headers or {})
        return cls(status, content, merged)


class RefusedError(Exception):
    """An operation ends with this reply instead of its result."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply

    @classmethod
    def saying(cls, status: int, message: str) -> RefusedError:
        """Refuse with the shape that most errors have: ``{message}``."""
        return cls(Reply.of(status, {"message": message}))

    @classmethod
    def invalid(cls, *problems: str) -> RefusedError:
        """Refuse as validation does: ``{errors}``."""
        return cls(Reply.of(400, {"errors": list(problems)}))


def missing(what: str) -> RefusedError:
    """Refuse with the documented 404."""
    return RefusedError.saying(404, f"{what} not found")


def look_up(rows: Mapping[str, T], key: str, what: str) -> T:
    """Return a row.

    Raises:
        RefusedError: there is none of this key (404).

    """
    if key not in rows:
        raise missing(what)
    return rows[key]


def page(rows: Sequence[Any], query: Mapping[str, Any]) -> dict[str, Any]:
    """Give one page, by number, of rows that are in their order."""
    number, size = int(query["page"]), int(query["size"])
    data = rows[(number - 1) * size : number * size]
    more = len(rows) > number * size
    return {"data": data, "pagination": {"page": number, "size": len(data), "hasMore": more}}


def cursor_page(rows: Sequence[Any], query: Mapping[str, Any], size: str) -> dict[str, Any]:
    """Give one page behind a cursor, which rows that arrive at the front do not shift."""
    cursor, count = query["cursor"], int(query[size])
    left = len(rows)
    if cursor is not None:
        try:
            left = int(base64.urlsafe_b64decode(cursor))
        except ValueError:
            raise RefusedError.invalid("cursor is not one of ours") from None
    start = max(0, len(rows) - left)
    after = left - count
    next_cursor = base64.urlsafe_b64encode(str(after).encode()).decode() if after > 0 else None
    return {"data": rows[start : start + count], "nextCursor": next_cursor}
