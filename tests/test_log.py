"""Words that may be logged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanvue_async.log import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("12345", "12345"),
        ("123456", "1234…"),
        ("", ""),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x00", "\\x00"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("\x9b1m", "\\x9b1m"),
        ("é ü", "é ü"),
        ("{0}%s", "{0}%s"),
    ],
)
def test_clean_makes_text_safe_for_a_terminal(text: str, cleaned: str) -> None:
    """Foreign text becomes one printable line; what was escaped can still be read."""
    assert clean(text, 5 if text.isdigit() else 50) == cleaned


@settings(deadline=None)
@given(text=st.text(), length=st.integers(1, 60))
def test_clean_keeps_to_its_length(text: str, length: int) -> None:
    """Whatever the text holds, the result is printable and no longer than was asked for."""
    cleaned = clean(text, length)

    assert cleaned.isprintable()
    assert len(cleaned) <= length
