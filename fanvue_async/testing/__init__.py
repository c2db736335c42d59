"""A real server that behaves like the Fanvue API, for tests of bots and backends.

In a test::

    async with FakeFanvue() as fanvue, fanvue.client() as client:
        fanvue.reply(503)
        await client.chats.create("3fa85f64-5717-4562-b3fc-2c963f66afa6")
        assert len(fanvue.requests) == 2

Alone, for a program that is to be tried without the real API::

    python -m fanvue_async.testing --port 8080
"""

from __future__ import annotations

import argparse
import asyncio
import json as json_module
import math
import re
import signal
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import attrs
from aiohttp import web
from multidict import CIMultiDict

from fanvue_async.client import FanvueClient
from fanvue_async.engine import wire
from fanvue_async.testing.stores import check_store as check_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from types import TracebackType
    from uuid import UUID

API_VERSION = "2025-06-26"
"""The only version that Fanvue ever published; an earlier date counts as retired."""

DropAfter = Literal["accept", "request", "headers"]
Duplicates = Literal[201, 400, 409]

# https://api.fanvue.com/docs/authentication/rate-limits
_DOCUMENTED_LIMIT = (200, 60.0)
_SHUTDOWN_SECONDS = 0.01  # how long handlers that wait in delay() may go on
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@attrs.frozen
class ReceivedRequest:
    """A request as the fake server read it."""

    method: str
    """In capitals, such as ``"POST"``."""
    path: str
    """The path with its query."""
    headers: Mapping[str, str]
    """Names compare without case."""
    body: bytes
    """The bytes of the body; ``b""`` if there was none."""

    def json(self) -> Any:
        """Decode the body.

        Raises:
            ValueError: it is not JSON in UTF-8.

        """
        return wire.loads(self.body)


@attrs.frozen
class _Reply:
    status: int
    content: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, status: int, document: object, headers: Mapping[str, str] | None = None) -> _Reply:
        """Make a reply with a JSON body."""
        return cls.with_body(
            status, json_module.dumps(document).encode(), "application/json", headers
        )

    @classmethod
    def with_body(
        cls, status: int, content: bytes, kind: str, headers: Mapping[str, str] | None
    ) -> _Reply:
        """Make a reply; ``headers`` win over the kind of the content, in any case of letters."""
        merged = CIMultiDict({"Content-Type": kind} if content else {})
        merged.update(headers or {})
        return cls(status, content, merged)


@attrs.frozen
class _Drop:
    after: DropAfter


@attrs.define
class _Bucket:
    """The documented bucket: full again at the start of each window."""

    limit: int
    window: float
    enforced: bool
    remaining: int = attrs.field(init=False)
    reset_at: float = 0.0

    def take(self) -> bool:
        """Take one request out; False if the window is used up."""
        now = time.time()
        if now >= self.reset_at:
            self.remaining, self.reset_at = self.limit, now + self.window
        if not self.enforced:  # nobody is refused, so nobody should be told to slow down
            self.remaining = self.limit - 1
            return True
        if not self.remaining:
            return False
        self.remaining -= 1
        return True

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says about the bucket."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset_at)),
        }

    @property
    def retry_after(self) -> str:
        """Whole seconds until the bucket is full again."""
        return str(max(1, math.ceil(self.reset_at - time.time())))


