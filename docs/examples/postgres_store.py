"""A store in PostgreSQL (asyncpg): for a program that has such a database already.

Install::

    pip install /path/to/the/clone asyncpg

Use it wherever the package takes a store::

    async with asyncpg.create_pool("postgresql://…") as pool:
        store = await PostgresStore.create(pool)

The test of a store of your own is one line: ``await check_store(make_store)``.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Self

import asyncpg

from fanvue_async import StoreError
from fanvue_async.stores import ABSENT, ANY, Condition, Entry

# "C" compares text byte by byte, so that a prefix is a range of the primary key. The lock lets
# one process after the other look: IF NOT EXISTS alone fails when several start together.
TABLE = """DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('fanvue_entries'));
    CREATE TABLE IF NOT EXISTS fanvue_entries (
        key text COLLATE "C" PRIMARY KEY,
        value bytea NOT NULL,
        version text NOT NULL,
        expires_at timestamptz
    );
END $$"""
# One clock for everybody: that of the database, and of the statement, not of its transaction.
LIVE = "(expires_at IS NULL OR expires_at > clock_timestamp())"
EXPIRES = "clock_timestamp() + make_interval(secs => $4::float8)"

# Each is one statement, so that no other can come between its comparison and its write. Where a
# row is in the way, ON CONFLICT waits for whoever is writing it and looks at what is there then.
PUT_ANY = f"""INSERT INTO fanvue_entries AS held VALUES ($1, $2, $3, {EXPIRES})
    ON CONFLICT (key) DO UPDATE SET value = $2, version = $3, expires_at = excluded.expires_at
    RETURNING version"""
PUT_ABSENT = f"""INSERT INTO fanvue_entries AS held VALUES ($1, $2, $3, {EXPIRES})
    ON CONFLICT (key) DO UPDATE SET value = $2, version = $3, expires_at = excluded.expires_at
    WHERE held.expires_at <= clock_timestamp()
    RETURNING version"""
PUT_VERSION = f"""UPDATE fanvue_entries SET value = $2, version = $3, expires_at = {EXPIRES}
    WHERE key = $1 AND version = $5 AND {LIVE}
    RETURNING version"""
GET = f"SELECT value, version FROM fanvue_entries WHERE key = $1 AND {LIVE}"
DELETE = f"""DELETE FROM fanvue_entries
    WHERE key = $1 AND ($2::text IS NULL OR version = $2) AND {LIVE} RETURNING key"""
KEYS = f"SELECT key FROM fanvue_entries WHERE starts_with(key, $1) AND {LIVE}"
SWEEP = "DELETE FROM fanvue_entries WHERE expires_at <= clock_timestamp()"


class PostgresStore:
    """A ``fanvue_async.stores.Store`` in one table; the pool stays yours to close."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Use a pool whose database has the table; `create` makes it."""
        self._pool = pool

    @classmethod
    async def create(cls, pool: asyncpg.Pool) -> Self:
        """Make the table if need be, and remove what expired while no program ran."""
        store = cls(pool)
        await store._fetch("create", TABLE)
        await store._fetch("create", SWEEP)
        return store

    async def get(self, key: str) -> Entry | None:
        """Return what ``key`` holds, or None."""
        rows = await self._fetch("get", GET, key)
        return Entry(rows[0]["value"], rows[0]["version"]) if rows else None

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        """Write ``value`` if the key has this version; return the new version or None."""
        new = secrets.token_hex(16)
        if isinstance(version, str):
            rows = await self._fetch("put", PUT_VERSION, key, value, new, expires_in, version)
        else:
            statement = PUT_ABSENT if version is ABSENT else PUT_ANY
            rows = await self._fetch("put", statement, key, value, new, expires_in)
        return new if rows else None

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        """Delete ``key`` if it has this version; return whether it did."""
        if version is ABSENT:
            return False
        held = version if isinstance(version, str) else None
        return bool(await self._fetch("delete", DELETE, key, held))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``."""
        for row in await self._fetch("keys", KEYS, prefix):
            yield row["key"]

    async def _fetch(
        self, name: str, statement: str, *values: str | bytes | float | None
    ) -> list[asyncpg.Record]:
        try:
            return await self._pool.fetch(statement, *values)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            cause = type(error).__name__  # its text may quote a value
        raise StoreError(f"PostgresStore.{name} failed", cause=cause)
