"""`check_store`: hold a store of your own against what this package needs of one."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from fanvue_async.stores import ABSENT, Condition, Entry, Store

StoreSource: TypeAlias = Store | AbstractAsyncContextManager[Store]
"""A store, or what gives one to ``async with``."""

_WORKERS = 8
_INCREMENTS = 10
_KEYS = 600
_LIFE = 0.25
_CLOCK = 0.05  # seconds by which two clocks may differ over such a time
_PATIENCE = 20.0
_AWKWARD = ("*", "?", "[a]", "[^a]", "\\", "%", "_", "'", '"', " ", "ä", "💬", "{1}", "\n")


async def check_store(make_store: Callable[[], StoreSource | Awaitable[StoreSource]]) -> None:
    """Check the store that ``make_store`` makes: protocol, concurrency, cancellation and expiry.

    Use it in a test of yours; it takes a few seconds, and leaves nothing in the store::

        async def test_my_store():
            await check_store(lambda: MyStore(url))

    ``make_store`` is called twice. If both stores see the same entries, they are checked against
    each other as well.

    Raises:
        AssertionError: the store breaks a promise of `fanvue_async.stores.Store`; it says which.

    """
    async with _opened(make_store) as store, _opened(make_store) as other:
        prefix = f"check:{secrets.token_hex(8)}:"
        try:
            for check in _CHECKS:
                await check(store, f"{prefix}{check.__name__}:")
            await _two_handles(store, other, f"{prefix}two:")
        finally:
            for key in [key async for key in store.keys(prefix)]:
                await store.delete(key)


@contextlib.asynccontextmanager
async def _opened(
    make_store: Callable[[], StoreSource | Awaitable[StoreSource]],
) -> AsyncGenerator[Store]:
    made = make_store()
    source = await made if inspect.isawaitable(made) else made
    if isinstance(source, AbstractAsyncContextManager):
        async with source as store:
            yield store
    else:
        yield source


async def _values(store: Store, prefix: str) -> None:
    for value in (b"", b"\0", b"plain", bytes(range(256)) * 400):
        version = await _put(store, prefix + "value", value)
        assert await store.get(prefix + "value") == Entry(value, version), (
            f"get must return the {len(value)} bytes that put wrote, and the version it returned"
        )
    assert await store.get(prefix + "other") is None, "get must return None for an unknown key"


async def _compare_and_set(store: Store, prefix: str) -> None:
    key = prefix + "key"
    assert await store.put(key, b"1", version="0" * 32) is None, (
        "put must return None if a version is given and the key does not exist"
    )
    first = await _put(store, key, b"1", version=ABSENT)
    assert await store.put(key, b"2", version=ABSENT) is None, (
        "put with ABSENT must return None if the key exists"
    )
    second = await _put(store, key, b"2", version=first)
    assert await store.put(key, b"3", version=first) is None, (
        "put must return None for a version that is not the current one"
    )
    for version in ("", "*", "any", "absent", second[:-1]):
        assert await store.put(key, b"3", version=version) is None, (
            f"put must take the version {version!r} for a version and nothing else"
        )
    assert await store.get(key) == Entry(b"2", second), "a put that returned None must not write"


async def _versions(store: Store, prefix: str) -> None:
    key, seen = prefix + "key", set[str]()
    for _ in range(10):
        for version in [await _put(store, key, b"same"), await _put(store, key, b"same")]:
            assert version not in seen, "a version must never be used again, also after a delete"
            seen.add(version)
        await store.delete(key)
    for version in seen:
        assert await store.put(key, b"late", version=version) is None, (
            "put with the version of a deleted entry must return None"
        )


async def _deleting(store: Store, prefix: str) -> None:
    key = prefix + "key"
    assert await store.delete(key) is False, "delete must return False for an unknown key"
    version = await _put(store, key, b"1")
    assert await store.delete(key, version="0" * 32) is False, (
        "delete must return False for a version that is not the current one"
    )
    assert await store.delete(key, version=ABSENT) is False, "delete with ABSENT deletes nothing"
    assert await store.get(key) == Entry(b"1", version), (
        "a delete that returned False must not delete"
    )
    assert await store.delete(key, version=version) is True, "delete must return True"
    assert await store.get(key) is None, "a deleted key must be gone"
    await _put(store, key, b"2")
    assert await store.delete(key) is True, "delete without a version must delete any"


async def _expiry(store: Store, prefix: str) -> None:
    key = prefix + "short"
    await _put(store, prefix + "long", b"1", expires_in=3_600)
    await _put(store, prefix + "kept", b"1", expires_in=_LIFE)
    await _put(store, prefix + "kept", b"2")
    began = time.monotonic()
    version = await _put(store, key, b"1", expires_in=_LIFE)
    while await store.get(key) is not None:
        assert time.monotonic() < began + _PATIENCE, f"an entry of {_LIFE} s must expire"
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    assert took >= _LIFE - _CLOCK, f"an entry of {_LIFE} s was gone after {took:.3f} s"
    assert await store.put(key, b"2", version=version) is None, (
        "put with the version of an expired entry must return None"
    )
    assert await store.delete(key) is False, "delete must return False for an expired key"
    assert key not in [found async for found in store.keys(prefix)], (
        "keys must leave out what has expired"
    )
    assert await _put(store, key, b"2", version=ABSENT) != version, (
        "an expired key must count as ABSENT, and its version must not come again"
    )
    assert await store.get(prefix + "long") is not None, "an entry must not expire early"
    assert await store.get(prefix + "kept") is not None, (
        "put without expires_in must take the expiry of an earlier put away"
    )


async def _listing(store: Store, prefix: str) -> None:
    names = {f"{prefix}many:{number}" for number in range(_KEYS)}
    await asyncio.gather(*(_put(store, name, b"1") for name in names))
    found = [key async for key in store.keys(prefix + "many:")]
    assert len(found) == len(set(found)), "keys must give each key once"
    assert set(found) == names, "keys must give every key that begins with the prefix"
    assert [key async for key in store.keys(prefix + "none:")] == [], (
        "keys must give no key that does not begin with the prefix"
    )


async def _awkward_keys(store: Store, prefix: str) -> None:
    for text in _AWKWARD:
        await _put(store, f"{prefix}{text}end", text.encode())
    for text in _AWKWARD:
        entry = await store.get(f"{prefix}{text}end")
        assert entry is not None, f"a key may contain {text!r}"
        assert entry.value == text.encode(), f"{text!r} must mean itself in a key"
        assert [key async for key in store.keys(prefix + text)] == [f"{prefix}{text}end"], (
            f"{text!r} must mean itself in a prefix"
        )
    long = prefix + "x" * (1_000 - len(prefix))
    await _put(store, long, b"1")
    assert await store.get(long) is not None, "a key may be 1,000 characters long"
    assert await store.get(long[:-1]) is None, "all 1,000 characters of a key count"
    await _put(store, prefix + "Case", b"1")
    assert await store.get(prefix + "case") is None, "keys must be case-sensitive"


async def _races(store: Store, prefix: str) -> None:
    await _count_together([store], prefix + "counter")
    key = prefix + "one"
    won = await asyncio.gather(
        *(store.put(key, b"%d" % number, version=ABSENT) for number in range(_WORKERS))
    )
    assert sum(version is not None for version in won) == 1, (
        "of several puts with ABSENT at once exactly one must succeed"
    )
    version = next(version for version in won if version is not None)
    gone = await asyncio.gather(*(store.delete(key, version=version) for _ in range(_WORKERS)))
    assert sum(gone) == 1, "of several deletes at once exactly one must return True"


async def _cancels(store: Store, prefix: str) -> None:
    for turns in range(12):
        calls = [
            asyncio.ensure_future(store.put(prefix + "key", b"1")),
            asyncio.ensure_future(store.get(prefix + "key")),
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        version = await _put(store, f"{prefix}{turns}", b"%d" % turns)
        assert await store.get(f"{prefix}{turns}") == Entry(b"%d" % turns, version), (
            "after a cancelled call the next ones must get their own answers"
        )


async def _two_handles(store: Store, other: Store, prefix: str) -> None:
    version = await _put(store, prefix + "shared", b"1")
    if await other.get(prefix + "shared") is None:
        return  # each has a storage of its own
    assert await other.put(prefix + "shared", b"2", version=version) is not None, (
        "a version must mean the same to every store on one storage"
    )
    await _count_together([store, other], prefix + "counter")


async def _count_together(stores: list[Store], key: str) -> None:
    async def count(store: Store) -> None:
        for _ in range(_INCREMENTS):
            while True:
                entry = await store.get(key)
                value = b"%d" % (1 if entry is None else int(entry.value) + 1)
                known = ABSENT if entry is None else entry.version
                if await store.put(key, value, version=known) is not None:
                    break

    workers = [stores[number % len(stores)] for number in range(_WORKERS)]
    await asyncio.gather(*map(count, workers))
    entry = await stores[0].get(key)
    assert entry is not None
    assert int(entry.value) == _WORKERS * _INCREMENTS, (
        "increments by compare and set were lost: put must compare and write in one step"
    )


async def _put(
    store: Store,
    key: str,
    value: bytes,
    *,
    version: str | Condition | None = None,
    expires_in: float | None = None,
) -> str:
    if version is None:
        written = await store.put(key, value, expires_in=expires_in)
    else:
        written = await store.put(key, value, version=version, expires_in=expires_in)
    assert isinstance(written, str), "put must return the new version"
    assert written, "a version must not be empty"
    return written


_CHECKS = (
    _values,
    _compare_and_set,
    _versions,
    _deleting,
    _expiry,
    _listing,
    _awkward_keys,
    _races,
    _cancels,
)
