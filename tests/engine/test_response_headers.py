"""Retry-After and the rate-limit headers."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from fanvue_async import RateLimit
from fanvue_async.engine.response_headers import (
    LIMIT,
    REMAINING,
    RESET,
    limit_headers,
    rate_limit_of,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def _seconds(value: str | None) -> float | None:
    return retry_after({} if value is None else {"Retry-After": value}, 503)


# What float() or int() would take for a number, or another reader for a date.
_NEITHER = (
    *("-1", "+5", "+30", "1.5", "1e3", "0x10", "1_000", "5s", "5,6", "5;6", "5, 5", "0.0"),
    *("nan", "NaN", "inf", "-inf", "Infinity", "1e400"),
    *("1234567890", "0000000005", "9" * 20, "9" * 400),
    *("\u0665", "\uff15", "5\u0665", "\u00b2"),
    *("2094-11-06T08:49:37Z", "2094-11-06", "@1700000000", "tomorrow", "null"),
    *(None, "", " ", " 5", "5 ", "5\n"),
    # Almost dates
    *("Sun, 06 Nov 100000 08:49:37 GMT", "Sun Nov  6 08:49:37 100000"),
    *("Sun, 6 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 2094 8:49:37 GMT", "Sun, 06 Nov 2094 08:49 GMT"),
    *("Sun, 06 Nov 2094 08:49:37", "Sun, 06 Nov 2094 08:49:37 UTC", "06 Nov 2094 08:49:37 GMT"),
    *("Sun, 06 Nov 2094 08:49:37 +0000", "Sun, 06 Nov 2094 08:49:37 PST"),
    *("Sun, 06 Nov 94 08:49:37 GMT", "sun, 06 nov 2094 08:49:37 gmt"),
    *("Sun 06 Nov 2094 08:49:37 GMT", "Sun, 06 Non 2094 08:49:37 GMT"),
    *("Xxx, 06 Nov 2094 08:49:37 GMT", "Sunday, 06-Nov-2094 08:49:37 GMT"),
    "Sun, 06 Nov 2094 08:49:37 GMT\n",
    "Sun,\u00a006\u00a0Nov\u00a02094\u00a008:49:37\u00a0GMT",
    "Sun, \u0660\u0666 Nov 2094 08:49:37 GMT",
    # Dates that no calendar or clock has
    *("Sun, 30 Feb 2094 08:49:37 GMT", "Sun, 00 Nov 2094 08:49:37 GMT"),
    *("Sun, 06 Nov 2094 25:49:37 GMT", "Sun, 06 Nov 2094 08:60:37 GMT", "Sun Nov 31 08:49:37 2094"),
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("00", 0.0),
        ("1", 1.0),
        ("05", 5.0),
        ("120", 120.0),
        ("999999999", 999_999_999.0),
        ("000000005", 5.0),
        # In the past there is nothing left to wait for, in all three forms.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        # The weekday is not checked: nobody waits longer for a wrong one.
        ("Mon, 06 Nov 1994 08:49:37 GMT", 0.0),
        *((value, None) for value in _NEITHER),
    ],
)
def test_retry_after_is_digits_or_a_date_and_nothing_else(
    value: str | None, seconds: float | None
) -> None:
    """RFC 9110 allows two forms; what is almost one of them is no wait at all."""
    assert _seconds(value) == seconds


@pytest.fixture
def nine_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into a zone where a time that is not taken as UTC would be found out."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("nine_hours_ahead")
@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 2067 08:49:37 GMT",
        "Sunday, 06-Nov-67 08:49:37 GMT",
        "Sun Nov  6 08:49:37 2067",
    ],
)
def test_retry_after_counts_the_seconds_to_a_date(text: str) -> None:
    """Each form of an HTTP-date means UTC, whatever the zone of this machine."""
    date = datetime(2067, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()

    earliest = date - time.time()
    seconds = _seconds(text)
    latest = date - time.time()

    assert seconds is not None
    assert latest <= seconds <= earliest


_http_dates = st.from_regex(
    r"(Mon|Sun), [0-9]{2} (Jan|Feb|Nov) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|(Mon|Sun)day, [0-9]{2}-(Jan|Feb|Nov)-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|(Mon|Sun) (Jan|Feb|Nov) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}",
    fullmatch=True,
)


@settings(deadline=None, max_examples=500)
@given(
    value=st.text() | st.text("0123456789+-.,einfa_: GMTSunov") | st.floats().map(str) | _http_dates
)
def test_any_retry_after_is_a_finite_wait_or_none(value: str) -> None:
    """No text makes a call sleep for ever, backwards, or fail."""
    seconds = _seconds(value)

    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def _headers(limit: str | None, remaining: str | None, reset: str | None) -> CIMultiDict[str]:
    values = zip((LIMIT, REMAINING, RESET), (limit, remaining, reset), strict=True)
    return CIMultiDict((name.lower(), value) for name, value in values if value is not None)


def test_a_rate_limit_is_read_from_its_three_headers() -> None:
    """The documented headers become numbers and an aware time in UTC."""
    rate_limit = rate_limit_of(limit_headers(_headers("200", "7", "1700000000")))

    assert rate_limit is not None
    assert rate_limit == RateLimit(200, 7, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    assert rate_limit.reset_at.tzinfo is UTC


_BAD_NUMBERS = (None, "", " 5", "-1", "1.5", "1e3", "nan", "5, 5", "\u0665", "9" * 12)


@pytest.mark.parametrize("bad", _BAD_NUMBERS, ids=ascii)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_rate_limit_that_makes_no_sense_is_none(bad: str | None, position: int) -> None:
    """One header that is missing or broken, and nothing is told."""
    values: list[str | None] = ["200", "7", "1700000000"]
    values[position] = bad

    assert rate_limit_of(limit_headers(_headers(*values))) is None


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "is_read"),
    [(9, 9, 11, True), (10, 9, 11, False), (9, 10, 11, False), (9, 9, 12, False)],
)
def test_a_rate_limit_has_only_so_many_digits(
    limit: int, remaining: int, reset: int, *, is_read: bool
) -> None:
    """Nine, nine and eleven: no clock has a later year, and no limit is larger."""
    headers = _headers("9" * limit, "9" * remaining, "9" * reset)

    assert (rate_limit_of(limit_headers(headers)) is not None) is is_read


@settings(deadline=None)
@given(st.text() | st.integers().map(str), st.text() | st.integers().map(str))
def test_any_headers_give_a_rate_limit_or_none(count: str, reset: str) -> None:
    """No text in the headers makes an answer fail."""
    rate_limit = rate_limit_of(limit_headers(_headers(count, count, reset)))

    assert rate_limit is None or rate_limit.reset_at.utcoffset() == timedelta(0)
