"""What must never get out, and what must never get in: the token, and everybody's text.

That a request goes to the configured origin or nowhere is shown in ``test_client.py``.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
from contextlib import suppress
from functools import partial
from pprint import pformat
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import attrs
import pytest
from support import stages
from support.pace import paced
from support.raw_server import refusing_port
from support.stages import PHASES, LoopServer, Provider, answer, cut, say, say_and_cut, stuck_in
from support.users import USER

from fanvue_async import APIError, FanvueClient, FanvueError, RetryEvent, Timeout
from fanvue_async.engine import credentials
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

# Constants, because the locals of a test are in the tracebacks that are searched for them.
SECRET = "very-secret-access-token.0123"
USERS_SECRET = "what-the-user-wrote"
ASKED_SECRET = "what-the-user-asked"

_JSON = "Content-Type: application/json"
_HEADERS = (_JSON, f"X-Request-Id: {SECRET}", f"Location: https://x/{SECRET}?token={SECRET}")


def _telling(status: int, document: object) -> Callable[[str, asyncio.Transport], None]:
    return answer(status, json.dumps(document).encode(), *_HEADERS)


# All the ways in which a server can end a call, each telling the token if it can.
ENDS: dict[str, Callable[[str, asyncio.Transport], None]] = {
    **{
        f"{status}": _telling(status, {"message": f"<{SECRET}>", SECRET: [{"x": SECRET}]})
        for status in (302, 400, 401, 403, 404, 409, 410, 418, 429, 500, 501, 503)
    },
    "unsupported version": _telling(400, {"error": SECRET, "message": SECRET}),
    "invalid request": _telling(400, {"errors": [SECRET, {"at": SECRET}]}),
    "sunset": _telling(410, {"error": SECRET, "message": SECRET, "nextVersion": SECRET}),
    "text": answer(400, f"<b>{SECRET}</b>".encode()),
    "reason": say(f"HTTP/1.1 403 {SECRET}\r\nContent-Length: 0\r\n\r\n".encode()),
    "no json": answer(201, f"{{{SECRET}".encode()),
    "wrong shape": answer(201, json.dumps({SECRET: SECRET}).encode()),
    "wrong type": answer(201, json.dumps({"message": [SECRET]}).encode()),
    "status 600": say(f"HTTP/1.1 600 {SECRET}\r\nContent-Length: 0\r\n\r\n".encode()),
    "garbage": say(f"{SECRET}\r\n\r\n".encode()),
    "bad header": say(f"HTTP/1.1 201 Created\r\n{SECRET}\x00: {SECRET}\r\n\r\n".encode()),
    "cut": cut,
    "cut head": say_and_cut(f"HTTP/1.1 201 Created\r\nX-Token: {SECRET}\r\n".encode()),
    "cut body": say_and_cut(f"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{SECRET}".encode()),
    "no answer": stages.nothing,
}


def shown_by(error: BaseException) -> str:
    """Write down all that a log, a crash report or a pickle could show of an error."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    pickled = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    notes = getattr(error, "__notes__", None)
    shown = (str(error), repr(error), error.args, pformat(vars(error)), notes, pickled)
    return f"{shown}\n{''.join(report.format())}"


