"""The package's logger, and words that may be logged.

A handler or filter that fails changes no result.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any

PASSING = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end a program or a task, and are no result of a call."""

_FRAMES = -4


class GuardedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that raises nothing: handlers and filters are the application's.

    As logging itself does with a handler that fails, a filter that does is reported on standard
    error, the first time, unless ``logging.raiseExceptions`` is off.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})
        self._has_told = False

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, or say once that it cannot be done."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # who logs is not this method
        try:
            super().log(level, msg, *args, **kwargs)
        except PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see above
            if not self._has_told and logging.raiseExceptions:
                self._has_told = True
                with suppress(Exception):  # there may be no standard error
                    print("fanvue_async could not log:", file=sys.stderr)  # noqa: T201 - see above
                    traceback.print_exc(limit=_FRAMES)


def guarded_logger() -> GuardedLogger:
    """Make a logger of the package, which reports its own failures once."""
    return GuardedLogger(logging.getLogger("fanvue_async"))


def clean(text: str, length: int) -> str:
    """Make foreign text safe for a terminal or a log: one line, printable, not too long."""
    text = text[: length + 1]
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    return text if len(text) <= length else text[: length - 1] + "…"


logging.getLogger("fanvue_async").addHandler(logging.NullHandler())
logger: GuardedLogger = guarded_logger()
