"""What a client and its views share: connections, the queue for them, and their accounts' state."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import random
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
import attrs
from aiohttp import http_parser
from multidict import istr
from yarl import URL

from fanvue_async import config
from fanvue_async.errors import ClientStateError, ConfigurationError, clean
from fanvue_async.limits import RateLimit, rate_limit_of, report_in
from fanvue_async.retry import Quota, RetryEvent
from fanvue_async.version import __version__
from fanvue_async.waits import Places

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.base_protocol import BaseProtocol

    from fanvue_async.auth import Secret
    from fanvue_async.waits import Scope

logger: logging.Logger = logging.getLogger("fanvue_async")
logger.addHandler(logging.NullHandler())

_PARSER_IN_PYTHON = http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
_DEPRECATION = istr("Deprecation")
_SUNSET = istr("Sunset")
_NO_LOOP = "the client needs a running event loop of the process that it was made in"
_ELSEWHERE = "the client belongs to another event loop or process; make one there"
_BORROWED_CLOSED = "the session that the client borrowed is closed"
_MAX_ACCOUNTS = 10_000
_HEADER_LENGTH = 200


class _Connector(aiohttp.TCPConnector):
    """A connector that drops an idle connection on which the server has spoken out of turn.

    What came unasked would be taken for the answer to the next request, and every later answer
    would be one off: https://github.com/aio-libs/aiohttp/issues/13656
    """

    def __init__(
        self, used_connections: WeakSet[BaseProtocol], *, limit: int, keepalive_expiry: float
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - an option lacks its type
            limit=limit,
            force_close=not keepalive_expiry,
            keepalive_timeout=keepalive_expiry or None,  # aiohttp takes none with force_close
        )
        self._used_connections = used_connections

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature of aiohttp
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        # Not `if protocol`: one with nothing in its queue is false. The parser in pure Python keeps
        # to itself what it did not understand, so that only its private attribute tells of it.
        while (protocol := connection.protocol) is not None and (
            protocol.should_close
            or (_PARSER_IN_PYTHON and getattr(protocol._parser, "_tail", None))  # noqa: SLF001
        ):
            if protocol not in self._used_connections:  # a new one would be like this again
                break
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


@attrs.define
class Seams:
    """Where time and chance come in; tests replace them, so that none waits."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


@attrs.define(eq=False)
class Account:
    """What is known of one account, whoever acts for it: its rate limit and its retry quota."""

    quota: Quota
    _report: str | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        """Keep the rate limit that an answer reports."""
        self._report = report_in(headers) or self._report

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit as the newest answer reported it."""
        return rate_limit_of(self._report)


class Accounts:
    """The accounts used last, up to 10,000."""

    def __init__(self, seams: Seams) -> None:
        self._clock = lambda: seams.clock()  # noqa: PLW0108 - the clock may be replaced
        self._shared_quota = Quota.of_pool(self._clock)
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def get(self, key: str) -> Account:
        """Return the account of that name, new if it was not used lately."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(Quota(self._clock, shared=self._shared_quota))
            if len(self._accounts) > _MAX_ACCOUNTS:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(key)
        return account

    def find(self, key: str) -> Account | None:
        """Return the account of that name if it was used lately."""
        return self._accounts.get(key)


@attrs.frozen(repr=False)
class Route:
    """How requests reach the API, as options of aiohttp; without a repr, for it knows passwords."""

    options: dict[str, Any]


