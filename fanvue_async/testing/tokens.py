"""The access tokens that the fake accepts, whose they are and what they allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import attrs


@attrs.frozen
class Token:
    """An access token."""

    text: str
    holder: str
    """Whose rate limit its requests count against."""
    user: str | None = None
    """The UUID of the account that it belongs to; None for the fake's own."""
    scopes: frozenset[str] | None = None
    """What it allows; None for everything."""
    expires_at: float = math.inf
    """Unix seconds."""

    def lacks(self, needed: Collection[str]) -> str | None:
        """Return the first scope that is needed and missing."""
        return next((s for s in needed if self.scopes is not None and s not in self.scopes), None)


class Tokens:
    """The access tokens that are accepted now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[str, Token] = {}

    def add(self, token: Token) -> None:
        """Accept a token from now on."""
        self._known[token.text] = token

    def get(self, text: str) -> Token:
        """Return an accepted token.

        Raises:
            ValueError: it is not accepted.

        """
        token = self._known.get(text)
        if token is None or self._now() >= token.expires_at:
            raise ValueError("the fake does not accept this token")
        return token

    def remove(self, text: str) -> None:
        """Accept a token no longer; whether it was is no matter."""
        self._known.pop(text, None)

    def of_request(self, headers: Mapping[str, str]) -> Token | None:
        """Return the accepted token that a request carries."""
        scheme, _, text = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self.get(text)
        except ValueError:
            return None

    def first(self) -> str | None:
        """Return the oldest token that is accepted."""
        now = self._now()
        return next((t.text for t in self._known.values() if now < t.expires_at), None)
