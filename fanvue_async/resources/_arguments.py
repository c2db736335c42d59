"""The checks of arguments that several nouns need. What they refuse is never sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import EllipsisType
from typing import TYPE_CHECKING, TypeVar, cast, overload

from fanvue_async.engine import wire
from fanvue_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from uuid import UUID

T = TypeVar("T")

MIN_PRICE = 300


def text(name: str, value: T, at_least: int = 0, at_most: int | None = None) -> T:
    """Check a text that may be left out (``...``); None must be allowed by its type."""
    if isinstance(value, EllipsisType) or value is None:
        return value
    bounds = f"{at_least} characters or more" if at_most is None else f"{at_least} to {at_most} characters"
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a str of {bounds}, not a {_kind(value)}")
    if len(value) < at_least or (at_most is not None and len(value) > at_most):
        raise InvalidArgumentError(f"{name} must have {bounds}, this has {len(value)}")
    return value


def flag(name: str, value: T) -> T:
    """Check a bool that may be left out."""
    if isinstance(value, bool | EllipsisType):
        return value
    raise InvalidArgumentError(f"{name} must be True or False, not a {_kind(value)}")


def whole(name: str, value: T, at_least: int, at_most: int) -> T:
    """Check a number."""
    if type(value) is int and at_least <= value <= at_most:
        return value
    raise InvalidArgumentError(f"{name} must be an int, {at_least} to {at_most}")


def price(value: T) -> T:
    """Check a price, which may be left out or None."""
    if isinstance(value, EllipsisType) or value is None:
        return value
    if isinstance(value, float):
        raise InvalidArgumentError("price is in US cents and an int: $9.99 is 999")
    if not isinstance(value, int) or isinstance(value, bool) or value < MIN_PRICE:
        raise InvalidArgumentError("price is in US cents, at least 300 ($3.00)")
    return value


def moment(name: str, value: T) -> T:
    """Check a point in time, which may be left out or None."""
    if isinstance(value, EllipsisType) or value is None:
        return value
    if not isinstance(value, datetime):
        raise InvalidArgumentError(f"{name} must be a datetime, not a {_kind(value)}")
    if value.tzinfo is None:
        raise InvalidArgumentError(f"{name} needs a time zone, such as datetime.now(UTC)")
    return value


@overload
def uuid(name: str, value: UUID | str) -> str: ...
@overload
def uuid(name: str, value: UUID | str | None) -> str | None: ...
def uuid(name: str, value: UUID | str | None) -> str | None:
    """Write a UUID as the API does; None stays None."""
    if value is None:
        return None
    written = wire.uuid_text(value)
    if written is None:
        raise InvalidArgumentError(f"{name} must be a UUID: 8-4-4-4-12 hexadecimal digits")
    return written


def uuids(
    name: str, values: Iterable[UUID | str], *, at_least: int = 0, at_most: int | None = None
) -> list[str]:
    """Write a list of UUIDs as the API does."""
    items = several(name, values)
    if len(items) < at_least or (at_most is not None and len(items) > at_most):
        bounds = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
        raise InvalidArgumentError(f"{name} must hold {bounds} UUIDs, not {len(items)}")
    return [uuid(f"each of {name}", value) for value in items]


def several(name: str, values: Iterable[T]) -> list[T]:
    """Return the items of a list; a text is none, although Python lets it pass for one."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidArgumentError(f"{name} must be a list, not a {_kind(values)}")
    return list(cast("Iterable[T]", values))


def _kind(value: object) -> str:
    return type(value).__name__
