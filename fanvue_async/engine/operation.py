"""What an endpoint is, and the request that it becomes when it is bound to values.

Paths, queries and bodies are checked and encoded here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote

import attrs

from fanvue_async.engine import wire
from fanvue_async.errors import BadRequestError, InvalidArgumentError

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

T = TypeVar("T")

CREATOR = "/creators/{creatorUserUuid}"
_OBJECT = (dict, Mapping)  # dict first, for it is known at once
_PARAMETER = re.compile(r"\{(\w+)\}")
_OF_A_CREATOR = re.compile(r"(?:/v[01])?/creators/([^/]+)/")
_TEXT_LENGTH = 255
_WORD = 64  # bits
_TEXT_OR_ERROR = "text/plain, application/json"

# Methods that RFC 9110, 9.2.2 calls idempotent, and those that it does not.
IDEMPOTENT = {
    "GET": True,
    "HEAD": True,
    "PUT": True,
    "DELETE": True,
    "POST": False,
    "PATCH": False,
}
SAFE = frozenset({"GET", "HEAD"})


@attrs.define(eq=False)
class Request(Generic[T]):
    """An operation bound to values: everything that the engine must know to send it."""

    method: str
    name: str
    """What errors and logs call it: the method and the template; of a raw request, its path."""
    target: str = attrs.field(repr=False)
    """The encoded path and query below the base URL, or an absolute URL of another origin."""
    read: Callable[[Answer], T]
    """Makes the value of a success, or raises ``wire.MalformedBodyError``."""
    idempotent: bool = False
    """Whether it may be sent again although it may already have been processed."""
    safe: bool = False
    """Whether nothing happens by it, so that it is never called processed."""
    body: bytes | memoryview | None = attrs.field(default=None, repr=False)
    creator: str | None = None
    """The creator whose bucket of the rate limit it counts in; None for the account's own."""
    bare_message: type[BadRequestError] = BadRequestError
    """What a 400 whose body is just ``{message}`` means here."""
    accept: str | None = None
    """What the response may be, if not just JSON."""
    content_type: str = "application/json"
    """Of the body; empty for none."""
    on_progress: Callable[[int], None] | None = None
    """Told how many bytes of the body have left; ``Timeout.attempt`` then bounds the seconds
    without progress instead of the attempt."""
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    """Sent instead of the bearer token and the API's headers, on a request to another origin."""


def bucket_of(path: str) -> str | None:
    """Return the creator whose bucket a path counts in; None for the account's own."""
    match = _OF_A_CREATOR.match(path)
    return match[1].lower() if match else None


