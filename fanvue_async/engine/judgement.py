"""What is known about a call, and what each of its attempts means."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine import wire
from fanvue_async.engine.answers import Answer, api_error
from fanvue_async.engine.failures import Failure
from fanvue_async.engine.headers import DEPRECATION, SUNSET
from fanvue_async.engine.retry import TRANSIENT_STATUSES, Outcome, may_repeat
from fanvue_async.log import logger

if TYPE_CHECKING:
    from fanvue_async.engine.accounts import Bucket
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.exchange import Exchange
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.pool import Pool
    from fanvue_async.engine.terms import Terms

T = TypeVar("T")
_UNAUTHORIZED = 401


class Judged(Generic[T]):
    """What is known about a call, and what its newest attempt means."""

    __slots__ = (
        "_unknown",
        "attempt_started",
        "attempts",
        "bearer",
        "bucket",
        "exchange",
        "pool",
        "request",
        "terms",
        "unauthorized",
    )

    def __init__(self, terms: Terms, request: Request[T]) -> None:
        self.terms: Terms = terms
        self.pool: Pool = terms.pool
        self.request: Request[T] = request
        self._unknown = False  # whether an earlier attempt may have been processed
        self.attempts: int = 0
        self.attempt_started: float = 0
        """When the newest attempt that had a connection began."""
        self.bucket: Bucket | None = None
        # What follows is about the newest attempt.
        self.bearer: Bearer | None = None
        self.exchange: Exchange | None = None
        self.unauthorized: bool = False
        """Whether the API answered 401."""

    def begin(self) -> None:
        """Forget the attempt before."""
        self.exchange = None
        self.unauthorized = False

    @property
    def was_tried(self) -> bool:
        """Whether the newest attempt got as far as an exchange."""
        return self.exchange is not None

    @property
    def left(self) -> bool:
        """Whether any byte of the newest attempt was handed to the network."""
        return self.exchange is not None and self.exchange.body.left

    def judge(self, result: Answer | Failure, started: float) -> Outcome[T]:
        """Turn the result of an exchange into a value or a typed error."""
        self.attempt_started = started
        if self.exchange is not None and logger.isEnabledFor(logging.DEBUG):
            self._log(result, started)
        if isinstance(result, Failure):
            return self.failed(result)
        assert self.bucket is not None
        self.bucket.note(result.headers)
        result.attempts = self.attempts
        if DEPRECATION in result.headers or SUNSET in result.headers:
            version = self.pool.origin.api_version
            self.pool.notices.deprecation(result.headers, version, self._redact)
        if not result.succeeded:
            return self._refused(result)
        try:
            value = self.request.read(result)
        except wire.MalformedBodyError as error:
            failure = Failure(errors.DecodeError, f"the response body is {error}")
        else:
            self.bucket.quota.refund()
            return Outcome(value)
        return self.failed(failure)

    def failed(self, failure: Failure) -> Outcome[T]:
        """Make the error of an attempt without a usable response."""
        left = self.left
        self._note_sent(sent=left)
        if failure.unexpected is not None:
            self.pool.notices.unexpected(self.request.name, failure.cause, failure.unexpected)
        error = failure.error(
            failure.message,
            operation=self.request.name,
            attempts=self.attempts,
            maybe_processed=self._unknown,
            cause=self._redact(failure.cause) if failure.cause else None,
            **failure.details,
        )
        repeatable = failure.transient and self._may_repeat(left=left)
        return Outcome(error=error, repeatable=repeatable, stale=failure.stale)

    def _refused(self, answer: Answer) -> Outcome[T]:
        """Make the error of a response whose status is not a success."""
        status = answer.status
        self._note_sent(sent=not 400 <= status < 500)  # noqa: PLR2004 - 4xx
        self.unauthorized = status == _UNAUTHORIZED
        error = api_error(
            answer,
            redact=self._redact,
            bare_message=self.request.bare_message,
            operation=self.request.name,
            maybe_processed=self._unknown,
        )
        repeatable = status in TRANSIENT_STATUSES and self._may_repeat(left=True)
        return Outcome(error=error, repeatable=repeatable, floor=error.retry_after)

    def _note_sent(self, *, sent: bool) -> None:
        """Note whether the newest attempt may have been processed."""
        self._unknown = self._unknown or (sent and not self.request.safe)

    def _may_repeat(self, *, left: bool) -> bool:
        return may_repeat(left=left, idempotent=self.request.idempotent, policy=self.terms.retry)

    def _redact(self, text: str) -> str:
        return self.bearer.redact(text) if self.bearer is not None else text

    def _log(self, result: Answer | Failure, started: float) -> None:
        self.pool.notices.log(
            logging.DEBUG,
            "%s -> %s in %.0f ms, attempt %d",
            self.request.name,
            result.status if isinstance(result, Answer) else result.error.__name__,
            (self.pool.clockwork.now() - started) * 1000,
            self.attempts,
        )
