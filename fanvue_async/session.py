"""The way of a call: its deadline, its attempts, its typed end.

A ``Session`` is what a client or a view calls the API with: a credential and options on a shared
pool of connections. ``request`` is the call, ``_send`` one attempt of it, ``exchange`` one HTTP
exchange.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import aiohttp
import attrs

from fanvue_async import errors, wire
from fanvue_async.exchange import Answer, Failure, Sending, exchange
from fanvue_async.pool import logger
from fanvue_async.retry import TRANSIENT_STATUSES, Outcome, RetryEvent, may_repeat, repeat
from fanvue_async.waits import Scope, Timer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from yarl import URL

    from fanvue_async.auth import Bearer, Credential
    from fanvue_async.config import RetryPolicy, Timeout
    from fanvue_async.limits import RateLimit
    from fanvue_async.pool import Account, Pool

_T = TypeVar("_T")

_NO_TOKEN = Failure(
    errors.ConfigurationError,
    "no access token: give one to FanvueClient or with_options(), or set FANVUE_ACCESS_TOKEN",
)
_BAD_TOKEN = Failure(
    errors.ConfigurationError, "the token provider returned no valid token (RFC 6750)"
)
_UNAUTHORIZED = 401


@attrs.frozen(eq=False)
class Operation(Generic[_T]):
    """What the engine must know of an endpoint."""

    method: str
    path: str
    idempotent: bool
    """Whether it may be sent again although the API may have processed it already."""
    read: Callable[[Answer], _T]
    """Makes the value of a success, or raises ``wire.MalformedBodyError``."""
    bare_message: type[errors.BadRequestError] = errors.BadRequestError
    """What a 400 whose body is just ``{message}`` means here."""
    name: str = attrs.field(init=False)
    """What errors and logs call it."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.method} {self.path}")


class _Call(Generic[_T]):
    """One call on its way: what it asks for and what is known of it by now."""

    attempts = 0
    unknown = False
    """Whether an earlier attempt may have been processed."""
    reauthenticated = False
    account: Account | None = None
    # What follows is about the newest attempt.
    bearer: Bearer | None = None
    refused_token: Bearer | None = None
    """The provider's token, if the API answered it with 401."""
    has_place = False
    bounded_by_attempt = False
    """Whether its timer ends it before the deadline does."""
    sending: Sending | None = None

    def __init__(
        self,
        operation: Operation[_T],
        url: URL,
        content: bytes | None,
        started: float,
        deadline: float,
    ) -> None:
        self.operation = operation
        self.url = url
        self.content = content
        self.started = started
        self.deadline = deadline


class Bounds:
    """A ``Timeout``, and the timers that keep it."""

    __slots__ = ("attempt_timer", "client_timeout", "timeout", "total_timer")

    def __init__(self, timeout: Timeout) -> None:
        self.timeout: Timeout = timeout
        self.total_timer: Timer = Timer(timeout.total)
        self.attempt_timer: Timer = Timer(timeout.attempt)
        # One for all calls: aiohttp's own timers cost more than ours, and it rounds those over
        # ceil_threshold up to whole seconds. `total` is ours, so that one scope bounds everything.
        self.client_timeout: aiohttp.ClientTimeout = aiohttp.ClientTimeout(
            total=None,
            connect=timeout.connect,
            sock_connect=timeout.connect,
            ceil_threshold=1e9,
        )


