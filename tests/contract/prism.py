"""The client against Prism, a mock server that knows only the contract.

::

    npm install --prefix DIR @stoplight/prism-cli@5.14.2
    PYTHONPATH=tests python tests/contract/prism.py DIR/node_modules/.bin/prism

Prism judges each request by ``openapi.yaml`` beside this file, and answers from it. Every method of
the package is called, for the own account and for a creator, with all its arguments. This prints
what was checked, and exits with 0 only if all of it was as it should be. Prism is ended either way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import aiohttp
from support.calling import arguments, method_of
from support.judge import the_judge

from fanvue_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CreatedChat,
    FanvueClient,
    FanvueError,
    NotFoundError,
    PermissionDeniedError,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    UnsupportedVersionError,
    VersionSunsetError,
)
from fanvue_async.operations import operations
from fanvue_async.paging import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

CONTRACT = Path(__file__).with_name("openapi.yaml")
START_SECONDS = 60
CHECK_SECONDS = 60
END_SECONDS = 5
LISTENING = re.compile(r"Prism is listening on (http://127\.0\.0\.1:[0-9]+)")

TOKEN = "a-token"
USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
GOOD = {"userUuid": USER}

# What the contract shows, asked for by status and by name of the example.
ANSWERS: tuple[tuple[int, str, type[APIError]], ...] = (
    (400, "unsupportedVersion", UnsupportedVersionError),
    (400, "notContactable", BadRequestError),  # the operation is unknown to client.request()
    (401, "unauthorized", AuthenticationError),
    (403, "forbidden", PermissionDeniedError),
    (410, "sunset", VersionSunsetError),
    (410, "withoutNextVersion", VersionSunsetError),
    (429, "rateLimited", RateLimitError),
)


def say(text: str) -> None:
    """Tell the person, or the log, that runs this."""
    print(text, flush=True)  # noqa: T201 - the output of a program


def check(promise: str, *, held: bool) -> None:
    """Print a promise that held, or end with one that did not."""
    if not held:
        raise AssertionError(promise)
    say(f"  ok  {promise}")


@asynccontextmanager
async def prism(executable: Path) -> AsyncGenerator[str, None]:
    """Run Prism on a free port of this machine; gives its base URL."""
    process = await asyncio.create_subprocess_exec(
        executable,
        *("mock", "--host", "127.0.0.1", "--port", "0", str(CONTRACT)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # a group of its own, so that nothing of it stays behind
    )
    assert process.stdout is not None
    said: list[str] = []
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    listener = asyncio.create_task(_listen(process.stdout, said, url))
    try:
        try:
            async with asyncio.timeout(START_SECONDS):
                started = await url
        except TimeoutError:
            raise AssertionError(f"Prism did not start within {START_SECONDS} s") from None
        yield started
    except BaseException:  # whatever it is, its words may tell why
        say("Prism said:\n" + "".join(said))
        raise
    finally:
        await _end(process)
        await listener


async def _listen(output: asyncio.StreamReader, said: list[str], url: asyncio.Future[str]) -> None:
    """Keep what Prism says, and find in it where it listens."""
    async for line in output:
        said.append(line.decode(errors="replace"))
        if not url.done() and (found := LISTENING.search(said[-1])):
            url.set_result(found[1])
    if not url.done():
        url.set_exception(AssertionError("Prism ended before it listened"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """End Prism: politely, then surely."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
                return


def make_client(url: str, *, api_version: str = "2025-06-26") -> FanvueClient:
    """Make a client for which each call is exactly one request."""
    return FanvueClient(TOKEN, base_url=url, api_version=api_version, retry=RetryPolicy.never())


async def check_creating(client: FanvueClient) -> None:
    """Create chats in each way there is."""
    for name, given in (("text", USER), ("upper-case text", USER.upper()), ("UUID", UUID(USER))):
        created = await client.chats.create(given)
        check(
            f"create({name}) -> 201 CreatedChat",
            held=created == CreatedChat(message="Chat created successfully"),
        )
    expected = RateLimit(200, 199, datetime.fromtimestamp(1_750_939_260, UTC))
    check("rate_limit is what the headers said", held=client.rate_limit == expected)
    view = client.with_options(access_token="another-token")
    check(
        "a scoped client with another token creates too", held=bool(await view.chats.create(USER))
    )
    response = await client.request("POST", "/chats", json=GOOD)
    check("request() creates too", held=(response.status, response.attempts) == (201, 1))


