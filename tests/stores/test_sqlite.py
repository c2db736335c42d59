"""The store in a file: what it does to the file, and what the file may do to it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.programs import until

from fanvue_async import ConfigurationError, StoreError
from fanvue_async.stores import ABSENT, SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class _Clock:
    """A wall clock that somebody may set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that does not exist."""
    return tmp_path / "fanvue.db"


@pytest.fixture
def clock() -> _Clock:
    """Give the store's clock."""
    return _Clock()


@pytest.fixture
async def store(path: Path, clock: _Clock) -> AsyncIterator[SQLiteStore]:
    """Open a store that waits for nobody for long."""
    async with SQLiteStore(path, busy_timeout=0.2, _clock=clock) as made:
        yield made


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


# The file


async def test_only_its_owner_can_read_the_file(path: Path, store: SQLiteStore) -> None:
    """Database, log and index have mode 0600, whatever the umask."""
    previous = os.umask(0)
    try:
        await store.put("key", b"1")
        assert [_mode(file) for file in _files(path)] == [0o600] * 3
    finally:
        os.umask(previous)


async def test_a_file_that_others_can_read_is_closed_to_them(path: Path) -> None:
    """What somebody's umask or copy opened is set right when the store is opened."""
    async with SQLiteStore(path) as store:
        await store.put("key", b"1")
        for file in _files(path):
            file.chmod(0o644)
        async with SQLiteStore(path) as other:
            assert await other.get("key") is not None
            assert [_mode(file) for file in _files(path)] == [0o600] * 3


async def test_what_put_has_returned_is_on_the_disk(path: Path, store: SQLiteStore) -> None:
    """The file is in WAL mode, written with full synchronization, and overwritten by deletes."""
    await store.put("key", b"1")

    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file = store._file
    names = ("synchronous", "secure_delete", "user_version")
    assert await store._run("look", lambda: [file._number(f"PRAGMA {n}") for n in names]) == [
        2,
        1,
        1,
    ]


async def test_a_file_deleted_under_the_store_is_made_anew(path: Path, store: SQLiteStore) -> None:
    """A store never writes into a file that no path leads to any more."""
    await store.put("key", b"1")
    for file in _files(path):
        file.unlink()

    assert await store.get("key") is None
    await store.put("key", b"2")
    async with SQLiteStore(path) as other:
        entry = await other.get("key")
    assert entry is not None
    assert entry.value == b"2"