class Session:
    """The async session wrapper: one credential and its options on a pool of connections."""

    __slots__ = ("_account", "_bounds", "_credential", "_options", "_retry", "_timeout", "pool")

    def __init__(
        self,
        pool: Pool,
        credential: Credential | None,
        account: str | None,
        bounds: Bounds,
        retry: RetryPolicy,
    ) -> None:
        self.pool: Pool = pool
        self._credential = credential
        self._account = account
        self._bounds = bounds
        self._timeout = bounds.timeout
        self._retry = retry
        self._options = {**pool.route.options, "timeout": bounds.client_timeout}

    async def request(
        self, operation: Operation[_T], content: bytes | None = None, url: URL | None = None
    ) -> _T:
        """Run one call to its value or its typed error, within ``Timeout.total``."""
        started = self.pool.seams.clock()
        deadline = started + self._timeout.total
        url = url or self.pool.fixed_url(operation.path)
        call = _Call(operation, url, content, started, deadline)
        outcome = await self._send(call)
        if outcome.error is not None:
            outcome = await self._recover(call, outcome)
        if outcome.error is None:
            return outcome.value
        # Raised here, outside of any `except` and with nothing left in this frame, so that the
        # error has no chain, forms no cycle, and leads a debugger to no header or answer.
        error = outcome.error
        del call, outcome
        try:
            raise error
        finally:
            del error

    async def _recover(self, call: _Call[_T], first: Outcome[_T]) -> Outcome[_T]:
        """Do what can be done about a first attempt that failed."""
        first = await self._with_new_token(call, first)
        if not first.repeatable:
            return first
        seams = self.pool.seams
        assert call.account is not None

        async def attempt() -> Outcome[_T]:
            return await self._with_new_token(call, await self._send(call))

        async def sleep(seconds: float) -> None:
            if seconds:
                await self._bounded(call, lambda: seams.sleep(seconds))

        def announce(outcome: Outcome[_T], wait: float) -> None:
            assert outcome.error is not None
            event = RetryEvent(
                operation=call.operation.name,
                attempt=call.attempts,
                wait=wait,
                status=getattr(outcome.error, "status", None),
                error=type(outcome.error).__name__,
                elapsed=seams.clock() - call.started,
            )
            self.pool.announce_retry(event)

        return await repeat(
            first,
            attempt,
            policy=self._retry,
            quota=call.account.quota,
            random=seams.random,
            time_left=lambda: call.deadline - seams.clock(),
            sleep=sleep,
            before_sleep=announce,
        )

    async def _with_new_token(self, call: _Call[_T], outcome: Outcome[_T]) -> Outcome[_T]:
        """Send the request once more if a provider's token was refused, once in a call."""
        if call.refused_token is None or call.reauthenticated:
            return outcome
        assert self._credential is not None
        call.reauthenticated = True
        await self._bounded(call, partial(self._credential.renew, call.refused_token))
        return await self._send(call)

    async def _bounded(self, call: _Call[_T], wait: Callable[[], Awaitable[None]]) -> None:
        """Wait, at the most until the deadline or until the client is closed.

        If either comes, the next ``_send`` finds it so and ends the call.
        """
        if self.pool.closing:  # which has ended all waits by now and would miss this one
            return
        with Scope(self.pool, Timer(call.deadline - self.pool.seams.clock())) as scope:
            await wait()
        if scope.is_over:
            call.deadline = min(call.deadline, self.pool.seams.clock())

    async def _send(self, call: _Call[_T]) -> Outcome[_T]:
        """Get a token and a connection, do one exchange, and judge it. Raises nothing of ours."""
        pool = self.pool
        call.sending = call.refused_token = None
        started = pool.seams.clock()
        remaining = call.deadline - started
        if refusal := pool.refusal():
            return self._failed(call, Failure(errors.ClientStateError, refusal))
        if remaining <= 0:
            return self._failed(call, self._deadline_exceeded())
        credential = self._credential
        if credential is None:
            return self._failed(call, _NO_TOKEN)
        http = pool.http or pool.open()
        bearer = call.bearer = credential.fixed
        call.has_place = bearer is not None and pool.places.take()
        # One scope for every wait of this attempt: armed to the deadline in the queue, to the
        # attempt's own end behind it. Which of the two came is told by what it was armed to.
        call.bounded_by_attempt = call.has_place and self._timeout.attempt < remaining
        if call.bounded_by_attempt:
            timer = self._bounds.attempt_timer
        else:
            timer = Timer(remaining) if call.attempts else self._bounds.total_timer
        result = None
        try:
            with Scope(pool, timer) as scope:
                if not call.has_place:
                    bearer = await self._get_ready(call, credential, scope)
                    if bearer is None:
                        return self._failed(call, _BAD_TOKEN)
                    started = pool.seams.clock()
                assert bearer is not None
                call.account = pool.accounts.get(self._account or credential.account_of(bearer))
                call.attempts += 1
                call.sending = Sending(call.content, pool.used_connections)
                result = await exchange(
                    http,
                    call.operation.method,
                    call.url,
                    call.sending,
                    headers=bearer.headers,
                    options=self._options,
                )
        finally:
            if call.has_place:
                pool.places.leave()
        return self._judge(call, result or self._interrupted(call), started)

    async def _get_ready(
        self, call: _Call[_T], credential: Credential, scope: Scope
    ) -> Bearer | None:
        """Get a token, wait for a connection, then arm the clock of the attempt.

        Returns None if the provider gave no valid token.
        """
        call.bearer = credential.fixed or await credential.fetch()
        if scope.is_over:  # and the provider swallowed the cancel
            raise asyncio.CancelledError
        if call.bearer is None:
            return None
        places = self.pool.places
        if not places.take():
            await places.wait()
        call.has_place = True
        if self._timeout.attempt < call.deadline - self.pool.seams.clock():
            call.bounded_by_attempt = True
            scope.change_to(self._bounds.attempt_timer)
        return call.bearer

    def _interrupted(self, call: _Call[_T]) -> Answer | Failure:
        """Tell what an attempt came to that our own clock or ``aclose`` ended."""
        if self.pool.closing:
            return Failure(errors.ClientStateError, "the client was closed during the call")
        if call.sending is not None and call.sending.answer is not None:
            return call.sending.answer  # an error's body that never ended: the status decides
        if not call.bounded_by_attempt:
            return self._deadline_exceeded()
        seconds = f"within {self._timeout.attempt:g} s"
        if call.sending is not None and call.sending.left:
            return Failure(errors.NoAnswerError, f"no answer {seconds}", transient=True)
        return Failure(errors.NotSentError, f"no connection {seconds}", transient=True)

    def _deadline_exceeded(self) -> Failure:
        return Failure(errors.DeadlineExceededError, f"not done within {self._timeout.total:g} s")

    def _judge(self, call: _Call[_T], result: Answer | Failure, started: float) -> Outcome[_T]:
        """Make a value or a typed error of what an exchange brought."""
        if call.sending is not None and logger.isEnabledFor(logging.DEBUG):
            came = result.status if isinstance(result, Answer) else result.error.__name__
            milliseconds = (self.pool.seams.clock() - started) * 1000
            logger.debug(
                "%s -> %s in %.0f ms, attempt %d",
                call.operation.name,
                came,
                milliseconds,
                call.attempts,
            )
        if isinstance(result, Failure):
            return self._failed(call, result)
        assert call.account is not None
        assert call.bearer is not None
        call.account.note(result.headers)
        self.pool.note_deprecation(result.headers, call.bearer.redact)
        if not result.succeeded:
            return self._refused(call, result)
        result.attempts = call.attempts
        try:
            value = call.operation.read(result)
        except wire.MalformedBodyError as error:
            failure = Failure(errors.DecodeError, f"the answer's body is {error}")
        else:
            call.account.quota.refund()
            return Outcome(value)
        return self._failed(call, failure)

    def _refused(self, call: _Call[_T], answer: Answer) -> Outcome[_T]:
        """Make the error of an answer whose status is no success."""
        bearer = call.bearer
        assert bearer is not None
        error = errors.api_error(
            status=answer.status,
            headers=answer.headers,
            content=answer.content,
            redact=bearer.redact,
            bare_message=call.operation.bare_message,
            operation=call.operation.name,
            attempts=call.attempts,
            earlier_unknown=call.unknown,
        )
        call.unknown = error.maybe_processed
        assert self._credential is not None
        if answer.status == _UNAUTHORIZED and not self._credential.fixed:
            call.refused_token = bearer
        repeatable = answer.status in TRANSIENT_STATUSES and self._may_repeat(call, left=True)
        return Outcome(error=error, repeatable=repeatable, floor=error.retry_after)

    def _failed(self, call: _Call[_T], failure: Failure) -> Outcome[_T]:
        """Make the error of an attempt that brought no usable answer."""
        left = call.sending is not None and call.sending.left
        call.unknown = call.unknown or left
        error = failure.error(
            message=failure.message,
            operation=call.operation.name,
            attempts=call.attempts,
            maybe_processed=call.unknown,
            cause=call.bearer.redact(failure.cause) if call.bearer and failure.cause else None,
        )
        repeatable = failure.transient and self._may_repeat(call, left=left)
        return Outcome(error=error, repeatable=repeatable, stale=failure.stale)

    def _may_repeat(self, call: _Call[_T], *, left: bool) -> bool:
        return may_repeat(left=left, idempotent=call.operation.idempotent, policy=self._retry)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The newest rate limit that is known of the account, or None."""
        key = self._account or (self._credential.account if self._credential else None)
        account = self.pool.accounts.find(key) if key else None
        return account.rate_limit if account else None

    def derive(
        self,
        *,
        credential: Credential | None,
        account: str | None,
        timeout: Timeout | None,
        retry: RetryPolicy | None,
    ) -> Session:
        """Make a session on the same pool; None keeps what this one has."""
        return Session(
            self.pool,
            credential or self._credential,
            account or self._account,
            Bounds(timeout) if timeout else self._bounds,
            retry or self._retry,
        )
