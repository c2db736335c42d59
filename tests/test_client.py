"""FanvueClient and its views: what they are made with, what they send, what they remember."""

from __future__ import annotations

import asyncio
import pickle
import re
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.stages import CountingFake, LoopServer, Provider
from support.users import USER

from fanvue_async import (
    APIError,
    BadRequestError,
    ConfigurationError,
    DecodeError,
    FanvueClient,
    InvalidArgumentError,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

pytestmark = pytest.mark.usefixtures("no_leaks")


# What a client is made with.


@pytest.mark.parametrize("given_token", [None, "from-argument"])
async def test_the_token_comes_from_the_environment_unless_given(
    monkeypatch: pytest.MonkeyPatch, given_token: str | None
) -> None:
    """FANVUE_ACCESS_TOKEN is read when the client is made, if it is given none."""
    monkeypatch.setenv("FANVUE_ACCESS_TOKEN", "from-environment")
    async with FakeFanvue(tokens=["from-environment", "from-argument"]) as fake:
        client = FanvueClient(given_token, base_url=fake.url)
        monkeypatch.delenv("FANVUE_ACCESS_TOKEN")

        async with client:
            await client.chats.create(USER)

        (request,) = fake.requests
        assert request.headers["Authorization"] == f"Bearer {given_token or 'from-environment'}"


@pytest.mark.parametrize("prefix", ["", "/", "/v0", "/api/v0/"])
async def test_a_base_url_may_have_a_path(fake: FakeFanvue, prefix: str) -> None:
    """Every path is below the base URL's own."""
    async with FanvueClient(fake.token, base_url=fake.url + prefix) as client:
        fake.reply(201, json={"message": "hello"})
        await client.chats.create(USER)
        fake.reply(200)
        await client.request("GET", "/users/me")

    below = prefix.rstrip("/")
    assert [request.path for request in fake.requests] == [f"{below}/chats", f"{below}/users/me"]


# Views.

BAD_OPTIONS: dict[str, list[object]] = {
    "access_token": [None, "", "two words", "töken", "token\n", 5, b"token", object()],
    "account": [None, "", "x" * 257, 5, UUID(USER), "a\n", "half \ud83d"],
    "timeout": [None, "", "5", 0, -1, True, float("nan"), float("inf"), object()],
    "retry": [None, "", 3, "never", RetryPolicy],
}


@pytest.mark.parametrize(
    ("option", "bad"), [(option, bad) for option, values in BAD_OPTIONS.items() for bad in values]
)
async def test_an_option_that_cannot_work_is_refused(option: str, bad: Any) -> None:
    """None and empty too: a missing token must never act as the parent's."""
    async with CountingFake() as fake, fake.client() as client:
        with pytest.raises(ConfigurationError) as caught:
            client.with_options(**{option: bad})

        assert str(bad) not in str(caught.value) or not isinstance(bad, str) or not bad
        assert "fake-token" not in str(caught.value)
        assert fake.connections == 0


async def test_what_is_left_out_stays_as_it_is(fake: FakeFanvue) -> None:
    """A view of a view has all options of both, the newest first."""
    fake.reply(503, times=10)

    async with fake.client(retry=RetryPolicy.never()) as client:
        for view in (
            client.with_options(),
            client.with_options(timeout=5),
            client.with_options(access_token=...).with_options(account="anna"),
            client.with_options(retry=RetryPolicy()).with_options(retry=RetryPolicy.never()),
        ):
            with pytest.raises(ServerError) as caught:
                await view.chats.create(USER)
            assert caught.value.attempts == 1

    assert {request.headers["Authorization"] for request in fake.requests} == {"Bearer fake-token"}


async def test_a_view_leaves_its_client_alone() -> None:
    """What a view is given changes neither its client nor another view."""
    async with FakeFanvue(tokens=["a", "b"]) as fake, fake.client() as client:
        views = [client.with_options(access_token=token) for token in ("a", "b")]
        for each in (client, *views, client):
            await each.chats.create(USER)

        sent = [request.headers["Authorization"] for request in fake.requests]
        assert sent == ["Bearer a", "Bearer a", "Bearer b", "Bearer a"]


# What is known of an account.


async def test_rate_limit_is_what_the_newest_answer_said() -> None:
    """None at first, then the newest report, refusals' reports included."""
    async with FakeFanvue(rate_limit=(2, 60)) as fake, fake.client() as client:
        assert client.rate_limit is None
        for remaining in (1, 0):
            await client.chats.create(USER)
            assert client.rate_limit is not None
            assert (client.rate_limit.limit, client.rate_limit.remaining) == (2, remaining)
            assert client.rate_limit.reset_at.tzinfo is not None
        with pytest.raises(RateLimitError) as caught:
            await client.chats.create(USER)
        assert caught.value.rate_limit == client.rate_limit

        fake.reply(200, headers={"X-RateLimit-Limit": "not a number"})
        response = await client.request("GET", "/x")
        assert response.rate_limit is None


async def test_an_answer_without_rate_limit_changes_nothing() -> None:
    """What was known stays known."""
    answers = [
        b"X-RateLimit-Limit: 9\r\nX-RateLimit-Remaining: 8\r\nX-RateLimit-Reset: 1900000000\r\n",
        b"",
    ]

    def answer(_: str, transport: asyncio.Transport) -> None:
        transport.write(b"HTTP/1.1 204 OK\r\n" + answers.pop(0) + b"\r\n")

    async with LoopServer(answer) as server, server.client() as client:
        first = await client.request("GET", "/x")
        second = await client.request("GET", "/x")

        assert second.rate_limit is None
        assert isinstance(first.rate_limit, RateLimit)
        assert client.rate_limit == first.rate_limit


async def test_views_share_what_is_known_of_their_account() -> None:
    """State belongs to the account: a view made per request sees it, another token's does not."""
    async with FakeFanvue(tokens=["a", "b"]) as fake, fake.client() as client:
        await client.with_options(access_token="a").chats.create(USER)

        assert client.rate_limit is not None
        assert client.with_options(timeout=5).rate_limit == client.rate_limit
        assert client.with_options(access_token="a").rate_limit == client.rate_limit
        assert client.with_options(access_token="b").rate_limit is None
        assert client.with_options(account="anna").rate_limit is None
        assert FanvueClient(base_url=fake.url).rate_limit is None


async def test_a_named_account_survives_its_tokens() -> None:
    """Where the account is named, a new token finds what the old one left."""
    async with FakeFanvue(tokens=["old", "new"]) as fake, fake.client() as client:
        anna = client.with_options(access_token="old", account="anna")
        await anna.chats.create(USER)
        known = anna.rate_limit

        assert known is not None
        assert anna.with_options(access_token="new").rate_limit is None  # it may be anyone's
        assert client.with_options(access_token="new", account="anna").rate_limit == known
        assert client.rate_limit is None


async def test_a_nameless_provider_has_the_account_of_its_token() -> None:
    """Without a name, each token stands for an account of its own; the newest is looked at."""
    async with (
        FakeFanvue(tokens=["old", "new"], rate_limit=(9, 60)) as fake,
        fake.client(access_token=Provider("old", "new")) as client,
    ):
        known: list[RateLimit | None] = [client.rate_limit]
        for _ in range(3):
            await client.chats.create(USER)
            known.append(client.rate_limit)

        assert [limit and limit.remaining for limit in known] == [None, 8, 8, 7]
        assert client.with_options(access_token="old").rate_limit == known[1]


# The escape hatch.


async def test_a_response_is_what_came(client: FanvueClient, fake: FakeFanvue) -> None:
    """Status, headers, body, rate limit and attempts, frozen, fit for a pickle."""
    fake.reply(503)
    fake.reply(202, json={"data": ["ü"]}, headers={"X-Other": "value"})

    response = await client.request("GET", "/things")

    assert (response.status, response.attempts) == (202, 2)
    assert response.headers["x-other"] == "value"
    assert response.json() == {"data": ["ü"]}
    assert response.content == b'{"data": ["\\u00fc"]}'
    assert response.rate_limit == client.rate_limit
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        response.status = 200  # type: ignore[misc] # that it is refused is the point
    copied = pickle.loads(pickle.dumps(response))
    assert copied == response
    assert copied.headers["X-OTHER"] == "value"


@pytest.mark.parametrize("body", [b" ", b"<html>", b"\xff", b"[NaN]", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_only_told_when_asked_for(
    client: FanvueClient, fake: FakeFanvue, body: bytes
) -> None:
    """Any body of a success is handed over; json() raises a DecodeError."""
    fake.reply(200, body=body)

    response = await client.request("GET", "/things")

    assert response.content == body
    with pytest.raises(DecodeError, match=r"JSON|deep") as caught:
        response.json()
    assert caught.value.operation == "GET /things"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("json", "body"),
    [
        ({"text": "ü", "price": 3.5}, b'{"text":"\\u00fc","price":3.5}'),
        ([], b"[]"),
        ({}, b"{}"),
        (False, b"false"),
        (0, b"0"),
        ("", b'""'),
    ],
)
async def test_json_is_sent(client: FanvueClient, fake: FakeFanvue, json: Any, body: bytes) -> None:
    """Whatever is not None is sent as JSON, with its type."""
    fake.reply(200)

    await client.request("POST", "/things", json=json)

    (request,) = fake.requests
    assert request.body == body
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    ("params", "pairs"),
    [
        ({}, []),
        ({"filter": ["a", "b"]}, [("filter", "a"), ("filter", "b")]),
        ({"filter": ("a",), "none": []}, [("filter", "a")]),
        ({"read": True, "all": [False, 1]}, [("read", "true"), ("all", "false"), ("all", "1")]),
        ({"page": 2, "part": 0.5}, [("page", "2"), ("part", "0.5")]),
        ({"user": UUID(USER)}, [("user", USER)]),
        ({"empty": ""}, [("empty", "")]),
        ({"a b&c=d+e%2F#": "?/ü\n;'"}, [("a b&c=d+e%2F#", "?/ü\n;'")]),
    ],
)
async def test_params_are_written_as_the_api_reads_them(
    client: FanvueClient, fake: FakeFanvue, params: dict[str, Any], pairs: list[tuple[str, str]]
) -> None:
    """A list repeats its key, booleans are words, and every character arrives as it was."""
    fake.reply(200)

    await client.request("GET", "/things", params=params)

    (request,) = fake.requests
    path, question, query = request.path.partition("?")
    assert (path, bool(question)) == ("/things", bool(pairs))
    assert parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)) == pairs


