"""Situations from bug reports: values that leave, settings, and what tools do with our objects."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pickle
import typing
import weakref
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import UUID

import attrs
import pytest
import uuid_utils
from support.users import USER, user

from fanvue_async import (
    ConfigurationError,
    FanvueClient,
    InvalidArgumentError,
    Limits,
    RetryPolicy,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fanvue_async.testing import FakeFanvue


class Text(str, Enum):  # noqa: UP042 - StrEnum has no such trap
    """Texts whose ``str()`` is not what they are, in Python 3.11."""

    TOKEN = "fake-token"
    VERSION = "2025-06-26"
    AGENT = "my-bot"
    USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    KEY = "key"
    METHOD = "get"
    PATH = "/chats"

    def __str__(self) -> str:
        """Be as wrong as can be."""
        return f"Text.{self.name}"

    def __format__(self, spec: str) -> str:
        """Be as wrong as can be."""
        return f"Text.{self.name}"

    def lower(self) -> str:
        """Be as wrong as can be."""
        return "wrong"

    def encode(self, *_: str, **__: str) -> bytes:
        """Be as wrong as can be."""
        return b"wrong"


class Url(str):  # noqa: SLOT000 - as small as it can be
    """A text that writes itself differently."""

    def __str__(self) -> str:
        """Be as wrong as can be."""
        return "wrong"

    def lower(self) -> str:
        """Be as wrong as can be."""
        return "wrong"


class Number(IntEnum):
    """A number that writes itself as a word."""

    FIVE = 5

    def __str__(self) -> str:
        """Be as wrong as can be."""
        return "FIVE"


class Indexed:
    """A whole number of another library, such as numpy's."""

    def __index__(self) -> int:
        """Be 7."""
        return 7


async def test_what_is_sent_is_what_was_checked(fake: FakeFanvue) -> None:
    """A str or int of a subclass leaves as its value, wherever it leaves."""
    client = FanvueClient(
        Text.TOKEN,
        base_url=Url(fake.url),
        api_version=Text.VERSION,
        user_agent=Text.AGENT,
    )
    async with client:
        await client.chats.create(Text.USER)
        await client.with_options(access_token=Text.TOKEN, account=Text.KEY).chats.create(Text.USER)
        fake.reply(200, json={})
        await client.request(
            Text.METHOD,
            Text.PATH,
            params={Text.KEY: [Text.AGENT, Number.FIVE, Indexed()]},
            json={Text.KEY: [Text.AGENT, Number.FIVE, Indexed()]},
        )
    first, _, last = fake.requests
    assert first.headers["Authorization"] == "Bearer fake-token"
    assert first.headers["X-Fanvue-API-Version"] == "2025-06-26"
    assert first.headers["User-Agent"].endswith(" my-bot")
    assert json.loads(first.body) == {"userUuid": USER}
    assert (last.method, last.path) == ("GET", "/chats?key=my-bot&key=5&key=7")
    assert json.loads(last.body) == {"key": ["my-bot", 5, 7]}


@pytest.mark.parametrize("provided", [True, False], ids=["provider", "token"])
async def test_an_enumerations_member_as_a_token(fake: FakeFanvue, *, provided: bool) -> None:
    """Its value is sent, whether it was given or provided."""
    provider = mock.Mock(
        get_token=mock.AsyncMock(return_value=Text.TOKEN), invalidate=mock.AsyncMock()
    )
    async with fake.client(access_token=provider if provided else Text.TOKEN) as client:
        await client.chats.create(USER)
    assert fake.requests[0].headers["Authorization"] == "Bearer fake-token"


