"""What an upload costs: 300 MB in parts, of which one in twenty fails, against aiohttp by hand.

::

    python tests/benchmarks/uploads.py [--megabytes 300]

The server runs in a process of its own and throws away what it gets. Both ways send the same parts
of the same file, four at a time, and repeat what fails after waits of the same length: short ones,
for the package's usual wait can be longer than the whole upload is here. A tiny upload goes before,
so that what a process does only once is not counted. Printed are the seconds of each way, taken in
turns in one run, and the most memory that the process of each took beyond what it had before.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from fanvue_async import FanvueClient, RetryPolicy

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PART = 8 * 1024 * 1024
IN_FLIGHT = 4
ONE_IN = 20
WAIT = 0.01  # seconds at most before what failed is sent again
ROUNDS = 9
MOST_MEMORY = 64  # MB
LEAST_SPEED = 0.8
MEDIA = "00000000-0000-4000-8000-00000000004d"
RATE = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199", "X-RateLimit-Reset": "1"}


def say(text: str) -> None:
    """Tell the person, or the log, that runs this."""
    print(text, flush=True)  # noqa: T201 - the output of a program


class Server:
    """The API and the store."""

    def __init__(self) -> None:
        self.url = ""
        self._parts = 0

    async def create(self, _: web.Request) -> web.Response:
        """Begin an upload; each sees the same parts refused."""
        self._parts = 0
        return web.json_response({"mediaUuid": MEDIA, "uploadId": "upload"}, headers=RATE)

    async def address(self, request: web.Request) -> web.Response:
        """Name the address of a part."""
        return web.Response(text=f"{self.url}/store/{request.match_info['part']}", headers=RATE)

    async def store(self, request: web.Request) -> web.Response:
        """Read a part; refuse one in twenty."""
        async for _ in request.content.iter_chunked(1 << 20):
            pass
        self._parts += 1
        if self._parts % ONE_IN == 0:
            return web.Response(status=500)
        return web.Response(headers={"ETag": '"etag"'})

    async def complete(self, _: web.Request) -> web.Response:
        """End an upload."""
        return web.json_response({"status": "processing"}, headers=RATE)

    async def run(self, pipe: Connection) -> None:
        """Serve until the process is ended."""
        app = web.Application(client_max_size=1 << 31)
        app.router.add_post("/media/uploads", self.create)
        app.router.add_get("/media/uploads/upload/parts/{part}/url", self.address)
        app.router.add_patch("/media/uploads/upload", self.complete)
        app.router.add_put("/store/{part}", self.store)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        pipe.send(self.url)
        await asyncio.Event().wait()


def serve(pipe: Connection) -> None:
    """Run the server."""
    asyncio.run(Server().run(pipe))


async def by_package(url: str, path: Path) -> None:
    """Upload with this package."""
    retry = RetryPolicy(wait_initial=WAIT)
    async with FanvueClient("a-token", base_url=url, retry=retry) as client:
        await client.media.upload(path, part_size=PART)


async def by_hand(url: str, path: Path) -> None:
    """Upload with aiohttp."""
    numbers = iter(range(-(-path.stat().st_size // PART)))  # noqa: ASYNC240 - once
    etags: dict[int, str] = {}

    def read(number: int) -> bytes:
        with path.open("rb") as file:
            file.seek(number * PART)
            return file.read(PART)

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            place = f"{url}/media/uploads/upload/parts/{number + 1}/url"
            async with session.get(place) as response:
                address = await response.text()
            content = await asyncio.to_thread(read, number)
            while True:
                async with session.put(address, data=content) as response:
                    if response.status == 200:
                        etags[number] = response.headers["ETag"]
                        break
                await asyncio.sleep(random.uniform(0, WAIT))

    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/media/uploads", json={}) as response:
            await response.json()
        await asyncio.gather(*(work(session) for _ in range(IN_FLIGHT)))
        async with session.patch(f"{url}/media/uploads/upload", json={}) as response:
            await response.json()


def measure(way: str, url: str, path: str, pipe: Connection) -> None:
    """Upload once in this process; sends the seconds and the megabytes that it took."""
    upload = {"package": by_package, "hand": by_hand}[way]
    FanvueClient("a-token").media  # noqa: B018 - so that its import is not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(bytes(ONE_IN))
        file.flush()
        asyncio.run(upload(url, Path(file.name)))
    started = time.perf_counter()
    asyncio.run(upload(url, Path(path)))
    seconds = time.perf_counter() - started
    pipe.send((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def in_process(target: Any, *arguments: Any) -> tuple[multiprocessing.Process, Any]:
    """Run something in a process of its own; gives the process and what it sends first."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()
    return process, ours.recv()  # type: ignore[return-value] # a process of that context


def main() -> None:
    """Read the command line, measure, and fail if a bound is broken."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=300)
    megabytes = parser.parse_args().megabytes
    server, url = in_process(serve)
    taken: dict[str, list[float]] = {"hand": [], "package": []}
    memory: dict[str, float] = {"hand": 0.0, "package": 0.0}
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        for _ in range(megabytes):
            file.write(bytes(1_000_000))
        file.flush()
        for _ in range(ROUNDS):
            for way, seconds in taken.items():
                process, (took, peak) = in_process(measure, way, url, file.name)
                process.join()
                seconds.append(took)
                memory[way] = max(memory[way], peak)
    server.terminate()
    speed = statistics.median(
        hand / package for hand, package in zip(taken["hand"], taken["package"], strict=True)
    )
    for way, seconds in taken.items():
        say(f"{way:8} {statistics.median(seconds):6.2f} s, {memory[way]:4.0f} MB at most")
    say(f"speed of the package: {speed:.2f} of that by hand (at least {LEAST_SPEED})")
    if memory["package"] > MOST_MEMORY or speed < LEAST_SPEED:
        sys.exit("FAILED: a bound is broken")


if __name__ == "__main__":
    main()
