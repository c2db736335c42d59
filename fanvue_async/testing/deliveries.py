"""Webhooks of the fake: real signed deliveries, of what a test says and of what happens."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import attrs

from fanvue_async.testing.envelopes import KINDS, envelope
from fanvue_async.webhooks.signature import HEADER, sign

if TYPE_CHECKING:
    from fanvue_async.testing.users import Row
    from fanvue_async.testing.world import World

    Document: TypeAlias = Mapping[str, Any] | bytes

SECRET = "whsec_fake"  # noqa: S105 - of a fake server
_SUCCESS = range(200, 300)


@attrs.frozen
class Address:
    """Where events are delivered to, and how."""

    url: str
    secret: str | Sequence[str] = attrs.field(repr=False)
    events: frozenset[str]
    timeout: float
    pause: float
    attempts: int
    repeats: int
    shuffle: float


@attrs.frozen
class Delivered:
    """One delivery, and the response to it."""

    url: str
    type: str
    """The event's type."""
    id: str
    """The event's id."""
    status: int
    """The status of the response; 0 if none came in time."""


class Deliveries:
    """As ``fake.webhooks``: addresses that are told what happens in the fake.

    Each event is sent again until a 2xx comes, as Fanvue does, and signed anew each
    time (assumed). All methods may be called from any thread and event loop; the deliveries run in
    that of the server.
    """

    def __init__(self, world: World, loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
        self._world = world
        self._loop = loop
        self._addresses: list[Address] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._chance = random.Random(0)  # noqa: S311 - an order, no secret
        self.log: list[Delivered] = []
        """All deliveries that were sent, oldest first."""
        world.listeners.append(self._hear)

    def add(  # noqa: PLR0913 - all but one are options
        self,
        url: str,
        *,
        secret: str | Sequence[str] = SECRET,
        events: Collection[str] = (),
        timeout: float = 10.0,
        pause: float = 0.5,
        attempts: int = 20,
        repeats: int = 0,
        shuffle: float = 0.0,
    ) -> None:
        """Deliver what happens from now on to an address.

        Args:
            url: the address.
            secret: the signing secret; several while they rotate.
            events: the types that it gets, such as ``"creator.message.received"``; by default all.
            timeout: seconds that the address has to answer. Fanvue's 10 by default.
            pause: seconds until a delivery without a 2xx is sent again.
            attempts: how often a delivery is sent at most.
            repeats: how often it is sent again although a 2xx came.
            shuffle: each event waits a random time up to these seconds, so that they arrive out of
                order; in the same order each time.

        Raises:
            ValueError: nothing in the fake makes one of the events.

        """
        if unknown := set(events) - set(KINDS.values()):
            raise ValueError(f"the fake does not make {', '.join(sorted(unknown))}")
        wanted = frozenset(events) or frozenset(KINDS.values())
        self._addresses.append(
            Address(url, secret, wanted, timeout, pause, attempts, repeats, shuffle)
        )

    async def subscribe(
        self, url: str, *, secret: str = SECRET, events: Collection[str] = (), **options: Any
    ) -> str:
        """Register an address as the API does: by an unsigned probe, which it has to accept.

        The API's own request is not documented, so there is no endpoint for it here.

        Args:
            url: the address.
            secret: the signing secret that is made for it.
            events: the types that it gets.
            options: what ``add`` takes.

        Returns:
            The signing secret.

        Raises:
            ValueError: the response to the probe was no 2xx.

        """
        async with _session(10.0) as session:
            status = await _post(session, url, b"{}", {})
        if status not in _SUCCESS:
            raise ValueError(f"the response of {url} to the probe was {status}, not 2xx")
        self.add(url, secret=secret, events=events, **options)
        return secret

    async def settled(self) -> None:
        """Wait until a 2xx came for every event so far, or it was given up."""
        await self._on_loop(self._settled)

    async def aclose(self) -> None:
        """Give up what is still on its way."""
        await self._on_loop(self._give_up)

    async def _settled(self) -> None:
        await asyncio.sleep(0)  # what was just heard is started by then
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _give_up(self) -> None:
        await asyncio.sleep(0)  # as above
        for task in self._tasks:
            task.cancel()
        await self._settled()

    async def _on_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = self._loop()
        if loop is None or loop is asyncio.get_running_loop():
            await work()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), loop))

    def _hear(self, event: str, creator: str, about: Row) -> None:
        document = envelope(self._world.moment(), event, creator, about)
        if document is None:
            return
        for address in self._addresses:
            if document["type"] in address.events:
                loop = self._loop() or asyncio.get_running_loop()
                loop.call_soon_threadsafe(self._start, address, document)

    def _start(self, address: Address, document: Row) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(address, document))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, address: Address, document: Row) -> None:
        await asyncio.sleep(self._chance.uniform(0, address.shuffle))
        left = address.repeats + 1
        async with _session(address.timeout) as session:
            for _ in range(address.attempts):
                status = await _deliver(session, address.url, document, address.secret)
                self.log.append(Delivered(address.url, document["type"], document["id"], status))
                left -= status in _SUCCESS
                if not left:
                    return
                await asyncio.sleep(0 if status in _SUCCESS else address.pause)


async def deliver(  # noqa: PLR0913 - as FakeFanvue.deliver
    url: str,
    events: Iterable[Document],
    *,
    secret: str | Sequence[str],
    repeats: int,
    seed: int | None,
    signed_at: float | None,
) -> list[int]:
    """Send deliveries one after the other; see ``FakeFanvue.deliver``."""
    order = [event for event in events for _ in range(repeats + 1)]
    if seed is not None:
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    async with _session(10.0) as session:
        return [await _deliver(session, url, each, secret, signed_at) for each in order]


def _session(seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds))


async def _deliver(
    session: aiohttp.ClientSession,
    url: str,
    event: Document,
    secret: str | Sequence[str],
    signed_at: float | None = None,
) -> int:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    at = int(time.time() if signed_at is None else signed_at)
    secrets = [secret] if isinstance(secret, str) else secret
    values = ",".join(sign(body, each, at) for each in secrets)
    return await _post(session, url, body, {HEADER: f"t={at},v0={values}"})


async def _post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
) -> int:
    """Return the status of the response; 0 if none came."""
    sent = {"Content-Type": "application/json", **headers}
    try:
        async with session.post(url, data=body, headers=sent, allow_redirects=False) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0
