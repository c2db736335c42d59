"""From JSON to models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from fanvue_async.engine import wire

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def reader(model: type[T]) -> Callable[[bytes], T]:
    """Make the function that reads ``model`` from a body."""
    names = [field.name for field in attrs.fields(model)]  # type: ignore[arg-type]

    def read(content: bytes) -> T:
        document = wire.loads(content)
        fields: dict[str, Any] = wire.fields_of(document)
        values = {name: fields.get(name) for name in names}
        if not all(isinstance(value, str) for value in values.values()):
            raise wire.MalformedBodyError(f"no {model.__name__}")
        return model(**values)

    return read
