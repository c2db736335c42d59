"""Calls that fail, and a look at what they leave behind."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fanvue_async import FanvueError, Limits, RetryPolicy, Timeout
from support.leaks import shown_by
from support.raw_server import TOKEN
from support.users import USER

if TYPE_CHECKING:
    from collections.abc import Generator

    from fanvue_async import FanvueClient
    from support.raw_server import RawServer


async def error_of(client: FanvueClient) -> FanvueError:
    """Make a call that fails; its error must show neither its token nor another error."""
    with pytest.raises(FanvueError) as caught:
        await client.chats.create(USER)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert TOKEN not in shown_by(error)
    return error


async def failing_call(server: RawServer, **options: Any) -> FanvueError:
    """Make a call that fails, then one that succeeds on the only connection there may be."""
    options = {
        "limits": Limits(max_connections=1),
        "retry": RetryPolicy.never(),
        "timeout": Timeout(total=20, attempt=5),
        **options,
    }
    async with server.client(**options) as client:
        error = await error_of(client)
        assert (await client.chats.create(USER)).message == "created"
    assert await server.all_closed()
    return error


@contextmanager
def collecting_garbage() -> Generator[None]:
    """Collect what the block leaves: a future whose error nobody looked at reports it then."""
    gc.disable()  # so that all that the block makes is of the youngest generation
    try:
        yield
        gc.collect(0)
    finally:
        gc.enable()


def kilobytes(of: str = "VmRSS") -> int:
    """Read what memory this process takes, by default now."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{of}:")[2].split()[0])


def descriptors() -> int:
    """Count the open descriptors of this process, those of its servers included.

    Not counted is /dev/null, which uvloop keeps open from a loop's first connection on.
    """
    count = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a Path for each would open more
        try:
            count += os.readlink(f"/proc/self/fd/{name}") != os.devnull  # noqa: PTH115 - likewise
        except FileNotFoundError:  # of the listing itself
            continue
    return count
