"""What a method returned, held against the JSON that it was made of."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

import attrs

from fanvue_async.engine.models import ABSENT, name_of
from fanvue_async.money import Cents
from support.samples import choices, is_nullable, not_null

# Documented for every response, but missing from the API's own examples, or new.
_LENIENT = {"Message.isRead", "Message.mediaUuids", "Message.sentByUserId", "Spent.total"}


class Comparison:
    """Tells where a value is not what a document says, or not of the type that a schema says.

    Args:
        choice: which alternative the document takes where an object may have several shapes.

    """

    def __init__(self, choice: int = 0) -> None:
        self.differences: list[str] = []
        self._choice = choice

    def compare(self, schema: Any, document: Any, value: Any, place: str = "") -> None:
        """Compare a value with a part of a document."""
        alternatives = choices(schema)
        schema = not_null(schema, self._choice)
        if document is None:
            self._same(None, value, place)
        elif isinstance(document, list):
            self._items(schema, cast("list[Any]", document), value, place)
        elif "additionalProperties" in schema:
            for key, item in document.items():
                self.compare(schema["additionalProperties"], item, value[key], f"{place}[{key}]")
        elif "properties" in schema and not isinstance(value, dict):
            self._model(schema, document, value, place, alternatives=alternatives)
        else:
            self._scalar(schema, document, value, place)

    def _same(self, expected: object, value: object, place: str) -> None:
        if value != expected:
            self.differences.append(f"{place}: {value!r} for {expected!r}")

    def _items(self, schema: Any, document: list[Any], value: Any, place: str) -> None:
        items = list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple | list) else []
        if len(items) != len(document):
            self.differences.append(f"{place}: {value!r} for {len(document)} items")
            return
        for number, item in enumerate(items):
            self.compare(schema["items"], document[number], item, f"{place}[{number}]")

    def _scalar(self, schema: Any, document: Any, value: Any, place: str) -> None:
        expected = _expected(schema, document)
        self._same(expected, value, place)
        is_counted = schema["type"] != "number" or schema.get("x-unit") == "USD cents"
        if type(value) not in {type(expected), type(expected) if is_counted else float}:
            self.differences.append(f"{place}: a {type(value).__name__}")

    def _model(
        self, schema: Any, document: Any, value: Any, place: str, *, alternatives: list[Any]
    ) -> None:
        """Compare a model with an object, field by field."""
        cls = cast("type[Any]", type(value))
        if not attrs.has(cls):
            self.differences.append(f"{place}: {value!r} is no model")
            return
        fields = {name_of(field): field for field in attrs.fields(cls)}
        known = {name for one in [schema, *alternatives] for name in one.get("properties", {})}
        self.differences += [
            f"{cls.__name__}.{name} is not documented" for name in fields.keys() - known
        ]
        shapes = [one for one in alternatives if one.get("type") == "object"]
        for name, part in schema["properties"].items():
            if name not in fields:
                self.differences.append(f"{cls.__name__} lacks {name}")
                continue
            read = getattr(value, fields[name].name)
            if len(shapes) < 2:  # of several shapes, what one requires the others lack
                is_required = name in schema.get("required", [])
                self._default(f"{cls.__name__}.{name}", fields[name], part, required=is_required)
            if name in document:
                self.compare(part, document[name], read, f"{place}.{name}")
            elif read != ():
                self._same(None, read, f"{place}.{name}")

    def _default(
        self, name: str, field: attrs.Attribute[Any], part: Any, *, required: bool
    ) -> None:
        """Hold the default of a field against the contract: it says what may be missing."""
        if name in _LENIENT or field.default == ():
            return
        if not required or is_nullable(part):
            if field.default is not None:
                self.differences.append(f"{name} is required or warns, but may be missing")
        elif field.default is None:
            self.differences.append(f"{name} is silently None, but documented")
        elif field.default is not attrs.NOTHING and field.default is not ABSENT:
            self.differences.append(f"{name} has a default of its own")


def _expected(schema: Any, document: Any) -> Any:
    """Make of a scalar in JSON what a model holds."""
    form = schema.get("format")
    if form == "date-time":
        return datetime.fromisoformat(document)
    if form == "date":
        return date.fromisoformat(document)
    return Cents(document) if schema.get("x-unit") == "USD cents" else document
