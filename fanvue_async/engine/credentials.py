"""Where a token comes from, and the holders that never print it."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from hashlib import sha256
from typing import Any, NoReturn, Protocol

from multidict import CIMultiDict, istr

from fanvue_async.engine.cancels import cancels, settled_cancels
from fanvue_async.engine.failures import Failure
from fanvue_async.errors import ConfigurationError, TokenError

ENVIRONMENT = "FANVUE_ACCESS_TOKEN"
_AUTHORIZATION = istr("Authorization")
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
# What JSON may put before or in place of a character of a token.
_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4}))?")
_RULE = "must be a token of RFC 6750: letters, digits and -._~+/ with optional = at the end"
_BEARER = re.compile(r"\s*bearer\s", re.IGNORECASE)
_SHORT = 8  # characters of a token below which it may be a part of a word
_BAD_TOKEN = Failure(ConfigurationError, "the token provider returned no valid token (RFC 6750)")
_CANCELLED = Failure(TokenError, "the token provider was cancelled from outside the call")
_NO_PICKLE = "what holds a token cannot be pickled or copied"


class TokenProvider(Protocol):
    """Where a client gets its token from, if it is not one fixed text.

    A provider may have an attribute ``account: str`` that names whose tokens it gives; then rate
    limit and retry quota stay with that account when the token changes. Whatever a provider
    raises reaches the caller of the client unchanged.
    """

    async def get_token(self) -> str:
        """Return the access token to send now.

        Asked for each request, so keep it at hand; and cancelled with the call that asks. A
        CancelledError that comes from elsewhere is a TokenError, after it was asked once more.
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

    __slots__ = ("_pattern", "digest", "headers", "token")

    def __init__(self, token: str) -> None:
        self.token: str = token
        self.headers: CIMultiDict[str] = CIMultiDict({_AUTHORIZATION: f"Bearer {token}"})
        self.digest: str = sha256(token.encode()).hexdigest()
        """Names the token without telling it; the account, where none is named."""
        self._pattern: re.Pattern[str] | None = None

    def redact(self, text: str) -> str:
        """Take the token out of foreign text, also where JSON escapes some of its characters.

        A short one only where it stands alone: it may be a part of many words.
        """
        if self._pattern is None:
            alone = r"(?<!\w){}(?!\w)" if len(self.token) < _SHORT else "{}"
            self._pattern = re.compile(alone.format(re.escape(self.token)))
        text = self._pattern.sub("[token]", text)
        if "\\" not in text:
            return text
        plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else "", text)
        return self._pattern.sub("[token]", plain) if self._pattern.search(plain) else text

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_PICKLE)

    def has(self, secret: Secret) -> bool:
        """Return whether this is the bearer of that very token."""
        return bool(secret.reveal() == self.token)


class Credential:
    """What one client authorizes its requests with: a fixed token or a provider."""

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
                hint = "; leave out 'Bearer '" if _BEARER.match(source.reveal()) else ""
                raise ConfigurationError(f"{name} {_RULE}{hint}")
        elif not _is_provider(source.reveal()):
            raise ConfigurationError(f"{name} must be a str or a TokenProvider")
        elif plain := _plain_method(source.reveal()):
            raise ConfigurationError(f"{name}: a TokenProvider's {plain} must be an async def")
        else:
            self._provider = source.reveal()

    def account_of(self, bearer: Bearer) -> str:
        """Return the account as the provider names it, else the digest of the token."""
        return self.named_account or bearer.digest

    @property
    def account(self) -> str | None:
        """The account of the token known last; None if none is known yet."""
        return self.named_account or (self._bearer.digest if self._bearer else None)

    @property
    def named_account(self) -> str | None:
        """The account as the provider names it now, which may be at any time."""
        named = getattr(self._provider, "account", None)
        return named if isinstance(named, str) else None

    async def fetch(self) -> Bearer | Failure:
        """Ask the provider for its token, again if something other than this call cancelled it."""
        for _ in range(2):
            known = await settled_cancels()
            try:
                fetched = await self._ask()
                await settled_cancels()  # raises what the provider asked for
            except asyncio.CancelledError:
                if cancels() > known:
                    raise
            else:
                return fetched
        return _CANCELLED

    async def _ask(self) -> Bearer | Failure:
        assert self._provider is not None
        asking: Any = self._provider.get_token()
        if not inspect.isawaitable(asking):
            return _BAD_TOKEN
        secret = Secret(await asking)
        if self._bearer is None or not self._bearer.has(secret):
            self._bearer = _bearer(secret)
        return self._bearer or _BAD_TOKEN

    async def renew(self, refused: Bearer) -> None:
        """Tell the provider that the API rejected its token."""
        assert self._provider is not None
        known = await settled_cancels()
        telling: Any = self._provider.invalidate(refused.token)
        try:
            if inspect.isawaitable(telling):
                await telling
        except asyncio.CancelledError:
            if cancels() > known:
                raise


def _plain_method(provider: Any) -> str | None:
    """Return the method of a provider that is a plain function, whose result can't be awaited."""
    for name in ("get_token", "invalidate"):
        method = inspect.unwrap(getattr(provider, name))
        function = getattr(method, "__func__", method)
        if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
            continue  # of what is not a function, only its result can tell
        if function.__annotations__.get("return") in {str, None, "str", "None"}:
            return name
    return None


def _bearer(source: Secret) -> Bearer | None:
    token = source.reveal()
    if not isinstance(token, str):
        return None
    token = str.__str__(token)  # what is checked is what is sent: a subclass may have its own ideas
    return Bearer(token) if _B64TOKEN.fullmatch(token) else None


def _is_provider(value: object) -> bool:
    return callable(getattr(value, "get_token", None)) and callable(
        getattr(value, "invalidate", None)
    )


def from_environment() -> Secret | None:
    """Read ``FANVUE_ACCESS_TOKEN``; None if it is not set or empty."""
    value = os.environ.get(ENVIRONMENT)
    return Secret(value) if value else None
