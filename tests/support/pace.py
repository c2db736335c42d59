"""Times for tests that a busy machine does not break."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_PACES = (1, 5, 25)


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
