"""The documented rate limit: a bucket for each user and creator, full again in each window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from fanvue_async.testing.routes import Endpoint

# https://api.fanvue.com/docs/authentication/rate-limits
DOCUMENTED_LIMIT = (200, 60.0)


class Bucket:
    """One bucket: full again at the start of each window, which the first request begins.

    A window of a second or more ends at a whole second, as ``X-RateLimit-Reset`` tells no other.
    """

    def __init__(
        self,
        limit: tuple[int, float],
        now: Callable[[], float],
        others: Callable[[], float],
        *,
        enforced: bool,
    ) -> None:
        self.limit: int = limit[0]
        self.window: float = limit[1]
        self._now = now
        self._enforced = enforced
        self._others = others
        self._used = 0
        self._began = -math.inf
        self._reset_at = -math.inf

    def take(self) -> bool:
        """Take one request out; False if the window is used up."""
        now = self._now()
        if now >= self._reset_at:
            self._used, self._began = 0, now
            self._reset_at = (math.floor(now) if self.window >= 1 else now) + self.window
        if not self._enforced:  # no request is refused, so clients need not slow down
            self._used = 1
            return True
        if not self.remaining:
            return False
        self._used += 1
        return True

    @property
    def remaining(self) -> int:
        """What is left of this window; other clients draw their share evenly over it."""
        passed = (self._now() - self._began) / (self._reset_at - self._began)
        drawn = int(self.limit * self._others() * min(1.0, passed))
        return max(0, self.limit - self._used - drawn)

    @property
    def headers(self) -> dict[str, str]:
        """What every response says about the bucket."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self._reset_at)),
        }

    @property
    def retry_after(self) -> str:
        """Whole seconds until the bucket is full again."""
        return str(max(1, math.ceil(self._reset_at - self._now())))


class Buckets:
    """All buckets of a fake server, as ``fake.buckets``.

    Args:
        limit: requests and seconds of one window; without it no request is refused.
        now: the clock.

    """

    def __init__(self, limit: tuple[int, float] | None, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._own_limits: dict[Endpoint, tuple[int, float]] = {}
        self._buckets: dict[tuple[str, Endpoint | None], Bucket] = {}
        self.others: float = 0.0
        """The share of each window, 0 to 1, that other programs with the same tokens use up."""
        self.refused: int = 0
        """How many requests found their bucket empty."""

    def set_limit(self, endpoint: str, limit: int, seconds: float) -> None:
        """Give an endpoint a limit and buckets of its own; buckets in use get it at once.

        Args:
            endpoint: method and path template, such as ``"GET /chats"``.
            limit: requests of one window.
            seconds: the length of a window.

        """
        read = Endpoint.read(endpoint)
        assert read is not None
        self._own_limits[read] = checked(limit, seconds)
        for (_, own), bucket in self._buckets.items():
            if own == read:
                bucket.limit, bucket.window = self._own_limits[read]

    def take(
        self, holder: str, path: str, endpoint: Endpoint | None
    ) -> tuple[Mapping[str, str], bool]:
        """Take one request out of the bucket that it belongs to.

        Args:
            holder: who asks: the user behind the token.
            path: what is asked; ``/creators/{creatorUserUuid}/…`` has a bucket for each creator.
            endpoint: the endpoint, if it is a known one.

        Returns:
            The headers of the response, and whether the request may pass.

        """
        parts = path.partition("?")[0].lower().split("/")
        if parts[1:2] in (["v0"], ["v1"]):
            del parts[1]
        if parts[1:2] == ["creators"] and len(parts) > 3:  # noqa: PLR2004 - "", creators, uuid, …
            holder = f"{holder}:{parts[2]}"
        own = endpoint if endpoint in self._own_limits else None
        if (holder, own) not in self._buckets:
            limit = self._own_limits[own] if own else self._limit or DOCUMENTED_LIMIT
            enforced = own is not None or self._limit is not None
            self._buckets[holder, own] = Bucket(
                limit, self._now, lambda: self.others, enforced=enforced
            )
        bucket = self._buckets[holder, own]
        has_one = bucket.take()
        self.refused += not has_one
        wait = {} if has_one else {"Retry-After": bucket.retry_after}
        return {**bucket.headers, **wait}, has_one


def checked(limit: object, seconds: object) -> tuple[int, float]:
    """Return a limit that makes sense.

    Raises:
        ValueError: it does not.

    """
    # Type checkers do not see that `type() in` is a check, which takes no bool for a number.
    is_sound = (
        type(limit) is int
        and limit > 0
        and type(seconds) in (int, float)
        and 0 < float(seconds) < math.inf  # type: ignore[arg-type] # see above
    )
    if not is_sound:
        raise ValueError("rate_limit must be a number of requests and one of seconds")
    return limit, float(seconds)  # type: ignore[return-value, arg-type] # likewise
