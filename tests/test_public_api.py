"""What users may rely on: every public name, its signature, and what importing it costs."""

from __future__ import annotations

import inspect
import re
import tomllib
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import fanvue_async
from fanvue_async import (
    ChatsResource,
    CreatedChat,
    FanvueClient,
    Limits,
    RateLimit,
    Response,
    RetryEvent,
    RetryPolicy,
    Timeout,
    TokenProvider,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Callable

_ERRORS: dict[str, tuple[str, ...]] = {
    "FanvueError": ("Exception",),
    "ConfigurationError": ("FanvueError", "ValueError"),
    "InvalidArgumentError": ("FanvueError", "ValueError"),
    "ClientStateError": ("FanvueError", "RuntimeError"),
    **dict.fromkeys(
        ("TransportError", "DeadlineExceededError", "TokenError", "StoreError", "WebhookError"),
        ("FanvueError",),
    ),
    **dict.fromkeys(("DecodeError", "APIError"), ("FanvueError",)),
    **dict.fromkeys(("NotSentError", "NoAnswerError", "ProtocolError"), ("TransportError",)),
    **dict.fromkeys(("SignInError", "SignInRequiredError"), ("TokenError",)),
    **dict.fromkeys(
        ("UnsignedWebhookError", "BadSignatureError", "StaleWebhookError", "MalformedEventError"),
        ("WebhookError",),
    ),
    "EventInProgressError": ("WebhookError",),
    **dict.fromkeys(
        ("UnsupportedVersionError", "InvalidRequestError", "NotContactableError"),
        ("BadRequestError",),
    ),
    **dict.fromkeys(
        ("BadRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError"),
        ("APIError",),
    ),
    **dict.fromkeys(
        ("ConflictError", "VersionSunsetError", "RateLimitError", "ServerError"), ("APIError",)
    ),
}
_NAMES = {
    *_ERRORS,
    *("ChatsResource", "CreatedChat", "CreatorClient", "FanvueClient", "Limits", "RateLimit"),
    *("RateLimits", "Response", "RetryEvent", "RetryPolicy", "Timeout", "TokenProvider"),
}
"""What the design names; the nouns' models stand beside them."""


def _signature(function: Callable[..., object]) -> str:
    """Write names, kinds and defaults of the parameters, without annotations."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def _fields(cls: type[attrs.AttrsInstance]) -> list[str]:
    return [field.name for field in attrs.fields(cls)]


# Names


def test_all_is_sorted_and_complete() -> None:
    """__all__ holds what is promised and nothing that is there by accident."""
    names = fanvue_async.__all__
    for name in names:  # many come only when they are asked for
        getattr(fanvue_async, name)
    public = {
        name
        for name, value in vars(fanvue_async).items()
        if not (name.startswith("_") or name == "TYPE_CHECKING" or isinstance(value, ModuleType))
    }

    assert names == sorted(names)
    assert len(names) == len(set(names))
    assert set(names) == public | {"__version__"}
    assert set(names) > _NAMES


def test_a_star_import_gives_every_name() -> None:
    """Each name of __all__ is there, and a wrong one is an AttributeError."""
    namespace: dict[str, Any] = {}

    exec("from fanvue_async import *", namespace)  # noqa: S102 - the statement under test

    assert namespace.keys() - {"__builtins__"} == set(fanvue_async.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = fanvue_async.Nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - the point


def test_every_public_name_has_a_docstring() -> None:
    """help() explains each of them, in words of their own."""
    for name in set(fanvue_async.__all__) - {"__version__"}:
        value = getattr(fanvue_async, name)
        assert value.__doc__, name
        bases = getattr(value, "__mro__", (value,))[1:]
        assert value.__doc__ not in {base.__doc__ for base in bases}, name


def test_the_version_is_that_of_the_distribution() -> None:
    """What the package and the User-Agent say is what was installed."""
    assert fanvue_async.__version__ == metadata.version("fanvue-async")
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([a-z0-9.+]*)", fanvue_async.__version__)


# Errors


@pytest.mark.parametrize(("name", "bases"), _ERRORS.items(), ids=list(_ERRORS))
def test_the_tree_of_errors_is_as_drawn(name: str, bases: tuple[str, ...]) -> None:
    """Each class has exactly the bases of the drawing, built-in ones included."""
    cls: type[BaseException] = getattr(fanvue_async, name)

    assert tuple(base.__name__ for base in cls.__bases__) == bases
    assert issubclass(cls, fanvue_async.FanvueError)
    for base in cls.__bases__:
        assert base.__module__ in {"builtins", "fanvue_async.errors"}


def test_no_error_is_left_out_of_the_tree() -> None:
    """Whatever the package raises can be imported from its top."""

    def below(cls: type[Any]) -> set[str]:
        children = [c for c in cls.__subclasses__() if c.__module__.startswith("fanvue_async")]
        return {cls.__name__}.union(*map(below, children))

    assert below(fanvue_async.FanvueError) == set(_ERRORS)


_EVERY = ["message", "operation", "attempts", "maybe_processed", "looked_for", "cause"]
_API = [*_EVERY, "status", "body", "retry_after", "rate_limit", "request_id", "headers", "from_api"]
_OWN = {
    "InvalidRequestError": ["errors"],
    "VersionSunsetError": ["next_version"],
    "NotSentError": ["transient"],
    "SignInError": ["error", "error_description"],
    "SignInRequiredError": ["account"],
}


@pytest.mark.parametrize("name", _ERRORS)
def test_errors_have_the_stated_fields(name: str) -> None:
    """Code that handles an error finds these, whichever class of the tree it caught."""
    cls = getattr(fanvue_async, name)
    expected = _API if issubclass(cls, fanvue_async.APIError) else _EVERY

    assert _fields(cls) == [*expected, *_OWN.get(name, [])]
    assert [field.name for field in attrs.fields(cls) if not field.kw_only] == ["message"]


def test_no_error_is_one_that_frameworks_take_for_their_own() -> None:
    """Values and states are Python's; time and connections are nobody's but ours."""
    for builtin, names in {
        ValueError: {"ConfigurationError", "InvalidArgumentError"},
        RuntimeError: {"ClientStateError"},
        OSError: set[str](),  # of which TimeoutError and ConnectionError are
    }.items():
        caught = {name for name in _ERRORS if issubclass(getattr(fanvue_async, name), builtin)}
        assert caught == names


# Signatures


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (
            FanvueClient,
            (
                "(access_token=None, *, base_url=None, "
                "api_version='2025-06-26', timeout=Timeout(total=60.0, attempt=15.0, connect=5.0), "
                "retry=RetryPolicy(max_attempts=3, wait_initial=0.5, wait_max=8.0, "
                "retry_after_max=30.0, repeat_unknown=True), "
                "limits=None, rate_limits=None, session=None, ssl=None, proxy=None, "
                "user_agent=None, on_retry=None, allow_http=False)"
            ),
        ),
        (
            FanvueClient.with_options,
            "(self, *, access_token=Ellipsis, account=Ellipsis, timeout=Ellipsis, retry=Ellipsis)",
        ),
        (
            FanvueClient.request,
            "(self, method, path, *, json=None, params=None, idempotent=None)",
        ),
        (FanvueClient.aclose, "(self, *, drain=0.0)"),
        (FanvueClient.__aenter__, "(self)"),
        (FanvueClient.__aexit__, "(self, exc_type, exc_value, traceback)"),
        (ChatsResource.create, "(self, user_uuid)"),
        (CreatedChat, "(*, message)"),
        (Timeout, "(total=60.0, attempt=15.0, connect=5.0)"),
        (
            RetryPolicy,
            (
                "(max_attempts=3, wait_initial=0.5, wait_max=8.0, retry_after_max=30.0, "
                "repeat_unknown=True)"
            ),
        ),
        (RetryPolicy.never, "()"),
        (Limits, "(max_connections=100, keepalive_expiry=4.0)"),
        (Response, "(status, headers, content, rate_limit, attempts, operation=None)"),
        (Response.json, "(self)"),
        (RateLimit, "(limit, remaining, reset_at)"),
        (RetryEvent, "(operation, attempt, wait, status, error, elapsed)"),
        (TokenProvider.get_token, "(self)"),
        (TokenProvider.invalidate, "(self, token, /)"),
        (
            FakeFanvue,
            "(*, tokens=('fake-token',), rate_limit=None, not_contactable=(), duplicates=201)",
        ),
        (
            FakeFanvue.reply,
            "(self, status, *, json=None, body=None, headers=None, times=1, on=None)",
        ),
        (FakeFanvue.drop, "(self, after, times=1, *, on=None)"),
        (FakeFanvue.delay, "(self, seconds, times=1, *, on=None)"),
        (FakeFanvue.client, "(self, **options)"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures_are_as_stated(function: Callable[..., object], signature: str) -> None:
    """Names, order, kinds and defaults of parameters are promises."""
    assert _signature(function) == signature


@pytest.mark.parametrize(
    ("function", "annotations"),
    [
        (ChatsResource.create, {"user_uuid": "UUID | str", "return": "CreatedChat"}),
        (FanvueClient.request, {"idempotent": "bool | None", "return": "Response"}),
        (FanvueClient.with_options, {"return": "Self"}),
        (FanvueClient.__init__, {"access_token": "str | TokenProvider | None"}),
        (FanvueClient.aclose, {"return": "None"}),
        (TokenProvider.get_token, {"return": "str"}),
        (TokenProvider.invalidate, {"token": "str", "return": "None"}),
        (CreatedChat, {"message": "str"}),
        (RateLimit, {"limit": "int", "remaining": "int", "reset_at": "datetime"}),
        (
            Response,
            {
                "status": "int",
                "headers": "Mapping[str, str]",
                "content": "bytes",
                "rate_limit": "RateLimit | None",
                "attempts": "int",
            },
        ),
        (
            RetryEvent,
            {
                "operation": "str",
                "attempt": "int",
                "wait": "float",
                "status": "int | None",
                "error": "str",
                "elapsed": "float",
            },
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_types_are_as_stated(function: Any, annotations: dict[str, str]) -> None:
    """A type checker tells users the same as the documentation."""
    assert {name: function.__annotations__[name] for name in annotations} == annotations


def test_what_is_awaited_is_a_coroutine_function() -> None:
    """Calls, closing and a provider's methods are awaited; the rest is not."""
    awaited = [
        ChatsResource.create,
        FanvueClient.aclose,
        FanvueClient.request,
        TokenProvider.get_token,
        TokenProvider.invalidate,
    ]
    not_awaited = [FanvueClient.with_options, Response.json, FakeFanvue.reply, FakeFanvue.drop]

    assert all(map(inspect.iscoroutinefunction, awaited))
    assert not any(map(inspect.iscoroutinefunction, not_awaited))


def test_what_is_read_is_a_property() -> None:
    """No parentheses where the design has none."""
    properties = [
        vars(FanvueClient)["chats"],
        FanvueClient.rate_limit,
        FakeFanvue.url,
        FakeFanvue.token,
    ]

    assert all(isinstance(value, property | cached_property) for value in properties)


@pytest.mark.parametrize(
    "cls", [CreatedChat, Limits, RateLimit, Response, RetryEvent, RetryPolicy, Timeout]
)
def test_models_and_settings_are_frozen(cls: type[Any]) -> None:
    """A value that was handed out does not change under its holder."""
    some: Any = object.__new__(cls)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(some, _fields(cls)[0], 1)


def test_a_token_provider_is_a_protocol() -> None:
    """Nobody has to inherit; the account is optional, so the protocol does not ask for it."""
    assert vars(TokenProvider)["_is_protocol"]
    assert TokenProvider.__annotations__ == {}
    members = {name for name in vars(TokenProvider) if not name.startswith("_")}
    assert members == {"get_token", "invalidate"}


# What is installed


def test_the_package_is_typed() -> None:
    """Type checkers look into a package only if it has this marker (PEP 561)."""
    assert resources.files("fanvue_async").joinpath("py.typed").is_file()


def test_the_dependencies_are_four() -> None:
    """An installation brings aiohttp, with its security fixes, attrs, msgspec and tenacity."""
    stated = metadata.requires("fanvue-async") or []
    requirements = [requirement for requirement in stated if "extra ==" not in requirement]
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]

    assert sorted(names) == ["aiohttp", "attrs", "msgspec", "tenacity"]
    # Before 3.14.3 a malformed answer read beyond a buffer of the parser (CVE-2026-69244).
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert "aiohttp>=3.14.4" in project["dependencies"]
    assert metadata.metadata("fanvue-async")["Requires-Python"] == ">=3.11"
