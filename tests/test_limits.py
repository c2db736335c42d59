"""Retry-After and the rate-limit headers."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.users import USER

from fanvue_async import RateLimit
from fanvue_async.engine.limits import (
    LIMIT,
    REMAINING,
    RESET,
    rate_limit_of,
    report_in,
    retry_after,
)
from fanvue_async.testing import FakeFanvue

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMF = "%a, %d %b %Y %H:%M:%S GMT"
_RFC_850 = "%A, %d-%b-%y %H:%M:%S GMT"
_ASCTIME = "%a %b %d %H:%M:%S %Y"

# What float() or int() would take for a number, or another reader for a date.
_NEITHER = (
    *("-1", "+5", "+30", "1.5", "1e3", "0x10", "1_000", "5s", "5,6", "5;6", "5, 5", "0.0"),
    *("nan", "NaN", "inf", "-inf", "Infinity", "1e400"),
    *("1234567890", "0000000005", "9" * 20, "9" * 400),
    *("\u0665", "\uff15", "5\u0665", "\u00b2"),
    *("2094-11-06T08:49:37Z", "2094-11-06", "@1700000000", "tomorrow", "null"),
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
        (None, None),
        ("", None),
        (" ", None),
        (" 5", None),
        ("5 ", None),
        ("5\n", None),
        # Almost dates
        ("Sun, 06 Nov 100000 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 100000", None),
        ("Sun, 6 Nov 2094 08:49:37 GMT", None),
        ("Sun, 06 Nov 2094 8:49:37 GMT", None),
        ("Sun, 06 Nov 2094 08:49 GMT", None),
        ("Sun, 06 Nov 2094 08:49:37", None),
        ("Sun, 06 Nov 2094 08:49:37 UTC", None),
        ("Sun, 06 Nov 2094 08:49:37 +0000", None),
        ("Sun, 06 Nov 2094 08:49:37 PST", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("sun, 06 nov 2094 08:49:37 gmt", None),
        ("Sun 06 Nov 2094 08:49:37 GMT", None),
        ("06 Nov 2094 08:49:37 GMT", None),
        ("Sun, 06 Non 2094 08:49:37 GMT", None),
        ("Xxx, 06 Nov 2094 08:49:37 GMT", None),
        ("Sunday, 06-Nov-2094 08:49:37 GMT", None),
        ("Sun, 06 Nov 2094 08:49:37 GMT\n", None),
        ("Sun,\u00a006\u00a0Nov\u00a02094\u00a008:49:37\u00a0GMT", None),
        ("Sun, \u0660\u0666 Nov 2094 08:49:37 GMT", None),
        # Dates that no calendar or clock has
        ("Sun, 30 Feb 2094 08:49:37 GMT", None),
        ("Sun, 00 Nov 2094 08:49:37 GMT", None),
        ("Sun, 06 Nov 2094 25:49:37 GMT", None),
        ("Sun, 06 Nov 2094 08:60:37 GMT", None),
        ("Sun Nov 31 08:49:37 2094", None),
    ],
)
def test_retry_after_is_digits_or_a_date_and_nothing_else(
    value: str | None, seconds: float | None
) -> None:
    """RFC 9110 allows two forms; what is almost one of them is no wait at all."""
    assert retry_after(value) == seconds


@pytest.fixture
def nine_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into a zone where a time that is not taken as UTC would be found out."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("nine_hours_ahead")
@pytest.mark.parametrize("form", [_IMF, _RFC_850, _ASCTIME], ids=["imf", "rfc 850", "asctime"])
def test_retry_after_counts_the_seconds_to_a_date(form: str) -> None:
    """Each form of an HTTP-date means UTC, whatever the zone of this machine."""
    ahead = datetime.now(UTC) + timedelta(seconds=1000)

    seconds = retry_after(ahead.strftime(form))

    assert seconds is not None
    assert 950 < seconds <= 1000


def test_retry_after_knows_a_day_of_one_digit() -> None:
    """The asctime form writes the sixth of a month with a space."""
    seconds = retry_after("Fri Nov  6 08:49:37 2048")

    expected = datetime(2048, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp() - time.time()
    assert seconds == pytest.approx(expected, abs=10)  # pyright: ignore[reportUnknownMemberType] - pytest's own


def test_retry_after_bears_the_last_date() -> None:
    """Even the end of the calendar is a finite wait, which the policy then refuses."""
    seconds = retry_after("Fri, 31 Dec 9999 23:59:59 GMT")

    assert seconds is not None
    assert 1e11 < seconds < 1e12


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
    seconds = retry_after(value)

    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def _headers(limit: str | None, remaining: str | None, reset: str | None) -> CIMultiDict[str]:
    values = zip((LIMIT, REMAINING, RESET), (limit, remaining, reset), strict=True)
    return CIMultiDict((name.lower(), value) for name, value in values if value is not None)


def test_a_rate_limit_is_read_from_its_three_headers() -> None:
    """The documented headers become numbers and an aware time in UTC."""
    rate_limit = rate_limit_of(report_in(_headers("200", "7", "1700000000")))

    assert rate_limit is not None
    assert rate_limit == RateLimit(200, 7, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    assert rate_limit.reset_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("limit", "remaining", "reset"),
    [
        ("0", "0", "0"),
        ("999999999", "999999999", "99999999999"),
        ("200", "201", "00000000001"),
    ],
)
def test_a_rate_limit_may_hold_unusual_numbers(limit: str, remaining: str, reset: str) -> None:
    """What the API counts is not judged."""
    rate_limit = rate_limit_of(report_in(_headers(limit, remaining, reset)))

    assert rate_limit is not None
    assert (rate_limit.limit, rate_limit.remaining) == (int(limit), int(remaining))
    assert rate_limit.reset_at.timestamp() == int(reset)


_BAD_NUMBERS = (None, "", " 5", "-1", "+5", "1.5", "1e3", "nan", "inf", "5, 5", "\u0665", "9" * 12)


@pytest.mark.parametrize("bad", _BAD_NUMBERS, ids=ascii)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_rate_limit_that_makes_no_sense_is_none(bad: str | None, position: int) -> None:
    """One header that is missing or broken, and nothing is told."""
    values: list[str | None] = ["200", "7", "1700000000"]
    values[position] = bad

    assert rate_limit_of(report_in(_headers(*values))) is None


@pytest.mark.parametrize("position", [0, 1])
def test_counts_have_nine_digits_at_the_most(position: int) -> None:
    """A count is no time: ten digits are none."""
    values = ["200", "7", "1700000000"]
    values[position] = "1234567890"

    assert rate_limit_of(report_in(_headers(*values))) is None


@settings(deadline=None)
@given(st.text() | st.integers().map(str), st.text() | st.integers().map(str))
def test_any_headers_give_a_rate_limit_or_none(count: str, reset: str) -> None:
    """No text in the headers makes an answer fail."""
    rate_limit = rate_limit_of(report_in(_headers(count, count, reset)))

    assert rate_limit is None or rate_limit.reset_at.utcoffset() == timedelta(0)


def test_rate_limits_compare_by_value_and_cannot_be_changed() -> None:
    """A rate limit is a value that can be kept and handed around."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=1)))

    assert RateLimit(200, 7, moment) == RateLimit(200, 7, elsewhere)
    assert len({RateLimit(200, 7, moment), RateLimit(200, 7, elsewhere)}) == 1
    with pytest.raises(AttributeError):
        RateLimit(200, 7, moment).limit = 5  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] - frozen


async def test_the_client_tells_what_the_newest_answer_reported() -> None:
    """client.rate_limit follows the headers; an answer without them leaves it as it was."""
    async with FakeFanvue(rate_limit=(5, 60.0)) as fake, fake.client() as client:
        assert client.rate_limit is None
        for remaining in (4, 3):
            before = time.time()
            await client.chats.create(USER)

            rate_limit = client.rate_limit
            assert rate_limit is not None
            assert (rate_limit.limit, rate_limit.remaining) == (5, remaining)
            assert rate_limit.reset_at.tzinfo is UTC
            assert before < rate_limit.reset_at.timestamp() <= time.time() + 61
