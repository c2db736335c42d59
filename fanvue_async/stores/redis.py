"""A store in Redis, for programs on many machines; needs ``fanvue-async[redis]``."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from fanvue_async.errors import ConfigurationError, StoreError
from fanvue_async.log import logger as _logger
from fanvue_async.stores import ABSENT, ANY, Condition, Entry
from fanvue_async.stores.rules import (
    VERSION_LENGTH,
    Owner,
    check_content,
    check_key,
    check_prefix,
    new_version,
)

# A key of Redis holds the version, always of the same length, and then the value. KEYS[1]: the
# key; ARGV: "*" or "=" and the version that it must have (that of a key that does not exist is
# empty), the new content ("": delete it) and its life in milliseconds ("": for ever). The client
# repeats a command whose response was lost: the second time the key has the new version already.
_WRITE: Final = f"""
local held = redis.call('GETRANGE', KEYS[1], 0, {VERSION_LENGTH - 1})
local content = ARGV[2]
if content ~= '' and held == string.sub(content, 1, {VERSION_LENGTH}) then return 1 end
if ARGV[1] ~= '*' and '=' .. held ~= ARGV[1] then return 0 end
if content == '' then return redis.call('DEL', KEYS[1]) end
if ARGV[3] == '' then
    redis.call('SET', KEYS[1], content)
else
    redis.call('SET', KEYS[1], content, 'PX', ARGV[3])
end
return 1
"""
_GLOB = re.compile(r"([\\*?\[\]])")
# What keeps Redis from forgetting what it has confirmed, and what it forgets without it.
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
_AT_ONCE = 32  # commands in flight, each on a connection of its own
_SCANNED = 1_000  # keys that Redis looks at in one step


class RedisStore:
    """A `Store` in Redis, for programs on many machines; its clock is the server's.

    ``client`` is yours: closing this store does not close it. It must return bytes, so one with
    ``decode_responses=True`` is refused. All keys begin with ``prefix``.

    With its default settings Redis forgets confirmed writes when it is killed. Tokens and bulk
    work need ``appendonly yes``, ``appendfsync always`` and ``maxmemory-policy noeviction``; a
    server with other settings, or one that does not show them, is logged as a WARNING once.

    Raises:
        ConfigurationError: ``client`` is no ``redis.asyncio.Redis`` that returns bytes.

    """

    def __init__(self, client: Redis, *, prefix: str = "fanvue:") -> None:
        if not isinstance(client, Redis):
            raise ConfigurationError("RedisStore needs a redis.asyncio.Redis")
        self._client = cast("Any", client)  # redis-py's own annotations are partial
        if self._client.get_encoder().decode_responses:
            raise ConfigurationError("RedisStore needs a client with decode_responses=False")
        check_prefix(prefix)
        self._prefix = prefix
        self._write = client.register_script(_WRITE)
        self._owner = Owner("RedisStore")
        self._looked = False
        # redis-py does not wait for a connection: beyond its limit it raises.
        self._slots = asyncio.Semaphore(min(_AT_ONCE, client.connection_pool.max_connections))

    async def get(self, key: str) -> Entry | None:
        """Return what ``key`` holds, or None."""
        check_key(key)
        content = await self._ask("get", lambda: self._client.get(self._name(key)))
        return None if content is None else _entry(content)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        version: str | Condition = ANY,
        expires_in: float | None = None,
    ) -> str | None:
        """Write ``value`` if the key has this version; return the new version or None."""
        check_key(key)
        check_content(value, expires_in)
        new = new_version()
        life = "" if expires_in is None else str(math.ceil(1_000 * expires_in))
        writing = self._changing(key, version, new.encode() + value, life)
        del value  # the traceback of a failure may show the locals of this frame
        return new if await self._ask("put", writing) else None

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        """Delete ``key`` if it has this version; return whether it did."""
        check_key(key)
        if version is ABSENT:
            return False
        return bool(await self._ask("delete", self._changing(key, version, b"", "")))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``."""
        check_prefix(prefix)
        pattern = _GLOB.sub(r"\\\1", self._prefix + prefix) + "*"
        seen, cursor = set[bytes](), None
        while cursor != 0:
            cursor, names = await self._ask("keys", self._scanning(pattern.encode(), cursor or 0))
            for name in set(names) - seen:  # SCAN may give a key more than once
                seen.add(name)
                yield name.decode()[len(self._prefix) :]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the client open: it belongs to whoever made it."""

    def __repr__(self) -> str:
        return f"<RedisStore {self._prefix!r}>"

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode()

    def _changing(
        self, key: str, version: str | Condition, content: bytes, life: str
    ) -> Callable[[], Awaitable[Any]]:
        held = "*" if version is ANY else "=" if version is ABSENT else f"={version or '-'}"
        return lambda: self._write(keys=[self._name(key)], args=[held, content, life])

    def _scanning(self, pattern: bytes, cursor: int) -> Callable[[], Awaitable[Any]]:
        return lambda: self._client.scan(cursor, match=pattern, count=_SCANNED)

    async def _ask(self, name: str, command: Callable[[], Awaitable[Any]]) -> Any:
        """Run a command; raise its failure here, without its frames."""
        self._owner.check()
        try:
            async with self._slots:
                await self._look_at_settings()
                return await command()
        except (RedisError, OSError) as error:
            failure = f"{type(error).__name__}: {error}"
        raise StoreError(f"RedisStore.{name} failed", cause=failure)

    async def _look_at_settings(self) -> None:
        """Log once if the server may forget what it has confirmed."""
        if self._looked:
            return
        try:
            wrong = [
                f"{name} {value}"
                for name, durable in _DURABLE.items()
                if (value := (await self._client.config_get(name)).get(name)) != durable
            ]
        except ResponseError:
            wrong = ["unknown settings"]
        if wrong and not self._looked:
            _logger.warning(
                "Redis may forget what it has confirmed (%s): tokens and bulk work need %s",
                ", ".join(wrong),
                ", ".join(f"{name} {value}" for name, value in _DURABLE.items()),
            )
        self._looked = True


def _entry(content: bytes) -> Entry:
    return Entry(content[VERSION_LENGTH:], content[:VERSION_LENGTH].decode("ascii", "replace"))
