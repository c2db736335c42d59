"""What users may rely on: every public name, its signature, and what importing it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata, resources
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support.users import USER

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
from fanvue_async.testing import FakeFanvue, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

_ERRORS: dict[str, tuple[str, ...]] = {
    "FanvueError": ("Exception",),
    "ConfigurationError": ("FanvueError", "ValueError"),
    "InvalidArgumentError": ("FanvueError", "ValueError"),
    "ClientStateError": ("FanvueError", "RuntimeError"),
    "TransportError": ("FanvueError",),
    "NotSentError": ("TransportError", "ConnectionError"),
    "NoAnswerError": ("TransportError", "ConnectionError"),
    "ProtocolError": ("TransportError",),
    "DeadlineExceededError": ("FanvueError", "TimeoutError"),
    "DecodeError": ("FanvueError",),
    "APIError": ("FanvueError",),
    "BadRequestError": ("APIError",),
    "UnsupportedVersionError": ("BadRequestError",),
    "InvalidRequestError": ("BadRequestError",),
    "NotContactableError": ("BadRequestError",),
    "AuthenticationError": ("APIError",),
    "PermissionDeniedError": ("APIError",),
    "NotFoundError": ("APIError",),
    "ConflictError": ("APIError",),
    "VersionSunsetError": ("APIError",),
    "RateLimitError": ("APIError",),
    "ServerError": ("APIError",),
}
_NAMES = {
    *_ERRORS,
    "ChatsResource",
    "CreatedChat",
    "FanvueClient",
    "Limits",
    "RateLimit",
    "Response",
    "RetryEvent",
    "RetryPolicy",
    "Timeout",
    "TokenProvider",
    "__version__",
}


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
    public = {
        name
        for name, value in vars(fanvue_async).items()
        if not (name.startswith("_") or isinstance(value, ModuleType))
    }

    assert names == sorted(names)
    assert set(names) == _NAMES == public | {"__version__"}
    assert len(names) == len(_NAMES)


def test_a_star_import_gives_every_name() -> None:
    """Each name of __all__ is there."""
    namespace: dict[str, Any] = {}

    exec("from fanvue_async import *", namespace)  # noqa: S102 - the statement under test

    assert namespace.keys() - {"__builtins__"} == _NAMES


def test_every_public_name_has_a_docstring() -> None:
    """help() explains each of them, in words of their own."""
    for name in _NAMES - {"__version__"}:
        value = getattr(fanvue_async, name)
        assert value.__doc__, name
        assert value.__doc__ not in {base.__doc__ for base in value.__mro__[1:]}, name


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


_EVERY = ["message", "operation", "attempts", "maybe_processed", "cause"]
_API = [*_EVERY, "status", "body", "retry_after", "rate_limit", "request_id", "headers"]
_OWN = {"InvalidRequestError": ["errors"], "VersionSunsetError": ["next_version"]}


@pytest.mark.parametrize("name", _ERRORS)
def test_errors_have_the_stated_fields(name: str) -> None:
    """Code that handles an error finds these, whichever class of the tree it caught."""
    cls = getattr(fanvue_async, name)
    expected = _API if issubclass(cls, fanvue_async.APIError) else _EVERY

    assert _fields(cls) == [*expected, *_OWN.get(name, [])]
    assert all(field.kw_only for field in attrs.fields(cls))


def test_errors_are_caught_by_their_builtin_bases() -> None:
    """Code that knows nothing of this package handles what it knows: values, connections, time."""
    for builtin, names in {
        ValueError: {"ConfigurationError", "InvalidArgumentError"},
        RuntimeError: {"ClientStateError"},
        ConnectionError: {"NotSentError", "NoAnswerError"},
        TimeoutError: {"DeadlineExceededError"},
        OSError: {"NotSentError", "NoAnswerError", "DeadlineExceededError"},
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
                "(access_token=None, *, base_url='https://api.fanvue.com', "
                "api_version='2025-06-26', timeout=Timeout(total=60.0, attempt=15.0, connect=5.0), "
                "retry=RetryPolicy(max_attempts=3, wait_initial=0.5, wait_max=8.0, "
                "retry_after_max=30.0, repeat_unknown=True), "
                "limits=None, session=None, ssl=None, proxy=None, user_agent=None, on_retry=None)"
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
        (FanvueClient.aclose, "(self)"),
        (FanvueClient.__aenter__, "(self)"),
        (FanvueClient.__aexit__, "(self, exc_type, exc_value, traceback)"),
        (ChatsResource.create, "(self, user_uuid)"),
        (CreatedChat, "(message)"),
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
        (Response, "(status, headers, content, rate_limit, attempts)"),
        (Response.json, "(self)"),
        (RateLimit, "(limit, remaining, reset_at)"),
        (RetryEvent, "(operation, attempt, wait, status, error, elapsed)"),
        (TokenProvider.get_token, "(self)"),
        (TokenProvider.invalidate, "(self, token)"),
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
        (FanvueClient.with_options, {"return": "FanvueClient"}),
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
        FanvueClient.chats,
        FanvueClient.rate_limit,
        FakeFanvue.url,
        FakeFanvue.token,
    ]

    assert all(isinstance(value, property) for value in properties)


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


# One look at each of them at work


async def test_the_first_job() -> None:
    """The example of the documentation, and every public property beside it."""
    async with FakeFanvue() as fake:
        client = FanvueClient(fake.token, base_url=fake.url)
        body = {"userUuid": USER}
        async with client as fanvue:
            assert fanvue is client
            assert fanvue.rate_limit is None
            created = await fanvue.chats.create(USER)
            response = await fanvue.with_options(timeout=5).request("POST", "/chats", json=body)

    assert isinstance(fanvue.chats, ChatsResource)
    assert isinstance(created, CreatedChat)
    assert isinstance(created.message, str)
    assert isinstance(response, Response)
    assert fake.chats == [USER, USER]


async def test_the_escape_hatch_returns_all_of_a_response() -> None:
    """Status, headers without case, bytes, JSON, rate limit and attempts."""
    async with FakeFanvue(rate_limit=(10, 60.0)) as fake, fake.client() as client:
        fake.reply(503)
        fake.reply(202, json={"a": ["ü"]}, headers={"X-Thing": "1"})
        response = await client.request("GET", "/things", params={"page": 2})

    assert (response.status, response.attempts) == (202, 2)
    assert response.headers["x-thing"] == "1"
    assert response.json() == {"a": ["ü"]}
    assert response.rate_limit is not None
    assert (response.rate_limit.limit, response.rate_limit.remaining) == (10, 8)
    assert [request.path for request in fake.requests] == ["/things?page=2"] * 2


async def test_a_retry_is_told_to_the_hook() -> None:
    """on_retry gets one event with the stated fields before each wait."""
    events: list[RetryEvent] = []
    async with FakeFanvue() as fake, fake.client(on_retry=events.append) as client:
        fake.reply(503)
        fake.drop("request")
        await client.chats.create(USER)

    first, second = events
    assert (first.operation, first.attempt, first.status) == ("POST /chats", 1, 503)
    assert (second.attempt, second.status) == (2, None)
    assert (first.error, second.error) == ("ServerError", "NoAnswerError")
    assert 0 <= first.wait <= 0.5
    assert 0 <= second.wait <= 1.0
    assert 0 <= first.elapsed <= second.elapsed


async def test_what_the_fake_saw_can_be_read() -> None:
    """A received request has method, path with query, headers, body."""
    async with FakeFanvue(tokens=["one", "two"]) as fake, fake.client() as client:
        await client.chats.create(USER)
        assert (fake.token, fake.chats) == ("one", [USER])

    (request,) = fake.requests
    assert isinstance(request, ReceivedRequest)
    assert _fields(ReceivedRequest) == ["method", "path", "headers", "body"]
    assert request.json() == {"userUuid": USER}


# What importing costs


def _modules_after(statement: str) -> set[str]:
    """Run the statement in a fresh interpreter, and return the modules it has loaded then."""
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    run = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-I", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=25,
    )
    assert run.stderr == ""
    return set(run.stdout.split())


def test_importing_loads_no_optional_package() -> None:
    """Beyond its three dependencies, the package loads itself and the standard library."""
    own = _modules_after("import aiohttp, attrs, tenacity")
    loaded = _modules_after("import fanvue_async")

    foreign = {name for name in loaded - own if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} == {"fanvue_async"}
    assert "fanvue_async.testing" not in loaded
    for optional in ("aiohttp.web", "pydantic", "pytest", "tornado", "trio", "uvloop"):
        assert optional not in loaded


# What is installed


def test_the_package_is_typed() -> None:
    """Type checkers look into a package only if it has this marker (PEP 561)."""
    assert resources.files("fanvue_async").joinpath("py.typed").is_file()


def test_the_dependencies_are_three() -> None:
    """An installation brings aiohttp, with its security fixes, attrs and tenacity, no more."""
    stated = metadata.requires("fanvue-async") or []
    requirements = [requirement for requirement in stated if "extra ==" not in requirement]
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]

    assert sorted(names) == ["aiohttp", "attrs", "tenacity"]
    assert "aiohttp>=3.14.4" in requirements
    assert metadata.metadata("fanvue-async")["Requires-Python"] == ">=3.11"