def assert_is_clean(error: FanvueError) -> None:
    """Check that an error shows no token, stands alone, and survives a pickle and a copy."""
    assert SECRET not in shown_by(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


def _access(kind: str) -> Any:
    return SECRET if kind == "fixed" else Provider(SECRET)


async def _call(client: FanvueClient) -> object:
    return await client.request(
        "PUT", "/things", json={"text": USERS_SECRET}, params={"search": ASKED_SECRET}
    )


# The token is in no object.


async def test_no_object_shows_the_token(fake: FakeFanvue) -> None:
    """Nothing that a user holds or is handed prints, lists, pickles or copies the token."""
    events: list[RetryEvent] = []
    fake.reply(503)
    fake.reply(200, json={})
    async with FanvueClient(SECRET, base_url=fake.url, on_retry=events.append) as client:
        client._session.terms.pool.clockwork.sleep = asyncio.sleep
        client._session.terms.pool.clockwork.random = lambda: 0.0
        response = await _call(client)
        view = client.with_options(access_token=Provider(SECRET))
        with pytest.raises(APIError):
            await view.chats.create(USER)
        handed_out = [client, view, client.chats, view.chats, *events, response, client.rate_limit]
        terms, pool = client._session.terms, client._session.terms.pool
        inner = [client._session, view._session, terms, pool, pool.origin, terms.credential]
        inner += [credentials.Secret(SECRET), credentials.Bearer(SECRET)]

        shown = [text for thing in handed_out for text in _texts_of(thing, *SHOWING, *COPYING)]
        shown += [text for thing in inner for text in _texts_of(thing, *SHOWING)]

    assert len(shown) == len(handed_out) * 12 + len(inner) * 8
    assert [text for text in shown if SECRET[:10] in text] == []
    assert repr(credentials.Secret(SECRET)) == str(credentials.Secret("another")) == "<Secret>"
    for holder in (client, client._session, *inner[-3:]):  # none goes into a queue or a cache
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError), match=r"\w"):
                pickle.dumps(holder, protocol)


SHOWING: list[Callable[[Any], object]] = [
    *(repr, str, format, pformat, vars, attrs.asdict),
    partial(json.dumps, default=vars),
    partial(json.dumps, default=str),
]
COPYING: list[Callable[[Any], object]] = [
    pickle.dumps,
    lambda thing: pickle.dumps(copy.copy(thing)),
    lambda thing: repr(copy.deepcopy(thing)),
    lambda thing: pickle.dumps(copy.deepcopy(thing)),
]


# The last is pickle's word for a function of a test.
_REFUSALS = (TypeError, ValueError, attrs.exceptions.NotAnAttrsClassError, AttributeError)


def _texts_of(thing: object, *ways: Callable[[Any], object]) -> list[str]:
    """Turn a thing into text in these ways; if it refuses, into what it says then."""
    texts: list[str] = []
    for way in ways:
        try:
            texts.append(str(way(thing)))
        except _REFUSALS as refusal:
            texts.append(str(refusal))
    return texts


# The token is in no error.


@pytest.mark.parametrize("kind", ["fixed", "provider"])
@pytest.mark.parametrize("end", ENDS)
async def test_no_error_of_an_exchange_shows_the_token(end: str, kind: str) -> None:
    """Whatever a server does and says, the error is plain data without token, chain or cycle."""
    async with LoopServer(ENDS[end]) as server:
        client = FanvueClient(_access(kind), base_url=server.url, timeout=Timeout(attempt=0.05))
        client._session.terms.pool.clockwork.random = lambda: 0.0
        async with client:
            for _ in range(2):
                with pytest.raises(FanvueError) as caught:
                    await client.chats.create(USER)
                assert_is_clean(caught.value)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["deadline", "close"])
@paced
async def test_no_error_of_a_call_that_was_ended_shows_the_token(
    phase: str, how: str, *, pace: float
) -> None:
    """A call that ran into its deadline or into the close says no more than others."""
    async with stuck_in(phase, SECRET) as stage:
        call = await stage.call(0.1 * pace if how == "deadline" else 60)
        if how == "close":
            await stage.client.aclose()
        with pytest.raises(FanvueError) as caught:
            await call
        assert_is_clean(caught.value)


