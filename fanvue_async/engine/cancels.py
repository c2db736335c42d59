"""Whose a cancel is, and what goes on whatever is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


def cancels() -> int:
    """Count the cancels that somebody asked this task for, the call's own included.

    Others come out of something that tasks share, such as a refresh that one of them ended.
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


async def settled_cancels() -> int:
    """Count them, when those that were asked for have been raised.

    A task that cancels itself learns of it in its next wait, which would then seem to be at fault.
    """
    known = cancels()
    if known:
        await asyncio.sleep(0)
    return known


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await ``work``, which goes on if the caller is cancelled."""
    await asyncio.shield(kept(work))


def kept(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start ``work`` in a task that is not collected while it runs."""
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task
