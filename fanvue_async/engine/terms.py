"""The terms of a call: who asks, within which bounds, on which connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp

from fanvue_async.engine.waits import Timer

if TYPE_CHECKING:
    from fanvue_async.config import RetryPolicy, Timeout
    from fanvue_async.engine.accounts import Bucket
    from fanvue_async.engine.credentials import Bearer, Credential
    from fanvue_async.engine.pool import Pool
    from fanvue_async.errors import RateLimit


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


class Terms:
    """One credential and its options on a pool, acting for a creator or not."""

    __slots__ = (
        "_account",
        "_own_bucket",
        "bounds",
        "creator",
        "credential",
        "options",
        "pool",
        "retry",
    )

    def __init__(  # noqa: PLR0913 - what a client is made of, from one caller
        self,
        pool: Pool,
        credential: Credential | None,
        bounds: Bounds,
        retry: RetryPolicy,
        *,
        account: str | None = None,
        creator: str | None = None,
    ) -> None:
        self.pool: Pool = pool
        self.credential: Credential | None = credential
        self.bounds: Bounds = bounds
        self.retry: RetryPolicy = retry
        self.creator: str | None = creator
        """The creator whom operations act for, or None for the token's own account."""
        self.options: Mapping[str, object] = {
            **pool.origin.options,
            "timeout": bounds.client_timeout,
        }
        self._account = account
        self._own_bucket: Bucket | None = None  # once it is known, if its account cannot change

    def derive(
        self,
        *,
        credential: Credential | None = None,
        account: str | None = None,
        timeout: Timeout | None = None,
        retry: RetryPolicy | None = None,
        creator: str | None = None,
    ) -> Terms:
        """Make terms on the same pool; None keeps what these have.

        A new credential without ``account`` belongs to its own account, never to the old one's.
        """
        terms = Terms(
            self.pool,
            credential or self.credential,
            Bounds(timeout) if timeout else self.bounds,
            retry or self.retry,
            account=account or (None if credential else self._account),
            creator=creator or self.creator,
        )
        if credential is None and account is None and creator is None:
            terms._own_bucket = self._own_bucket
        return terms

    def account_of(self, bearer: Bearer | None) -> str:
        """Return the account that a request with this token belongs to."""
        if self._account is not None:
            return self._account
        if bearer is None or self.credential is None:
            return ""
        if bearer is self.credential.fixed:
            return bearer.digest
        return self.credential.account_of(bearer)

    def is_refused(self, bearer: Bearer | None) -> bool:
        """Return whether a provider's token was answered with 401, as far as the pool knows."""
        if bearer is None or self.credential is None or self.credential.fixed is not None:
            return False
        return self.pool.accounts.is_refused(bearer)

    def bucket(self, bearer: Bearer | None, creator: str | None) -> Bucket:
        """Return the bucket of the rate limit that a request counts in."""
        is_own = creator == self.creator and bearer is not None
        if is_own and self._own_bucket is not None:
            return self._own_bucket
        bucket = self.pool.accounts.bucket(self.account_of(bearer), creator)
        if is_own and (self._account or (self.credential and self.credential.fixed)):
            self._own_bucket = bucket
        return bucket

    @property
    def description(self) -> str:
        """Whom these terms reach, for whom, and whether they still do; without a token."""
        account = self._account or (self.credential.named_account if self.credential else None)
        parts = [self.pool.origin.base_url]
        if account is not None:
            parts.append(f"account={account!r}")
        if self.creator is not None:
            parts.append(f"creator={self.creator}")
        return " ".join([*parts, self.pool.state])

    @property
    def identity(self) -> str | None:
        """Who calls act for, as far as it has a name that outlives a token."""
        named = self.credential.named_account if self.credential else None
        return self.creator or self._account or named

    @property
    def rate_limit(self) -> RateLimit | None:
        """The newest rate limit that is known of this bucket, or None."""
        if self._own_bucket is not None:
            return self._own_bucket.rate_limit
        account = self._account or (self.credential.account if self.credential else None)
        bucket = self.pool.accounts.find(account, self.creator) if account else None
        return bucket.rate_limit if bucket else None
