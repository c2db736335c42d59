"""Between response bodies and models: bytes in, frozen attrs objects out.

msgspec reads the bytes into Structs that are made from the models once; closures build the models
from those. What msgspec refuses is read again by ``json`` and repaired where the documentation of
the API is known to be loose, before it is refused for good.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import attrs
import msgspec

from fanvue_async.engine import wire
from fanvue_async.log import logger as _logger
from fanvue_async.money import Cents

_Build = Callable[[Any], Any]


ABSENT: Any = attrs.Factory(lambda: None)
"""The default of a field that the API documents for every response.

Should it be missing or null all the same, it reads as None, and one WARNING says so.
"""

_WARNING = "%s is documented, but missing from a response: it reads as None"
_TIMESTAMP = Annotated[datetime, msgspec.Meta(tz=True)]
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_PLACE = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)


@functools.cache
def reader(returns: Any) -> Callable[[bytes], Any]:
    """Make the function that reads what an operation returns.

    Args:
        returns: an attrs model, ``Numbered[Model]``, ``Cursored[Model]``, ``list[Model]`` (read as
            a tuple), ``dict[str, Model]``, or ``str`` for text that is not JSON.

    Returns:
        A function that raises ``wire.MalformedBodyError`` for a body of another shape. Its words
        name the place and the type in the API's own names, never the value.

    """
    if returns is str:
        return _read_text
    shape, build = _plan(returns)
    decode = msgspec.json.Decoder(shape).decode

    def read(content: bytes) -> Any:
        try:
            document = decode(content)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            document = None
        if document is None:
            document = _read_again(shape, content)
        return build(document) if build else document

    return read


def _read_text(content: bytes) -> str:
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        reason = "not UTF-8"
    raise wire.MalformedBodyError(reason)


def _read_again(shape: Any, content: bytes) -> Any:
    """Read what the fast path refused: slowly, and forgiving what is known to happen."""
    document = _mend(shape, wire.loads(content))
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        reason = _words(str(error))
    raise wire.MalformedBodyError(reason)


def _words(message: str) -> str:
    """Put the place first and in the API's names: ``data[3].user.uuid: expected str, got int``."""
    parts = _PLACE.fullmatch(message)
    reason, place = (parts["reason"], parts["place"] or "") if parts else (message, "")
    if missing := _MISSING_FIELD.fullmatch(reason):
        what = f"{place}.{missing['field']}".lstrip(".") + ": missing"
    else:
        what = f"{place}: {reason[0].lower()}{reason[1:]}".removeprefix(": ").replace("`", "")
    return f"not as documented ({what})"


# Each kind of value has a shape, which msgspec checks, and perhaps a function that builds the value
# of it.


def _plan(hint: Any) -> tuple[Any, _Build | None]:
    origin = get_origin(hint)
    if attrs.has(origin or hint):
        return _plan_of_model(hint)
    if origin in (Union, UnionType):
        return _plan_of_nullable(hint)
    if origin in (tuple, list):
        return _plan_of_items(get_args(hint)[0])
    if origin is dict:
        return _plan_of_map(get_args(hint)[1])
    if hint is Cents:
        return int, Cents
    return (_TIMESTAMP if hint is datetime else hint), None


def _plan_of_nullable(hint: Any) -> tuple[Any, _Build | None]:
    (inner,) = (argument for argument in get_args(hint) if argument is not NoneType)
    shape, build = _plan(inner)
    return shape | None, build and (lambda value: None if value is None else build(value))


def _plan_of_items(item: Any) -> tuple[Any, _Build | None]:
    shape, build = _plan(item)
    shape = GenericAlias(tuple, (shape, ...))
    return shape, build and (lambda values: tuple(map(build, values)))


def _plan_of_map(item: Any) -> tuple[Any, _Build | None]:
    shape, build = _plan(item)
    shape = GenericAlias(dict, (str, shape))
    return shape, build and (lambda values: {key: build(value) for key, value in values.items()})


