"""Every error of this package, and how an answer becomes one.

::

    FanvueError
    ├── ConfigurationError (ValueError)      settings that cannot work
    ├── InvalidArgumentError (ValueError)    an argument refused before anything is sent
    ├── ClientStateError (RuntimeError)      closed client, other event loop, forked process
    ├── TransportError                       no usable answer; also what nobody foresaw
    │   ├── NotSentError (ConnectionError)   the request never left
    │   ├── NoAnswerError (ConnectionError)  it left, its answer was lost
    │   └── ProtocolError                    what came back was not usable HTTP
    ├── DeadlineExceededError (TimeoutError) Timeout.total ran out
    ├── DecodeError                          a success whose body breaks the contract
    └── APIError                             a status that is no success (others, 3xx included)
        ├── BadRequestError 400
        │   ├── UnsupportedVersionError      {error, message}
        │   ├── InvalidRequestError          {errors: […]}
        │   └── NotContactableError          {message}, where the operation says so
        ├── AuthenticationError 401
        ├── PermissionDeniedError 403
        ├── NotFoundError 404
        ├── ConflictError 409
        ├── VersionSunsetError 410
        ├── RateLimitError 429
        └── ServerError 5xx

They hold plain data only, no token and no object of aiohttp, so they pickle, copy and
cross process boundaries unchanged.
"""

from __future__ import annotations

import re
from http.client import responses
from typing import TYPE_CHECKING, Any

import attrs

