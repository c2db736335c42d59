"""The checks of arguments that several nouns need. What they reject is never sent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from types import EllipsisType
from typing import Any, TypeVar, overload
from uuid import UUID

from fanvue_async.engine import wire
from fanvue_async.engine.operation import Operation, uuid_of
from fanvue_async.errors import InvalidArgumentError

T = TypeVar("T")

_MIN_PRICE = 300
_MAX_TEXT = 1_000_000  # where the API states no bound


class Check:
    """The checks of one call's arguments. ``...`` and None pass where a type allows them."""

    __slots__ = ("_operation",)

    def __init__(self, operation: Operation[Any], creator: str | None) -> None:
        self._operation = operation.name_for(creator)

    def refuse(self, sentence: str) -> InvalidArgumentError:
        """Make the error of an argument that can't be sent."""
        return InvalidArgumentError(sentence, operation=self._operation)

    def text(self, name: str, value: T, at_least: int, at_most: int = _MAX_TEXT) -> T:
        """Check the length of a text."""
        if value is None or isinstance(value, EllipsisType):
            return value
        if not isinstance(value, str):
            raise self.refuse(f"{name} must be a str, not a {_kind(value)}")
        if not at_least <= len(value) <= at_most:
            raise self.refuse(
                f"{name} must have {at_least} to {at_most:,} characters, not {len(value):,}"
            )
        if not wire.is_unicode(value):
            raise self.refuse(f"{name} contains a lone surrogate")
        return value

    def required_text(self, name: str, value: str, at_most: int = _MAX_TEXT) -> str:
        """Check a text that can be neither left out nor empty."""
        if not isinstance(value, str):
            raise self.refuse(f"{name} must be a str, not a {_kind(value)}")
        return self.text(name, value, 1, at_most)

    def email(self, name: str, value: str) -> str:
        """Check that an e-mail address could be one."""
        local, at, domain = self.required_text(name, value).rpartition("@")
        if not (local and at and domain) or any(letter.isspace() for letter in value):
            raise self.refuse(f"{name} must be an e-mail address")
        return value

    def flag(self, name: str, value: T) -> T:
        """Check that a flag is one."""
        if isinstance(value, bool | EllipsisType):
            return value
        raise self.refuse(f"{name} must be True or False, not a {_kind(value)}")

    def whole(self, name: str, value: int, at_least: int, at_most: int) -> int:
        """Check the range of a number."""
        if is_whole(value, at_least, at_most):
            return value
        raise self.refuse(f"{name} must be an int, {at_least} to {at_most}")

    def price(self, value: T) -> T:
        """Check a price in US cents."""
        if value is None or isinstance(value, EllipsisType):
            return value
        if isinstance(value, float):
            raise self.refuse("price is in US cents and an int: $9.99 is 999")
        if not is_whole(value, _MIN_PRICE, math.inf):
            raise self.refuse("price is in US cents, at least 300 ($3.00)")
        return value

    def moment(self, name: str, value: T) -> T:
        """Check that a point in time is one wherever it is read."""
        if value is None or isinstance(value, EllipsisType):
            return value
        if not isinstance(value, datetime):
            raise self.refuse(f"{name} must be a datetime, not a {_kind(value)}")
        if value.tzinfo is None:
            raise self.refuse(f"{name} needs a time zone, such as datetime.now(UTC) has")
        return value

    def period(
        self, start_date: datetime | None, end_date: datetime | None, *, required: bool = False
    ) -> None:
        """Check a span of time: from the one date, up to and without the other."""
        for name, value in (("start_date", start_date), ("end_date", end_date)):
            if value is None and required:
                raise self.refuse(f"{name} must be a datetime, not None")
            self.moment(name, value)
        if start_date is not None and end_date is not None and end_date <= start_date:
            raise self.refuse("end_date must be later than start_date: it is not included")

    def required_uuid(self, name: str, value: UUID | str) -> str:
        """Write a UUID that can't be left out, not even with None."""
        return uuid_of(name, value, self._operation)

    @overload
    def uuid(self, name: str, value: UUID | str) -> str: ...
    @overload
    def uuid(self, name: str, value: UUID | str | None) -> str | None: ...
    def uuid(self, name: str, value: UUID | str | None) -> str | None:
        """Write a UUID as the API does."""
        return None if value is None else uuid_of(name, value, self._operation)

    def uuids(
        self,
        name: str,
        values: Iterable[UUID | str],
        at_least: int = 0,
        at_most: int | None = None,
    ) -> list[str]:
        """Write a list of UUIDs as the API does."""
        items = self.several(name, values)
        if len(items) < at_least:
            raise self.refuse(f"{name} must have at least {at_least} UUID")
        if at_most is not None and len(items) > at_most:
            raise self.refuse(f"{name} may have at most {at_most} UUIDs, not {len(items)}")
        return [uuid_of(f"each of {name}", item, self._operation) for item in items]

    def several(self, name: str, values: Iterable[T]) -> list[T]:
        """Check that a list is one: Python lets a text pass for a list of its letters."""
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise self.refuse(f"{name} must be a list, not a {_kind(values)}")
        return list(values)


def is_whole(value: object, at_least: float, at_most: float) -> bool:
    """Whether this is an int, `Cents` included, in a range; bools are rejected."""
    return isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most


def _kind(value: object) -> str:
    return type(value).__name__