class Pool:
    """The connections of one client, in one event loop of one process."""

    def __init__(  # noqa: PLR0913 - the client's settings, from one caller
        self,
        *,
        base_url: str,
        api_version: str,
        limits: config.Limits | None,
        borrowed: aiohttp.ClientSession | None,
        ssl: ssl_module.SSLContext | None,
        proxy: Secret | None,
        user_agent: str | None,
        on_retry: Callable[[RetryEvent], None] | None,
    ) -> None:
        self.seams: Seams = Seams()
        self.accounts: Accounts = Accounts(self.seams)
        self.common_headers: dict[str, str] = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": _user_agent(config.checked_user_agent(user_agent)),
            "X-Fanvue-API-Version": config.checked_api_version(api_version),
        }
        self.route: Route = _route(config.checked_ssl(ssl), config.checked_proxy(proxy))
        self.used_connections: WeakSet[BaseProtocol] = WeakSet()
        self.closing: bool = False
        self._is_closed = False
        self._base_url = config.checked_base_url(base_url)
        self._limits = _checked_limits(limits, borrowed)
        self._borrowed = borrowed
        self._on_retry = config.checked_hook(on_retry)
        self._urls: dict[str, URL] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self.http: aiohttp.ClientSession | None = None
        """The aiohttp session, made on the first call."""
        self.places: Places
        """The queue for connections, there as soon as the pool is open."""
        self.in_flight: set[Scope] = set()
        """The waits that closing ends."""
        self._idle = asyncio.Event()
        self._deprecation_told = False
        self._hook_failure_told = False

    def refusal(self) -> str | None:
        """Say why this pool cannot be used here and now; None if it can."""
        if self.closing:
            return "the client is closed"
        try:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
        except RuntimeError:
            return _NO_LOOP
        if task is None:
            return "the client needs a task, such as asyncio.create_task makes"
        if self.http is None:
            return self._borrowed_refusal(loop)
        if loop is not self._loop or os.getpid() != self._process:
            return _ELSEWHERE
        return _BORROWED_CLOSED if self._borrowed is not None and self.http.closed else None

    def open(self) -> aiohttp.ClientSession:
        """Make the aiohttp session; there must be none yet, and no ``refusal``."""
        self._process, self._loop = os.getpid(), asyncio.get_running_loop()
        self.http, places = self._make_http()
        self.places = Places(places)
        return self.http

    def start(self) -> None:
        """Make the connections' pool now and here instead of on the first call.

        Raises:
            ClientStateError: it cannot be used here and now.

        """
        if refusal := self.refusal():
            raise ClientStateError(message=refusal)
        if self.http is None:
            self.open()

    def _borrowed_refusal(self, loop: asyncio.AbstractEventLoop) -> str | None:
        if self._borrowed is None:
            return None
        if self._borrowed.closed:
            return _BORROWED_CLOSED
        # aiohttp's public property for this warns that it is deprecated, and names no other.
        if self._borrowed._loop is not loop:  # noqa: SLF001
            return "the session that the client borrowed belongs to another event loop"
        return None

    def _make_http(self) -> tuple[aiohttp.ClientSession, int]:
        """Make a session of our own, on our connector or on the borrowed one, and count its places.

        aiohttp's own session defaults (headers, cookies, auth, middlewares, raise_for_status) are
        those of the borrowed session's owner, so only its connector and its tracing are taken.
        """
        limits = self._limits
        places = limits.max_connections
        connector: aiohttp.BaseConnector | None
        traces: list[aiohttp.TraceConfig] = []
        if self._borrowed is not None:
            connector = self._borrowed.connector
            assert connector is not None
            places = min(
                limit
                for limit in (places, connector.limit, connector.limit_per_host)
                if limit  # 0 means no limit
            )
            traces = list(self._borrowed.trace_configs)
        else:
            connector = _Connector(
                self.used_connections, limit=places, keepalive_expiry=limits.keepalive_expiry
            )
        headers = self.common_headers
        if self._base_url.startswith("http:"):  # aiohttp sends a proxy's headers to tunnels only
            headers = {**headers, **self.route.options.get("proxy_headers", {})}
        http = aiohttp.ClientSession(
            connector=connector,
            connector_owner=self._borrowed is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            trace_configs=traces,
        )
        if self._borrowed is not None:
            # An instrumentation that hooks into the making of sessions has added its tracing to
            # this one too; the borrowed session's has it already, and would see each call twice.
            http.trace_configs[:] = traces
        return http, places

    def url(self, path: str) -> URL:
        """Return the address of a safe path below the base URL."""
        return URL(self._base_url + path, encoded=True)

    def fixed_url(self, path: str) -> URL:
        """Return the address of a path that belongs to an operation, built once."""
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self.url(path)
        return url

    def note_left(self) -> None:
        """Let ``aclose`` go on when the last wait is over."""
        if not self.in_flight:
            self._idle.set()

    async def aclose(self) -> None:
        """Refuse new calls, end those in flight, then close the connections.

        Raises:
            ClientStateError: the pool belongs to another event loop or process.

        """
        if self.http is None or self._is_closed:
            self.closing = True
            return
        assert self._loop is not None
        if os.getpid() != self._process or asyncio.get_running_loop() is not self._loop:
            raise ClientStateError(message=_ELSEWHERE)
        self.closing = True
        if self.in_flight:
            # In a turn of its own, when no task runs: a cancel of one that does might reach it
            # behind the scope. https://github.com/python/cpython/pull/117407
            self._loop.call_soon(self._end_all)
            await self._idle.wait()
        await self.http.close()
        self._is_closed = True

    def _end_all(self) -> None:
        for scope in self.in_flight:
            scope.end()

    def announce_retry(self, event: RetryEvent) -> None:
        """Log the retry and tell the user's hook; one that raises is logged once and ignored."""
        logger.warning(
            "%s failed (%s), attempt %d; next in %.2f s",
            event.operation,
            event.status or event.error,
            event.attempt,
            event.wait,
        )
        if self._on_retry is None:
            return
        try:
            self._on_retry(event)
        except Exception:  # the user's code, whose bug must not change the call's result
            if not self._hook_failure_told:
                self._hook_failure_told = True
                logger.exception("the on_retry hook raised; further failures are not logged")

    def note_deprecation(self, headers: Mapping[str, str], redact: Callable[[str], str]) -> None:
        """Warn once when the API announces the end of this version.

        https://api.fanvue.com/docs/versions/overview
        """
        if self._deprecation_told or not (_DEPRECATION in headers or _SUNSET in headers):
            return
        self._deprecation_told = True
        logger.warning(
            "API version %s is deprecated (Deprecation: %s, Sunset: %s, next version: %s)",
            self.common_headers["X-Fanvue-API-Version"],
            *(
                clean(redact(headers.get(name, "not said")), _HEADER_LENGTH)
                for name in (_DEPRECATION, _SUNSET, "X-Fanvue-API-Next-Version")
            ),
        )


