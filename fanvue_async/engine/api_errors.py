"""The typed error of a response whose status is not a success.

The class is decided by the status and by the shape of the body, never by its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from multidict import istr

from fanvue_async import errors
from fanvue_async.engine import wire
from fanvue_async.engine.response_headers import (
    LIMIT,
    REMAINING,
    RESET,
    rate_limit_of,
    retry_after,
)
from fanvue_async.log import clean

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

_MESSAGE_LENGTH = 500
_BODY_TEXT_LENGTH = 2_000
_BODY_DEPTH = 32
_HEADER_LENGTH = 200

# What may be kept of a response's headers: nothing that could carry a secret. No page documents
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

_MITIGATED = istr("cf-mitigated")
_TITLES = tuple(
    re.compile(rf"<{element}\b[^<>]*>([^<]*)</{element}>", re.IGNORECASE)
    for element in ("title", "h1")
)

_BY_STATUS: dict[int, type[errors.APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    429: errors.RateLimitError,
}


def api_error(
    answer: Answer,
    *,
    redact: Callable[[str], str],
    bare_message: type[errors.BadRequestError],
    operation: str,
    maybe_processed: bool,
) -> errors.APIError:
    """Make the typed error of an answer whose status is not a success.

    ``bare_message`` is what a 400 of the shape ``{message}`` means for this operation.
    """
    headers = answer.headers
    body = _body(answer.content, redact)
    cls, fields = _class_of(answer.status, body, bare_message)
    kept = {name: _header(name, headers[name], redact) for name in _KEPT_HEADERS if name in headers}
    return cls(
        _message(body),
        operation=operation,
        attempts=answer.attempts,
        maybe_processed=maybe_processed,
        status=answer.status,
        body=body,
        retry_after=retry_after(headers, answer.status),
        rate_limit=rate_limit_of(answer.limits),
        request_id=kept.get("X-Request-Id"),
        headers=kept,
        from_api=_is_from_api(answer.content, body, headers),
        **fields,
    )


def _class_of(
    status: int, body: Any, bare_message: type[errors.BadRequestError]
) -> tuple[type[errors.APIError], dict[str, Any]]:
    """Class and own fields, decided by status and by the shape of the body, never by its words."""
    document = wire.fields_of(body)
    if status == 400:  # noqa: PLR2004 - the status this branch is about
        complaints = wire.items_of(document.get("errors"))
        if complaints is not None:
            return errors.InvalidRequestError, {"errors": _texts(complaints)}
        if isinstance(document.get("message"), str):
            has_error = isinstance(document.get("error"), str)
            return (errors.UnsupportedVersionError if has_error else bare_message), {}
    if status == 410:  # noqa: PLR2004 - the status this branch is about
        version = document.get("nextVersion")
        return errors.VersionSunsetError, {
            "next_version": version if isinstance(version, str) else None
        }
    if 500 <= status < 600:  # noqa: PLR2004 - 5xx
        return errors.ServerError, {}
    return _BY_STATUS.get(status, errors.APIError), {}


def _is_from_api(content: bytes, body: Any, headers: Mapping[str, str]) -> bool:
    """Return whether the API itself responded: with JSON, or with nothing, but not with a page."""
    if _MITIGATED in headers:  # Cloudflare's challenge, in whatever form
        return False
    return not content or isinstance(body, dict | list)


def _message(body: Any) -> str:
    """Find the words of a body: of the API's documented shapes, of RFC 9457, or of a page."""
    if isinstance(body, str):
        return clean(_title(body) if body.lstrip().startswith("<") else body, _MESSAGE_LENGTH)
    fields = wire.fields_of(body)
    said = wire.items_of(fields.get("errors")) or [fields.get("error"), fields.get("message")]
    texts = _texts(said) or _texts([fields.get("title"), fields.get("detail")])
    return clean(": ".join(texts), _MESSAGE_LENGTH)


def _title(page: str) -> str:
    """Find the title of an HTML page, or else its heading."""
    for element in _TITLES:
        if match := element.search(page):
            from html import unescape  # noqa: PLC0415 - a large table, for proxies' pages alone

            return " ".join(unescape(match[1]).split())
    return ""


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