async def test_no_error_without_an_exchange_shows_the_token() -> None:
    """Neither what is refused before it is sent, nor what cannot be."""
    with refusing_port() as port:
        client = FanvueClient(SECRET, base_url=f"http://127.0.0.1:{port}")
        client._session.terms.pool.clockwork.random = lambda: 0.0
        closed = FanvueClient(SECRET)
        await closed.aclose()
        calls: list[Callable[[], Any]] = [
            lambda: client.chats.create(USER),
            lambda: client.chats.create("no uuid"),
            lambda: client.request("GET", "//no/path"),
            lambda: client.request("GET", "/x", json=object()),
            lambda: client.request("GET", "/x", idempotent=cast("bool", "yes")),
            lambda: closed.chats.create(USER),
            lambda: client.with_options(access_token=Provider(f"{SECRET} ")).chats.create(USER),
        ]
        for call in calls:
            with pytest.raises(FanvueError) as caught:
                await call()
            assert_is_clean(caught.value)
        await client.aclose()


# The token is in no log.


@pytest.mark.timeout(120)  # asyncio's debug mode makes it slow
async def test_no_log_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """With every logger wide open and asyncio telling all, no log has token, body or query."""
    caplog.set_level(1)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # so that asyncio shows each callback that it runs
    async with LoopServer() as server:
        for end in ENDS.values():
            server.answer = end
            for kind in ("fixed", "provider"):
                client = FanvueClient(
                    _access(kind), base_url=server.url, timeout=Timeout(attempt=0.02)
                )
                client._session.terms.pool.clockwork.random = lambda: 0.0
                async with client:
                    with pytest.raises(FanvueError):
                        await client.chats.create(USER)
                    with suppress(FanvueError):
                        await _call(client)

    ours = [record for record in caplog.records if record.name == "fanvue_async"]
    assert len(ours) > 2 * len(ENDS)
    assert {record.levelno for record in ours} == {logging.DEBUG, logging.WARNING}
    assert "Executing" in caplog.text
    everything = f"{caplog.text}{[vars(record) for record in caplog.records]}"
    for secret in (SECRET, USERS_SECRET, ASKED_SECRET, "Bearer"):
        assert secret not in everything


# Cookies.


async def test_cookies_are_not_kept(fake: FakeFanvue) -> None:
    """What one creator's answer sets is not sent with another's request."""
    for number in range(3):
        fake.reply(
            201, json={"message": "hello"}, headers={"Set-Cookie": f"session={number}; Path=/"}
        )
    named = fake.url.replace("127.0.0.1", "localhost")  # as no jar keeps those of an address
    async with FanvueClient(fake.token, base_url=named) as client:
        for _ in range(4):
            await client.chats.create(USER)

    assert [request.headers.get("Cookie") for request in fake.requests] == [None] * 4


# The environment.


@pytest.mark.parametrize("borrowed", [False, True])
async def test_the_environment_has_no_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, borrowed: bool
) -> None:
    """Neither a proxy nor a password of the environment's gets to see or change a request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with (
        LoopServer() as proxy,
        FakeFanvue() as fake,
        aiohttp.ClientSession(trust_env=True) as session,
    ):
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with fake.client(session=session if borrowed else None) as client:
            await client.chats.create(USER)

        assert proxy.connections == 0
        assert fake.requests[0].headers["Authorization"] == "Bearer fake-token"


# Server text is data.

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nINFO all is well\u202e{0}{error}%s%d%(name)s\x00\x85"


@pytest.mark.parametrize(
    "body",
    [
        HOSTILE.encode(),
        json.dumps({"message": HOSTILE}).encode(),
        json.dumps({"error": HOSTILE, "message": HOSTILE}).encode(),
        json.dumps({"errors": [HOSTILE * 2_000, HOSTILE]}).encode(),
        (HOSTILE * 20_000).encode(),
        json.dumps({"message": HOSTILE * 2_000}).encode(),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 503])
async def test_server_text_is_only_text(
    caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    """What a server says is one short printable line in an error, and nothing in a log."""
    caplog.set_level(1)
    events: list[RetryEvent] = []
    async with (
        LoopServer(answer(status, body)) as server,
        server.client(on_retry=events.append) as client,
    ):
        with pytest.raises(APIError) as caught:
            await client.chats.create(USER)

    error = caught.value
    assert 0 < len(error.message) <= 500
    assert error.message.isprintable()
    assert str(error).isprintable()
    assert "{0}{error}%s%d%(name)s" in str(error)
    assert len(events) == (2 if status == 503 else 0)
    assert "owned" not in caplog.text
    assert "owned" not in repr(events)


async def test_an_announcement_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What a header says of the version's end moves no cursor and fills no disk."""
    hostile = b"\xff%s{0}" + b"x" * 4_000  # bytes that are no UTF-8 arrive as lone surrogates
    head = b"HTTP/1.1 201 Created\r\nDeprecation: %s\r\nContent-Length: 15\r\n\r\n" % hostile
    async with LoopServer(say(head + b'{"message":"x"}')) as server, server.client() as client:
        await client.chats.create(USER)

    (message,) = [r.getMessage() for r in caplog.records if r.name == "fanvue_async"]
    assert message.isprintable()
    assert r"\udcff%s{0}" in message
    assert len(message) < 500


