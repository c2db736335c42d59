"""What comes next: replies, cut connections and delays, for any request or for one endpoint."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

import attrs

from fanvue_async.testing.exchange import Reply
from fanvue_async.testing.routes import Endpoint

DropAfter = Literal["accept", "request", "headers"]


@attrs.frozen
class Drop:
    """Cut the connection."""

    after: DropAfter


@attrs.frozen
class _Step:
    what: Reply | Drop
    on: Endpoint | None


class Script:
    """The steps that wait for their requests, oldest first.

    Args:
        is_for: tells whether an endpoint is that of a request.

    """

    def __init__(self, is_for: Callable[[Endpoint, str, str], bool]) -> None:
        self._is_for = is_for
        self._steps: list[_Step] = []
        self._delays: list[tuple[float, Endpoint | None]] = []

    def reply(  # noqa: PLR0913 - all but one are options
        self,
        status: int,
        *,
        json: Any = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        on: str | None = None,
    ) -> None:
        """Add replies with one body."""
        if json is not None and body is not None:
            raise ValueError("give json or body, not both")
        if json is not None:
            reply = Reply.of(status, json, headers)
        else:
            content = body.encode() if isinstance(body, str) else body or b""
            reply = Reply.with_body(status, content, "text/plain; charset=utf-8", headers)
        self._steps.extend([_Step(reply, Endpoint.read(on))] * times)

    def drop(self, after: DropAfter, times: int = 1, *, on: str | None = None) -> None:
        """Add cuts."""
        if after not in get_args(DropAfter):
            raise ValueError("after must be 'accept', 'request' or 'headers'")
        if after == "accept" and on is not None:
            raise ValueError("at 'accept' the request is not known yet; leave out 'on'")
        self._steps.extend([_Step(Drop(after), Endpoint.read(on))] * times)

    def delay(self, seconds: float, times: int = 1, *, on: str | None = None) -> None:
        """Add delays, which do not take the place of a reply or a cut."""
        self._delays.extend([(seconds, Endpoint.read(on))] * times)

    def next_is_accept(self) -> bool:
        """Take the first step if it is a cut before anything is read."""
        is_accept = bool(self._steps) and self._steps[0].what == Drop("accept")
        if is_accept:
            del self._steps[0]
        return is_accept

    def next(self, method: str, path: str) -> Reply | Drop | None:
        """Take the first reply or cut that is for this request."""
        for index, step in enumerate(self._steps):
            if self._takes(step.on, method, path):
                del self._steps[index]
                return step.what
        return None

    def next_delay(self, method: str, path: str) -> float | None:
        """Take the first delay that is for this request."""
        for index, (seconds, on) in enumerate(self._delays):
            if self._takes(on, method, path):
                del self._delays[index]
                return seconds
        return None

    def _takes(self, on: Endpoint | None, method: str, path: str) -> bool:
        return on is None or self._is_for(on, method, path)


class HangUp(asyncio.Protocol):
    """Closes a connection as soon as it was accepted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class _Refusals:
    """Connections that end before they begin, in this process.

    No server is told of a connection that the system refuses, so it could not count them. The
    audit event of ``socket.connect`` can, and an error raised there is what the caller gets.
    A hook cannot be taken away again: the first refusal adds the only one.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[str, int], deque[None]] = {}
        self._is_hooked = False

    def add(self, address: tuple[str, int], times: int) -> None:
        self._left.setdefault(address, deque()).extend([None] * times)
        if not self._is_hooked:
            self._is_hooked = True
            sys.addaudithook(self._on_event)

    def forget(self, address: tuple[str, int]) -> None:
        self._left.pop(address, None)

    def _on_event(  # pragma: no cover - tests see what it does, but nothing traces a hook
        self, event: str, arguments: tuple[Any, ...]
    ) -> None:
        if self._left and event == "socket.connect" and isinstance(arguments[1], tuple):
            left = self._left.get(cast("tuple[str, int]", arguments[1][:2]))
            if left:
                left.pop()
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


REFUSALS = _Refusals()