@pytest.mark.parametrize("late", [False, True])
async def test_a_file_replaced_while_it_is_opened_is_opened_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """Whether its path or its content is looked at first, they are those of one file."""
    connect = sqlite3.connect

    def slow(name: Path, **options: Any) -> sqlite3.Connection:
        monkeypatch.undo()
        early = None if late else connect(name, **options)
        path.rename(path.with_suffix(".old"))  # else the new one may get the old one's number
        path.touch(0o600)
        connection: sqlite3.Connection = early or connect(name, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", slow)
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        with suppress(StoreError):
            await store.put("lost", b"1")
        await other.put("key", b"2")
        entry = await store.get("key")
    assert entry is not None
    assert entry.value == b"2"


def _write(path: Path, content: bytes) -> None:
    """Put a new file in the place of one that may be open."""
    path.unlink()
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("this is no database, and long enough to be one " * 100)


def _another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")


def _another_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")


def _folder(path: Path) -> None:
    path.mkdir()


def _content(path: Path) -> bytes:
    return b"" if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize("make", [_text, _another_program, _another_application, _folder])
async def test_a_file_that_is_not_ours_is_left_alone(
    path: Path, store: SQLiteStore, make: object
) -> None:
    """It is a StoreError, and neither its content nor its mode changes."""
    assert callable(make)
    make(path)
    before = _content(path), _mode(path)

    for _ in range(2):
        with pytest.raises(StoreError, match=r"SQLiteStore\.put failed"):
            await store.put("key", b"1")

    assert (_content(path), _mode(path)) == before


async def test_a_file_of_a_newer_release_is_left_alone(path: Path, store: SQLiteStore) -> None:
    """Its tables may mean something else, so it is refused."""
    await store.put("key", b"1")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")

    async with SQLiteStore(path) as later:
        with pytest.raises(StoreError, match="newer release"):
            await later.get("key")


async def test_a_corrupt_file_is_told_and_its_copy_helps(path: Path) -> None:
    """What SQLite finds damaged is a StoreError; a good file in its place is read again."""
    async with SQLiteStore(path) as store:
        await store.put("key", b"1")
    good = _content(path)
    _write(path, good[:100] + b"\xff" * (len(good) - 100))

    async with SQLiteStore(path) as store:
        with pytest.raises(StoreError):
            await store.get("key")
        _write(path, good)
        assert await store.get("key") is not None


async def test_a_file_system_without_shared_memory_is_refused(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLite cannot switch to WAL, processes could not share the file."""
    monkeypatch.setattr("fanvue_async.stores.sqlite._WAL", "PRAGMA journal_mode = MEMORY")

    with pytest.raises(StoreError, match="WAL"):
        await store.get("key")


@pytest.mark.parametrize("path", ["", ":memory:", None, 3])
def test_a_store_needs_a_file(path: Any) -> None:
    """A database in memory would be forgotten, and seen by one process only."""
    with pytest.raises(ConfigurationError, match="MemoryStore"):
        SQLiteStore(path)


@pytest.mark.parametrize("seconds", [-1, float("nan"), 3_601, None])
def test_a_wait_is_bounded(path: Path, seconds: Any) -> None:
    """Waiting for others for ever is refused."""
    with pytest.raises(ConfigurationError, match="busy_timeout"):
        SQLiteStore(path, busy_timeout=seconds)


# Others who use it


async def test_a_file_locked_by_others_is_waited_for(path: Path) -> None:
    """A call succeeds when the lock goes in time."""
    async with SQLiteStore(path) as store:
        await store.put("key", b"1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            waiting = asyncio.create_task(store.put("key", b"2"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            other.execute("COMMIT")
        assert await waiting is not None


async def test_a_file_that_stays_locked_is_told(path: Path, store: SQLiteStore) -> None:
    """All calls that wait end after one busy_timeout, and the store recovers by itself."""
    await store.put("key", b"1")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = asyncio.get_running_loop().time()
        ends = await asyncio.gather(
            *(store.put("key", b"2") for _ in range(50)), return_exceptions=True
        )
        took = asyncio.get_running_loop().time() - began
        entry = await store.get("key")
        other.execute("ROLLBACK")

    assert {str(end) for end in ends} == {
        "SQLiteStore.put failed (OperationalError: database is locked)"
    }
    assert took < 50 * 0.2  # not one after the other
    assert entry is not None  # readers wait for nobody
    assert await store.put("key", b"2") is not None


@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
async def test_a_file_locked_while_it_is_opened_is_told(
    path: Path, store: SQLiteStore, lock: str
) -> None:
    """Another program that holds the empty file is waited for as long as for any call."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        with pytest.raises(StoreError, match="locked"):
            await store.get("key")
    assert await store.get("key") is None


async def test_a_full_disk_is_told_and_recovered_from(store: SQLiteStore) -> None:
    """What does not fit is a StoreError, loses nothing, and leaves no lock behind."""
    await store.put("key", b"1")
    pages = await store._run("look", lambda: store._file._number("PRAGMA page_count"))
    await store._run("set", lambda: store._file._execute(f"PRAGMA max_page_count = {pages}"))

    # SQLite ends the transaction itself, so that now and then it is the commit that fails.
    with pytest.raises(StoreError, match=r"full|no transaction is active"):
        await store.put("large", b"x" * 100_000)

    assert await store.get("key") is not None
    assert await store.put("large", b"x" * 100_000) is not None  # on a connection without limit


async def test_a_statement_that_fails_leaves_no_lock(store: SQLiteStore) -> None:
    """What SQLite says is told, and the next call succeeds."""
    with pytest.raises(StoreError, match="syntax error"):
        await store._run("put", lambda: store._file._execute("NOT SQL"), writes=True)

    assert await store.put("key", b"1") is not None


async def test_many_may_make_the_file_at_once(tmp_path: Path) -> None:
    """Who finds a table that was made in this very moment does not take it for a stranger's."""

    async def use(path: Path) -> str | None:
        async with SQLiteStore(path, busy_timeout=30) as store:
            return await store.put("key", b"1")

    for number in range(20):
        made = await asyncio.gather(*(use(tmp_path / f"{number}.db") for _ in range(8)))
        assert len(set(made)) == 8


async def test_processes_lose_no_increment(path: Path, store: SQLiteStore) -> None:
    """Compare and set holds between processes; the long form is soak.py."""
    code = """if 1:
        import asyncio, sys
        from fanvue_async.stores import ABSENT, SQLiteStore

        async def main():
            async with SQLiteStore(sys.argv[1], busy_timeout=30) as store:
                for _ in range(25):
                    while True:
                        entry = await store.get("count")
                        known = ABSENT if entry is None else entry.version
                        value = b"%d" % (1 if entry is None else int(entry.value) + 1)
                        if await store.put("count", value, version=known) is not None:
                            break

        asyncio.run(main())
    """
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path))
        for _ in range(4)
    ]

    assert [await process.wait() for process in processes] == [0] * 4
    entry = await store.get("count")
    assert entry is not None
    assert entry.value == b"100"