_LOOP: list[Any] = []
_LOOP.append(_LOOP)


@pytest.mark.parametrize(
    ("refused", "match"),
    [
        *(({"method": method}, "method") for method in ("TRACE", "CONNECT", "GET ", "", 5, None)),
        *(
            ({"path": path}, "path")
            for path in (
                "",
                "things",
                "//evil.example",
                "https://evil.example/",
                "/a/../b",
                "/..",
                "/%2e%2E/b",
                "/./b",
                "/a b",
                "/a?b=c",
                "/a#b",
                "/ü",
                "/%zz",
                "/a\r\nHost: evil.example",
                "\\\\evil.example",
                b"/chats",
                None,
            )
        ),
        *(({"json": json}, "json") for json in (object(), {1, 2}, float("nan"), b"{}", _LOOP)),
        *(({"params": params}, "params") for params in ("a=b", [("a", "b")], 5)),
        *(
            ({"params": {"a": value}}, "a")
            for value in (
                *(object(), [None], {"b": "c"}, b"c", Decimal(1), float("nan")),
                *([[1]], 10**5_000),
            )
        ),
        ({"params": {"a": "\ud800"}}, "a cannot be sent: text with a lone"),
        *(({"params": {key: "a"}}, "the keys") for key in (5, "\ud800")),
        *(({"idempotent": value}, "idempotent") for value in (0, 1, "yes")),
    ],
)
async def test_a_refused_argument_opens_no_connection(refused: dict[str, Any], match: str) -> None:
    """What cannot be sent is told before anything is, naming the argument and the rule."""
    arguments: Any = {"method": "POST", "path": "/things", **refused}
    async with CountingFake() as fake, fake.client() as client:
        with pytest.raises(InvalidArgumentError) as caught:
            await client.request(**arguments)

        assert re.match(f"{match} ", caught.value.message)
        assert caught.value.__context__ is None
        assert (caught.value.attempts, caught.value.maybe_processed) == (0, False)
        assert fake.connections == 0


