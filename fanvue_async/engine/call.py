"""One call: its deadline, what is known about it, and what each of its attempts means."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fanvue_async import errors
from fanvue_async.engine import wire
from fanvue_async.engine.answers import SUCCESS, Answer
from fanvue_async.engine.api_errors import api_error
from fanvue_async.engine.failures import Failure, failure_of_reading
from fanvue_async.engine.response_headers import DEPRECATION, SUNSET
from fanvue_async.engine.retry import TRANSIENT_STATUSES, Failed, may_repeat
from fanvue_async.log import logger

if TYPE_CHECKING:
    from fanvue_async.engine.accounts import Bucket
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.gate import Gate
    from fanvue_async.engine.operation import Request
    from fanvue_async.engine.pool import Pool
    from fanvue_async.engine.terms import Terms
    from fanvue_async.engine.transport import RequestBody

T = TypeVar("T")

_NO_VALUE: Any = None
_UNAUTHORIZED = 401


class Call(Generic[T]):
    """What is known about one call, and what its newest attempt means."""

    __slots__ = (
        "_unknown",
        "attempt_started",
        "attempts",
        "bearer",
        "body",
        "bounded_by_attempt",
        "bucket",
        "deadline",
        "gate",
        "has_slot",
        "is_limited",
        "pool",
        "request",
        "started",
        "terms",
        "unauthorized",
        "value",
        "wait_until",
    )

    def __init__(self, terms: Terms, request: Request[T]) -> None:
        self.terms: Terms = terms
        self.pool: Pool = terms.pool
        self.request: Request[T] = request
        self.started: float = terms.pool.clockwork.clock()
        self.deadline: float = self.started + terms.bounds.timeout.total
        self.is_limited: bool = terms.pool.gates is not None and request.headers is None
        """Whether it waits for the rate limit, by turns."""
        self.gate: Gate | None = None
        """Where its turn is taken, if it is."""
        self.wait_until: float = 0.0
        """Until when it waits for the rate limit at most; 0 if it has not begun to."""
        self.value: T = _NO_VALUE
        """What it returns, as soon as an attempt succeeded."""
        self._unknown = False  # whether an earlier attempt may have been processed
        self.attempts: int = 0
        self.attempt_started: float = 0.0
        """When the newest attempt that was judged began, after the queue."""
        self.bucket: Bucket | None = None
        """What it counts in, as soon as there is a token."""
        # What follows is about the newest attempt.
        self.bearer: Bearer | None = None
        self.body: RequestBody | None = None
        self.has_slot: bool = False
        """Whether it holds a slot of the connections' queue."""
        self.bounded_by_attempt: bool = False
        """Whether it ends by its own timer, not by the deadline."""
        self.unauthorized: bool = False
        """Whether the API answered 401."""

    @property
    def was_tried(self) -> bool:
        """Whether the newest attempt got as far as an exchange."""
        return self.body is not None

    @property
    def left(self) -> bool:
        """Whether any byte of the newest attempt was handed to the network."""
        return self.body is not None and self.body.left

    @property
    def is_unknown(self) -> bool:
        """Whether the API may have processed it, if it ended right now."""
        return self._unknown or (self.left and not self.request.safe)

    def release_slot(self) -> None:
        """Hand its slot to whoever waits for one, if it has one still."""
        if self.has_slot:
            self.has_slot = False
            self.pool.slots.release()

    def judge(self, result: Answer | Failure, started: float) -> Failed | None:
        """Turn the result of an exchange into the call's value or a typed error."""
        self.attempt_started = started
        if self.body is not None and logger.isEnabledFor(logging.DEBUG):
            outcome = result.status if isinstance(result, Answer) else result.error.__name__
            seconds = self.pool.clockwork.now() - started
            self.pool.notices.attempt(self.request.name, outcome, seconds, self.attempts)
        if isinstance(result, Failure):
            return self.failed(result)
        assert self.bucket is not None
        if result.limits is not None:
            self.bucket.limits = result.limits
        result.attempts = self.attempts
        if DEPRECATION in result.headers or SUNSET in result.headers:
            version = self.pool.origin.api_version
            self.pool.notices.deprecation(result.headers, version, self._redact)
        if result.status not in SUCCESS:
            return self._refused(result)
        try:
            self.value = self.request.read(result)
        except wire.MalformedBodyError as error:
            failure = Failure(errors.DecodeError, f"the response body is {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours, and still an error of the call
            failure = failure_of_reading(error)
        else:
            self.bucket.quota.refund()
            return None
        return self.failed(failure)

    def failed(self, failure: Failure) -> Failed:
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
        return Failed(error, repeatable=repeatable, stale=failure.stale)

    def _refused(self, answer: Answer) -> Failed:
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
        return Failed(error, repeatable=repeatable, floor=error.retry_after)

    def _note_sent(self, *, sent: bool) -> None:
        """Note whether the newest attempt may have been processed."""
        self._unknown = self._unknown or (sent and not self.request.safe)

    def _may_repeat(self, *, left: bool) -> bool:
        return may_repeat(left=left, idempotent=self.request.idempotent, policy=self.terms.retry)

    def _redact(self, text: str) -> str:
        return self.bearer.redact(text) if self.bearer is not None else text


def too_late(call: Call[Any]) -> Failure:
    """Say that the time of a call is up."""
    seconds = call.terms.bounds.timeout.total
    return Failure(errors.DeadlineExceededError, f"not done within {seconds:g} s")
