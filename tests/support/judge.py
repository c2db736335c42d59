"""A judge of requests and responses that knows only the contract: openapi-core."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.validation.response import V31ResponseHeadersValidator
from werkzeug.datastructures import Headers, ImmutableMultiDict
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanvue_async.testing import ReceivedRequest
    from support.by_hand import Answer

CONTRACT = Path(__file__).parents[1] / "contract" / "openapi.yaml"

_PRODUCTION = "https://api.fanvue.com"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})


class UndeclaredError(AssertionError):
    """A query parameter that the operation does not declare; openapi-core lets those pass."""


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
    """What the contract says a response may look like."""

    status: int
    name: str
    document: Any


@attrs.frozen
class Parameter:
    """A path or query parameter of an operation."""

    name: str
    place: str
    schema: Any
    """With all references followed."""


@attrs.frozen
class Declared:
    """An operation as the contract declares it, with all references followed."""

    id: str
    method: str
    path: str
    scopes: tuple[str, ...]
    assumed: bool
    parameters: tuple[Parameter, ...]
    """Of path and query, in the contract's order."""
    body: Any
    """The schema of the request body, or None."""
    responses: Mapping[str, Any]
    """By status."""

    @property
    def fields(self) -> dict[str, Any]:
        """The schemas of the fields of its request body, by name."""
        fields: dict[str, Any] = self.body["properties"] if self.body else {}
        return fields

    @property
    def success(self) -> tuple[int, str, Any]:
        """Its status of success, with media type and schema; empty and None without a body."""
        status = next(status for status in self.responses if status.startswith("2"))
        content = self.responses[status].get("content", {})
        media_type = next(iter(content), "")
        return int(status), media_type, content.get(media_type, {}).get("schema")


class Judge:
    """Refuses, by raising, what the contract does not allow."""

    def __init__(self, contract: Path = CONTRACT) -> None:
        """Read the contract; that it is valid OpenAPI is for a test of its own to say."""
        self.document: Any = yaml.safe_load(contract.read_text())
        unchecked: Any = None  # checking the whole document takes a second
        config = Config(spec_validator_cls=unchecked)
        headers_only = Config(
            spec_validator_cls=unchecked, response_validator_cls=V31ResponseHeadersValidator
        )
        self._openapi = OpenAPI.from_dict(self.document, config)
        self._openapi_of_headers = OpenAPI.from_dict(self.document, headers_only)
        self.operations: Mapping[str, Declared] = {
            found.id: found
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in _METHODS
            for found in [self._declared(method, path, item, operation)]
        }
        self._routes = [(_route(one), one) for one in self.operations.values()]

    def find(self, method: str, path: str) -> Declared | None:
        """Give the operation that a request is for; a literal segment wins over a parameter."""
        matching = [
            declared
            for pattern, declared in self._routes
            if declared.method == method and pattern.fullmatch(path)
        ]
        return min(matching, key=lambda declared: declared.path.count("{"), default=None)

    def check_request(self, received: ReceivedRequest) -> None:
        """Refuse a request that the operation does not describe."""
        request = _request(received.method, received.path, received)
        self._openapi.validate_request(request)
        declared = self.find(received.method, request.path)
        assert declared is not None
        known = {one.name for one in declared.parameters if one.place == "query"}
        if unknown := set(request.parameters.query) - known:
            raise UndeclaredError(f"{declared.id} has no query parameter {sorted(unknown)}")

    def check_answer(self, answer: Answer, *, method: str = "POST", path: str = "/chats") -> None:
        """Refuse a response that the operation does not declare; path is that of a request."""
        content_type = answer.headers.get("Content-Type", "").lower()
        response = _Response(answer.status, answer.headers, content_type, answer.content)
        request = _request(method, path)
        openapi = self._openapi
        if not answer.content and self._may_be_without_body(request, answer.status):
            openapi = self._openapi_of_headers
        openapi.validate_response(request, response)

    def examples(self, operation: str = "createChat") -> list[Example]:
        """Give all responses that the contract shows for an operation."""
        return [
            Example(int(status), name, example["value"])
            for status, response in sorted(self.operations[operation].responses.items())
            for content in response.get("content", {}).values()
            for name, example in content.get("examples", {}).items()
        ]

    def follow(self, node: Any) -> Any:
        """Follow all references in a part of the contract."""
        if isinstance(node, list):
            return [self.follow(one) for one in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        mapping = cast("dict[str, Any]", node)
        if "$ref" in mapping:
            return self._target(mapping["$ref"])
        return {key: self.follow(value) for key, value in mapping.items()}

    @functools.cache  # noqa: B019 - a judge lives as long as the tests
    def _target(self, reference: str) -> Any:
        target = self.document
        for key in reference.removeprefix("#/").split("/"):
            target = target[key]
        return self.follow(target)

    def _declared(self, method: str, path: str, item: Any, operation: Any) -> Declared:
        parameters = self.follow(item.get("parameters", []) + operation.get("parameters", []))
        body = operation.get("requestBody")
        return Declared(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            scopes=tuple(operation["security"][0]["accessToken"]),
            assumed=operation.get("x-assumed", False),
            parameters=tuple(
                Parameter(one["name"], one["in"], one["schema"])
                for one in parameters
                if one["in"] != "header"
            ),
            body=self.follow(body["content"]["application/json"]["schema"]) if body else None,
            responses=self.follow(operation["responses"]),
        )

    def _may_be_without_body(self, request: _Request, status: int) -> bool:
        """Read what OpenAPI cannot say and an extension says instead."""
        declared = self.find(request.method.upper(), request.path)
        response = declared.responses.get(str(status)) if declared else None
        return response is not None and ("content" not in response or _optional_body(response))


def _optional_body(response: Any) -> bool:
    return bool(response.get("x-body-may-be-missing"))


def _route(declared: Declared) -> re.Pattern[str]:
    """Make what matches the paths of an operation."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(declared.path)))


def _request(method: str, target: str, received: ReceivedRequest | None = None) -> _Request:
    """Describe a request as one to the real API, for which the fake server stands in."""
    url = URL(target, encoded=True)
    headers = Headers(list(received.headers.items())) if received else Headers()
    query = ImmutableMultiDict(list(url.query.items()))
    return _Request(
        host_url=_PRODUCTION,
        path=url.raw_path,
        method=method.lower(),
        parameters=RequestParameters(query=query, header=headers),
        content_type=headers.get("Content-Type", "").lower(),
        body=(received.body or None) if received else None,
    )


@functools.cache
def the_judge() -> Judge:
    """Give the judge of the contract; it takes a moment to make."""
    return Judge()
