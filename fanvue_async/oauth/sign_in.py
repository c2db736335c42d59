"""The way through the browser: where a creator is sent, and what comes back (RFC 6749, 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs

from fanvue_async.engine.credentials import Secret
from fanvue_async.engine.wire import whole_text
from fanvue_async.errors import ConfigurationError, SignInError
from fanvue_async.log import clean

SYSTEM_SCOPES = ("openid", "offline_access", "offline")
"""What every sign-in asks for besides: without them there is no refresh token."""
_WORDS = 200  # characters of what the server said


@attrs.frozen
class SignIn:
    """A sign-in that has begun: plain data for a server-side session or the store.

    Keep it where the browser cannot read it; a signed cookie can be read. ``attrs.asdict`` and
    ``SignIn(**fields)`` take it through JSON. Its repr hides everything that must stay secret.
    """

    url: str = attrs.field(repr=False)
    """Where to send the creator's browser."""
    state: str = attrs.field(repr=False)
    """What the callback must bring back."""
    code_verifier: str = attrs.field(repr=False)
    """The secret half of PKCE."""
    account: str | None = None
    """The name under which the account will be kept, if it was given already."""


def begin(
    auth_url: str,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    *,
    account: str | None,
) -> SignIn:
    """Make a sign-in with a new state and a new verifier."""
    verifier = secrets.token_urlsafe(64)
    digest = hashlib.sha256(verifier.encode()).digest()
    state = secrets.token_urlsafe(32)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(dict.fromkeys((*SYSTEM_SCOPES, *scopes))),
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return SignIn(f"{auth_url}/oauth2/auth?{urlencode(query)}", state, verifier, account)


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes as they were given.

    Raises:
        ConfigurationError: they are one text, or one of them is not a scope (RFC 6749, 3.3).

    """
    given: object = scopes
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError("scopes must be a list of texts such as 'read:chat'")
    checked = tuple(scopes)
    for scope in checked:
        is_text = isinstance(scope, str) and bool(scope) and scope.isascii()
        if not is_text or any(not "!" <= c <= "~" or c in '"\\' for c in scope):
            raise ConfigurationError("each scope must be a text such as 'read:chat'")
    return checked


def code_of(callback_url: Secret, sign_in: SignIn) -> Secret:
    """Return the code that a callback brings.

    Raises:
        SignInError: the callback does not belong to this sign-in, or brings an error.

    """
    answer = Secret(_query(callback_url.reveal()))
    problem = _problem(answer, sign_in)
    if problem is not None:
        raise problem
    return Secret(answer.reveal()["code"])


def _query(callback_url: str) -> dict[str, str]:
    """Read the query; what is there twice is not there, since it could be read in two ways."""
    try:
        query = urlsplit(whole_text(str(callback_url))).query
        fields = parse_qs(query, keep_blank_values=True)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _problem(answer: Secret, sign_in: SignIn) -> SignInError | None:
    given = Secret(answer.reveal().get("state", ""))
    if not hmac.compare_digest(given.reveal().encode(), sign_in.state.encode()):
        return SignInError("the callback does not belong to this sign-in: its state is another one")
    if "error" in answer.reveal():
        error, description = (
            _hide(clean(answer.reveal().get(name, ""), _WORDS), sign_in)
            for name in ("error", "error_description")
        )
        words = f"the sign-in was not completed: {error}"
        return SignInError(words, error=error, error_description=description or None)
    if not answer.reveal().get("code"):
        return SignInError("the callback brings no code")
    return None


def _hide(text: str, sign_in: SignIn) -> str:
    return text.replace(sign_in.state, "[state]").replace(sign_in.code_verifier, "[verifier]")