async def test_a_bare_message_means_nothing_special_here(
    client: FanvueClient, fake: FakeFanvue
) -> None:
    """What {message} means depends on the endpoint, which the escape hatch does not know."""
    fake.reply(400, json={"message": "no"})

    with pytest.raises(BadRequestError, match="no") as caught:
        await client.request("POST", "/chats", json={})

    assert type(caught.value) is BadRequestError
    assert caught.value.operation == "POST /chats"


# Whatever text is given, the request goes to the configured origin or nowhere.


@attrs.frozen
class World:
    """The server that the client is configured for, and one that somebody would rather reach."""

    runner: asyncio.Runner
    fake: FakeFanvue
    victim: LoopServer

    @classmethod
    @contextmanager
    def create(cls) -> Generator[Self]:
        """Run both."""
        with asyncio.Runner() as runner:
            fake, victim = FakeFanvue(), LoopServer()
            runner.run(fake.__aenter__())
            runner.run(victim.__aenter__())
            yield cls(runner, fake, victim)
            assert victim.connections == 0
            runner.run(victim.__aexit__(None, None, None))
            runner.run(fake.__aexit__(None, None, None))

    def requests(self, call: Coroutine[Any, Any, object]) -> list[Any]:
        """Run a call that may be refused, and return what the fake read of it."""
        self.fake.requests.clear()
        try:
            self.runner.run(_ended(call))
        except (InvalidArgumentError, ConfigurationError):
            assert self.fake.requests == []
        except APIError:
            assert len(self.fake.requests) == 1
        else:
            assert len(self.fake.requests) == 1
        assert self.victim.connections == 0
        return self.fake.requests

    def texts(self) -> st.SearchStrategy[str]:
        """Draw texts that try to lead to the victim, and any others."""
        authority = self.victim.url.removeprefix("http://")
        pieces = [
            *("/", "//", "\\", "..", ".", "%2e", "%2F", "%00", "@", ":", "?", "#", ";", "&", "="),
            *(" ", "\t", "\n", "\r\n", "\x00", "\u2215", "\uff0f", "\u3002", "[", "]", "%", "a"),
            *(authority, self.victim.url, f"@{authority}", f"//{authority}/", "Host:", "chats"),
        ]
        mixed = st.lists(st.sampled_from(pieces), max_size=8).map("".join)
        return st.text(max_size=40) | mixed | mixed.map("/{}".format)


