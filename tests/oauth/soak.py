"""Tokens in earnest: many processes, many creators, short lives, kills, and stores that fail.

::

    python tests/oauth/soak.py load sqlite --processes 8 --creators 300 --seconds 60
    python tests/oauth/soak.py load redis --trouble
    python tests/oauth/soak.py kill sqlite --rounds 50
    python tests/oauth/soak.py leave sqlite --rounds 200

``load`` makes calls for random creators whose tokens live 6 s; with ``--trouble`` the store fails
for 3 s in the middle. ``kill`` ends a process with SIGKILL at each step of an exchange, and lets
another one go on. ``leave`` lets callers be cancelled, reach their deadline, or have their
application closed at any moment of an exchange, until each has met ``--rounds`` exchanges. All
print what the authorization server counted, and exit with 1 if a sign-in was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.servers import (
    DURABLE,
    RedisServer,
    redis_client,
    redis_server,
)

from fanvue_async import (
    ClientStateError,
    DeadlineExceededError,
    FanvueClient,
    FanvueError,
    SignInRequiredError,
)
from fanvue_async.oauth import OAuthApp
from fanvue_async.oauth.endpoint import Pair
from fanvue_async.oauth.grants import NOTHING
from fanvue_async.oauth.renewal import Pace
from fanvue_async.stores import ANY, Entry, RedisStore, SQLiteStore, Store
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator

    from fanvue_async.stores import Condition

_LIFE = 6.0
_RATE = 50  # calls a second and process
_STEPS = ("noted", "sent", "answered")
_ANSWER = 0.1  # seconds that an exchange takes, under those who leave
_HURRY = Pace(lease=2.5, attempt=2.0)


@contextlib.asynccontextmanager
async def _store(kind: str, where: str) -> AsyncGenerator[Store]:
    if kind == "sqlite":
        async with SQLiteStore(where) as store:
            yield store
    else:
        async with redis_client(where) as client:
            yield RedisStore(client)


@contextlib.contextmanager
def _storage(kind: str) -> Generator[tuple[str, RedisServer | None]]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/fanvue.db", None
    else:
        with redis_server(*DURABLE) as server:
            yield server.url, server


def _app(store: Store, url: str, pace: Pace | None = None) -> OAuthApp:
    return OAuthApp(
        *("fake-client", "fake-secret", "https://bot.example/"),
        store=store,
        auth_url=url,
        base_url=url,
        timeout=10.0 if pace is None else pace.attempt,
        _pace=pace,
    )


async def _connect(fake: FakeFanvue, store: Store, count: int) -> list[str]:
    """Sign creators in, without their browsers."""
    app = _app(store, fake.url)
    names: list[str] = []
    for number in range(count):
        issued = fake.oauth.sign_in(scopes=("offline_access", "read:self"))
        pair = Pair(issued["access_token"], issued["refresh_token"], issued["expires_in"])
        names.append(f"creator-{number}")
        # Not all in one moment.
        grant = NOTHING.followed_by(pair, time.time() - random.random() * _LIFE)
        await store.put(app._keys.grant(names[-1]), grant.dump())
    await app.aclose()
    return names


# One process


async def _call(given: argparse.Namespace) -> None:
    """Be one process: make calls for random creators, and report how they ended."""
    ends: Counter[str] = Counter()
    slowest = 0.0
    async with (
        _store(given.kind, given.join) as store,
        _app(store, given.url) as app,
        FanvueClient(base_url=given.url) as fanvue,
    ):
        accounts = [account async for account in app.accounts()]

        async def call() -> None:
            nonlocal slowest
            creator = fanvue.with_options(access_token=app.token(random.choice(accounts)))
            began = time.monotonic()
            try:
                await creator.users.me()
            except FanvueError as error:
                ends[type(error).__name__] += 1
            else:
                ends["done"] += 1
            slowest = max(slowest, time.monotonic() - began)

        until = time.monotonic() + given.seconds
        async with asyncio.TaskGroup() as calls:
            while time.monotonic() < until:
                calls.create_task(call())
                await asyncio.sleep(1 / _RATE)
    print(json.dumps({"ends": ends, "slowest": slowest}))  # noqa: T201 - read by the parent


class _Deadly:
    """A store that kills its process at a step of an exchange."""

    def __init__(self, store: Store, step: str) -> None:
        self._store = store
        self._step = step
        self._writes = 0

    async def get(self, key: str) -> Entry | None:
        return await self._store.get(key)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        if key.startswith("lease:"):
            return await self._store.put(key, value, version=version, expires_in=expires_in)
        self._writes += 1
        if self._writes == 2 and self._step == "answered":
            os.kill(os.getpid(), signal.SIGKILL)
        written = await self._store.put(key, value, version=version, expires_in=expires_in)
        if self._writes == 1 and self._step == "noted":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._writes == 1 and self._step == "sent":
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, os.kill, os.getpid(), signal.SIGKILL)
        return written

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        return await self._store.delete(key, version=version)

    def keys(self, prefix: str) -> AsyncIterator[str]:
        return self._store.keys(prefix)


async def _die(given: argparse.Namespace) -> None:
    """Be the process that is killed."""
    account, step = given.die.split()
    async with (
        _store(given.kind, given.join) as store,
        _app(_Deadly(store, step), given.url, _HURRY) as app,
    ):
        await app.token(account).get_token()


# All of them


async def _load(given: argparse.Namespace) -> bool:
    with _storage(given.kind) as (where, server):
        async with FakeFanvue() as fake, _store(given.kind, where) as store:
            fake.oauth.expires_in = _LIFE
            await _connect(fake, store, given.creators)
            options = ["--seconds", f"{given.seconds}"]
            running = [_start(given, where, fake, *options) for _ in range(given.processes)]
            work = asyncio.gather(*running)
            if given.trouble:
                await asyncio.sleep(given.seconds / 2)
                await _trouble(where, server)
            reports = [json.loads(output) for output in await work]
            return _judge(fake, reports)


async def _trouble(where: str, server: RedisServer | None) -> None:
    """Let the store fail for 3 s."""
    if server is not None:
        server.kill()
        await asyncio.sleep(3)
        await asyncio.to_thread(server.start)
    else:
        other = sqlite3.connect(where, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        await asyncio.sleep(3)
        other.execute("ROLLBACK")
        other.close()


def _judge(fake: FakeFanvue, reports: list[dict[str, Any]]) -> bool:
    ends: Counter[str] = Counter()
    for report in reports:
        ends.update(report["ends"])
    counts = fake.oauth.counts
    lost = sum(grant.ended_by is not None for grant in fake.oauth.grants)
    share = counts["repeated"] / max(1, counts["refresh_token"])
    slowest = max(report["slowest"] for report in reports)
    print(f"calls: {dict(ends)}, slowest {slowest:.2f} s")  # noqa: T201 - its purpose
    print(f"exchanges: {dict(counts)}, repeated {share:.2%}; sign-ins lost: {lost}")  # noqa: T201 - its purpose
    return lost == 0 and ends[SignInRequiredError.__name__] == 0 and share <= 0.02


async def _start(given: argparse.Namespace, where: str, fake: FakeFanvue, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, given.command, given.kind),
        *("--join", where, "--url", fake.url, *options),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode()


async def _kill(given: argparse.Namespace) -> bool:
    with _storage(given.kind) as (where, _):
        async with FakeFanvue() as fake, _store(given.kind, where) as store:
            await _connect(fake, store, given.rounds)
            app = _app(store, fake.url, _HURRY)
            accounts = sorted([account async for account in app.accounts()])
            tokens = [await app.token(account).get_token() for account in accounts]
            for account, token in zip(accounts, tokens, strict=True):
                await app.token(account).invalidate(token)
            fake.delay(0.3, times=given.rounds, on="POST /oauth2/token")
            plan = [f"{account} {_STEPS[n % len(_STEPS)]}" for n, account in enumerate(accounts)]
            for start in range(0, len(plan), 5):
                part = plan[start : start + 5]
                await asyncio.gather(*(_start(given, where, fake, "--die", each) for each in part))
                names = [each.split()[0] for each in part]
                await asyncio.gather(*(app.token(name).get_token() for name in names))
            await app.aclose()
            lost = sum(grant.ended_by is not None for grant in fake.oauth.grants)
            print(f"{len(plan)} kills; exchanges: {dict(fake.oauth.counts)}; sign-ins lost: {lost}")  # noqa: T201 - its purpose
            return lost == 0


async def _leave(given: argparse.Namespace) -> bool:
    with _storage(given.kind) as (where, _):
        async with FakeFanvue() as fake, _store(given.kind, where) as store:
            scene = _Leaving(fake, store)
            for end in ("cancel", "deadline", "aclose"):
                await scene.leave(end, given.rounds)
            lost = sum(grant.ended_by is not None for grant in fake.oauth.grants)
            print(f"exchanges: {dict(fake.oauth.counts)}; sign-ins lost: {lost}")  # noqa: T201 - its purpose
            for wrong in scene.wrong:
                print(wrong)  # noqa: T201 - its purpose
            return lost == 0 and not scene.wrong


class _Leaving:
    """Callers who leave while their token is exchanged, and another process that needs it, too."""

    def __init__(self, fake: FakeFanvue, store: Store) -> None:
        self._fake = fake
        self._store = store
        self.wrong: list[str] = []

    async def leave(self, end: str, times: int) -> None:
        """Leave in one way, until that has met so many exchanges."""
        (account,) = await _connect(self._fake, self._store, 1)
        rounds, met, ends = 0, 0, Counter[str]()
        async with _app(self._store, self._fake.url) as other:
            while met < times and rounds < 10 * times:
                rounds += 1
                met += await self._round(end, account, other, ends)
        print(f"{end}: {met} of {rounds} rounds met an exchange: {dict(ends)}", flush=True)  # noqa: T201 - its purpose

    async def _round(self, end: str, account: str, other: OAuthApp, ends: Counter[str]) -> bool:
        """Leave once; return whether an exchange was under way then."""
        fake = self._fake
        refused = await other.token(account).get_token()
        await other.token(account).invalidate(refused)
        fake.requests.clear()
        fake.delay(_ANSWER, on="POST /oauth2/token")
        before = fake.oauth.counts["refresh_token"]
        moment = random.uniform(0.001, _ANSWER)
        app = _app(self._store, fake.url)
        async with FanvueClient(
            base_url=fake.url,
            access_token=app.token(account),
            timeout=moment if end == "deadline" else 10.0,
        ) as client:
            callers = [asyncio.create_task(client.users.me()) for _ in range(3)]
            await asyncio.sleep(moment)
            is_under_way = bool(fake.requests) and fake.oauth.counts["refresh_token"] == before
            if end == "cancel":
                for caller in callers:
                    caller.cancel()
            elif end == "aclose":
                await app.aclose()
            renewed = await other.token(account).get_token()
            for result in await asyncio.gather(*callers, return_exceptions=True):
                self._note(end, result, ends)
        await app.aclose()
        async with _app(self._store, fake.url) as third:
            stored = await third.token(account).get_token()
        exchanges = fake.oauth.counts["refresh_token"] - before
        if exchanges != 1 or stored != renewed or renewed == refused:
            self.wrong.append(f"{end} after {moment:.4f} s: {exchanges} exchanges")
        return is_under_way

    def _note(self, end: str, result: object, ends: Counter[str]) -> None:
        """Count how a caller's call ended."""
        expected = {
            "cancel": asyncio.CancelledError,
            "deadline": DeadlineExceededError,
            "aclose": ClientStateError,
        }[end]
        ends[type(result).__name__] += 1
        if isinstance(result, BaseException) and not isinstance(result, expected):
            self.wrong.append(f"{end}: {result!r}")


def main() -> None:
    """Soak, or be one of the processes."""
    parser = argparse.ArgumentParser(description="Tokens in earnest.")
    parser.add_argument("command", choices=["load", "kill", "leave"])
    parser.add_argument("kind", choices=["sqlite", "redis"])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--creators", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--trouble", action="store_true")
    for hidden in ("--join", "--url", "--die"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.die:
        asyncio.run(_die(given))
    elif given.join:
        asyncio.run(_call(given))
    else:
        commands = {"load": _load, "kill": _kill, "leave": _leave}
        sys.exit(not asyncio.run(commands[given.command](given)))


if __name__ == "__main__":
    main()
