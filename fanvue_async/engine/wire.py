"""Between JSON bytes and values: strict in writing, tolerant in reading."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import cache, lru_cache
from types import NoneType
from typing import Any, NoReturn, SupportsIndex, cast
from uuid import UUID

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class MalformedBodyError(ValueError):
    """Bytes that are not the JSON document they should be."""


def _finite(text: str) -> float:
    """Read a number, which may be too large for one."""
    number = float(text)
    if math.isinf(number):
        raise ValueError
    return number


def plain(value: object) -> object:
    """Return what JSON can hold for a date, a UUID of any library, or a foreign integer.

    Raises:
        TypeError: it is of another type.
        ValueError: it is a datetime without a time zone.

    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if (uuid := uuid_text(value)) is not None:
        return uuid
    try:
        return operator.index(cast("SupportsIndex", value))
    except TypeError:
        raise TypeError(f"{type(value).__name__} cannot be written") from None


def _refuse_constant(_: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not know."""
    raise ValueError


_WHITESPACE = " \t\n\r"  # of JSON; str.strip() alone knows more

# Built once: json.loads() and json.dumps() build a new object for each call with an option.
_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).raw_decode
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=plain).encode
_SIMPLE = frozenset({str, int, bool, NoneType})


@cache
def _encode_simple() -> Callable[[Any], bytes]:
    """Load msgspec, on first use only."""
    from msgspec.json import Encoder  # noqa: PLC0415 - see above

    return Encoder().encode


def dumps(value: Any) -> bytes:
    """Write JSON (RFC 8259), with dates, UUIDs and foreign integers in the API's form.

    Raises:
        TypeError, ValueError, RecursionError: it holds what JSON cannot.

    """
    content = _simple(cast("dict[object, object]", value)) if type(value) is dict else None
    return _encode(value).encode() if content is None else content


def _simple(fields: dict[object, object]) -> bytes | None:
    """Write an object of ASCII text and whole numbers, in a sixth of json's time; None for others.

    msgspec would pass what must be refused or be written in the API's form, such as NaN and dates.
    """
    for key, value in fields.items():
        if type(value) not in _SIMPLE or type(key) is not str:
            return None
    try:
        content = _encode_simple()(fields)
    except ValueError:  # half a character
        return None
    return content if content.isascii() else None


def loads(content: bytes) -> Any:
    """Read JSON as UTF-8, whatever charset the answer declares.

    Raises:
        MalformedBodyError: not UTF-8, not JSON, too deep, or a number that Python refuses.

    """
    try:
        text = content.decode().strip(_WHITESPACE)
        value, end = _decode(text)
    except RecursionError:
        reason = "nested too deep"
    except ValueError as error:
        reason = f"not JSON ({type(error).__name__})"
    else:
        if end == len(text):
            return value
        reason = "not JSON, but more than one document"
    raise MalformedBodyError(reason)


def fields_of(document: Any) -> dict[str, Any]:
    """Return the fields of a JSON object; none if the document is something else."""
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def items_of(document: Any) -> list[Any] | None:
    """Return the items of a JSON array; None if the document is something else."""
    return cast("list[Any]", document) if isinstance(document, list) else None


def is_unicode(text: str) -> bool:
    """Return whether a text can be sent: a lone surrogate cannot."""
    try:
        str.encode(text)  # a subclass may have its own idea of it
    except UnicodeEncodeError:
        return False
    return True


def whole_text(text: str) -> str:
    """Replace lone surrogates, which cannot be written again, by U+FFFD: an emoji cut in half."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def uuid_text(value: object) -> str | None:
    """Write a UUID as the API does, in lower case; None if ``value`` is not a UUID.

    Those of other libraries (asyncpg, uuid_utils) count. A text must be the canonical form of 36
    characters (RFC 9562), in any case: ``uuid.UUID(text)`` takes braces, ``urn:uuid:`` and
    misplaced hyphens, and reads ``+f1b…`` as another UUID, which would be another user.
    """
    if isinstance(value, str):
        text = str.__str__(value)
    elif isinstance(value, UUID) or type(value).__name__ == "UUID":
        text = str(value)
    else:
        return None
    return _canonical(text)


@lru_cache(maxsize=1024)  # the same users and creators come again and again
def _canonical(text: str) -> str | None:
    return text.lower() if _UUID.fullmatch(text) else None