class FakeFanvue:
    """A Fanvue API on 127.0.0.1, with real connections and scripted trouble.

    It checks what the real API checks: the token, the version header, the body, whether a user may
    be contacted. What nobody knows about the real one is an argument here.

    Args:
        tokens: the access tokens that it accepts.
        rate_limit: requests and seconds of one window for each token; the window is filled again
            as a whole. Default: every request is let through.
        not_contactable: the UUIDs of users who may not be contacted (400).
        duplicates: the status of a second chat with the same user: 201, 400 or 409.

    Raises:
        TypeError: one text was given where a collection is needed.
        ValueError: an argument makes no sense.

    """

    def __init__(
        self,
        *,
        tokens: Iterable[str] = ("fake-token",),
        rate_limit: tuple[int, float] | None = None,
        not_contactable: Collection[UUID | str] = (),
        duplicates: Duplicates = 201,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        """All requests that were read, oldest first."""
        self.chats: list[str] = []
        """The users that chats were created with, oldest first."""
        if isinstance(tokens, str) or isinstance(not_contactable, str):
            raise TypeError("tokens and not_contactable are collections, not one text")
        self._tokens = tuple(tokens)
        if not self._tokens:
            raise ValueError("tokens must hold at least one")
        self._not_contactable = {wire.uuid_text(user) for user in not_contactable}
        if None in self._not_contactable:
            raise ValueError("not_contactable must hold UUIDs")
        requests, seconds = _DOCUMENTED_LIMIT if rate_limit is None else rate_limit
        if not (type(requests) is int and requests > 0 and 0 < seconds < math.inf):
            raise ValueError("rate_limit must be a number of requests and one of seconds")
        self._rate_limit = rate_limit
        if duplicates not in get_args(Duplicates):
            raise ValueError("duplicates must be 201, 400 or 409")
        self._duplicates = duplicates
        self._buckets: dict[str, _Bucket] = {}
        self._script: deque[_Reply | _Drop] = deque()
        self._delays: deque[float] = deque()
        self._address: tuple[str, int] | None = None
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._ending = asyncio.Event()

    @property
    def url(self) -> str:
        """The base URL for a client; there while the server runs."""
        if self._address is None:
            raise RuntimeError("the fake server is not running; use it in 'async with'")
        return "http://{}:{}".format(*self._address)

    @property
    def token(self) -> str:
        """An access token that it accepts."""
        return self._tokens[0]

    def client(self, **options: Any) -> FanvueClient:
        """Make a client on this server; its waits for a retry take no time.

        Args:
            options: what ``FanvueClient`` takes; ``access_token`` defaults to ``token``.

        """
        client = FanvueClient(options.pop("access_token", self.token), base_url=self.url, **options)
        client._session.terms.pool.clockwork.sleep = _no_time  # noqa: SLF001 - the seam made for this
        return client

    def reply(
        self,
        status: int,
        *,
        json: Any = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next requests, whatever they are, with this.

        Args:
            status: HTTP status code.
            json: sent as JSON. Without it and without ``body``, the body is empty.
            body: sent as it is, as ``text/plain`` unless ``headers`` says otherwise.
            headers: further headers, which win over those of the fake.
            times: for how many requests.

        """
        if json is not None and body is not None:
            raise ValueError("give json or body, not both")
        if json is not None:
            reply = _Reply.of(status, json, headers)
        else:
            content = body.encode() if isinstance(body, str) else body or b""
            reply = _Reply.with_body(status, content, "text/plain; charset=utf-8", headers)
        self._script.extend([reply] * times)

    def drop(self, after: DropAfter, times: int = 1) -> None:
        """Cut the connections of the next requests.

        Args:
            after: ``"accept"``, before anything of the request is read; ``"request"``, when all of
                it was read and nothing done; ``"headers"``, when it was done and answered, and the
                head of the answer was sent.
            times: for how many requests.

        """
        if after not in get_args(DropAfter):
            raise ValueError("after must be 'accept', 'request' or 'headers'")
        self._script.extend([_Drop(after)] * times)

    def delay(self, seconds: float, times: int = 1) -> None:
        """Let the next requests wait before they are answered as they would be."""
        self._delays.extend([seconds] * times)

    async def __aenter__(self) -> Self:
        await self._start(port=0)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        assert self._server is not None
        for listening in self._listener.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(3):  # a connection accepted just now is made by then, and ended below;
            await asyncio.sleep(0)  # asyncio itself would lose it if its server were closed first
        self._listener.close()
        self._ending.set()  # which ends the delays
        self._server.pre_shutdown()
        await self._server.shutdown(_SHUTDOWN_SECONDS)
        self._listener = self._server = self._address = None

    async def _start(self, port: int) -> None:
        if self._listener is not None:
            raise RuntimeError("the fake server is running already")
        loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._server = web.Server(self._handle, access_log=None)
        self._listener = await loop.create_server(self._accept, "127.0.0.1", port, backlog=4096)
        self._address = self._listener.sockets[0].getsockname()[:2]

    def _accept(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection: the server's, or one that hangs up."""
        if self._next_is_drop("accept"):
            self._script.popleft()
            return _HangUp()
        assert self._server is not None
        return self._server()

    def _next_is_drop(self, after: DropAfter) -> bool:
        return bool(self._script) and self._script[0] == _Drop(after)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._next_is_drop("accept"):
            # A kept-alive connection: to the client it is one that died before it was read.
            self._script.popleft()
            return _hang_up(request)
        body = await request.content.read()  # request.read() refuses a large one
        received = ReceivedRequest(
            request.method, request.raw_path, CIMultiDict(request.headers), body
        )
        self.requests.append(received)
        step = self._script.popleft() if self._script else None
        if self._delays:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._delays.popleft())
                return _hang_up(request)
        bucket = self._bucket_of(received)
        is_let_through = bucket.take()
        if step == _Drop("request"):
            return _hang_up(request)
        reply = (
            step
            if isinstance(step, _Reply)
            else self._answer(received, None if is_let_through else bucket)
        )
        headers = CIMultiDict(bucket.headers)
        headers.update(reply.headers)
        if step == _Drop("headers"):
            response = web.StreamResponse(status=reply.status, headers=headers)
            response.content_length = len(reply.content)
            await response.prepare(request)
            return _hang_up(request)
        return web.Response(status=reply.status, body=reply.content, headers=headers)

    def _bucket_of(self, request: ReceivedRequest) -> _Bucket:
        """Find the bucket of a request's token; all without a known one share one."""
        key = self._token_of(request) or ""
        if key not in self._buckets:
            limit, window = self._rate_limit or _DOCUMENTED_LIMIT
            self._buckets[key] = _Bucket(limit, window, enforced=self._rate_limit is not None)
        return self._buckets[key]

    def _token_of(self, request: ReceivedRequest) -> str | None:
        """Return the accepted token that a request carries."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token in self._tokens else None

    def _answer(self, request: ReceivedRequest, empty_bucket: _Bucket | None) -> _Reply:
        """Answer as the real API does: who, which version, how often, what."""
        if self._token_of(request) is None:
            return _Reply.of(401, {"error": "Unauthorized"})
        version = request.headers.get("X-Fanvue-API-Version", "")
        if version != API_VERSION:
            return _wrong_version(version)
        if empty_bucket is not None:
            headers = {"Retry-After": empty_bucket.retry_after}
            return _Reply.of(429, {"error": "Rate limit exceeded"}, headers)
        if request.path.partition("?")[0] != "/chats":
            return _Reply.of(404, {"message": "Not found"})
        if request.method != "POST":
            return _Reply.of(405, {"message": "Method not allowed"}, {"Allow": "POST"})
        return self._create_chat(request)

    def _create_chat(self, request: ReceivedRequest) -> _Reply:
        """POST /chats; both kinds of 400 are ``{message}``, as documented."""
        try:
            document: Any = request.json()
        except ValueError:
            document = None
        given = wire.fields_of(document).get("userUuid")
        user = wire.uuid_text(given) if isinstance(given, str) else None
        if user is None:
            return _Reply.of(400, {"message": "userUuid must be a UUID"})
        if user in self._not_contactable:
            return _Reply.of(400, {"message": "This user cannot be contacted"})
        if user in self.chats and self._duplicates != 201:  # noqa: PLR2004 - 201 accepts it
            return _Reply.of(self._duplicates, {"message": "The chat exists already"})
        self.chats.append(user)
        return _Reply.of(201, {"message": "Chat created successfully"})


def _wrong_version(version: str) -> _Reply:
    """Answer a version that is not served: an earlier date as retired, anything else as unknown."""
    if _DATE.fullmatch(version) and version < API_VERSION:
        document = {
            "error": "API version sunset",
            "message": f"Version {version} is no longer available",
            "nextVersion": API_VERSION,
        }
        return _Reply.of(410, document)
    document = {
        "error": "Unsupported API version",
        "message": f"X-Fanvue-API-Version must be {API_VERSION}",
    }
    return _Reply.of(400, document)


class _HangUp(asyncio.Protocol):
    """Closes a connection as soon as it was accepted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection under a request; what is returned then goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _no_time(_: float) -> None:
    """Wait for a retry without waiting, but let others run."""
    await asyncio.sleep(0)


async def _serve(port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    fake = FakeFanvue()
    await fake._start(port)  # noqa: SLF001 - of this module
    try:
        print(f"url    {fake.url}")
        print(f"token  {fake.token}", flush=True)
        await stopped.wait()
    finally:
        await fake.__aexit__(None, None, None)


def main(arguments: list[str] | None = None) -> None:
    """Run the fake server until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m fanvue_async.testing",
        description="A server on 127.0.0.1 that behaves like the Fanvue API.",
    )
    parser.add_argument("--port", type=_port, default=8080, help="0 lets the system choose")
    try:
        asyncio.run(_serve(parser.parse_args(arguments).port))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _port(text: str) -> int:
    if not text.isdecimal() or not int(text) < 65_536:  # noqa: PLR2004 - what fits a port
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)
