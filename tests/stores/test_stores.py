"""What every store promises, and that `check_store` notices when one does not keep it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.leaks import shown_by
from support.servers import redis_client

from fanvue_async import ClientStateError, InvalidArgumentError, StoreError, stores
from fanvue_async.stores import ABSENT, ANY, Entry, MemoryStore, RedisStore, SQLiteStore, Store
from fanvue_async.testing import check_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from support.servers import RedisServer

    from fanvue_async.stores import Condition

_BAD_KEYS = {"empty": "", "NUL": "a\0b", "surrogate": "\ud800", "long": "x" * 1_001}
_BAD_EXPIRIES = (0, -1.0, float("nan"), float("inf"), 1e12)


@asynccontextmanager
async def _redis_store(server: RedisServer) -> AsyncGenerator[RedisStore]:
    async with redis_client(server.url) as client, RedisStore(client) as store:
        yield store


@asynccontextmanager
async def _postgres_store(url: str) -> AsyncGenerator[Store]:
    async with _postgres_pool(url) as pool:
        yield await _made_on(pool)


def _postgres_pool(url: str) -> Any:
    asyncpg = pytest.importorskip(
        "asyncpg", reason="what requirements-docs.txt lists is not installed"
    )
    return asyncpg.create_pool(url, min_size=1, max_size=8)


async def _made_on(pool: Any) -> Store:
    from postgres_store import PostgresStore  # noqa: PLC0415 - imports asyncpg

    return await PostgresStore.create(pool)


# The protocol


async def test_memory_keeps_the_protocol() -> None:
    """The store in memory passes the check."""
    await check_store(MemoryStore)


async def test_memory_holds_nothing_of_what_was_replaced_or_deleted() -> None:
    """Also if it would have expired much later."""
    clock = [0.0]
    async with MemoryStore(_clock=lambda: clock[0]) as store:
        for number in range(3_000):
            await store.put("key", b"1", expires_in=3_600)
            await store.put(f"{number}", b"1", expires_in=3_600)
            await store.delete(f"{number}")
        assert len(store._expiring) < 300
        clock[0] = 3_601
        assert await store.get("key") is None
        await store.put("another", b"1")
        assert [key async for key in store.keys("")] == ["another"]
        assert repr(store) == "<MemoryStore of 1 entries>"


async def test_sqlite_keeps_the_protocol(tmp_path: Path) -> None:
    """Two stores on one file pass the check, each with a connection of its own."""
    await check_store(lambda: SQLiteStore(tmp_path / "fanvue.db"))


async def test_redis_keeps_the_protocol(redis: RedisServer) -> None:
    """Two clients of one Redis pass the check."""
    await check_store(lambda: _redis_store(redis))


async def test_postgres_keeps_the_protocol(postgres: str) -> None:
    """The recipe over PostgreSQL passes the check."""
    await check_store(lambda: _postgres_store(postgres))


async def test_postgres_is_set_up_by_many_at_once(postgres: str) -> None:
    """Processes that start together make one table (what PostgreSQL itself does not promise)."""
    async with _postgres_pool(postgres) as pool:
        for _ in range(10):
            await pool.execute("DROP TABLE IF EXISTS fanvue_entries")
            await asyncio.gather(*(_made_on(pool) for _ in range(8)))


async def test_keys_and_expiries_that_no_store_takes(tmp_path: Path, redis: RedisServer) -> None:
    """They are refused before anything is written, by every store of the package."""
    async with (
        MemoryStore() as memory,
        SQLiteStore(tmp_path / "fanvue.db") as sqlite,
        _redis_store(redis) as remote,
    ):
        for store in (memory, sqlite, remote):
            for key in _BAD_KEYS.values():
                for call in (store.get(key), store.put(key, b""), store.delete(key)):
                    with pytest.raises(InvalidArgumentError, match="key"):
                        await call
            for seconds in _BAD_EXPIRIES:
                with pytest.raises(InvalidArgumentError, match="expires_in"):
                    await store.put("bad", b"", expires_in=seconds)
            for value in (None, 5, "text"):
                with pytest.raises(InvalidArgumentError, match="bytes"):
                    await store.put("bad", cast("Any", value))
            with pytest.raises(InvalidArgumentError):
                [key async for key in store.keys("a\0")]
            assert await store.get("bad") is None


async def test_a_failure_shows_no_value(tmp_path: Path) -> None:
    """The value that could not be written is in no traceback, and in no repr of an entry."""
    async with SQLiteStore(tmp_path / "no such folder" / "fanvue.db") as store:
        with pytest.raises(StoreError) as caught:
            await store.put("key", b"a secret", version=ABSENT)

    assert "secret" not in shown_by(caught.value)
    assert caught.value.transient
    assert "secret" not in repr(Entry(b"a secret", "1"))


def test_nothing_is_imported_that_is_not_used() -> None:
    """The protocol costs neither sqlite3 nor redis, and a name that is not there is told so."""
    code = """if 1:
        import sys, fanvue_async, fanvue_async.stores as stores
        assert not {"sqlite3", "redis", "fanvue_async.stores.memory"} & sys.modules.keys()
        stores.MemoryStore, stores.SQLiteStore
        assert "sqlite3" in sys.modules and "redis" not in sys.modules
        try:
            stores.NoStore
        except AttributeError as error:
            assert "NoStore" in str(error)
    """
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code


def test_after_a_fork_a_store_is_refused(tmp_path: Path) -> None:
    """The child gets a ClientStateError from every method; the parent goes on."""
    code = """if 1:
        import asyncio, os, sys
        from redis.asyncio import Redis
        from fanvue_async import ClientStateError
        from fanvue_async.stores import MemoryStore, RedisStore, SQLiteStore

        async def refused(stores):
            for store in stores:
                calls = [store.get("k"), store.put("k", b""), store.delete("k")]
                calls.append(anext(aiter(store.keys("k"))))
                for call in calls:
                    try:
                        await call
                    except ClientStateError as error:
                        assert "fork" in str(error)
                    else:
                        os._exit(1)

        sqlite = SQLiteStore(sys.argv[1])
        stores = [MemoryStore(), sqlite, RedisStore(Redis())]
        asyncio.run(sqlite.put("k", b"1"))
        if (child := os.fork()) == 0:
            asyncio.run(refused(stores))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

        async def goes_on():
            assert (await sqlite.get("k")).value == b"1"
            await sqlite.aclose()

        asyncio.run(goes_on())
    """
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "fanvue.db")]
    subprocess.run(command, check=True, timeout=20)  # noqa: S603 - our own code


async def test_another_process_is_told_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method looks at it before it touches the file or the connection."""
    async with SQLiteStore(tmp_path / "fanvue.db") as sqlite:
        with monkeypatch.context() as context:
            memory = MemoryStore()
            context.setattr("os.getpid", lambda: -1)
            for store in (memory, sqlite):
                with pytest.raises(ClientStateError, match="after the fork"):
                    await store.put("key", b"1")