def _checked_limits(
    limits: config.Limits | None, borrowed: aiohttp.ClientSession | None
) -> config.Limits:
    if borrowed is not None and not isinstance(borrowed, aiohttp.ClientSession):
        raise ConfigurationError(message="session must be an aiohttp.ClientSession")
    if limits is None:
        return config.Limits()
    if not isinstance(limits, config.Limits):
        raise ConfigurationError(message="limits must be a Limits")
    if borrowed is not None:
        raise ConfigurationError(
            message="limits cannot go with session, whose connector has its own"
        )
    return limits


def _route(
    context: ssl_module.SSLContext | None, proxy: tuple[str, tuple[str, str] | None] | None
) -> Route:
    """Build the route; the proxy's password goes into a header of its own and out of the URL.

    aiohttp shows the URL of a proxy in reprs and errors.
    """
    options: dict[str, Any] = {"allow_redirects": False}
    if context is not None:
        options["ssl"] = context
    if proxy is None:
        return Route(options)
    address, login = proxy
    options["proxy"] = URL(address)
    if login is None:
        return Route(options)
    options["proxy_headers"] = {"Proxy-Authorization": aiohttp.encode_basic_auth(*login)}
    return Route(options)


def _user_agent(application: str | None) -> str:
    own = (
        f"fanvue-async/{__version__} "
        f"(Python {platform.python_version()}; aiohttp {aiohttp.__version__})"
    )
    return f"{own} {application}" if application else own
