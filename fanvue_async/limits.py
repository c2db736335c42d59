"""What the API says about its limits: the rate-limit headers and ``Retry-After``."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs
from multidict import istr

if TYPE_CHECKING:
    from collections.abc import Mapping

# An istr is looked up without being case-folded each time.
LIMIT = istr("X-RateLimit-Limit")
REMAINING = istr("X-RateLimit-Remaining")
RESET = istr("X-RateLimit-Reset")

_NUMBER = re.compile(r"[0-9]{1,9}")
_UNIX_SECONDS = re.compile(r"[0-9]{1,11}")

# The three forms of an HTTP-date (RFC 9110, 5.6.7): IMF-fixdate, RFC 850 and asctime.
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_HTTP_DATE = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{{2}} {_MONTH} [0-9]{{4}} {_TIME} GMT"
    rf"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [0-9]{{2}}-{_MONTH}-[0-9]{{2}} {_TIME} GMT"
    rf"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} [0-9 ][0-9] {_TIME} [0-9]{{4}})"
)


@attrs.frozen
class RateLimit:
    """The rate limit of an account, as the newest answer reported it.

    Fanvue documents 200 requests in 60 seconds by default, with other limits on some endpoints:
    https://api.fanvue.com/docs/authentication/rate-limits
    """

    limit: int
    """Requests that one window allows."""
    remaining: int
    """Requests left in this window."""
    reset_at: datetime
    """When the window is filled again, in UTC."""

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> RateLimit | None:
        """Read the ``X-RateLimit-*`` headers; None unless all three are there and make sense."""
        return cls.parse(headers.get(LIMIT, ""), headers.get(REMAINING, ""), headers.get(RESET, ""))

    @classmethod
    def parse(cls, limit: str, remaining: str, reset: str) -> RateLimit | None:
        """Read the values of those headers."""
        if not (_NUMBER.fullmatch(limit) and _NUMBER.fullmatch(remaining)):
            return None
        if not _UNIX_SECONDS.fullmatch(reset):
            return None
        return cls(int(limit), int(remaining), datetime.fromtimestamp(int(reset), UTC))


def retry_after(value: str | None) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, 10.2.3) into seconds from now.

    Only what the RFC allows counts: one to nine ASCII digits or an HTTP-date (a past one gives
    0). ``float()`` would accept ``nan`` and ``inf``, and sleeping for those never ends.
    """
    if value is None:
        return None
    if _NUMBER.fullmatch(value):
        return float(value)
    if not _HTTP_DATE.fullmatch(value):
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:  # 30 February, 25 o'clock
        return None
    if moment.tzinfo is None:  # the asctime form names no zone and means UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())