def test_a_store_that_does_not_exist() -> None:
    """A wrong name is told as from any module."""
    with pytest.raises(AttributeError, match="NoStore"):
        getattr(stores, "NoStore")  # noqa: B009 - the type checkers know better


async def test_a_closed_store_is_refused(tmp_path: Path) -> None:
    """After aclose, which may be called twice, every call is a ClientStateError."""
    for store in (MemoryStore(), SQLiteStore(tmp_path / "fanvue.db")):
        await store.put("key", b"1")
        await store.aclose()
        await store.aclose()
        with pytest.raises(ClientStateError, match="closed"):
            await store.get("key")


def test_a_repr_says_where_and_not_what(tmp_path: Path) -> None:
    """It names the kind and the place."""
    assert repr(SQLiteStore(tmp_path / "fanvue.db")).endswith("fanvue.db'>")
    assert repr(MemoryStore()) == "<MemoryStore of 0 entries>"


# Stores that break a promise


class _Lax(MemoryStore):
    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        del version
        return await super().put(key, value, expires_in=expires_in)


class _Slow(MemoryStore):
    """Compares, lets others in, and writes."""

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        entry = await self.get(key)
        if isinstance(version, str) and (entry is None or entry.version != version):
            return None
        if version is ABSENT and entry is not None:
            return None
        await asyncio.sleep(0)
        return await super().put(key, value, expires_in=expires_in)


class _Immortal(MemoryStore):
    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        del expires_in
        return await super().put(key, value, version=version)


class _Hasty(MemoryStore):
    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        shorter = None if expires_in is None else expires_in / 2
        return await super().put(key, value, version=version, expires_in=shorter)


class _Careless(MemoryStore):
    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        del version
        return await super().delete(key)


class _Repeating(MemoryStore):
    async def keys(self, prefix: str) -> AsyncIterator[str]:
        async for key in super().keys(prefix):
            yield key
            yield key


class _Globbing(MemoryStore):
    async def keys(self, prefix: str) -> AsyncIterator[str]:
        async for key in super().keys(prefix.removesuffix("*")):
            yield key


class _Counting(MemoryStore):
    """Numbers its versions anew when a key is made anew."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        if await super().put(key, value, version=version, expires_in=expires_in) is None:
            return None
        count = self._counts[key] = self._counts.get(key, 0) + 1
        _, expires = self._entries[key]
        self._entries[key] = Entry(value, f"{count}"), expires
        return f"{count}"

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        self._counts.pop(key, None)
        return await super().delete(key, version=version)


class _Truncating(MemoryStore):
    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        return None if entry is None else Entry(entry.value.split(b"\0")[0], entry.version)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_Lax, "put must return None|exactly one"),
        (_Slow, "in one step|exactly one"),
        (_Immortal, "must expire"),
        (_Hasty, "was gone after"),
        (_Careless, "delete must return False|exactly one|deletes nothing"),
        (_Repeating, "each key once"),
        (_Globbing, "must mean itself in a prefix"),
        (_Counting, "never be used again"),
        (_Truncating, "must return the"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_a_store_that_breaks_a_promise_is_noticed(
    broken: type[MemoryStore], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails, with a sentence that says which promise it was."""
    monkeypatch.setattr("fanvue_async.testing.stores._PATIENCE", 1.0)

    with pytest.raises(AssertionError, match=words):
        await check_store(broken)


async def test_a_store_may_come_in_any_form() -> None:
    """A function may return a store, a context manager of one, or a coroutine of either."""
    shared = MemoryStore()
    names = ("get", "put", "delete", "keys")
    bare = cast("Store", SimpleNamespace(**{name: getattr(shared, name) for name in names}))

    async def later() -> Store:
        return bare

    await check_store(lambda: bare)
    await check_store(later)
