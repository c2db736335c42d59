"""Where a token comes from, and the holders that never print it."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Any, NoReturn, Protocol

from multidict import CIMultiDict, istr

from fanvue_async.errors import ConfigurationError

ENVIRONMENT = "FANVUE_ACCESS_TOKEN"
_AUTHORIZATION = istr("Authorization")
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
# What JSON may put before or in place of a character of a token.
_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4}))?")
_RULE = "must be a token of RFC 6750: letters, digits and -._~+/ with optional = at the end"
_NO_PICKLE = "what holds a token cannot be pickled or copied"


class TokenProvider(Protocol):
    """Where a client gets its token from, if it is not one fixed text.

    A provider may have an attribute ``account: str`` that names whose tokens it gives; then rate
    limit and retry quota stay with that account when the token changes. Whatever a provider
    raises reaches the caller of the client unchanged.
    """

    async def get_token(self) -> str:
        """Return the access token to send now.

        Asked once for each request, so keep it at hand; and cancelled with the call that asks.
        """
        ...  # pragma: no cover - a Protocol's body never runs

    async def invalidate(self, token: str, /) -> None:
        """Learn that the API refused ``token`` with 401; the next ``get_token`` should renew it."""
        ...  # pragma: no cover - a Protocol's body never runs


class Secret:
    """Holds a text that must not appear in a repr, a pickle or a traceback with locals."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the text, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_PICKLE)


class Bearer:
    """One token, ready to be sent: the header of a request, and the account it stands for.

    Its repr is that of ``object``; never let it be an attrs class.
    """

    __slots__ = ("account", "headers", "token")

    def __init__(self, token: str) -> None:
        self.token: str = token
        self.headers: CIMultiDict[str] = CIMultiDict({_AUTHORIZATION: f"Bearer {token}"})
        self.account: str = sha256(token.encode()).hexdigest()

    def redact(self, text: str) -> str:
        """Take the token out of foreign text, also where JSON escapes some of its characters."""
        text = text.replace(self.token, "[token]")
        if "\\" not in text:
            return text
        plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else "", text)
        return plain.replace(self.token, "[token]") if self.token in plain else text

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_PICKLE)

    def has(self, secret: Secret) -> bool:
        """Tell whether this is the bearer of that very token."""
        return bool(secret.reveal() == self.token)


class Credential:
    """What one client or view authorizes its requests with: a fixed token or a provider."""

    __slots__ = ("_bearer", "_provider", "fixed")

    def __init__(self, source: Secret, name: str) -> None:
        """Check ``source``, which ``name`` names for the user.

        Raises:
            ConfigurationError: it is neither a valid token nor a TokenProvider.

        """
        self._bearer: Bearer | None = None
        self._provider: TokenProvider | None = None
        self.fixed: Bearer | None = None
        """The fixed token; None if a provider must be asked."""
        if isinstance(source.reveal(), str):
            self._bearer = self.fixed = _bearer(source)
            if self.fixed is None:
                raise ConfigurationError(f"{name} {_RULE}")
        elif _is_provider(source.reveal()):
            self._provider = source.reveal()
        else:
            raise ConfigurationError(f"{name} must be a str or a TokenProvider")

    def account_of(self, bearer: Bearer) -> str:
        """Return the account as the provider names it, else the digest of the token."""
        if self._provider is None:
            return bearer.account
        return self.named_account or bearer.account

    @property
    def account(self) -> str | None:
        """The account of the token known last; None if none is known yet."""
        return self.named_account or (self._bearer.account if self._bearer else None)

    @property
    def named_account(self) -> str | None:
        """The account as the provider names it now, which may be at any time."""
        named = getattr(self._provider, "account", None)
        return named if isinstance(named, str) else None

    async def fetch(self) -> Bearer | None:
        """Ask the provider for its token; None if what it gave is no valid one."""
        assert self._provider is not None
        secret = Secret(await self._provider.get_token())
        if self._bearer is None or not self._bearer.has(secret):
            self._bearer = _bearer(secret)
        return self._bearer

    async def renew(self, refused: Bearer) -> None:
        """Tell the provider that the API refused its token."""
        assert self._provider is not None
        await self._provider.invalidate(refused.token)


def _bearer(source: Secret) -> Bearer | None:
    token = source.reveal()
    if not isinstance(token, str) or not _B64TOKEN.fullmatch(token):
        return None
    return Bearer(token)


def _is_provider(value: object) -> bool:
    return callable(getattr(value, "get_token", None)) and callable(
        getattr(value, "invalidate", None)
    )


def from_environment() -> Secret | None:
    """Read ``FANVUE_ACCESS_TOKEN``; None if it is not set or empty."""
    value = os.environ.get(ENVIRONMENT)
    return Secret(value) if value else None