class Operation(Generic[T]):
    """What the package must know of an endpoint.

    Args:
        method: its HTTP method.
        path: the own account's path, with the API's names: ``/chats/{userUuid}/messages``.
        returns: what its success holds: a model, a list or a map of models, a page; None for
            nothing.
        id: the ``operationId`` of its documentation.
        scopes: the scopes that a token needs.
        creator_id: the id of its twin below ``/creators/{creatorUserUuid}``, if there is one.
        creator_scopes: what the twin needs. Default: ``scopes`` and ``read:creator``.
        safe: whether nothing happens by it. Default: GET and HEAD.
        idempotent: whether it may be repeated when its outcome is unknown. Default: by method.
        bare_message: what a 400 whose body is just ``{message}`` means.
        arguments: Python names of path parameters where the API's name does not tell.
        texts: path parameters that are text of 1 to 255 characters, or numbers; others are UUIDs.
        commas: lists in the query that are joined by commas; others repeat their key.
        assumed: whether the official documentation lacks it.

    """

    def __init__(  # noqa: PLR0913 - an endpoint has this many sides, all but three by keyword
        self,
        method: str,
        path: str,
        returns: type[T] | None = None,
        *,
        id: str,  # noqa: A002 - the documentation's word
        scopes: tuple[str, ...] = (),
        creator_id: str | None = None,
        creator_scopes: tuple[str, ...] | None = None,
        safe: bool | None = None,
        idempotent: bool | None = None,
        bare_message: type[BadRequestError] = BadRequestError,
        arguments: Mapping[str, str] | None = None,
        texts: tuple[str, ...] = (),
        commas: tuple[str, ...] = (),
        assumed: bool = False,
    ) -> None:
        self.method: str = method
        self.path: str = path
        self.returns: type[T] | None = returns
        self.id: str = id
        self.scopes: tuple[str, ...] = scopes
        self.creator_id: str | None = creator_id
        self.creator_scopes: tuple[str, ...] = creator_scopes or (*scopes, "read:creator")
        self.safe: bool = method in SAFE if safe is None else safe
        self.idempotent: bool = (
            self.safe or IDEMPOTENT[method] if idempotent is None else idempotent
        )
        self.bare_message: type[BadRequestError] = bare_message
        self.texts: tuple[str, ...] = texts
        self.commas: tuple[str, ...] = commas
        self.assumed: bool = assumed
        self.name: str = f"{method} {path}"
        """What errors and logs call it."""
        self.read: Callable[[Answer], T] = _Reader(returns)
        """Makes the value of a success; one for all requests, for many may wait at once."""
        self._arguments = arguments or {}
        self._is_for_creators_only = path.startswith(CREATOR)
        self._names_a_creator = bucket_of(path) is not None

    def bind(
        self,
        values: tuple[object, ...] = (),
        query: Mapping[str, object] | None = None,
        json: Mapping[str, object] | None = None,
        creator: str | None = None,
    ) -> Request[T]:
        """Make the request for the values of the path, in the template's order.

        A value of ``...`` drops its field; None drops a field of the query, and is null in JSON.

        Raises:
            InvalidArgumentError: a value cannot be sent; the sentence names it.

        """
        name = self.name_for(creator)
        if creator is not None and self._is_for_creators_only:
            values, prefix = (creator, *values), ""
        else:
            prefix = "" if creator is None else f"/creators/{creator}"
        path = prefix + (self._path(values, name) if values else self.path)
        if query and (text := encode_query(query, name, self.commas)):
            path = f"{path}?{text}"
        return Request(
            self.method,
            name,
            path,
            self.read,
            self.idempotent,
            self.safe,
            None if json is None else encode_json(json, name),
            bucket_of(path) if self._names_a_creator else creator,
            self.bare_message,
            _TEXT_OR_ERROR if self.returns is str else None,
        )

    def name_for(self, creator: str | None) -> str:
        """Return its name in errors and logs, for a creator or for the own account."""
        if creator is None or self._is_for_creators_only:
            return self.name
        return f"{self.method} {CREATOR}{self.path}"

    def _path(self, values: tuple[object, ...], name: str) -> str:
        """Put the values into the template, checked and percent-encoded."""
        given: Iterator[object] = iter(values)

        def encoded(parameter: re.Match[str]) -> str:
            value = next(given)
            if parameter[1] in self.texts:
                return _path_text(value, self._argument(parameter[1]), name)
            return uuid_of(self._argument(parameter[1]), value, name)

        return _PARAMETER.sub(encoded, self.path)

    def _argument(self, parameter: str) -> str:
        return self._arguments.get(parameter) or snake(parameter)


class _Reader(Generic[T]):
    """Makes the value of a success; how, it asks with the first one."""

    __slots__ = ("_read", "_returns")

    def __init__(self, returns: type[T] | None) -> None:
        self._returns = returns
        self._read: Callable[[bytes], T] | None = None

    def __call__(self, answer: Answer) -> T:
        if self._read is None:
            self._read = _make_reader(self._returns)
        if self._returns is str:
            answer.check_whole()
        return self._read(answer.content)


def _make_reader(returns: Any) -> Callable[[bytes], Any]:
    if returns is None:
        return lambda _: None
    from fanvue_async.engine.models import reader  # noqa: PLC0415 - msgspec, on first use only

    return reader(returns)


def uuid_of(argument: str, value: object, name: str | None = None) -> str:
    """Write a UUID as the API does.

    Raises:
        InvalidArgumentError: it is not a UUID; the sentence names the argument.

    """
    uuid = wire.uuid_text(value)
    if uuid is None:
        raise InvalidArgumentError(
            f"{argument} must be a uuid.UUID or its text: 8-4-4-4-12 hexadecimal digits",
            operation=name,
        )
    return uuid


