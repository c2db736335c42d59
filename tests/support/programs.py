"""Examples run as programs of their own, the way a user runs them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class Program:
    """A Python program that runs, with every warning an error and asyncio's debug mode on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def read_until(self, text: str) -> str:
        """Read its output up to the line that holds ``text``; return that line."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if text in (read := line.decode()):
                return read
        raise AssertionError(f"the program ended without {text!r}")

    async def finish(self) -> str:
        """Wait for its end and return the rest of its output."""
        output, _ = await self.process.communicate()
        return output.decode()


@asynccontextmanager
async def started(*arguments: str | Path, **environment: str) -> AsyncGenerator[Program]:
    """Start ``python …`` in the folder of the examples; kill it if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", *arguments),
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Program(process)
    finally:
        with suppress(ProcessLookupError):  # with its children, which hold its output open
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


def complaints(errors: str) -> str:
    """Leave out what asyncio's debug mode says of a slow machine."""
    return re.sub(r"Executing <.*> took [0-9.]+ seconds\n", "", errors)


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what another process is about to do; the test's own timeout bounds it."""
    while not reached():  # noqa: ASYNC110 - another process sets no event of ours
        await asyncio.sleep(0.002)


def assert_clean(output: str) -> None:
    """Fail if a program left something open or undone."""
    for sign in ("Unclosed", "unclosed", "Traceback", "Exception ignored", "never", "destroyed"):
        assert sign not in output, output
