"""The escape hatch: a request for any endpoint, and its response as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from multidict import CIMultiDict

from fanvue_async import config
from fanvue_async.engine import wire
from fanvue_async.engine.operation import (
    IDEMPOTENT,
    SAFE,
    Request,
    bucket_of,
    encode_json,
    encode_query,
)
from fanvue_async.engine.response_headers import rate_limit_of
from fanvue_async.errors import DecodeError, InvalidArgumentError, RateLimit

if TYPE_CHECKING:
    from fanvue_async.engine.answers import Answer

_SAFE = tuple(f"{method} " for method in SAFE)


@attrs.frozen
class Response:
    """A success as it came, from ``client.request``."""

    status: int
    """HTTP status code, from 200 to 299."""
    headers: Mapping[str, str] = attrs.field(hash=False)
    """The response's headers; names compare without case."""
    content: bytes
    """The body, decompressed."""
    rate_limit: RateLimit | None
    """The rate limit as this response reported it."""
    attempts: int
    """How many requests were sent."""
    operation: str | None = attrs.field(default=None, eq=False, repr=False)
    """The call, such as ``"GET /chats"``."""

    def json(self) -> Any:
        """Decode the body; of a 204 and of any other empty body, None.

        Raises:
            DecodeError: it is not JSON in UTF-8.

        """
        if not self.content:
            return None
        try:
            return wire.loads(self.content)
        except wire.MalformedBodyError as error:
            reason = str(error)
        raise DecodeError(
            f"the response body is {reason}",
            operation=self.operation,
            attempts=self.attempts,
            maybe_processed=not (self.operation or "").startswith(_SAFE),
        )


def raw_request(  # noqa: PLR0913 - the sides of a request, from one caller
    method: str,
    path: str,
    *,
    json: Any,
    params: Mapping[str, object] | None,
    idempotent: bool | None,
    creator: str | None,
) -> Request[Response]:
    """Make the request of ``client.request``."""
    method, path = _plain(method), _plain(path)
    if not isinstance(method, str) or method.upper() not in IDEMPOTENT:
        raise InvalidArgumentError(f"method must be one of {', '.join(IDEMPOTENT)}")
    if not isinstance(path, str) or not config.is_safe_path(path):
        raise InvalidArgumentError(
            "path must start with one '/' and be percent-encoded, without query or dots"
        )
    if not isinstance(idempotent, bool | None):
        raise InvalidArgumentError("idempotent must be True, False or None")
    if not isinstance(params, Mapping | None):
        raise InvalidArgumentError("params must be a mapping")
    method = method.upper()
    if creator is not None:
        path = f"/creators/{creator}{path}"
    name = f"{method} {path}"
    query = encode_query(params, name) if params else ""
    return Request(
        method,
        name,
        f"{path}?{query}" if query else path,
        lambda answer: _response(answer, name),
        IDEMPOTENT[method] if idempotent is None else idempotent,
        method in SAFE,
        None if json is None else encode_json(json, name),
        creator=bucket_of(path),
    )


def _plain(value: str) -> str:
    """Return the plain text of a str; other types are rejected by their own checks."""
    return config.plain_text(value) if isinstance(value, str) else value


def _response(answer: Answer, operation: str) -> Response:
    answer.check_whole()
    return Response(
        status=answer.status,
        headers=CIMultiDict(answer.headers),  # a copy that can be pickled
        content=answer.content,
        rate_limit=rate_limit_of(answer.limits),
        attempts=answer.attempts,
        operation=operation,
    )