async def test_a_killed_process_leaves_no_lock(path: Path, store: SQLiteStore) -> None:
    """After kill -9 in the middle of a transaction the others go on at once."""
    await store.put("key", b"1")
    code = f"""if 1:
        import sqlite3, time
        held = sqlite3.connect({str(path)!r}, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        open({str(path) + ".ready"!r}, "w").close()
        time.sleep(60)
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await until(path.with_name(path.name + ".ready").exists)
    process.kill()
    await process.wait()

    assert await store.put("key", b"2") is not None


# The clock


async def test_a_clock_set_back_ends_leases_and_keeps_the_rest(
    store: SQLiteStore, clock: _Clock
) -> None:
    """A lease from the future would be held for as long as the clock was wrong."""
    await store.put("lease", b"1", expires_in=30)
    await store.put("mark", b"1", expires_in=30 * 86_400)
    await store.put("grant", b"1")

    clock.now -= 0.5  # as a time service does
    assert await store.get("lease") is not None

    clock.now -= 3_600
    assert await store.get("lease") is None
    assert await store.put("lease", b"2", version=ABSENT, expires_in=30) is not None
    assert await store.get("mark") is not None
    assert await store.get("grant") is not None


async def test_what_has_expired_is_removed_a_few_rows_at_a_time(
    store: SQLiteStore, clock: _Clock
) -> None:
    """Each put removes some, so that the file does not grow and no put takes long."""

    async def rows() -> int:
        return await store._run("look", lambda: store._file._number("SELECT count(*) FROM entries"))

    for number in range(20):
        await store.put(f"{number}", b"1", expires_in=10)
    clock.now += 11
    counts = [await rows()]
    for _ in range(4):
        await store.put("kept", b"1")
        counts.append(await rows())

    assert counts == [20, 13, 5, 1, 1]


async def test_keys_go_on_behind_a_page(store: SQLiteStore) -> None:
    """A listing that is longer than what is read at once gives every key in its order."""
    for number in range(3):
        await store.put(f"j{number}", b"1")
        await store.put(f"l{number}", b"1")
    for start in range(0, 1_000, 100):
        await asyncio.gather(*(store.put(f"k{start + n:04}", b"1") for n in range(100)))

    assert [key async for key in store.keys("k")] == [f"k{number:04}" for number in range(1_000)]
    assert len([key async for key in store.keys("")]) == 1_006


async def test_writes_that_wait_together_are_one_transaction(store: SQLiteStore) -> None:
    """The disk is asked once for all of them; each has its own outcome."""
    await store.put("taken", b"")
    began: list[str] = []
    execute = store._file._execute

    def counting(statement: str, **values: Any) -> Any:
        began.extend([statement] * statement.startswith("BEGIN"))
        return execute(statement, **values)

    store._file._execute = counting  # type: ignore[method-assign] # of this one object
    outcomes = await asyncio.gather(
        *(store.put(f"key-{number}", b"", version=ABSENT) for number in range(50)),
        store.put("taken", b"", version=ABSENT),
        store.delete("taken"),
    )

    assert len(set(outcomes[:50])) == 50
    assert outcomes[50:] == [None, True]
    assert len(began) <= 3  # the first one may have left before the others came


async def test_a_write_that_fails_takes_no_other_with_it(store: SQLiteStore) -> None:
    """Those that waited with it are done alone."""
    outcomes: list[Any] = await asyncio.gather(
        *(store.put(f"key-{number}", b"") for number in range(10)),
        store._run("put", lambda: store._file._execute("NOT SQL"), writes=True),
        *(store.put(f"more-{number}", b"") for number in range(10)),
        return_exceptions=True,
    )

    assert isinstance(outcomes[10], StoreError)
    assert all(isinstance(outcome, str) for outcome in [*outcomes[:10], *outcomes[11:]])


async def test_an_unknown_failure_is_raised_where_it_belongs(store: SQLiteStore) -> None:
    """A key condition of a wrong type, say, hangs nobody up."""
    works: Any = [lambda: 1, lambda: 1 / 0, lambda: 2]
    outcomes = await asyncio.gather(
        *(store._run("work", work, writes=True) for work in works), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [int, ZeroDivisionError, int]


async def test_a_transaction_that_cannot_end_fails_for_all(store: SQLiteStore) -> None:
    """Nobody knows then what was written, so none of them is tried again."""
    await store.put("key", b"")
    execute = store._file._execute

    def failing(statement: str, **values: Any) -> Any:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return execute(statement, **values)

    store._file._execute = failing  # type: ignore[method-assign] # likewise
    outcomes = await asyncio.gather(
        *(store.put(f"key-{number}", b"") for number in range(10)), return_exceptions=True
    )
    store._file._execute = execute  # type: ignore[method-assign] # likewise

    assert {type(outcome) for outcome in outcomes} == {StoreError}
    assert [key async for key in store.keys("")] == ["key"]
