"""Real database servers, each in a folder of its own and on a socket in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.asyncio import Redis

if TYPE_CHECKING:
    from collections.abc import Generator

REQUIRED = "FANVUE_REQUIRE_SERVERS"
DURABLE = (
    *("--appendonly", "yes"),
    *("--appendfsync", "always"),
    *("--maxmemory-policy", "noeviction"),
)
_PATIENCE = 30


class RedisServer:
    """A Redis that can be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/redis.sock"

    def start(self) -> None:
        """Start it and wait until it answers."""
        socket = self._folder / "redis.sock"
        command = [_binary("redis-server"), "--port", "0", "--unixsocket", str(socket)]
        command += ["--dir", str(self._folder), "--save", "", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
        _wait_for([_binary("redis-cli"), "-s", str(socket), "ping"], b"PONG")

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis_server(*options: str) -> Generator[RedisServer]:
    """Run a Redis whose settings are the default ones but for ``options``."""
    with _folder() as folder:
        server = RedisServer(folder, *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def redis_client(url: str, **options: Any) -> Redis:
    """Make a client; redis-py's own annotations are partial."""
    return cast("Any", Redis).from_url(url, **options)  # type: ignore[no-any-return] # it has no types of use


@contextmanager
def postgres_server() -> Generator[str]:
    """Run a PostgreSQL and give the address of its database."""
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with _folder() as folder:
        shutil.chown(folder, user)
        data = folder / "data"
        settings = ["-A", "trust", "-U", "fanvue", "--no-sync", "--no-instructions"]
        subprocess.run(  # noqa: S603 - our own command
            [_binary("initdb"), "-D", str(data), *settings],
            user=user,
            check=True,
            capture_output=True,
            cwd=folder,
        )
        process = subprocess.Popen(  # noqa: S603 - our own command
            [_binary("postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="],
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            _wait_for([_binary("pg_isready"), "-h", str(folder)], b"accepting")
            yield f"postgresql://fanvue@/postgres?host={folder}"
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _folder() -> Generator[Path]:
    """Make a folder whose name is short enough for that of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="fv"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binary(name: str) -> str:
    """Find a server's program; without it the test is skipped, or fails where it must run."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if found is None:
        reason = f"{name} is not installed (Debian: apt-get install redis-server postgresql)"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{reason}, and {REQUIRED} is set")
        pytest.skip(reason)
    return found


def _wait_for(command: list[str], answer: bytes) -> None:
    until = time.monotonic() + _PATIENCE
    while answer not in subprocess.run(command, capture_output=True, check=False).stdout:  # noqa: S603 - a program of the tests
        assert time.monotonic() < until, f"{command[0]} got no answer"
        time.sleep(0.02)