HUGE = 10**5_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"params": {"limit": HUGE}}, ("limit", "int")),
        ({"params": {"limit": [1, HUGE]}}, ("limit", "int")),
        ({"params": {"limit": float("nan")}}, ("limit", "float")),
        ({"params": {"limit": object()}}, ("limit", "object")),
        ({"params": {5: "x"}}, ("query", "int")),
        ({"json": object()}, ("json", "object")),
        ({"json": {"limit": HUGE}}, ("json", "limit", "int")),
        ({"json": {"limit": {1, 2}}}, ("json", "limit", "set")),
        ({"json": {"price": float("inf")}}, ("json", "price", "float")),
        ({"json": {"who": [{"deep": b"x"}]}}, ("json", "who", "deep", "bytes")),
    ],
    ids=range(10),
)
async def test_a_value_that_cannot_be_sent(
    fake: FakeFanvue, arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    """It is an InvalidArgumentError that names the key and the type; nothing is sent."""
    async with fake.client() as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.request("POST", "/chats", **arguments)
    for word in words:
        assert word in str(caught.value)
    assert fake.requests == []


class ForeignUuid:
    """A UUID of another library."""

    def __str__(self) -> str:
        """Be the user's."""
        return USER


ForeignUuid.__name__ = ForeignUuid.__qualname__ = "UUID"
UUIDS = [UUID(USER), uuid_utils.UUID(USER), USER.upper()]


@pytest.mark.parametrize("value", UUIDS, ids=["uuid", "uuid_utils", "text"])
async def test_uuids_of_any_library(fake: FakeFanvue, value: Any) -> None:
    """They are accepted wherever their meaning is plain."""
    async with fake.client() as client:
        await client.chats.create(value)
        fake.reply(200, json={})
        await client.request("POST", "/x", json={"user": [value]}, params={"user": value})
    first, last = fake.requests
    assert json.loads(first.body) == {"userUuid": USER}
    text = value if isinstance(value, str) else USER
    assert json.loads(last.body) == {"user": [text]}
    assert last.path == f"/x?user={text}"


@pytest.mark.parametrize(
    ("settings", "value"),
    [(Limits, {"max_connections": 2.5}), (RetryPolicy, {"max_attempts": 1.5})],
)
def test_settings_whose_annotations_were_resolved(
    settings: type[attrs.AttrsInstance], value: dict[str, Any]
) -> None:
    """attrs.resolve_types and cattrs change nothing of what is refused."""
    attrs.resolve_types(settings)
    with pytest.raises(ConfigurationError):
        settings(**value)


# Typed by what is imported on first use only: nouns' models, and aiohttp's server.
_LAZY = {"account", "aiohttp_handler"}
_MODULES = ("", ".testing", ".webhooks", ".stores", ".oauth", ".inbox", ".bulk")


def _hints() -> list[Callable[..., Any]]:
    """All that dependency injection may ask for its hints: public names and their methods."""
    found: dict[str, Callable[..., Any]] = {}
    for name in _MODULES:
        module = importlib.import_module(f"fanvue_async{name}")
        names = getattr(module, "__all__", [each for each in vars(module) if each[0] != "_"])
        public = [getattr(module, each) for each in names]
        for thing in public:
            if isinstance(thing, type):
                found |= {f"{each.__module__}.{each.__qualname__}": each for each in _of(thing)}
            elif inspect.isfunction(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return list(found.values())


def _of(cls: type) -> Iterator[Callable[..., Any]]:
    """Give a class and its methods; what attrs makes knows the names of one module only."""
    yield cls
    for base in cls.__mro__:
        is_ours = base.__module__.startswith("fanvue_async")
        made = set[str]() if attrs.has(base) else {"__init__", "__aexit__"}
        for name, member in vars(base).items() if is_ours else ():
            is_public = name in made or not (name.startswith("_") or name in _LAZY)
            if is_public and inspect.isfunction(member):
                yield member


@pytest.mark.parametrize("thing", _hints(), ids=lambda thing: thing.__qualname__)
def test_type_hints_can_be_read(thing: Callable[..., Any]) -> None:
    """Names of annotations exist at run time, not for type checkers only."""
    typing.get_type_hints(thing)


class Subclass(FanvueClient):
    """A client with something of its own."""

    def __init__(self, access_token: str, *, base_url: str, name: str) -> None:
        super().__init__(access_token, base_url=base_url)
        self.name = name


async def test_subclass_mocks_and_weak_references(fake: FakeFanvue) -> None:
    """A scoped client has what __init__ sets; methods can be mocked, clients weakly held."""
    async with Subclass("fake-token", base_url=fake.url, name="anna") as client:
        scoped = client.with_options(timeout=1)
        assert isinstance(scoped, Subclass)
        assert scoped.name == "anna"
        assert weakref.ref(client)() is client
        assert client.chats is client.chats
        mocked = mock.AsyncMock(return_value=mock.Mock(message="mocked"))
        with mock.patch.object(client.chats, "create", mocked):
            assert (await client.chats.create(USER)).message == "mocked"
            assert fake.requests == []
            assert (await scoped.chats.create(user(1))).message
        assert (await client.chats.create(user(2))).message
    assert fake.chats == [user(1), user(2)]


async def test_a_response_without_a_body(fake: FakeFanvue) -> None:
    """Its json() is None; it is hashable or plainly not, copies and pickles."""
    fake.reply(204)
    fake.reply(200)
    fake.reply(200, json={"a": 1})
    async with fake.client() as client:
        responses = [await client.request("DELETE", "/chats") for _ in range(3)]
    assert [response.json() for response in responses] == [None, None, {"a": 1}]
    for response in responses:
        hash(response)
        assert copy.copy(response) == response
        assert pickle.loads(pickle.dumps(response)).json() == response.json()


def test_a_repr_shows_no_token() -> None:
    """It shows the base URL, the account and the state."""
    client = FanvueClient("secret-token").with_options(access_token="other-token", account="anna")
    assert "https://api.fanvue.com" in repr(client)
    assert "anna" in repr(client)
    assert "token" not in repr(client)


def test_timeouts_of_any_number() -> None:
    """Numbers of other libraries are numbers."""
    assert Timeout(total=5).total == 5
