"""A store in one file: many processes of one machine, nothing to install, nothing to run."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

from fanvue_async.errors import ClientStateError, ConfigurationError, StoreError
from fanvue_async.stores import ANY, Condition, Entry
from fanvue_async.stores.rules import (
    Owner,
    check_content,
    check_key,
    check_prefix,
    matches,
    new_version,
)

_T = TypeVar("_T")

_APPLICATION: Final = 0x464E5653  # "FNVS" tells our files from those of other programs
_SCHEMA: Final = 1
_MODE = 0o600
_PAGE = 500  # keys read at once
_SWEPT = 8  # expired rows removed by one put
_LEASE = 300.0  # what lives no longer than this is a lease to the rule about the clock
_SLACK = 1.0  # seconds by which a wall clock is adjusted in passing
_RETRY = 0.01
_TOGETHER = 100  # jobs that are done before others are asked for
_WAL = "PRAGMA journal_mode = WAL"

_CREATE = (
    """CREATE TABLE entries (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        version TEXT NOT NULL,
        written REAL NOT NULL,
        expires REAL
    )""",
    "CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_SCHEMA}",
)
# An entry from the future was written before the wall clock was set back. A lease would then be
# held for as long as the clock was wrong, so it counts as expired; what lives long is kept.
_LIVE = f"""(expires IS NULL OR (
    expires > :now AND (written <= :now + {_SLACK} OR expires - written > {_LEASE})
))"""
_GET = f"SELECT value, version FROM entries WHERE key = :key AND {_LIVE}"
_PUT = """INSERT INTO entries (key, value, version, written, expires)
    VALUES (:key, :value, :version, :now, :expires)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,
    written = excluded.written, expires = excluded.expires"""
_DELETE = "DELETE FROM entries WHERE key = :key"
_SWEEP = f"""DELETE FROM entries WHERE rowid IN (
    SELECT rowid FROM entries WHERE expires <= :now LIMIT {_SWEPT})"""
_KEYS = f"""SELECT key, {_LIVE} FROM entries
    WHERE key >= :prefix AND key > :last ORDER BY key LIMIT {_PAGE}"""


class SQLiteStore:
    """A `Store` in the file ``path``, for all processes of one machine.

    The file is made when the store is first used, with mode 0600, in a folder that must exist. It
    is in WAL mode with ``synchronous=FULL``: what `put` has returned survives a power failure.
    ``busy_timeout`` is how many seconds (0 to 3,600) a call waits in all for whoever else uses
    the file; then it raises `StoreError`. Not for network file systems.

    Close it with ``async with`` or `aclose`.

    Raises:
        ConfigurationError: ``path`` names no file, or ``busy_timeout`` is out of range.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 5.0,
        _clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if not self._path or self._path == ":memory:":
            raise ConfigurationError("SQLiteStore needs the path of a file; see MemoryStore")
        is_number = isinstance(busy_timeout, int | float)
        if not is_number or not 0 <= busy_timeout <= 3_600:  # noqa: PLR2004 - an hour
            raise ConfigurationError("busy_timeout must be 0 to 3,600 seconds")
        self._busy_timeout = busy_timeout
        self._owner = Owner("SQLiteStore")
        self._file = _File(self._path, _clock)
        # sqlite3 blocks, and its connections belong to the thread that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fanvue-sqlite")
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        """Return what ``key`` holds, or None."""
        check_key(key)
        return await self._run("get", lambda: self._file.get(key))

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
        work = self._file.putting(key, value, version, expires_in)
        del value  # the traceback of a failure may show the locals of this frame
        return await self._run("put", work, writes=True)

    async def delete(self, key: str, *, version: str | Condition = ANY) -> bool:
        """Delete ``key`` if it has this version; return whether it did."""
        check_key(key)
        return await self._run("delete", lambda: self._file.delete(key, version), writes=True)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """Iterate over the keys that begin with ``prefix``, in the order of their bytes."""
        check_prefix(prefix)
        last: str | None = ""
        while last is not None:
            found, last = await self._run("keys", self._file.listing(prefix, last))
            for key in found:
                yield key

    async def aclose(self) -> None:
        """Close the file; later calls raise `ClientStateError`."""
        self._owner.check()
        if not self._closed:
            self._closed = True
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown(wait=False)
            await asyncio.shield(closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._path!r}>"

    async def _run(self, name: str, work: Callable[[], _T], *, writes: bool = False) -> _T:
        """Do ``work`` on the store's thread; raise its failure here, without its frames."""
        self._owner.check()
        if self._closed:
            raise ClientStateError("this SQLiteStore is closed")
        job = _Job(work, time.monotonic() + self._busy_timeout, writes=writes)
        self._file.jobs.append(job)
        self._thread.submit(self._file.do_jobs)  # the first of several does all that are waiting
        outcome = await asyncio.wrap_future(job.outcome)
        if isinstance(outcome, _Failure):
            raise StoreError(f"SQLiteStore.{name} failed", cause=outcome.text)
        return outcome


