"""Promises that only a generated mutant has shown to be untested."""

from __future__ import annotations

from typing import Any

import pytest

from fanvue_async import (
    APIError,
    ConfigurationError,
    FanvueClient,
    InvalidRequestError,
    VersionSunsetError,
)


class _Half:
    """A provider that cannot be told of a refused token."""

    async def get_token(self) -> str:
        """Return a good token."""
        return "token"


def test_a_provider_without_invalidate_is_refused() -> None:
    """What lacks the method is refused like what has something else by its name."""
    half: Any = _Half()

    with pytest.raises(
        ConfigurationError, match=r"^access_token must be a str or a TokenProvider$"
    ):
        FanvueClient(half)


def test_an_error_that_was_told_nothing_claims_nothing() -> None:
    """The defaults of the fields are what is true when nothing is known."""
    assert vars(APIError()) == {
        "message": "",
        "operation": None,
        "attempts": 0,
        "maybe_processed": False,
        "cause": None,
        "looked_for": False,
        "from_api": True,
        "status": 0,
        "body": None,
        "retry_after": None,
        "rate_limit": None,
        "request_id": None,
        "headers": {},
    }
    assert InvalidRequestError().errors == ()
    assert VersionSunsetError().next_version is None
