"""What an endpoint of the fake is, and which one a request is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, unquote

import attrs

from fanvue_async.engine import wire
from fanvue_async.testing.exchange import RefusedError, Reply, missing
from fanvue_async.testing.values import InvalidError, Parameter, Reader, read_query

if TYPE_CHECKING:
    from fanvue_async.testing.exchange import ReceivedRequest

Errors = Literal["UV", "UVI", "V", "UC", "UCI", "UCM", "M", ""]
"""How a 400 looks, in the letters of the documentation's variants.

U: the version; V: validation, ``{errors}``; I: a UUID in the path, ``{message}``; C: contactability
and M: the message, both ``{message}``. Without any letter no 400 is declared.
"""

_CREATOR = ("creators", None)
_TEXTS = frozenset({"folderName", "uploadId", "partNumber"})


@attrs.frozen
class Endpoint:
    """A method and a path template; the names of its parameters do not matter."""

    method: str
    parts: tuple[str | None, ...]
    """Without the first slash; ``None`` marks a parameter."""

    @classmethod
    def of(cls, method: str, path: str) -> Endpoint:
        """Read a template such as ``/chats/{userUuid}``."""
        parts = path.removeprefix("/").split("/")
        return cls(method, tuple(None if part.startswith("{") else part for part in parts))

    @classmethod
    def read(cls, text: str | None) -> Endpoint | None:
        """Read ``"GET /chats/{userUuid}"``; None means any endpoint.

        Raises:
            ValueError: it is not a method and a path.

        """
        if text is None:
            return None
        method, _, path = text.partition(" ")
        if not (method.isalpha() and method.isupper() and path.startswith("/")):
            raise ValueError("an endpoint is a method and a path, such as 'GET /chats/{userUuid}'")
        return cls.of(method, path)

    def takes(self, parts: tuple[str, ...]) -> bool:
        """Return whether a path is one of this template."""
        return len(parts) == len(self.parts) and all(
            bool(given) if own is None else own == given
            for own, given in zip(self.parts, parts, strict=True)
        )


@attrs.frozen
class Call:
    """A request for a known endpoint, checked and decoded."""

    path: Mapping[str, str]
    """The values in the path, by the API's names."""
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    request: ReceivedRequest


@attrs.frozen
class Access:
    """Who may use an operation, and in which forms there is one."""

    scopes: str
    """Separated by blanks."""
    creator: str | None = None
    """The scopes that the form for a creator needs besides; None if creators lack it."""
    only_creators: bool = False
    """There is no own form."""
    creator_errors: Errors | None = None
    """The errors of that form: by default those of the own one, and a wrong UUID as a message."""
    is_open: bool = False
    """No access token, version or rate limit: not the API itself."""


@attrs.frozen
class Route:
    """An operation of the API: where it is, what it takes, and the method that plays it."""

    method: str
    path: str
    answer: Callable[[Any, Call], Any]
    """Returns the document of the body, None for an empty one, or a whole reply."""
    access: Access
    status: int = attrs.field(default=200, kw_only=True)
    errors: Errors = attrs.field(default="UV", kw_only=True)
    texts: frozenset[str] = attrs.field(default=_TEXTS, kw_only=True)
    """The path parameters that are words; the others are UUIDs."""
    query: Mapping[str, Parameter] = attrs.field(default={}, kw_only=True)
    creator_query: Mapping[str, Parameter] | None = attrs.field(default=None, kw_only=True)
    body: Reader | None = attrs.field(default=None, kw_only=True)

    def endpoint(self, *, for_creator: bool) -> Endpoint:
        """Return the endpoint of one of its forms."""
        own = Endpoint.of(self.method, self.path)
        return Endpoint(self.method, (*_CREATOR, *own.parts)) if for_creator else own

    def needs(self, *, for_creator: bool) -> list[str]:
        """Return the scopes of one of its forms."""
        return f"{self.access.scopes} {self.access.creator if for_creator else ''}".split()


Routes = tuple[type[Any], tuple[Route, ...]]
"""A noun's class, and the routes that its methods handle."""


