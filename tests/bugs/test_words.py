"""Situations from bug reports: logging, errors, frameworks, the environment."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import ssl
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
import trustme
import truststore
import vcr  # type: ignore[import-untyped] # pyright: ignore[reportMissingTypeStubs] - it has no types
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.raw_server import SUCCESS, RawServer, read
from support.stages import until
from support.users import USER

import fanvue_async
from fanvue_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    NoAnswerError,
    NotSentError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanvue_async import RetryEvent

pytest_plugins = ["pytester"]


class _Filter(logging.Filter):
    """A filter of an application that reads a context variable which is not set here."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        raise LookupError("request_id")


@pytest.fixture
def filtered() -> Iterator[logging.Logger]:
    """Let the application's filter see our records, at any level."""
    logger, failing = logging.getLogger("fanvue_async"), _Filter()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(failing)
    yield logger
    logger.removeFilter(failing)
    logger.setLevel(level)


@pytest.mark.usefixtures("filtered")
async def test_a_filter_of_the_applications_logging_that_raises(
    fake: FakeFanvue, capsys: pytest.CaptureFixture[str]
) -> None:
    """The call has its own result, and the failure is told once."""

    def hook(_: RetryEvent) -> None:
        raise RuntimeError("of the hook")

    fake.reply(503, times=2)
    fake.reply(201, json={"message": "created"}, headers={"Deprecation": "true", "Sunset": "soon"})
    async with fake.client(on_retry=hook) as client:
        assert (await client.chats.create(USER)).message == "created"
        assert (await client.chats.create(USER)).message
    assert capsys.readouterr().err.count("LookupError: request_id") == 1