from fanvue_async import wire
from fanvue_async.limits import (
    LIMIT,
    REMAINING,
    RESET,
    RateLimit,
    rate_limit_of,
    report_in,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MESSAGE_LENGTH = 500
_BODY_TEXT_LENGTH = 2_000
_BODY_DEPTH = 32
_HEADER_LENGTH = 200

# What may be kept of an answer's headers: nothing that could carry a secret. No page documents
# a request id; X-Request-Id is the usual name and CF-Ray what Fanvue's proxies would add.
_KEPT_HEADERS = (
    "CF-Ray",
    "Content-Type",
    "Date",
    "Deprecation",
    "Location",
    "Retry-After",
    "Sunset",
    "X-Fanvue-API-Next-Version",
    LIMIT,
    REMAINING,
    RESET,
    "X-Request-Id",
)


def _rebuild(cls: type[FanvueError], state: dict[str, Any]) -> FanvueError:
    """Make an error from the fields of a pickle, which may be of another version."""
    fields = attrs.fields_dict(cls)
    error = cls(**{name: value for name, value in state.items() if name in fields})
    error.__dict__.update(state)
    return error


@attrs.define(slots=False, kw_only=True, eq=False)
class FanvueError(Exception):
    """Base of all errors of this package; ``str()`` of each is a sentence."""

    message: str = ""
    """What happened; of an APIError what the API said, shortened to 500 characters, or ``""``."""
    operation: str | None = None
    """The call, such as ``"POST /chats"``; None if the error belongs to none."""
    attempts: int = 0
    """How many requests were tried, the failing one included."""
    maybe_processed: bool = False
    """Whether the API could have acted, in this attempt or in an earlier one of the same call."""
    cause: str | None = None
    """Class name, errno and cleaned text of the failure underneath, if there was one."""

    def __reduce__(self) -> tuple[Callable[..., FanvueError], tuple[Any, ...]]:
        return _rebuild, (type(self), self.__dict__.copy())

    def __str__(self) -> str:
        text = self._summary()
        if self.operation:
            text = f"{self.operation}: {text}"
        if self.cause:
            text += f" ({self.cause})"
        if self.attempts > 1:
            text += f", after {self.attempts} attempts"
        if self.maybe_processed:
            text += "; the API may have processed it"
        return text

    def _summary(self) -> str:
        return self.message or type(self).__name__


class ConfigurationError(FanvueError, ValueError):
    """A setting that cannot work: a bad or missing token, an ``http://`` base URL and the like."""


class InvalidArgumentError(FanvueError, ValueError):
    """An argument that was refused before anything was sent."""


class ClientStateError(FanvueError, RuntimeError):
    """The client is closed, or belongs to another event loop or process."""


class TransportError(FanvueError):
    """No usable answer came; of this very class only for a failure that nobody foresaw."""


class NotSentError(TransportError, ConnectionError):
    """The last request never left: DNS, refused, connect timeout, TLS, refused by a proxy."""


class NoAnswerError(TransportError, ConnectionError):
    """The request left and its answer was lost: reset, cut, or the attempt timed out."""


class ProtocolError(TransportError):
    """The request left and what came back was not usable HTTP."""


class DeadlineExceededError(FanvueError, TimeoutError):
    """``Timeout.total`` ran out before the call was done."""


class DecodeError(FanvueError):
    """The API reported success with a body that breaks its contract."""


@attrs.define(slots=False, kw_only=True, eq=False)
class APIError(FanvueError):
    """The API answered with a status that is no success."""

    status: int = 0
    """HTTP status code."""
    body: Any = None
    """The answer's body: decoded JSON, or its first 2,000 characters, or None if it was empty."""
    retry_after: float | None = None
    """Seconds that the answer's ``Retry-After`` asks to wait, if it is valid (RFC 9110, 10.2.3)."""
    rate_limit: RateLimit | None = None
    """The rate limit as this answer reported it."""
    request_id: str | None = None
    """``X-Request-Id`` of the answer (assumed: Fanvue documents no request id)."""
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    """Those headers of the answer that hold no secret, under their usual spelling."""

    def _summary(self) -> str:
        text = f"{self.status} {responses.get(self.status, '')}".rstrip()
        return f"{text}: {self.message}" if self.message else text


class BadRequestError(APIError):
    """400: the API refused the request."""


class UnsupportedVersionError(BadRequestError):
    """400: the API version header is missing or unknown to the API."""


@attrs.define(slots=False, kw_only=True, eq=False)
class InvalidRequestError(BadRequestError):
    """400: the API's validation refused the request."""

    errors: tuple[str, ...] = ()
    """What the validation complains about, in the API's words."""


class NotContactableError(BadRequestError):
    """400: the API says that this user cannot be contacted."""


class AuthenticationError(APIError):
    """401: no token, or a wrong or expired one."""


class PermissionDeniedError(APIError):
    """403: the token lacks a scope or a right."""


class NotFoundError(APIError):
    """404: there is no such object."""


class ConflictError(APIError):
    """409: the object exists already."""


@attrs.define(slots=False, kw_only=True, eq=False)
class VersionSunsetError(APIError):
    """410: this version of the API is retired."""

    next_version: str | None = None
    """The version to change to, if the API named it."""


class RateLimitError(APIError):
    """429: too many requests; ``retry_after`` says when to come back."""


class ServerError(APIError):
    """5xx: the API or a proxy in front of it failed."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
}


def api_error(  # noqa: PLR0913 - all keyword-only, and an answer has this many sides
    *,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    redact: Callable[[str], str],
    bare_message: type[BadRequestError],
    operation: str,
    attempts: int,
    earlier_unknown: bool,
) -> APIError:
    """Make the typed error of an answer whose status is no success.

    ``bare_message`` is what a 400 of the shape ``{message}`` means for this operation.
    """
    body = _body(content, redact)
    cls, fields = _class_of(status, body, bare_message)
    kept = {name: _header(name, headers[name], redact) for name in _KEPT_HEADERS if name in headers}
    return cls(
        message=_message(body),
        operation=operation,
        attempts=attempts,
        maybe_processed=earlier_unknown or not 400 <= status < 500,  # noqa: PLR2004 - 4xx
        status=status,
        body=body,
        retry_after=retry_after(headers.get("Retry-After")),
        rate_limit=rate_limit_of(report_in(headers)),
        request_id=kept.get("X-Request-Id"),
        headers=kept,
        **fields,
    )


def _class_of(
    status: int, body: Any, bare_message: type[BadRequestError]
) -> tuple[type[APIError], dict[str, Any]]:
    """Class and own fields, decided by status and by the shape of the body, never by its words."""
    document = wire.fields_of(body)
    if status == 400:  # noqa: PLR2004 - the status this branch is about
        errors = wire.items_of(document.get("errors"))
        if errors is not None:
            return InvalidRequestError, {"errors": _texts(errors)}
        if isinstance(document.get("message"), str):
            has_error = isinstance(document.get("error"), str)
            return (UnsupportedVersionError if has_error else bare_message), {}
    if status == 410:  # noqa: PLR2004 - the status this branch is about
        version = document.get("nextVersion")
        return VersionSunsetError, {"next_version": version if isinstance(version, str) else None}
    if 500 <= status < 600:  # noqa: PLR2004 - 5xx
        return ServerError, {}
    return _BY_STATUS.get(status, APIError), {}


def _message(body: Any) -> str:
    """Find the API's words in a body of any of its documented shapes."""
    if isinstance(body, str):
        return clean(body, _MESSAGE_LENGTH)
    fields = wire.fields_of(body)
    said = wire.items_of(fields.get("errors")) or [fields.get("error"), fields.get("message")]
    return clean(": ".join(_texts(said)), _MESSAGE_LENGTH)


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(clean(str(value), _MESSAGE_LENGTH) for value in values if value is not None)


def _body(content: bytes, redact: Callable[[str], str]) -> Any:
    """Decode an error's body: JSON if it is, else its beginning as text, None if empty."""
    if not content:
        return None
    try:
        return _redacted(wire.loads(content), redact, _BODY_DEPTH)
    except wire.MalformedBodyError:
        return redact(content.decode("utf-8", "replace"))[:_BODY_TEXT_LENGTH]


def _redacted(value: Any, redact: Callable[[str], str], depth: int) -> Any:
    """Copy JSON data without the token; what is nested deeper than any error of the API is cut."""
    if isinstance(value, str):
        return redact(value)
    if not depth:
        return "…"
    if (items := wire.items_of(value)) is not None:
        return [_redacted(item, redact, depth - 1) for item in items]
    if isinstance(value, dict):
        fields = wire.fields_of(value)
        return {redact(key): _redacted(item, redact, depth - 1) for key, item in fields.items()}
    return value


def _header(name: str, value: str, redact: Callable[[str], str]) -> str:
    if name == "Location":  # its query and userinfo may hold secrets of somebody
        value = re.sub(r"//[^/?#]*@", "//", value)
        value = re.split(r"[?#]", value, maxsplit=1)[0]
    return clean(redact(value), _HEADER_LENGTH)


def clean(text: str, length: int) -> str:
    """Make foreign text safe for a terminal or a log: one line, printable, not too long."""
    text = text[: length + 1]
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    return text if len(text) <= length else text[: length - 1] + "…"
