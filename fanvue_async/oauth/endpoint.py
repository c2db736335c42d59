"""The token endpoint: one exchange, and what its response means."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import attrs

from fanvue_async.config import RetryPolicy, Timeout
from fanvue_async.engine import wire
from fanvue_async.engine.credentials import Secret
from fanvue_async.engine.operation import Request
from fanvue_async.engine.session import Session
from fanvue_async.errors import APIError, FanvueError
from fanvue_async.log import clean

if TYPE_CHECKING:
    from fanvue_async.client import FanvueClient
    from fanvue_async.engine.answers import Answer

TOKEN = "POST /oauth2/token"  # noqa: S105 - the name of an operation
REVOKE = "POST /oauth2/revoke"
_FORM = "application/x-www-form-urlencoded"
_COMMON = ("Accept", "Accept-Encoding", "User-Agent")
_WORDS = 200  # characters of what the server said
_HOUR = 3_600.0
_LONGEST = 30 * 86_400.0


class Hidden(bytes):
    """A request body that holds secrets."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<form>"


class HiddenHeaders(dict[str, str]):
    """Headers that hold a secret."""

    def __repr__(self) -> str:
        return "<headers>"


@attrs.frozen
class Pair:
    """What the endpoint gave: all of it is kept before anything of it is looked at closely."""

    access_token: str = attrs.field(repr=False)
    """Empty if the response had none."""
    refresh_token: str | None = attrs.field(repr=False)
    """None if the response had none: then the old one stays good (RFC 6749, 6)."""
    expires_in: float
    scope: str | None = None


@attrs.frozen
class Refusal:
    """The endpoint's no, or no usable response at all."""

    error: str | None
    """The code of RFC 6749, 5.2, such as ``invalid_grant``; None if there was none."""
    description: str | None
    words: str
    """What to tell the user: nothing of the request or of a body."""
    retry_after: float | None = None


class Endpoint:
    """Sends forms to the authorization server, with HTTP Basic, through the engine."""

    def __init__(
        self, client: FanvueClient, auth_url: str, client_id: str, secret: Secret, timeout: Timeout
    ) -> None:
        self._auth_url = auth_url
        # RFC 6749, 2.3.1: both are form-encoded before they are joined.
        login = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
        basic = base64.b64encode(login.encode()).decode()
        terms = client._session.terms  # noqa: SLF001 - of this package
        common = {name: terms.pool.origin.headers[name] for name in _COMMON}
        self._headers = HiddenHeaders(common, Authorization=f"Basic {basic}")
        self._secrets = (secret, Secret(basic))
        self._session = Session(terms.derive(timeout=timeout, retry=RetryPolicy.never()))

    async def exchange(self, fields: dict[str, str]) -> Pair | Refusal:
        """Exchange a code or a refresh token; ``fields`` is the form, and is emptied."""
        outcome = await self._send(TOKEN, "/oauth2/token", fields)
        if isinstance(outcome, Refusal):
            return outcome
        pair = _pair(outcome)
        if pair is None:
            return Refusal(None, None, "the authorization server sent no token")
        return pair

    async def revoke(self, token: Secret) -> Refusal | None:
        """End a grant (RFC 7009)."""
        fields = {"token": token.reveal(), "token_type_hint": "refresh_token"}
        outcome = await self._send(REVOKE, "/oauth2/revoke", fields)
        return outcome if isinstance(outcome, Refusal) else None

    async def _send(self, name: str, path: str, fields: dict[str, str]) -> Secret | Refusal:
        secrets = [Secret(value) for key, value in fields.items() if key in _SECRET_FIELDS]
        request = Request(
            "POST",
            name,
            self._auth_url + path,
            _read,
            body=Hidden(urlencode(fields).encode()),
            content_type=_FORM,
            headers=self._headers,
        )
        fields.clear()  # the caller's frame stays on the stack
        try:
            return await self._session.send(request)
        except FanvueError as error:
            failure = error
        return self._refusal(failure, [*secrets, *self._secrets])

    def _refusal(self, failure: FanvueError, secrets: list[Secret]) -> Refusal:
        """Say what went wrong without a word that could be a secret."""
        if not isinstance(failure, APIError):
            words = f"{type(failure).__name__}: {failure.message}"
            if failure.cause:
                words += f" ({failure.cause})"
            return Refusal(None, None, words)
        document = wire.fields_of(failure.body)
        error, description = (
            _hide(document.get(key), secrets) for key in ("error", "error_description")
        )
        words = f"{failure.status}" + "".join(f" {text}" for text in (error, description) if text)
        return Refusal(error, description, words, retry_after=failure.retry_after)


_SECRET_FIELDS = frozenset({"code", "code_verifier", "refresh_token", "token"})


def _read(answer: Answer) -> Secret:
    return Secret(wire.loads(answer.content) if answer.content else None)


def _hide(text: object, secrets: list[Secret]) -> str | None:
    if not isinstance(text, str):
        return None
    for secret in secrets:
        text = text.replace(secret.reveal(), "[secret]")
    return clean(text, _WORDS)


def _pair(document: Secret) -> Pair | None:
    fields: dict[str, Any] = wire.fields_of(document.reveal())
    access, refresh = (_text(fields.get(name)) for name in ("access_token", "refresh_token"))
    expires_in, scope = _seconds(fields.get("expires_in")), _text(fields.get("scope"))
    fields = {}
    if access is None and refresh is None:
        return None
    return Pair(access or "", refresh, 0.0 if access is None else expires_in, scope)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and wire.is_unicode(value) else None


def _seconds(value: object) -> float:
    """Read ``expires_in``; where it makes no sense, the documented life of an hour stands in."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, _LONGEST) if seconds > 0 else _HOUR