async def check_methods(client: FanvueClient) -> None:
    """Call each method of the table with everything it takes, and read what Prism makes up."""
    judge = the_judge()
    rows = operations()
    for row in rows:
        method = method_of(client, row)
        given, _ = arguments(method, row, judge.operations[row.id])
        result = method(**{name: sample.given for name, sample in given.items()})
        if isinstance(result, Listing):
            pages = cast("Listing[object]", result).pages()
            read: object = await anext(pages)  # the next one would be the same
        else:
            read = await result
        success, _, schema = judge.operations[row.id].success
        check(f"{row.coroutine} -> {success}", held=(read is None) == (schema is None))
    check(f"all {len(rows)} operations were called", held=len(rows) == len(judge.operations))


async def check_answers(client: FanvueClient) -> None:
    """Ask for each answer that the contract shows: Prism takes its name from the query."""
    for status, example, expected in ANSWERS:
        query = {"__code": str(status), "__example": example}
        error = await refused(client, "POST", "/chats", GOOD, query)
        held = (
            type(error) is expected
            and (error.status, error.attempts, error.maybe_processed) == (status, 1, False)
            and error.rate_limit is not None
            and error.retry_after == (30 if status == 429 else None)
        )
        check(f"{status} {example} -> {expected.__name__}", held=held)


async def check_refusals(client: FanvueClient) -> None:
    """Send what Prism refuses by itself."""
    bodies: tuple[object, ...] = (
        {},
        {"userUuid": "no-uuid"},
        {"userUuid": f"urn:uuid:{USER}"},
        [USER],
        USER,
    )
    for body in bodies:
        error = await refused(client, "POST", "/chats", body)
        check(f"a body of {body!r} -> 400", held=type(error) is UnsupportedVersionError)
    error = await refused(client, "POST", "/unknown", GOOD)
    check("an unknown path -> NotFoundError", held=type(error) is NotFoundError)
    error = await refused(client, "PUT", "/chats", None)
    check("a wrong method -> APIError 405", held=(type(error), error.status) == (APIError, 405))
    check(
        "Prism's application/problem+json is kept as the error's body",
        held="prism/errors#NO_METHOD_MATCHED_ERROR" in str(error.body),
    )


async def refused(
    client: FanvueClient,
    method: str,
    path: str,
    body: object,
    query: Mapping[str, str] | None = None,
) -> APIError:
    """Make a request that must not succeed; gives its error."""
    try:
        await client.request(method, path, json=body, params=query)
    except APIError as error:
        return error
    raise AssertionError(f"{method} {path} of {body!r} was accepted")


async def check_version(url: str) -> None:
    """Create a chat with a version that the contract does not know."""
    async with make_client(url, api_version="2024-01-01") as client:
        error = await refused(client, "POST", "/chats", GOOD)
    held = (type(error), error.attempts) == (UnsupportedVersionError, 1)
    check("an unknown version -> UnsupportedVersionError", held=held)


async def check_judge(url: str) -> None:
    """Send by hand what no client sends, so that Prism is known to look at the headers."""
    good = {"Authorization": f"Bearer {TOKEN}", "X-Fanvue-API-Version": "2025-06-26"}
    async with aiohttp.ClientSession() as session:
        for missing, expected in ((None, 201), ("Authorization", 401), (list(good)[1], 400)):
            headers = {name: value for name, value in good.items() if name != missing}
            async with session.post(f"{url}/chats", json=GOOD, headers=headers) as response:
                status = response.status
            check(f"by hand, without {missing or 'nothing'} -> {expected}", held=status == expected)


async def run(executable: Path) -> None:
    """Check everything, within a bounded time."""
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGINT, signal.SIGTERM):  # so that Prism is ended then, too
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    async with prism(executable) as url, asyncio.timeout(CHECK_SECONDS):
        say(f"Prism listens on {url}, on the contract {CONTRACT.name}")
        async with make_client(url) as client:
            await check_creating(client)
            await check_methods(client)
            await check_answers(client)
            await check_refusals(client)
        await check_version(url)
        await check_judge(url)
    say("Prism agrees")


def main() -> None:
    """Read the command line and run."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("executable", type=Path, help="Prism, such as node_modules/.bin/prism")
    try:
        asyncio.run(run(parser.parse_args().executable))
    except (AssertionError, FanvueError, OSError, TimeoutError) as error:
        sys.exit(f"FAILED: {error or type(error).__name__}")
    except asyncio.CancelledError:
        sys.exit("FAILED: interrupted")


if __name__ == "__main__":
    main()
