"""What scoped clients share about an account: its retry quota, its buckets and their gates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

import attrs

from fanvue_async.engine.response_headers import rate_limit_of
from fanvue_async.engine.retry import Quota

if TYPE_CHECKING:
    from fanvue_async.engine.credentials import Bearer
    from fanvue_async.engine.gate import Family, Gates
    from fanvue_async.engine.response_headers import LimitHeaders
    from fanvue_async.errors import RateLimit

_K = TypeVar("_K")
_V = TypeVar("_V")
_MAX_KEPT = 10_000


@attrs.define(eq=False)
class Bucket:
    """A bucket of the API's rate limit: an account's own, or that of one creator it acts for."""

    quota: Quota
    """The retry quota of the account, which its buckets share."""
    gates: Family | None = None
    """Where calls wait for it; None if they do not."""
    limits: LimitHeaders | None = None
    """What the newest response that did so said about the rate limit."""

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit as the newest response reported it."""
        return rate_limit_of(self.limits)


class Accounts:
    """The accounts and buckets that are in use, and the 10,000 buckets that were looked up last."""

    def __init__(self, clock: Callable[[], float], gates: Gates | None = None) -> None:
        self._clock = clock
        self._gates = gates
        self._shared_quota = Quota.of_pool(clock)
        self._quotas: WeakValueDictionary[str, Quota] = WeakValueDictionary()
        self._buckets: WeakValueDictionary[tuple[str, str | None], Bucket] = WeakValueDictionary()
        self._recent: OrderedDict[tuple[str, str | None], Bucket] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()

    def bucket(self, account: str, creator: str | None) -> Bucket:
        """Return the bucket that a request counts in; a new one if it is not known (any more)."""
        key = (account, creator)
        bucket = self._buckets.get(key)
        if bucket is None:
            gates = self._gates.family(account, creator) if self._gates else None
            bucket = self._buckets[key] = Bucket(self._quota(account), gates)
        return _kept(self._recent, key, bucket)

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
            quota = self._quotas[account] = Quota(self._clock, shared=self._shared_quota)
        return quota


def _kept(table: OrderedDict[_K, _V], key: _K, value: _V) -> _V:
    """Add to a table, which forgets what was used longest ago."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > _MAX_KEPT:
        table.popitem(last=False)
    return value
