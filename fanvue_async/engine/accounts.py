"""What scoped clients share about an account: its retry quota and its buckets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from fanvue_async.engine.headers import Reported, rate_limit_of, reported_in
from fanvue_async.engine.retry import Quota

if TYPE_CHECKING:
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.errors import RateLimit

_K = TypeVar("_K")
_V = TypeVar("_V")
_MAX_ACCOUNTS = 10_000


@attrs.define(eq=False)
class Bucket:
    """A bucket of the API's rate limit: an account's own, or that of one creator it acts for."""

    quota: Quota
    """The retry quota of the account, which its buckets share."""
    _reported: Reported | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        """Keep the rate limit that a response reports."""
        self._reported = reported_in(headers) or self._reported

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit as the newest response reported it."""
        return rate_limit_of(self._reported)


class Accounts:
    """The accounts and buckets that were looked up last, up to 10,000 of each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shared_quota = Quota.of_pool(clock)
        self._quotas: OrderedDict[str, Quota] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str | None], Bucket] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()

    def bucket(self, account: str, creator: str | None) -> Bucket:
        """Return the bucket that a request counts in; a new one if it is not known (any more)."""
        key = (account, creator)
        bucket = self._buckets.get(key)
        if bucket is None:
            return _kept(self._buckets, key, Bucket(self._quota(account)))
        self._buckets.move_to_end(key)
        self._quotas.move_to_end(account)  # which is there: it is used as often as its buckets
        return bucket

    def find(self, account: str, creator: str | None) -> Bucket | None:
        """Return the bucket if it is known."""
        return self._buckets.get((account, creator))

    def note_refused(self, bearer: Bearer) -> None:
        """Remember a provider's token that the API answered with 401."""
        _kept(self._refused, bearer.digest, None)

    def is_refused(self, bearer: Bearer) -> bool:
        """Return whether the API has refused that token to any call of this pool."""
        return bearer.digest in self._refused

    def _quota(self, account: str) -> Quota:
        quota = self._quotas.get(account)
        if quota is None:
            return _kept(self._quotas, account, Quota(self._clock, shared=self._shared_quota))
        self._quotas.move_to_end(account)
        return quota


def _kept(table: OrderedDict[_K, _V], key: _K, value: _V) -> _V:
    """Add to a table, which forgets what was used longest ago."""
    table[key] = value
    if len(table) > _MAX_ACCOUNTS:
        table.popitem(last=False)
    return value
