"""A judge of requests and answers that knows only the contract: openapi-core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.validation.response import V31ResponseHeadersValidator
from werkzeug.datastructures import Headers, ImmutableMultiDict
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fanvue_async.testing import ReceivedRequest
    from support.by_hand import Answer

_PRODUCTION = "https://api.fanvue.com"


@attrs.define
class _Request:
    """openapi-core's protocol ``Request``."""

    host_url: str
    path: str
    method: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None


@attrs.frozen
class _Response:
    """openapi-core's protocol ``Response``."""

    status_code: int
    headers: Mapping[str, Any]
    content_type: str
    data: bytes | None


@attrs.frozen
class Example:
    """What the contract says an answer may look like."""

    status: int
    name: str
    document: Any


class Judge:
    """Refuses, by raising, what the contract does not allow."""

    def __init__(self, contract: Path) -> None:
        """Read the contract, which must itself be valid OpenAPI 3.1."""
        self._document: Any = yaml.safe_load(contract.read_text())
        self._openapi = OpenAPI.from_dict(self._document)
        headers_only = Config(response_validator_cls=V31ResponseHeadersValidator)
        self._openapi_of_headers = OpenAPI.from_dict(self._document, headers_only)

    def check_request(self, received: ReceivedRequest) -> None:
        """Refuse a request that the operation does not describe."""
        self._openapi.validate_request(_request(received.method, received.path, received))

    def check_answer(self, answer: Answer, *, method: str = "POST", path: str = "/chats") -> None:
        """Refuse an answer that the operation does not declare."""
        content_type = answer.headers.get("Content-Type", "").lower()
        response = _Response(answer.status, answer.headers, content_type, answer.content)
        body_is_missing = not answer.content and self._may_be_without_body(answer.status)
        openapi = self._openapi_of_headers if body_is_missing else self._openapi
        openapi.validate_response(_request(method, path), response)

    def examples(self) -> list[Example]:
        """Give all answers that the contract shows."""
        return [
            Example(int(status), name, example["value"])
            for status, response in self._responses().items()
            for name, example in response["content"]["application/json"]["examples"].items()
        ]

    def _may_be_without_body(self, status: int) -> bool:
        """Read what OpenAPI cannot say and an extension says instead."""
        declared: Any = self._responses().get(str(status), {})
        return bool(declared.get("x-body-may-be-missing"))

    def _responses(self) -> dict[str, Any]:
        responses: dict[str, Any] = self._document["paths"]["/chats"]["post"]["responses"]
        return responses


def _request(method: str, target: str, received: ReceivedRequest | None = None) -> _Request:
    """Describe a request as one to the real API, for which the fake server stands in."""
    url = URL(target)
    headers = Headers(list(received.headers.items())) if received else Headers()
    return _Request(
        host_url=_PRODUCTION,
        path=url.path,
        method=method.lower(),
        parameters=RequestParameters(query=ImmutableMultiDict(url.query), header=headers),
        content_type=headers.get("Content-Type", "").lower(),
        body=received.body if received else None,
    )