class _Failure:
    """What went wrong on the store's thread, as text: exceptions would bring their frames."""

    def __init__(self, error: Exception) -> None:
        words = error.strerror if isinstance(error, OSError) else str(error)
        self.text = f"{type(error).__name__}: {words}"


class _Job(Generic[_T]):
    """Something to do on the store's thread, waiting for others up to ``until``."""

    def __init__(self, work: Callable[[], _T], until: float, *, writes: bool) -> None:
        self.work = work
        self.until = until
        self.writes = writes
        self.outcome: Future[_T | _Failure] = Future()


class _UnusableFileError(Exception):
    """The file is there and is not ours."""


class _File:
    """The database, as the store's thread sees it; every method runs there."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = Path(path)
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.jobs: deque[_Job[Any]] = deque()

    def do_jobs(self) -> None:
        """Do what is waiting; writes that wait together are one transaction.

        What a write costs is asking the disk, which is done once for all of them then. Calls that
        wait at the same time may take effect in any order.
        """
        waiting = [self.jobs.popleft() for _ in range(min(len(self.jobs), _TOGETHER))]
        wanted = [job for job in waiting if job.outcome.set_running_or_notify_cancel()]
        for job in wanted:
            if not job.writes:
                self._settle(job, job.work)
        writes = [job for job in wanted if job.writes]
        if len(writes) > 1 and self._settle_together(writes):
            return
        for job in writes:  # one of them failed, and the others may succeed without it
            self._settle(job, partial(self._transact, [job], []))

    def _settle(self, job: _Job[Any], work: Callable[[], Any]) -> None:
        try:
            job.outcome.set_result(self.attempt(work, job.until))
        except Exception as error:  # noqa: BLE001 - of a value that is none, say
            job.outcome.set_exception(error)

    def _settle_together(self, jobs: list[_Job[Any]]) -> bool:
        """Do all jobs, or none: False if each is to be tried alone."""
        outcomes: list[Any] = []
        try:
            failure = self.attempt(partial(self._transact, jobs, outcomes), jobs[0].until)
        except Exception:  # noqa: BLE001 - the job that it belongs to will raise it again
            return False
        if isinstance(failure, _Failure):
            if len(outcomes) < len(jobs):
                return False
            outcomes = [failure] * len(jobs)  # the end itself failed: what was written is unknown
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome.set_result(outcome)
        return True

    def _transact(self, jobs: list[_Job[Any]], outcomes: list[Any]) -> Any:
        """Do jobs in one transaction; return the outcome of the last one."""
        with self._writing():
            outcomes.extend(job.work() for job in jobs)
        return outcomes[-1]

    def attempt(self, work: Callable[[], _T], until: float) -> _T | _Failure:
        """Do ``work`` with an open file, waiting for others up to ``until`` on the clock."""
        try:
            self._open(until)
            return work()
        except (sqlite3.Error, OSError, _UnusableFileError) as error:
            if not _is_busy(error):
                self.close()  # the next call looks at the file anew
            return _Failure(error)

    def get(self, key: str) -> Entry | None:
        row = self._execute(_GET, key=key, now=self._clock()).fetchone()
        return None if row is None else Entry(row[0], row[1])

    def putting(
        self, key: str, value: bytes, version: str | Condition, expires_in: float | None
    ) -> Callable[[], str | None]:
        """Bind a put to its values."""

        def put() -> str | None:
            now = self._clock()
            self._execute(_SWEEP, now=now)
            if not matches(self.get(key), version):
                return None
            new = new_version()
            expires = None if expires_in is None else now + expires_in
            self._execute(_PUT, key=key, value=value, version=new, now=now, expires=expires)
            return new

        return put

    def delete(self, key: str, version: str | Condition) -> bool:
        entry = self.get(key)
        if entry is None or not matches(entry, version):
            return False
        self._execute(_DELETE, key=key)
        return True

    def listing(self, prefix: str, last: str) -> Callable[[], tuple[list[str], str | None]]:
        """Bind a page of keys to its values; it gives the keys, and None or the last one seen."""

        def page() -> tuple[list[str], str | None]:
            rows = self._execute(_KEYS, prefix=prefix, last=last, now=self._clock()).fetchall()
            found = [key for key, live in rows if live and key.startswith(prefix)]
            more = len(rows) == _PAGE and rows[-1][0].startswith(prefix)
            return found, rows[-1][0] if more else None

        return page

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: str, **values: Any) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(statement, values)

    @contextmanager
    def _writing(self) -> Generator[None]:
        assert self._connection is not None
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:  # goes on when the transaction is undone
            if self._connection.in_transaction:  # SQLite ends it itself when the disk is full
                self._execute("ROLLBACK")
            raise

    def _open(self, until: float) -> None:
        if self._connection is not None and _identity(self._path) != self._identity:
            self.close()  # somebody deleted the file, or put another one in its place
        if self._connection is None:
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE))
            # Before it is opened: if it is replaced in between, the next call opens the new one.
            self._identity = _identity(self._path)
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            try:
                self._prepare(until)
            except BaseException:  # goes on; one half prepared is of no use
                self.close()
                raise
        self._wait_until(until)

    def _wait_until(self, until: float) -> None:
        self._execute(f"PRAGMA busy_timeout = {max(0, int(1_000 * (until - time.monotonic())))}")

    def _prepare(self, until: float) -> None:
        self._wait_until(until)
        if not self._is_ours():
            raise _UnusableFileError("the file belongs to another program")
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                _restrict(self._path.with_name(self._path.name + suffix))
        self._switch_to_wal(until)
        self._execute("PRAGMA synchronous = FULL")
        # A deleted token is overwritten in the file. The -wal file keeps it until it is reused.
        self._execute("PRAGMA secure_delete = ON")
        with self._writing():
            schema = self._number("PRAGMA user_version")
            for statement in () if schema else _CREATE:
                self._execute(statement)
        if schema > _SCHEMA:
            raise _UnusableFileError("the file was written by a newer release of this package")

    def _is_ours(self) -> bool:
        # In this order: another process of ours may make the table, and so the mark, in between.
        empty = self._number("SELECT count(*) FROM sqlite_master") == 0
        application = self._number("PRAGMA application_id")
        return application == _APPLICATION or (application == 0 and empty)

    def _number(self, query: str) -> int:
        return int(self._execute(query).fetchone()[0])

    def _switch_to_wal(self, until: float) -> None:
        """Switch to WAL, in which writers don't wait for readers; here SQLite doesn't wait."""
        while True:
            try:
                mode = self._execute(_WAL).fetchone()[0]
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= until:
                    raise
                time.sleep(_RETRY)
            else:
                break
        if mode != "wal":
            raise _UnusableFileError("its file system does not support SQLite's WAL mode")


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _restrict(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        path.chmod(_MODE)
