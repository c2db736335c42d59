"""Values made from the contract: what a method may be given, and what the API may respond."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen
class Sample:
    """A value in two forms."""

    given: Any
    """As a caller passes it."""
    wire: Any
    """As it is in JSON; in a query, its text."""


def is_nullable(schema: Any) -> bool:
    """Tell whether null is allowed."""
    kinds = schema.get("type", [])
    return (isinstance(kinds, list) and "null" in kinds) or {"type": "null"} in choices(schema)


def choices(schema: Any) -> list[Any]:
    """Give what a schema may be one of, those of the alternatives included."""
    alternatives: list[Any] = []
    for one in schema.get("anyOf", []):
        alternatives += choices(one) or [one]
    return alternatives


def not_null(schema: Any, choice: int = 0) -> Any:
    """Give the schema without null, and of several objects the one chosen."""
    alternatives = [one for one in choices(schema) if one != {"type": "null"}]
    if alternatives:
        objects = [one for one in alternatives if one.get("type") == "object"]
        return (objects or alternatives[:1])[choice % len(objects or [0])]
    kinds = schema.get("type")
    if isinstance(kinds, list):
        (kind,) = set(cast("list[str]", kinds)) - {"null"}
        return {**schema, "type": kind}
    return schema


class Samples:
    """Makes values that all differ, so that a value in the wrong place is noticed.

    Args:
        sparse: whether what may be null is null, and what may be missing is missing.
        choice: which alternative to take where an object may have several shapes.

    """

    def __init__(self, *, sparse: bool = False, choice: int = 0) -> None:
        self._sparse = sparse
        self._choice = choice
        self._numbers: Iterator[int] = count(1)

    def document(self, schema: Any) -> Any:
        """Make JSON of a schema."""
        if self._sparse and is_nullable(schema):
            return None
        schema = not_null(schema, self._choice)
        if schema["type"] == "array":
            return [self.document(schema["items"])]
        if schema["type"] == "object":
            return self._object(schema)
        return self.scalar(schema).wire

    def _object(self, schema: Any) -> Any:
        if "additionalProperties" in schema:
            return {f"key-{next(self._numbers)}": self.document(schema["additionalProperties"])}
        required = schema.get("required", [])
        return {
            name: self.document(part)
            for name, part in schema.get("properties", {}).items()
            if name in required or not self._sparse
        }

    def argument(self, schema: Any) -> Sample:
        """Make what a method may be given, for a part of its request."""
        schema = not_null(schema)
        if schema["type"] == "array":
            items = [self.argument(schema["items"]) for _ in range(2)]
            return Sample([item.given for item in items], [item.wire for item in items])
        if schema.get("enum") == ["true", "false"]:
            value = schema.get("default") != "true"  # not the default
            return Sample(value, "true" if value else "false")
        return self.scalar(schema)

    def scalar(self, schema: Any) -> Sample:
        """Make a text, a number, a boolean or a moment."""
        number = next(self._numbers)
        if "enum" in schema:
            known = [value for value in schema["enum"] if value is not None]
            return _same(known[number % len(known)])
        if "const" in schema:
            return _same(schema["const"])
        if schema["type"] == "boolean":
            return _same(number % 2 == 0)
        if schema["type"] in ("number", "integer"):
            return _same(_number(schema, number))
        return _text(schema, number)


def _same(value: Any) -> Sample:
    return Sample(value, value)


def _number(schema: Any, number: int) -> int:
    low, high = schema.get("minimum", 0), schema.get("maximum", 1_000_000)
    return int(low + number % (high - low + 1))


def _text(schema: Any, number: int) -> Sample:
    form = schema.get("format")
    if form == "uuid":
        return _same(str(UUID(int=number << 64, version=4)))
    if form == "date-time":
        moment = _START + timedelta(hours=number)
        return Sample(moment, moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    if form == "date":
        day = date(2026, 1, 1) + timedelta(days=number)
        return Sample(day, day.isoformat())
    if form == "email":
        return _same(f"person{number}@example.com")
    if "pattern" in schema:
        return _same(f"source_{number}")
    return _same(f"text {number}"[: schema.get("maxLength", 100)])
