"""A server that is told what comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from fanvue_async.testing.exchange import ReceivedRequest, Reply
from fanvue_async.testing.script import DropAfter, Script
from fanvue_async.testing.server import Server


class ScriptedServer:
    """A server with a script, which is played before anything else is asked.

    Args:
        script: what comes next.
        admit: counts a request, and returns rate-limit headers and whether it may pass.
        answer: responds to a request that the script leaves alone.

    """

    def __init__(
        self,
        script: Script,
        admit: Callable[[ReceivedRequest], tuple[Mapping[str, str], bool]],
        answer: Callable[[ReceivedRequest, bool], Reply],
    ) -> None:
        self._script = script
        self._server = Server(script, admit, answer)
        self.requests: list[ReceivedRequest] = self._server.requests
        """All requests that were read, oldest first."""

    @property
    def url(self) -> str:
        """The base URL for a client; there while the server runs."""
        if self._server.address is None:
            raise RuntimeError("the fake server is not running; use it in 'async with'")
        host, port = self._server.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

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
        """Respond to the next requests with this, whatever they are.

        Args:
            status: HTTP status code.
            json: sent as JSON. Without it and without ``body``, the body is empty.
            body: sent as it is, as ``text/plain`` unless ``headers`` says otherwise.
            headers: further headers, which win over those of the fake.
            times: for how many requests.
            on: only for requests to this endpoint, such as ``"GET /chats/{userUuid}/messages"``.

        """
        self._script.reply(status, json=json, body=body, headers=headers, times=times, on=on)

    def drop(self, after: DropAfter, times: int = 1, *, on: str | None = None) -> None:
        """Cut the connections of the next requests.

        Args:
            after: ``"accept"``, before anything of the request is read; ``"request"``, when all of
                it was read and nothing done; ``"headers"``, when it was done, and the head of the
                response was sent.
            times: for how many requests.
            on: only for requests to this endpoint; not with ``"accept"``.

        """
        self._script.drop(after, times, on=on)

    def delay(self, seconds: float, times: int = 1, *, on: str | None = None) -> None:
        """Let the next requests, or those to one endpoint, wait before the response."""
        self._script.delay(seconds, times, on=on)

    def refuse(self, times: int = 1) -> None:
        """Refuse the next connections that this process makes, and end those that are open.

        The request of a refused connection never leaves, which is a ``NotSentError``.
        """
        self._server.refuse(times)

    async def __aenter__(self) -> Self:
        await self._server.start("127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.stop()

    async def serve(self, host: str, port: int, log: Callable[[str], None] | None = None) -> None:
        """Start at an address of your own; ``__aexit__`` ends it.

        Args:
            host: an address of this machine; ``"0.0.0.0"`` for all.
            port: 0 lets the system choose.
            log: gets a line for each request: method, path and status.

        """
        self._server.log = log
        await self._server.start(host, port)
