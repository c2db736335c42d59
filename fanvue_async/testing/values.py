"""Readers of what a request holds: each returns the value, or raises what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, cast

import attrs

from fanvue_async.engine import wire

Reader = Callable[[Any], Any]


class InvalidError(ValueError):
    """What was given is not as documented."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def within(self, name: str) -> list[str]:
        """Say it of a field."""
        return [f"{name}{'' if p.startswith(('.', '[')) else ' '}{p}" for p in self.problems]


def uuid(value: Any) -> str:
    """Read a UUID."""
    text = wire.uuid_text(value) if isinstance(value, str) else None
    if text is None:
        raise InvalidError("must be a UUID")
    return text


def text(low: int = 0, high: int | None = None) -> Reader:
    """Make the reader of a text of so many characters."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidError("must be a text")
        if len(value) < low or (high is not None and len(value) > high):
            most = "" if high is None else f" and at most {high}"
            raise InvalidError(f"must have at least {low}{most} characters")
        return value

    return read


def number(low: float | None = None, high: float | None = None) -> Reader:
    """Make the reader of a number; one in a query is text."""

    def read(value: Any) -> float:
        given: Any = value
        if isinstance(value, str) and re.fullmatch("-?[0-9]{1,15}", value):
            given = int(value)
        if type(given) not in (int, float):
            raise InvalidError("must be a number")
        if low is not None and given < low:
            raise InvalidError(f"must be at least {low}")
        if high is not None and given > high:
            raise InvalidError(f"must be at most {high}")
        return cast("float", given)

    return read


def in_json(reader: Reader) -> Reader:
    """Make a reader that refuses a text, which ``number`` takes for the sake of queries."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            raise InvalidError("must be a number")
        return reader(value)

    return read


cents: Reader = in_json(number(300))


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InvalidError("must be true or false")
    return value


def flag(value: Any) -> bool:
    """Read true or false in a query."""
    return cast("str", one_of("true", "false")(value)) == "true"


def one_of(*values: str) -> Reader:
    """Make the reader of one of some words."""

    def read(value: Any) -> str:
        if value not in values:
            raise InvalidError(f"must be one of {', '.join(values)}")
        return cast("str", value)

    return read


def matching(pattern: str, high: int) -> Reader:
    """Make the reader of a text that a pattern describes."""

    def read(value: Any) -> str:
        checked = cast("str", text(1, high)(value))
        if not re.fullmatch(pattern, checked):
            raise InvalidError(f"must match {pattern}")
        return checked

    return read


email: Reader = matching(r"[^@\s]+@[^@\s]+", 320)


def moment(value: Any) -> datetime:
    """Read a date with a time and an offset (ISO 8601)."""
    try:
        read = datetime.fromisoformat(value)
        read.astimezone(UTC)  # where it may lie before the year 1, or after 9999
    except (TypeError, ValueError, OverflowError):
        raise InvalidError("must be a date-time in ISO 8601") from None
    if read.tzinfo is None:
        raise InvalidError("must be a date-time with an offset")
    return read


def nullable(reader: Reader) -> Reader:
    """Make a reader that takes null besides."""
    return lambda value: None if value is None else reader(value)


def list_of(reader: Reader, low: int = 0, high: int | None = None) -> Reader:
    """Make the reader of a list of so many items."""

    def read(value: Any) -> list[Any]:
        items = wire.items_of(value)
        if items is None:
            raise InvalidError("must be a list")
        if len(items) < low or (high is not None and len(items) > high):
            most = "" if high is None else f" and at most {high}"
            raise InvalidError(f"must have at least {low}{most} items")
        return [_part(reader, f"[{index}]", item) for index, item in enumerate(items)]

    return read


def _part(reader: Reader, name: str, value: Any) -> Any:
    try:
        return reader(value)
    except InvalidError as error:
        raise InvalidError(*error.within(name)) from None


def fields(
    required: Mapping[str, Reader] | None = None, /, **optional: Reader
) -> Callable[[Any], dict[str, Any]]:
    """Make the reader of an object; fields that it does not know are refused."""
    known = {**(required or {}), **optional}

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidError("must be an object")
        given = cast("dict[str, Any]", value)
        problems = [f".{name} is not known" for name in given if name not in known]
        problems += [f".{name} is required" for name in required or () if name not in given]
        values: dict[str, Any] = {}
        for name in (name for name in known if name in given):
            try:
                values[name] = known[name](given[name])
            except InvalidError as error:
                problems += error.within(f".{name}")
        if problems:
            raise InvalidError(*problems)
        return values

    return read


def body(required: Mapping[str, Reader] | None = None, /, **optional: Reader) -> Reader:
    """Make the reader of a request body, whose problems name its fields alone."""
    read = fields(required, **optional)

    def read_body(value: Any) -> Any:
        try:
            return read(value)
        except InvalidError as error:
            said = [p[1:] if p.startswith(".") else f"the body {p}" for p in error.problems]
            raise InvalidError(*said) from None

    return read_body


@attrs.frozen
class Parameter:
    """A parameter of a query."""

    reader: Reader
    default: Any = None
    required: bool = False
    many: Literal["", "repeated", "commas"] = ""
    most: int | None = None
    """Items at most."""


def read_query(
    parameters: Mapping[str, Parameter], given: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Read a query; parameters that are not known are passed over.

    Raises:
        InvalidError: one is missing or wrong.

    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, parameter in parameters.items():
        values[name] = parameter.default
        if name not in given:
            problems += [f"{name} is required"] if parameter.required else []
            continue
        try:
            values[name] = _read_one(parameter, given[name])
        except InvalidError as error:
            problems += error.within(name)
    if problems:
        raise InvalidError(*problems)
    return values


def _read_one(parameter: Parameter, texts: Sequence[str]) -> Any:
    if not parameter.many:
        return parameter.reader(texts[-1])
    items = list(texts)
    if parameter.many == "commas":
        items = [item for item in texts[-1].split(",") if item]
    return list_of(parameter.reader, 0, parameter.most)(items)


PAGE: Mapping[str, Parameter] = {
    "page": Parameter(number(1), 1),
    "size": Parameter(number(1, 50), 15),
}