# No cycles: what is no longer used is gone, with all that it knows.


async def _left_by(*calls: Callable[[], Awaitable[object]]) -> list[tuple[str, str]]:
    """Make calls that fail, and return what is kept alive by cycles then: modules and reprs."""
    while gc.collect():  # what has a finalizer may go with the second
        pass
    gc.freeze()  # what is older is not looked at below, which would take long
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for call in calls:
            with suppress(FanvueError):
                await call()
        gc.collect()
        return [(type(thing).__module__, repr(thing)) for thing in gc.garbage]
    finally:
        gc.garbage.clear()
        gc.set_debug(0)
        gc.enable()
        gc.unfreeze()


def _ours(left: list[tuple[str, str]]) -> list[str]:
    return [shown for module, shown in left if module.startswith(("fanvue_async", "tenacity"))]


@pytest.mark.parametrize("end", ENDS)
async def test_no_failure_leaves_a_cycle_of_ours(end: str) -> None:
    """An error that nobody holds is gone at once, with the frames that knew the token."""
    async with LoopServer(ENDS[end]) as server:
        client = FanvueClient(SECRET, base_url=server.url, timeout=Timeout(attempt=0.05))
        client._session.terms.pool.clockwork.random = lambda: 0.0
        async with client:
            left = await _left_by(lambda: client.chats.create(USER), lambda: _call(client))

    assert [shown for _, shown in left if f"Bearer {SECRET}" in shown] == []
    assert _ours(left) == []


async def test_what_ends_a_retry_leaves_no_cycle(fake: FakeFanvue) -> None:
    """Nor does a cancel in a back-off, or what a token provider raises behind one."""
    broken = Provider(SECRET, LookupError("no token left"))
    fake.reply(503, times=2)
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    async with FanvueClient(SECRET, base_url=fake.url) as client:
        client._session.terms.pool.clockwork.sleep = sleep

        async def cancel() -> None:
            call = asyncio.create_task(client.chats.create(USER))
            await asleep.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        async def raise_from_provider() -> None:
            client._session.terms.pool.clockwork.random = lambda: 0.0
            with pytest.raises(LookupError):
                await client.with_options(access_token=broken).chats.create(USER)

        left = await _left_by(cancel, raise_from_provider)

    assert len(fake.requests) == 2
    assert _ours(left) == []


async def test_no_refusal_leaves_a_cycle_of_ours(client: FanvueClient) -> None:
    """Nor does an error of what was never sent, with the arguments that were refused."""

    def request(**refused: Any) -> Callable[[], Awaitable[object]]:
        arguments: Any = {"method": "POST", "path": "/things", **refused}
        return lambda: client.request(**arguments)

    left = await _left_by(
        lambda: client.chats.create("no uuid"),
        request(method="TRACE"),
        request(path="no/path"),
        request(idempotent="yes"),
        request(json=object()),
        request(params="no mapping"),
        request(params={"a": object()}),
        lambda: client.with_options(access_token=Provider("no token")).chats.create(USER),
    )

    assert _ours(left) == []
