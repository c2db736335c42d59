"""What the client tells besides results: its log, the retry hook, the deprecation warning."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs
from multidict import istr

from fanvue_async.engine.headers import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger: logging.Logger = logging.getLogger("fanvue_async")
logger.addHandler(logging.NullHandler())

_DEPRECATION = istr("Deprecation")
_SUNSET = istr("Sunset")
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
    """What one client has told already, and whom it tells of retries."""

    def __init__(
        self,
        on_retry: Callable[[RetryEvent], None] | None = None,
        on_wait: Callable[[str, float], None] | None = None,
    ) -> None:
        self._on_retry = on_retry
        self._on_wait = on_wait
        self._deprecation_told = False
        self._hook_failure_told = False

    def retry(self, event: RetryEvent) -> None:
        """Log the retry and call the user's hook; one that raises is logged once and ignored."""
        logger.warning(
            "%s failed (%s), attempt %d; next in %.2f s",
            event.operation,
            event.status or event.error,
            event.attempt,
            event.wait,
        )
        if self._on_retry is None:
            return
        try:
            self._on_retry(event)
        except Exception as error:  # noqa: BLE001 - a bug of the user's must not change the result
            self._tell_hook_failure("on_retry", error)

    def rate_limit_wait(self, bucket: str, seconds: float) -> None:
        """Call the user's hook before a call waits for its bucket; one that raises is ignored."""
        logger.debug("waiting %.2f s for the rate limit", seconds)
        if self._on_wait is not None:
            try:
                self._on_wait(bucket, seconds)
            except Exception as error:  # noqa: BLE001 - likewise
                self._tell_hook_failure("on_wait", error)

    def deprecation(
        self, headers: Mapping[str, str], version: str, redact: Callable[[str], str]
    ) -> None:
        """Warn once when the API announces the end of this version.

        https://api.fanvue.com/docs/versions/overview
        """
        if self._deprecation_told or not (_DEPRECATION in headers or _SUNSET in headers):
            return
        self._deprecation_told = True
        logger.warning(
            "API version %s is deprecated (Deprecation: %s, Sunset: %s, next version: %s)",
            version,
            *(
                clean(redact(headers.get(name, "not given")), _HEADER_LENGTH)
                for name in (_DEPRECATION, _SUNSET, "X-Fanvue-API-Next-Version")
            ),
        )

    def _tell_hook_failure(self, name: str, error: Exception) -> None:
        if not self._hook_failure_told:
            self._hook_failure_told = True
            logger.error(
                "the %s hook raised; further failures are not logged", name, exc_info=error
            )
