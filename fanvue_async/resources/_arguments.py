"""The checks of arguments that several nouns need. What they refuse is never sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import EllipsisType
from typing import TYPE_CHECKING, TypeVar, overload

from fanvue_async.engine.operation import uuid_of
from fanvue_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from uuid import UUID

T = TypeVar("T")

MIN_PRICE = 300


def text(name: str, value: T, at_least: int, at_most: int) -> T:
    """Check a text that may be left out, or None."""
    if isinstance(value, EllipsisType) or value is None:
        return value
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a str, not a {_kind(value)}")
    if not at_least <= len(value) <= at_most:
        raise InvalidArgumentError(
            f"{name} must have {at_least} to {at_most:,} characters, not {len(value):,}"
        )
    return value


def flag(name: str, value: T) -> T:
    """Check a bool that may be left out."""
    if isinstance(value, bool | EllipsisType):
        return value
    raise InvalidArgumentError(f"{name} must be True or False, not a {_kind(value)}")


def whole(name: str, value: int, at_least: int, at_most: int) -> int:
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
    return None if value is None else uuid_of(name, value)


def uuids(
    name: str, values: Iterable[UUID | str], at_least: int = 0, at_most: int | None = None
) -> list[str]:
    """Write a list of UUIDs as the API does."""
    items = several(name, values)
    if len(items) < at_least:
        raise InvalidArgumentError(f"{name} must have at least {at_least} UUID")
    if at_most is not None and len(items) > at_most:
        raise InvalidArgumentError(f"{name} may have {at_most} UUIDs, not {len(items)}")
    return [uuid_of(f"each of {name}", item) for item in items]


def several(name: str, values: Iterable[T]) -> list[T]:
    """Return the items of a list; a text is none, although Python lets it pass for one."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidArgumentError(f"{name} must be a list, not a {_kind(values)}")
    return list(values)


def _kind(value: object) -> str:
    return type(value).__name__
