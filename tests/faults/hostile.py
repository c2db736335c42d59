"""A hostile environment: hooks, filters, tracers and providers that do what they should not.

What they do is drawn for each time that they are called: nothing, most of the time; or they raise,
also what is no ``Exception``, return nonsense, hold up the event loop, write into what they are
given, or cancel the task that they run in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from aiohttp import TraceConfig

if TYPE_CHECKING:
    from collections.abc import Generator

    from fanvue_async import FanvueClient

_SHARE = 0.03  # of the times that they do harm
_BLOCK_SECONDS = 0.005
TOKEN = "hostile-token"


class SabotageError(Exception):
    """What is raised, and must not reach a caller."""


class _Abort(BaseException):
    """What is raised and is no Exception."""


class _CyclicError(RuntimeError):
    def __init__(self) -> None:
        super().__init__("cyclic")
        other = ValueError("other")
        self.__cause__, other.__cause__ = other, self


_RAISED = (SabotageError, KeyError, LookupError, OSError, TimeoutError, StopAsyncIteration, _Abort)


class Saboteur:
    """Draws what happens."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed} sabotage")
        self.done = 0
        """How often harm was done."""
        self.cancelled: WeakSet[asyncio.Task[Any]] = WeakSet()
        """The tasks that it cancelled while they ran."""

    def act(self, target: Any = None) -> object:
        """Do nothing, or harm."""
        if self._random.random() > _SHARE:
            return None
        self.done += 1
        kind = self._random.randrange(7)
        if kind == 0 and target is not None:
            target["baggage"] = "user.id=alice"
        elif kind == 1:
            time.sleep(_BLOCK_SECONDS)
        elif kind == 2:
            return object()
        elif kind == 3:
            raise asyncio.CancelledError
        elif kind == 4:
            raise _CyclicError
        elif kind == 5:
            self._cancel()
        else:
            raise self._random.choice(_RAISED)
        return None

    def _cancel(self) -> None:
        """Cancel the task that runs, which cannot be told from a cancel by its owner."""
        task = asyncio.current_task()
        if task is not None:
            task.cancel()
            self.cancelled.add(task)

    def hook(self, *_: object) -> Any:
        """Serve as ``on_retry``."""
        return self.act()

    async def get_token(self) -> Any:
        """Serve as a provider: what it raises is the caller's, so it only does other harm."""
        await asyncio.sleep(0)
        if self._random.random() < _SHARE:
            self.done += 1
            if self._random.random() < 0.5:
                raise asyncio.CancelledError
            if self._random.random() < 0.2:
                self._cancel()
                return TOKEN
            return self._random.choice([None, 5, "", "no token", b"bytes"])
        return TOKEN

    async def invalidate(self, token: str, /) -> None:
        """Serve as a provider, likewise."""
        del token
        if self._random.random() < _SHARE:
            self.done += 1
            raise asyncio.CancelledError

    def traces(self) -> TraceConfig:
        """Make a tracer that does harm at every point of a request."""

        async def harm(_session: object, _context: object, params: Any) -> None:
            self.act(getattr(params, "headers", None))

        config = TraceConfig()
        for signal in (
            config.on_request_start,
            config.on_connection_create_start,
            config.on_connection_create_end,
            config.on_connection_reuseconn,
            config.on_request_headers_sent,
            config.on_request_end,
            config.on_request_exception,
        ):
            signal.append(harm)
        config.freeze()
        return config


class _Filter(logging.Filter):
    def __init__(self, saboteur: Saboteur) -> None:
        super().__init__()
        self._saboteur = saboteur

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        self._saboteur.act()
        return False


@contextmanager
def hostile_logging(saboteur: Saboteur) -> Generator[None]:
    """Let a filter of the application do harm; what logging says about that is not shown."""
    logger, failing = logging.getLogger("fanvue_async"), _Filter(saboteur)
    level, shown = logger.level, logging.raiseExceptions
    logger.setLevel(logging.DEBUG)
    logger.addFilter(failing)
    logging.raiseExceptions = False
    try:
        yield
    finally:
        logger.removeFilter(failing)
        logger.setLevel(level)
        logging.raiseExceptions = shown


def instrument(client: FanvueClient, saboteur: Saboteur) -> None:
    """Trace an open client's requests, as instrumentations do that hook into aiohttp's sessions."""
    http = client._session.terms.pool.http
    assert http is not None
    http.trace_configs.append(saboteur.traces())
