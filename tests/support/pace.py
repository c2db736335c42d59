"""Clocks, waits and times for tests that a busy machine does not break."""

from __future__ import annotations

import functools
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_PACES = (1, 5, 25)


class Clock:
    """A clock that only goes when it is told to, ahead of the real one by less than a second."""

    def __init__(self) -> None:
        self.now = float(int(time.monotonic()) + 1)  # whole, so that floats add up

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


async def no_time(_: float) -> None:
    """Wait for a retry without waiting."""


def paced(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Run a test whose times are multiples of its argument ``pace``, first with short ones.

    What must happen before a timer fires may come too late on a busy machine. Then longer times
    tell a promise that is broken from a machine that was slow.
    """

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        for pace in _PACES:
            try:
                await test(*args, pace=pace, **kwargs)
            except (AssertionError, pytest.fail.Exception):
                if pace == _PACES[-1]:
                    raise
            else:
                return

    signature = inspect.signature(test)
    own = [each for name, each in signature.parameters.items() if name != "pace"]
    setattr(run, "__signature__", signature.replace(parameters=own))  # noqa: B010 - pytest reads it
    return run