@attrs.frozen
class Match:
    """A route, the form in which it was asked for, and the undecoded parts of the path."""

    noun: type[Any]
    route: Route
    endpoint: Endpoint
    for_creator: bool
    parts: tuple[str, ...]

    @property
    def errors(self) -> Errors:
        """How the 400 of this form looks."""
        route = self.route
        if not self.for_creator:
            return route.errors
        by_default: dict[str, Errors] = {"UV": "UVI", "V": "UVI", "UC": "UCI"}
        return route.access.creator_errors or by_default.get(route.errors, route.errors)

    def read_path(self) -> dict[str, str]:
        """Decode the values in the path.

        Raises:
            RefusedError: a value is not a UUID.

        """
        names = self.route.path.removeprefix("/").split("/")
        if self.for_creator:
            names = ["creators", "{creatorUserUuid}", *names]
        values: dict[str, str] = {}
        for name, part in zip(names, self.parts, strict=True):
            if not name.startswith("{"):
                continue
            name, value = name[1:-1], unquote(part)  # noqa: PLW2901 - as it is called
            uuid = value if name in self.route.texts else wire.uuid_text(value)
            if uuid is None:
                if not self.errors:
                    raise missing(name)
                problem = f"{name} must be a UUID"
                is_message = set(self.errors) & set("ICM")
                raise (
                    RefusedError.saying(400, problem)
                    if is_message
                    else RefusedError.invalid(problem)
                )
            values[name] = uuid
        return values

    def read(self, request: ReceivedRequest) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Decode the query and the body.

        Raises:
            RefusedError: one of them is not as documented.

        """
        route = self.route
        parameters = route.query
        if self.for_creator and route.creator_query is not None:
            parameters = route.creator_query
        try:
            texts = parse_qs(request.path.partition("?")[2], keep_blank_values=True)
            query = read_query(parameters, texts)
            body: Mapping[str, Any] = route.body(_json(request)) if route.body else {}
        except InvalidError as error:
            if set(self.errors) & set("CM"):
                raise RefusedError.saying(400, "; ".join(error.problems)) from None
            raise RefusedError.invalid(*error.problems) from None
        return query, body


def _json(request: ReceivedRequest) -> Any:
    try:
        return request.json()
    except ValueError:
        raise InvalidError("the body must be JSON") from None


class Router:
    """All routes; what is written out wins over a parameter (``/chats/unread``)."""

    def __init__(self, tables: Iterable[Routes]) -> None:
        self._by_length: dict[int, list[tuple[Endpoint, type[Any], Route, bool]]] = {}
        self._endpoints: set[Endpoint] = set()
        for noun, routes in tables:
            for route in routes:
                if not route.access.only_creators:
                    self._add(noun, route, for_creator=False)
                if route.access.creator is not None:
                    self._add(noun, route, for_creator=True)
        for entries in self._by_length.values():
            entries.sort(key=lambda entry: [part is None for part in entry[0].parts])

    def _add(self, noun: type[Any], route: Route, *, for_creator: bool) -> None:
        endpoint = route.endpoint(for_creator=for_creator)
        self._endpoints.add(endpoint)
        entries = self._by_length.setdefault(len(endpoint.parts), [])
        entries.append((endpoint, noun, route, for_creator))

    def find(self, method: str, path: str) -> Match | Reply:
        """Return the route of a request, or the reply if it is unknown."""
        parts = tuple(path.partition("?")[0].removeprefix("/").split("/"))
        allowed: list[str] = []
        for endpoint, noun, route, for_creator in self._by_length.get(len(parts), ()):
            if endpoint.takes(parts):
                if endpoint.method == method:
                    return Match(noun, route, endpoint, for_creator, parts)
                allowed.append(endpoint.method)
        hint = "the fake does not know it; script its response with fake.reply"
        if allowed:
            headers = {"Allow": ", ".join(allowed)}
            return Reply.of(405, {"message": f"Method not allowed: {hint}"}, headers)
        return Reply.of(404, {"message": f"Not found: {hint}"})

    def is_for(self, endpoint: Endpoint, method: str, path: str) -> bool:
        """Return whether a request is for an endpoint, which may be one that is not known."""
        found = self.find(method, path)
        if isinstance(found, Match) and endpoint in self._endpoints:
            return endpoint == found.endpoint
        parts = tuple(path.partition("?")[0].removeprefix("/").split("/"))
        return endpoint.method == method and endpoint.takes(parts)
