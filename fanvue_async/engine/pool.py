"""What a client and its scoped clients share: connections, their life cycle, accounts' state."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs

from fanvue_async import config
from fanvue_async.engine.accounts import Accounts
from fanvue_async.engine.memory import Sends
from fanvue_async.engine.transport import Connections, Connector, abandon, loop_of
from fanvue_async.engine.waits import Scopes, Slots, this_task
from fanvue_async.errors import ClientStateError, ConfigurationError

if TYPE_CHECKING:
    from fanvue_async.engine.gate import Gates
    from fanvue_async.engine.notices import Notices
    from fanvue_async.engine.origin import Origin

_NO_LOOP = "the client needs a running event loop of the process that it was made in"
_ELSEWHERE = "the client belongs to another event loop or process; make one there"
_TOO_LATE = (
    "the client's event loop is closed, so its connections were dropped; "
    "close a client in the event loop of its calls"
)
_BORROWED_CLOSED = "the session that the client borrowed is closed"


@attrs.define
class Clockwork:
    """Where time and chance come in; tests replace them, so they never wait."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def now(self) -> float:
        """Read the clock, which may have been replaced."""
        return self.clock()


class Pool:
    """The connections of one client, in one event loop of one process."""

    def __init__(
        self,
        origin: Origin,
        notices: Notices,
        *,
        limits: config.Limits | None = None,
        borrowed: aiohttp.ClientSession | None = None,
        rate_limits: config.RateLimits | None = None,
    ) -> None:
        self.origin: Origin = origin
        self.notices: Notices = notices
        self.clockwork: Clockwork = Clockwork()
        self.gates: Gates | None = _gates(rate_limits, self.clockwork.now)
        """Where calls wait for the rate limit; None if they do not."""
        self.accounts: Accounts = Accounts(self.clockwork.now, self.gates)
        self.sends: Sends = Sends(self.clockwork.now)
        self.rate_limits: config.RateLimits = rate_limits or config.RateLimits()
        self.connections: Connections = Connections()
        self.scopes: Scopes = Scopes()
        """The waits that closing ends."""
        self.slots: Slots
        """The queue for connections, there as soon as the pool is open."""
        self.http: aiohttp.ClientSession | None = None
        """The aiohttp session, made on the first call."""
        self.when_opened: Callable[[], None] | None = None
        """Called in the event loop that the pool belongs to from then on (by the pytest plugin)."""
        self._foreign_http: aiohttp.ClientSession | None = None
        self._limits = _checked_limits(limits, borrowed)
        self._borrowed = borrowed
        self._disconnected = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def refusal(self, task: asyncio.Task[Any] | None, *, under_way: bool = False) -> str | None:
        """Say why this pool cannot be used here and now, by this task; None if it can.

        While it drains, calls in flight go on.
        """
        if self.scopes.ended or (self.scopes.closing and not under_way):
            return "the client is closed"
        if task is None:
            return _no_task()
        loop = task.get_loop()
        if self.http is None:
            return _borrowed_refusal(self._borrowed, loop)
        if loop is not self._loop or os.getpid() != self._process:
            return _ELSEWHERE
        return _BORROWED_CLOSED if self._borrowed is not None and self.http.closed else None

    @property
    def state(self) -> str:
        """Whether it is new, open or closed, in one word."""
        if self.scopes.closing:
            return "closed"
        return "new" if self.http is None else "open"

    def open(self) -> aiohttp.ClientSession:
        """Make the aiohttp session; there must be none yet, and no ``refusal``."""
        self._process, self._loop = os.getpid(), asyncio.get_running_loop()
        connector, slots = _connector(self.connections, self._limits, self.origin, self._borrowed)
        self.slots = Slots(slots)
        self.http = _session_on(connector, self._borrowed, headers=self.origin.headers)
        if self.when_opened is not None:
            self.when_opened()
        return self.http

    def foreign(self) -> aiohttp.ClientSession:
        """Return a session on the same connections whose requests carry nothing of the API's."""
        http = self.http or self.open()
        if self._foreign_http is None:
            self._foreign_http = _session_on(http.connector, self._borrowed, headers={})
        return self._foreign_http

    def start(self) -> None:
        """Make the connections' pool now and here instead of on the first call.

        Raises:
            ClientStateError: it cannot be used here and now.

        """
        if refusal := self.refusal(this_task()):
            raise ClientStateError(refusal)
        if self.http is None:
            self.open()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, end those in flight, then close the connections.

        Raises:
            ClientStateError: the pool belongs to another event loop or process.

        """
        if self.http is None or self._disconnected.is_set():
            self.scopes.closing = self.scopes.ended = True
            return
        if os.getpid() != self._process:
            raise ClientStateError(_ELSEWHERE)
        if asyncio.get_running_loop() is not self._loop:
            raise ClientStateError(self._abandoned())
        self.scopes.closing = True
        if self.gates is not None:  # who waits there is not in flight, and is not waited for
            self.gates.close()
        try:
            if drain:
                await self.scopes.drain(drain)
        finally:  # whatever is cancelled: what follows begins to close before it waits
            try:
                await self.scopes.end_all()
            finally:
                await self._disconnect()

    async def _disconnect(self) -> None:
        """Close the connections. They are closing when it waits first, for the first who closes."""
        assert self.http is not None
        self.connections.forget()
        if self.http.connector is None:  # let go of already
            await self._disconnected.wait()
            return
        try:
            if (connector := self._let_go()) is not None:
                await connector.close()
        finally:
            self._disconnected.set()

    def _let_go(self) -> aiohttp.BaseConnector | None:
        """Detach the sessions from their connector; return it if it is ours to close."""
        assert self.http is not None
        connector = self.http.connector
        for http in (self.http, self._foreign_http):
            if http is not None:
                http.detach()
        return connector if self._borrowed is None else None

    def _abandoned(self) -> str:
        """Drop the connections if their event loop is closed, and say what is wrong."""
        assert self._loop is not None
        if not self._loop.is_closed():
            return _ELSEWHERE
        self.scopes.closing = self.scopes.ended = True
        self._disconnected.set()
        if (connector := self._let_go()) is not None:
            abandon(connector)
        return _TOO_LATE


def _no_task() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _NO_LOOP
    return "the client needs a task, such as asyncio.create_task makes"


def _gates(rate_limits: config.RateLimits | None, clock: Callable[[], float]) -> Gates | None:
    """Make the gates; None if calls do not wait for the rate limit."""
    if rate_limits is None:
        return None
    from fanvue_async.engine.gate import Gates  # noqa: PLC0415 - most programs have no use for it

    return Gates(clock, rate_limits.store)


def _checked_limits(
    limits: config.Limits | None, borrowed: aiohttp.ClientSession | None
) -> config.Limits:
    if borrowed is not None and not isinstance(borrowed, aiohttp.ClientSession):
        raise ConfigurationError("session must be an aiohttp.ClientSession")
    if limits is None:
        return config.Limits()
    if not isinstance(limits, config.Limits):
        raise ConfigurationError("limits must be a Limits")
    if borrowed is not None:
        raise ConfigurationError(
            "pass limits or session, not both: the session's connector has its own limits"
        )
    return limits


def _borrowed_refusal(
    borrowed: aiohttp.ClientSession | None, loop: asyncio.AbstractEventLoop
) -> str | None:
    if borrowed is None:
        return None
    if borrowed.closed:
        return _BORROWED_CLOSED
    if loop_of(borrowed) is not loop:
        return "the session that the client borrowed belongs to another event loop"
    return None


def _session_on(
    connector: aiohttp.BaseConnector | None,
    borrowed: aiohttp.ClientSession | None,
    *,
    headers: Mapping[str, str],
) -> aiohttp.ClientSession:
    """Make a session of our own, on our connector or on the borrowed one.

    aiohttp's own session defaults (headers, cookies, auth, middlewares, raise_for_status) are
    those of the borrowed session's owner, so only its connector and its tracing are taken.
    """
    traces = list(borrowed.trace_configs) if borrowed is not None else []
    http = aiohttp.ClientSession(
        connector=connector,
        connector_owner=borrowed is None,
        auto_decompress=False,  # ours is capped, and tells a cut body from a damaged one
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        trace_configs=traces,
    )
    if borrowed is not None:
        # An instrumentation that hooks into the making of sessions has added its tracing to
        # this one too; the borrowed session's has it already, and would see each call twice.
        http.trace_configs[:] = traces
    return http


def _connector(
    connections: Connections,
    limits: config.Limits,
    origin: Origin,
    borrowed: aiohttp.ClientSession | None,
) -> tuple[aiohttp.BaseConnector, int]:
    """Make a connector, or take the borrowed session's; and count its slots."""
    slots = limits.max_connections
    if borrowed is None:
        connector = Connector(
            connections,
            limit=slots,
            keepalive_expiry=limits.keepalive_expiry,
            ssl=origin.own_context(),
        )
        return connector, slots
    theirs = borrowed.connector
    assert theirs is not None
    bounds = (slots, theirs.limit, theirs.limit_per_host)
    return theirs, min(bound for bound in bounds if bound)  # 0 means no limit
