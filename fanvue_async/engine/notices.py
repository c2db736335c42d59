"""What the client reports besides results: its log, the hooks, the deprecation warning."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Mapping

import attrs

from fanvue_async.engine.response_headers import DEPRECATION, SUNSET
from fanvue_async.log import PASSING, clean, guarded_logger

_HEADER_LENGTH = 200


@attrs.frozen
class RetryEvent:
    """What ``on_retry`` receives before each wait."""

    operation: str
    """The call, such as ``"POST /chats"``."""
    attempt: int
    """How many requests were tried so far."""
    wait: float
    """Seconds until the next attempt."""
    status: int | None
    """The status of the response, or None if there was no response."""
    error: str
    """The class name of the error that would be raised without a retry."""
    elapsed: float
    """Seconds since the call began."""


class Notices:
    """What one client has already reported, and its hooks."""

    def __init__(
        self,
        on_retry: Callable[[RetryEvent], None] | None = None,
        on_wait: Callable[[str, float], None] | None = None,
    ) -> None:
        self._on_retry = on_retry
        self._on_wait = on_wait
        self._deprecation_told = False
        self._hook_failure_told = False
        self._unexpected_told = False
        self.log: Callable[..., None] = guarded_logger().log
        """Logs; what the application's logging raises changes no call's result."""

    def attempt(self, operation: str, outcome: int | str, seconds: float, number: int) -> None:
        """Log how an attempt ended: its status, or the class of its error."""
        text = "%s -> %s in %.0f ms, attempt %d"
        self.log(logging.DEBUG, text, operation, outcome, seconds * 1000, number)

    def unexpected(self, operation: str, kind: str | None, frames: str) -> None:
        """Log the first unexpected exception: its class and the frames it came through."""
        if not self._unexpected_told:
            self._unexpected_told = True
            self.log(
                logging.ERROR,
                "%s met an unexpected %s, which came through%s\nfurther ones are not logged",
                operation,
                kind,
                frames,
            )

    def retry(self, event: RetryEvent) -> None:
        """Log the retry and call the user's hook; one that raises is logged once and ignored."""
        self.log(
            logging.WARNING,
            "%s failed (%s), attempt %d; next in %.2f s",
            event.operation,
            event.status or event.error,
            event.attempt,
            event.wait,
        )
        if self._on_retry is not None:
            self._call_hook("on_retry", self._on_retry, event)

    def rate_limit_wait(self, bucket: str, seconds: float) -> None:
        """Call the user's hook before a call waits for its bucket; one that raises is ignored."""
        self.log(logging.DEBUG, "waiting %.2f s for the rate limit", seconds)
        if self._on_wait is not None:
            self._call_hook("on_wait", self._on_wait, bucket, seconds)

    def deprecation(
        self, headers: Mapping[str, str], version: str, redact: Callable[[str], str]
    ) -> None:
        """Warn once that the API announces the end of this version.

        https://api.fanvue.com/docs/versions/overview
        """
        if self._deprecation_told:
            return
        self._deprecation_told = True
        self.log(
            logging.WARNING,
            "API version %s is deprecated (Deprecation: %s, Sunset: %s, next version: %s)",
            version,
            *(
                clean(redact(headers.get(name, "not given")), _HEADER_LENGTH)
                for name in (DEPRECATION, SUNSET, "X-Fanvue-API-Next-Version")
            ),
        )

    def _call_hook(self, name: str, hook: Callable[..., object], *values: object) -> None:
        """Call the user's code; whatever it raises changes no call's result."""
        try:
            returned = hook(*values)
            if inspect.iscoroutine(returned):
                returned.close()
                raise TypeError(f"{name} must be a plain function")  # noqa: TRY301 - told below
        except PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see above
            if not self._hook_failure_told:
                self._hook_failure_told = True
                self.log(
                    logging.ERROR,
                    "the %s hook raised; further failures are not logged\n%s",
                    name,
                    traceback.format_exc(),
                )
