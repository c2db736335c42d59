"""What the API says in the headers of a response: the rate limit, ``Retry-After`` and dates."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from multidict import istr

from fanvue_async.errors import RateLimit

# An istr is looked up without being case-folded each time.
LIMIT = istr("X-RateLimit-Limit")
REMAINING = istr("X-RateLimit-Remaining")
RESET = istr("X-RateLimit-Reset")

DEPRECATION = istr("Deprecation")
SUNSET = istr("Sunset")

_DATE = istr("Date")
_RETRY_AFTER = istr("Retry-After")
_TOO_MANY_REQUESTS = 429

_RESET_TIME = re.compile(r"[0-9]{1,11}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_REPORT = re.compile(r"[0-9]{1,9} [0-9]{1,9} [0-9]{1,11}")

# The three forms of an HTTP-date (RFC 9110, 5.6.7): IMF-fixdate, RFC 850 and asctime.
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_HTTP_DATE = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{{2}} {_MONTH} [0-9]{{4}} {_TIME} GMT"
    rf"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [0-9]{{2}}-{_MONTH}-[0-9]{{2}} {_TIME} GMT"
    rf"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} [0-9 ][0-9] {_TIME} [0-9]{{4}})"
)


LimitHeaders = tuple[str, str, str]
"""The values of ``X-RateLimit-*`` as they came: limit, remaining, reset."""


def limit_headers(headers: Mapping[str, str]) -> LimitHeaders | None:
    """Find what a response says about the rate limit; None unless it names all three values.

    They are not checked here, for most are never read.
    """
    limit, remaining, reset = headers.get(LIMIT), headers.get(REMAINING), headers.get(RESET)
    if limit is None or remaining is None or reset is None:
        return None
    return limit, remaining, reset


def numbers_of(headers: LimitHeaders | None) -> tuple[int, int, int] | None:
    """Read limit, remaining and reset; None unless they make sense."""
    if headers is None or not _REPORT.fullmatch(" ".join(headers)):
        return None
    limit, remaining, reset = map(int, headers)
    return limit, remaining, reset


def rate_limit_of(headers: LimitHeaders | None) -> RateLimit | None:
    """Make the rate limit that they tell; None unless it makes sense."""
    numbers = numbers_of(headers)
    if numbers is None:
        return None
    limit, remaining, reset = numbers
    return RateLimit(limit, remaining, datetime.fromtimestamp(reset, UTC))


def retry_after(headers: Mapping[str, str], status: int) -> float | None:
    """Read how many seconds a response asks to wait: ``Retry-After`` (RFC 9110, 10.2.3).

    Only what the RFC allows counts: one to nine ASCII digits or an HTTP-date (a past one gives
    0). ``float()`` would accept ``nan`` and ``inf``, and sleeping for those never ends. A 429 that
    lacks it says so with its rate limit. Times are compared with the response's own ``Date``: the
    server's clock may go differently than ours.
    """
    value = headers.get(_RETRY_AFTER, "")
    if _NUMBER.fullmatch(value):
        return float(value)
    date = _http_date(value)
    moment = None if date is None else date.timestamp()
    if moment is None and status == _TOO_MANY_REQUESTS and headers.get(REMAINING) == "0":
        reset = headers.get(RESET, "")
        moment = float(reset) if _RESET_TIME.fullmatch(reset) else None
    if moment is None:
        return None
    now = date_of(headers)
    return max(0.0, moment - (time.time() if now is None else now))


@lru_cache(maxsize=8)  # the responses of one second say the same
def _http_date(value: str) -> datetime | None:
    """Read an HTTP-date; None if it is not valid."""
    if not _HTTP_DATE.fullmatch(value):
        return None
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:  # 30 February, 25 o'clock
        return None
    # The asctime form names no zone and means UTC.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def date_of(headers: Mapping[str, str]) -> float | None:
    """Read the ``Date`` of a response (RFC 9110, 6.6.1) into seconds since the epoch."""
    value = headers.get(_DATE)
    moment = _http_date(value) if value is not None else None
    return None if moment is None else moment.timestamp()