async def _ended(call: Coroutine[Any, Any, object]) -> None:
    await call


examples = settings(max_examples=200, deadline=None)


def test_any_path_stays_at_the_configured_origin() -> None:
    """A path is sent as it is, below the base URL, or refused."""
    with World.create() as world:
        client = world.fake.client()

        @examples
        @given(world.texts())
        @example("/things/%2Fa:b@c;d=e")
        def check(path: str) -> None:
            for request in world.requests(client.request("GET", path)):
                assert request.path == path
                assert f"http://{request.headers['Host']}" == world.fake.url

        check()
        world.runner.run(client.aclose())


def test_any_user_uuid_stays_in_the_body() -> None:
    """Whatever is given as a UUID, the request is for /chats, with a UUID of that very text."""
    with World.create() as world:
        client = world.fake.client()
        uuids = st.uuids().flatmap(
            lambda uuid: st.sampled_from(
                [f"{uuid}", f"{uuid}".upper(), f"{{{uuid}}}", uuid.urn, uuid.hex, f"+{uuid}"[:36]]
            )
        )

        @examples
        @given(world.texts() | uuids)
        @example(USER.upper())
        def check(user: str) -> None:
            for request in world.requests(client.chats.create(user)):
                assert request.path == "/chats"
                assert request.json() == {"userUuid": user.lower()}
                assert str(UUID(user)) == user.lower()

        check()
        world.runner.run(client.aclose())


def test_any_token_stays_in_its_header() -> None:
    """A token is sent as it is, as one header, or refused when the client is made."""
    with World.create() as world:

        async def call(token: str) -> None:
            async with FanvueClient(token, base_url=world.fake.url) as client:
                await client.chats.create(USER)

        alphabet = "abcXYZ019-._~+/= \r\n\x00ü:"

        @examples
        @given(world.texts() | st.text(alphabet, max_size=12))
        @example("a-._~+/Z9==")
        def check(token: str) -> None:
            for request in world.requests(call(token)):
                assert request.headers.getall("Authorization") == [f"Bearer {token}"]
                assert request.path == "/chats"

        check()