def snake(name: str) -> str:
    """Write a name of the API in Python's way: ``userUuid`` is ``user_uuid``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _path_text(value: object, argument: str, name: str) -> str:
    """Encode a word of a path; one that is only dots would be resolved away."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _query_text(argument, value, name)
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LENGTH:
        raise InvalidArgumentError(
            f"{argument} must be a str of 1 to {_TEXT_LENGTH} characters", operation=name
        )
    if not wire.is_unicode(value):
        raise InvalidArgumentError(f"{argument} must be valid Unicode", operation=name)
    text = str.__str__(value)
    encoded = quote(text, safe="")
    return encoded if text.strip(".") else encoded.replace(".", "%2E")


def encode_json(json: object, name: str) -> bytes:
    """Write a request body; in an object, a field whose value is ``...`` is left out.

    Raises:
        InvalidArgumentError: it cannot be written; the sentence names the field and the type.

    """
    if isinstance(json, _OBJECT):
        fields = cast("Mapping[object, object]", json)
        json = {key: value for key, value in fields.items() if value is not ...}
    try:
        return wire.dumps(json)
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, TypeError) else type(error).__name__
    where, what = _culprit(json)
    if where:
        reason = f"{where}: {_kind(what)}"
    raise InvalidArgumentError(f"json cannot be written as JSON ({reason})", operation=name)


def _culprit(value: object, where: str = "", depth: int = 8) -> tuple[str, object]:
    """Find what cannot be written, and its place, such as ``.users[0].born``."""
    inner: list[tuple[str, object]] = []
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        inner = [(f"{where}.{key}" if where else f"{key}", item) for key, item in fields.items()]
    elif isinstance(value, list | tuple):
        items = cast("list[object]", value)
        inner = [(f"{where}[{number}]", item) for number, item in enumerate(items)]
    for place, item in inner if depth else ():
        try:
            wire.dumps(item)
        except (TypeError, ValueError, RecursionError):
            return _culprit(item, place, depth - 1)
    return where, cast("object", value)


def encode_query(query: Mapping[str, object], name: str, commas: tuple[str, ...] = ()) -> str:
    """Write a query as the API reads it: booleans are words, a list repeats its key or is joined.

    Raises:
        InvalidArgumentError: a value cannot be written; the sentence names its key and its type.

    """
    pairs: list[str] = []
    for key, value in query.items():
        if value is None or isinstance(value, EllipsisType):
            continue
        if not isinstance(key, str) or not wire.is_unicode(key):
            raise InvalidArgumentError(
                f"the keys of a query must be valid text, not {_kind(key)}", operation=name
            )
        is_list = isinstance(value, list | tuple | set | frozenset)
        items = cast("list[object]", value) if is_list else [value]
        texts = [quote(_query_text(key, item, name), safe="") for item in items]
        plain = str.__str__(key)  # what is checked is what is sent: a subclass may differ
        encoded = plain if plain.isalnum() and plain.isascii() else quote(plain, safe="")
        if key in commas:
            texts = [",".join(texts)] if texts else []
        pairs.extend(f"{encoded}={text}" for text in texts)
    return "&".join(pairs)


def _query_text(key: str, value: object, name: str) -> str:
    if isinstance(value, str):
        if wire.is_unicode(value):
            return str.__str__(value)  # not str(): that of an enum's member is its name
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif type(value) is int and value.bit_length() < _WORD:  # Python refuses to write huge ones
        return f"{value:d}"
    else:
        try:
            text = wire.dumps(value).decode()
        except (TypeError, ValueError, RecursionError):
            text = "null"
        if text[0] not in "[{n":  # no list in a list, no object, no null
            return text.strip('"')
    raise InvalidArgumentError(f"{key} cannot be sent: {_kind(value)}", operation=name)


def _kind(value: object) -> str:
    if isinstance(value, int | float):
        return f"a number that JSON cannot hold ({type(value).__name__})"
    if isinstance(value, str):
        return "text with a lone surrogate"
    if getattr(value, "tzinfo", ...) is None:
        return "a datetime without a time zone"
    return f"a value of type {type(value).__name__}"