class _Abort(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize("kind", [ValueError, _Abort, asyncio.CancelledError])
async def test_a_hook_that_raises_anything(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """The call has its own result, whatever on_retry raises."""

    def hook(_: RetryEvent) -> None:
        raise kind

    fake.reply(503, times=2)
    async with fake.client(on_retry=hook) as client:
        assert (await client.chats.create(USER)).message
    raised = [record for record in caplog.records if "on_retry" in record.getMessage()]
    assert len(raised) == 1


async def _errors(fake: FakeFanvue) -> list[FanvueError]:
    """Collect one error of each kind that a call can end in."""
    found: list[FanvueError] = []
    async with fake.client(retry=fanvue_async.RetryPolicy.never()) as client:
        for status in (302, 400, 401, 403, 404, 409, 410, 418, 429, 500):
            fake.reply(status, json={"message": "no", "nextVersion": "2027-01-01"})
            found.append(await _error(client))
        fake.reply(400, json={"errors": ["a", "b"]})
        found.append(await _error(client))
        fake.reply(201, body="no JSON")
        found.append(await _error(client))
        fake.drop(after="request")
        found.append(await _error(client))
        fake.delay(1)
        found.append(await _error(client.with_options(timeout=0.01)))
    found.append(await _error(client))
    return found


async def _error(client: FanvueClient) -> FanvueError:
    with pytest.raises(FanvueError) as caught:
        await client.chats.create(USER)
    return caught.value


async def test_any_error_through_celerys_json(fake: FakeFanvue) -> None:
    """Class and args give class and sentence; a pickle and a copy give all."""
    for error in await _errors(fake):
        stored = json.loads(json.dumps([type(error).__name__, list(error.args)]))
        rebuilt = getattr(fanvue_async, stored[0])(*stored[1])
        assert type(rebuilt) is type(error)
        assert rebuilt.args == error.args
        assert rebuilt.message == error.message
        assert error.message in str(rebuilt)
        for whole in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert vars(whole) == vars(error)
            assert (str(whole), whole.args) == (str(error), error.args)


async def test_no_error_is_one_of_the_frameworks(fake: FakeFanvue) -> None:
    """aiohttp.web and Starlette take no error of ours for their own timeout or lost client."""
    errors = await _errors(fake)
    assert any(isinstance(error, DeadlineExceededError) for error in errors)
    for error in [*errors, NotSentError("x"), NoAnswerError("x")]:
        assert not isinstance(error, OSError | TimeoutError | asyncio.CancelledError)


async def test_a_deadline_in_a_view_of_aiohttp(
    fake: FakeFanvue, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an application error as any other: 500, and logged."""
    fake.delay(1)
    async with fake.client(timeout=0.01) as client:

        async def view(_: web.Request) -> web.Response:
            await client.chats.create(USER)
            raise AssertionError

        app = web.Application()
        app.router.add_get("/", view)
        async with TestClient(TestServer(app)) as browser:
            assert (await browser.get("/")).status == 500
    assert any(
        record.exc_info and record.exc_info[0] is DeadlineExceededError for record in caplog.records
    )


_NGINX = """<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>"""
_CHALLENGE = """<!DOCTYPE html><html lang="en-US"><head><title>Just a
moment&#8230;</title><meta http-equiv="refresh" content="390"></head><body></body></html>"""
_PROBLEM = {"type": "about:blank", "title": "Out of credit", "detail": "Your balance is 30."}
_HTML = {"Content-Type": "text/html; charset=UTF-8"}


async def _page(fake: FakeFanvue, status: int, body: str, headers: dict[str, str]) -> APIError:
    fake.reply(status, body=body, headers=headers)
    async with fake.client(retry=fanvue_async.RetryPolicy.never()) as client:
        error = await _error(client)
    assert isinstance(error, APIError)
    return error


async def test_a_502_page_of_nginx(fake: FakeFanvue) -> None:
    """Its title is the message, and it is not the API that answered."""
    error = await _page(fake, 502, _NGINX, _HTML)
    assert isinstance(error, ServerError)
    assert error.message == "502 Bad Gateway"
    assert "<" not in str(error)
    assert not error.from_api
    assert error.transient


async def test_a_403_page_of_cloudflares_challenge(fake: FakeFanvue) -> None:
    """It is told apart from the API's own 403."""
    headers = {**_HTML, "CF-Ray": "8f1-FRA", "cf-mitigated": "challenge"}
    error = await _page(fake, 403, _CHALLENGE, headers)
    assert isinstance(error, PermissionDeniedError)
    assert error.message == "Just a moment…"
    assert (error.from_api, error.cf_ray) == (False, "8f1-FRA")
    own = await _page(fake, 403, '{"message":"scope"}', {"Content-Type": "application/json"})
    assert (own.from_api, own.cf_ray) == (True, None)


async def test_a_problem_document(fake: FakeFanvue) -> None:
    """RFC 9457: title and detail are read."""
    headers = {"Content-Type": "application/problem+json"}
    error = await _page(fake, 400, json.dumps(_PROBLEM), headers)
    assert isinstance(error, BadRequestError)
    assert error.message == "Out of credit: Your balance is 30."


@pytest.mark.parametrize("status", [401, 429])
async def test_pages_of_other_statuses(fake: FakeFanvue, status: int) -> None:
    """A proxy's page is never taken for the API's word."""
    error = await _page(fake, status, "<html><title>Denied</title>", _HTML)
    assert isinstance(error, AuthenticationError | RateLimitError)
    assert not error.from_api


@pytest.fixture
def authority() -> trustme.CA:
    """Make an authority that nobody knows."""
    return trustme.CA()


def _server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - or pyOpenSSL's
    return context


async def test_ssl_cert_file_that_is_set_after_the_import(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read when the connections' pool is made."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with RawServer(read, SUCCESS, tls=_server_context(authority)) as server:
        client = server.client()
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        async with client:
            assert (await client.chats.create(USER)).message


async def test_certificates_are_read_once_for_all_clients(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them holds up the event loop; a file that came or changed is read again."""
    make = Mock(wraps=ssl.create_default_context)
    monkeypatch.setattr(ssl, "create_default_context", make)
    file = tmp_path / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with RawServer(read, *[SUCCESS] * 4) as server:
        for is_renewed, count in ((False, 1), (True, 2), (False, 2)):
            if is_renewed:
                authority.cert_pem.write_to_path(str(file))
            async with server.client() as client:
                await client.chats.create(USER)
            assert make.call_count == count


async def test_a_context_that_was_made_before_truststore_was_injected(
    authority: trustme.CA,
) -> None:
    """It is accepted, and so is truststore's own."""
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - likewise
    truststore.inject_into_ssl()
    try:
        with RawServer(read, SUCCESS, tls=_server_context(authority)) as server:
            async with server.client(ssl=context) as client:
                assert (await client.chats.create(USER)).message
        FanvueClient("token-of-anna", ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    finally:
        truststore.extract_from_ssl()


PLUGIN = 'pytest_plugins = ["fanvue_async.pytest_plugin"]\n'
LOOP_ON_A_THREAD = f"""
import asyncio, threading
import pytest

@pytest.fixture(scope="module")
def portal():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()

@pytest.mark.parametrize("again", [1, 2])
def test_a_view(fake_fanvue, fanvue_client, portal, again):
    portal(fanvue_client.chats.create("{USER}"))
    assert fake_fanvue.chats == ["{USER}"]

def test_all_are_closed(fake_fanvue):
    assert fake_fanvue.chats == []
"""


def test_the_pytest_plugin_and_a_loop_that_runs_on_its_own_thread(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client is closed on that loop, as under a TestClient of a whole module."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(LOOP_ON_A_THREAD)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_vcrpy_records_and_replays_a_call(
    fake: FakeFanvue, tmp_path: Path, method: str
) -> None:
    """A cassette holds the request as plain aiohttp's would, and plays the response."""
    file = tmp_path / "cassette.yaml"
    cassette = str(file)
    body = {"a": 1} if method == "POST" else None
    fake.reply(200, json={"b": 2})
    for _ in range(2):
        recording = vcr.use_cassette  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - without types
        with recording(cassette, filter_headers=["Authorization"]):
            async with fake.client() as client:
                response = await client.request(method, "/x", json=body)
        assert response.json() == {"b": 2}
    assert len(fake.requests) == 1
    text = file.read_text()
    assert fake.token not in text
    assert ('{"a":1}' in text) is (body is not None)


def _without_selectors() -> asyncio.AbstractEventLoop:
    """Make a loop that lacks what Windows' loop lacks."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    loop = asyncio.new_event_loop()
    for name in ("reader", "writer", "signal_handler"):
        setattr(loop, f"add_{name}", refuse)
        setattr(loop, f"remove_{name}", refuse)
    return loop


def test_the_fake_on_a_loop_without_selectors() -> None:
    """It falls back to what every loop has."""

    async def use() -> None:
        async with FakeFanvue() as fake, fake.client() as client:
            assert (await client.chats.create(USER)).message

    with asyncio.Runner(loop_factory=_without_selectors) as runner:
        runner.run(use())


def test_a_base_url_of_another_container() -> None:
    """http:// to any host must be allowed in words."""
    with pytest.raises(ValueError, match="allow_http"):
        FanvueClient("token-of-anna", base_url="http://fake:8080")
    FanvueClient("token-of-anna", base_url="http://fake:8080", allow_http=True)


async def test_plain_http_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning, for a token that is sent in the clear."""
    FanvueClient("token-of-anna", base_url="http://fake:8080", allow_http=True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "http://fake:8080" in caplog.records[0].getMessage()


def test_a_token_with_bearer_before_it() -> None:
    """The refusal says what to do."""
    with pytest.raises(ValueError, match="leave out 'Bearer '"):
        FanvueClient("Bearer token-of-anna")


async def test_a_base_url_from_the_environment(
    fake: FakeFanvue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FANVUE_BASE_URL serves where no base URL is given."""
    monkeypatch.setenv("FANVUE_BASE_URL", fake.url)
    async with FanvueClient(fake.token) as client:
        await client.chats.create(USER)
    assert fake.chats == [USER]
    monkeypatch.setenv("FANVUE_BASE_URL", "http://fake:8080")
    with pytest.raises(ValueError, match="FANVUE_BASE_URL"):
        FanvueClient(fake.token)


async def test_draining(fake: FakeFanvue) -> None:
    """Calls under way may go on that long; new ones are refused at once."""
    fake.delay(0.1)
    client = fake.client()
    under_way = asyncio.create_task(client.chats.create(USER))
    await until(lambda: fake.requests)
    closing = asyncio.create_task(client.aclose(drain=20))
    await asyncio.sleep(0)
    with pytest.raises(fanvue_async.ClientStateError):
        await client.chats.create(USER)
    assert (await under_way).message
    await closing
    fake.delay(20)
    client = fake.client()
    late = asyncio.create_task(client.chats.create(USER))
    await until(lambda: len(fake.requests) == 2)
    await client.aclose(drain=0.01)
    with pytest.raises(fanvue_async.ClientStateError):
        await late
