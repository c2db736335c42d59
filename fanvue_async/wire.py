"""Between JSON bytes and values: a strict writer, a tolerant reader."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from uuid import UUID

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanvue_async.exchange import Answer

_M = TypeVar("_M", bound=attrs.AttrsInstance)

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class MalformedBodyError(ValueError):
    """Bytes that are not the JSON document they should be."""


def _finite(text: str) -> float:
    """Read a number, which may be too large for one."""
    number = float(text)
    if math.isinf(number):
        raise ValueError
    return number


def _refuse_constant(_: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not know."""
    raise ValueError


_WHITESPACE = " \t\n\r"  # of JSON; str.strip() alone knows more

# Built once: json.loads() and json.dumps() build a new object for each call with an option.
_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).raw_decode
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def dumps(value: Any) -> bytes:
    """Write JSON (RFC 8259). Raises what json raises for data that JSON cannot hold."""
    return _encode(value).encode()


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


def reader(model: type[_M]) -> Callable[[Answer], _M]:
    """Make the function that reads ``model`` from an answer's body.

    A field ``next_version`` is read from ``nextVersion``. Fields that the model does not know
    are ignored, so that the API can add some; types are checked by the model's own validators.
    """
    names = [(_camel(field.name), field.name) for field in attrs.fields(model)]

    def read(answer: Answer) -> _M:
        document = loads(answer.content)
        if not isinstance(document, dict):
            raise MalformedBodyError(f"a {type(document).__name__} where an object should be")
        fields = fields_of(document)
        try:
            return model(**{name: fields[key] for key, name in names if key in fields})
        except (TypeError, ValueError):
            reason = f"no {model.__name__}: a field is missing or has the wrong type"
        raise MalformedBodyError(reason)

    return read


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)


def is_unicode(text: str) -> bool:
    """Tell whether a text can be sent: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def uuid_text(value: UUID | str) -> str | None:
    """Write a UUID as the API does, in lower case; None if ``value`` is none.

    A text must be the canonical form of 36 characters (RFC 9562), in any case. ``uuid.UUID(text)``
    is no such check: it takes braces, ``urn:uuid:`` and misplaced hyphens, and reads ``+f1b…`` as
    another UUID, which would be another user.
    """
    if isinstance(value, UUID):
        return str(value)
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None