@functools.cache
def _plan_of_model(hint: Any) -> tuple[Any, _Build]:
    """Make the Struct of a model, and what builds the model from it."""
    cls = get_origin(hint) or hint
    hints = _hints(hint, cls)
    fields = attrs.fields(cls)
    plans = [_plan(hints[field.name]) for field in fields]
    shapes = [
        (field.name, shape) if field.default is attrs.NOTHING else (field.name, shape | None, None)
        for field, (shape, _) in zip(fields, plans, strict=True)
    ]
    names = {field.name: name_of(field) for field in fields}
    struct = msgspec.defstruct(cls.__name__, shapes, rename=names, kw_only=True, gc=False)
    return struct, _builder(cls, [build for _, build in plans])


def _hints(hint: Any, cls: type) -> dict[str, Any]:
    """Resolve the types of a model's fields; a generic one's with its arguments put in."""
    hints = get_type_hints(cls)
    arguments = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
    if not arguments:
        return hints
    return {
        name: type_[tuple(arguments[parameter] for parameter in type_.__parameters__)]
        if getattr(type_, "__parameters__", ())
        else type_
        for name, type_ in hints.items()
    }


def name_of(field: attrs.Attribute[Any]) -> str:
    """Return the API's name of a field: camelCase, unless its metadata has a ``name``."""
    head, *tail = field.name.split("_")
    return cast("str", field.metadata.get("name")) or head + "".join(map(str.title, tail))


def _builder(cls: Any, builds: list[_Build | None]) -> _Build:
    """Make the function that turns a Struct into its model."""
    values_of, fill = msgspec.structs.astuple, _filler(cls)
    # The slots are filled one by one: __init__ of a frozen class costs half as much again.
    setters = [getattr(cls, field.name).__set__ for field in attrs.fields(cls)]
    converted = [(place, build) for place, build in enumerate(builds) if build]
    new: Any = object.__new__

    def build(read: Any) -> Any:
        values: Any = values_of(read)
        if None in values:
            values = fill([*values])
        if converted:
            values = [*values]
            for place, build_value in converted:
                if (value := values[place]) is not None:
                    values[place] = build_value(value)
        model = new(cls)
        for set_field, value in zip(setters, values):  # noqa: B905 - strict costs a fifth more
            set_field(model, value)
        return model

    return build


def _filler(cls: Any) -> Callable[[list[Any]], list[Any]]:
    """Make the function that puts defaults where nothing came, and warns of what should have."""
    fields = attrs.fields(cls)
    promised = [place for place, field in enumerate(fields) if field.default is ABSENT]
    defaults = [
        (place, field.default)
        for place, field in enumerate(fields)
        if field.default not in (attrs.NOTHING, ABSENT, None)
    ]
    warned: set[int] = set()

    def fill(values: list[Any]) -> list[Any]:
        for place in promised:
            if values[place] is None and place not in warned:
                warned.add(place)
                _logger.warning(_WARNING, f"{cls.__name__}.{fields[place].name}")
        for place, default in defaults:
            if values[place] is None:
                values[place] = default
        return values

    return fill


# What the documentation of the API is known to be loose about, and JSON that msgspec is too strict
# about. What cannot be repaired is left as it is, for msgspec to refuse it with its place.


def _mend(shape: Any, value: Any) -> Any:
    if get_origin(shape) in (Union, UnionType):
        return _mend(get_args(shape)[0], value)
    if isinstance(value, list | dict):
        return _mend_container(shape, cast("Any", value))
    if isinstance(value, str):
        return _mend_text(shape, value)
    if shape is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 3.0 for 3
    return cast("Any", value)


def _mend_container(shape: Any, value: Any) -> Any:
    arguments = get_args(shape)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_mend(arguments[0], item) for item in items] if arguments else items
    if get_origin(shape) is dict:
        return {wire.whole_text(key): _mend(arguments[1], item) for key, item in value.items()}
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        return value
    shapes = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    return {key: _mend(shapes[key], item) for key, item in value.items() if key in shapes}


def _mend_text(shape: Any, value: str) -> Any:
    value = wire.whole_text(value)  # of whatever shape: msgspec raises what it should not
    if shape not in (_TIMESTAMP, date):
        return value
    try:
        moment = datetime.fromisoformat(value)  # a date, or a timestamp without its offset
    except ValueError:
        return value
    if shape is date:
        return moment.date()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
