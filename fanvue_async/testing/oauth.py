"""The authorization server: sign-in, codes, tokens that rotate, and what ends them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus, urlencode
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import RefusedError, Reply
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.tokens import Token, Tokens
from fanvue_async.testing.users import uuid_of

if TYPE_CHECKING:
    from fanvue_async.testing.exchange import ReceivedRequest
    from fanvue_async.testing.world import World

Form = Mapping[str, str]

_CODE_SECONDS = 600.0
_VERIFIER = range(43, 129)  # characters


@attrs.define
class Grant:
    """What a user has allowed an application: a chain of token pairs."""

    user: str
    client_id: str
    scopes: frozenset[str]
    ended_by: str | None = None
    """``"reuse"``, ``"user"`` or ``"application"``; None while it is alive."""
    access_tokens: list[str] = attrs.field(factory=list[str])


@attrs.define
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    ends_at: float
    is_used: bool = False


@attrs.define
class Refresh:
    """A refresh token."""

    grant: Grant
    used_at: float = math.inf
    answer: dict[str, Any] = attrs.field(factory=dict[str, Any])
    """The response to its first use."""


class Pairs:
    """The token pairs that were issued, and are still good."""

    def __init__(self, world: World, tokens: Tokens, owner: str) -> None:
        self._world = world
        self._tokens = tokens
        self._owner = owner
        self._refresh: dict[str, Refresh] = {}

    def issue(self, grant: Grant, life: float) -> dict[str, Any]:
        """Give the next pair; the access token lives so many seconds."""
        access = "fake_at_" + secrets.token_urlsafe(24)
        grant.access_tokens.append(access)
        user = None if grant.user == self._owner else grant.user
        ends_at = self._world.now() + life
        self._tokens.add(Token(access, grant.user, user, grant.scopes, ends_at))
        document: dict[str, Any] = {
            "access_token": access,
            "expires_in": int(life),
            "token_type": "bearer",
            "scope": " ".join(sorted(grant.scopes)),
        }
        if grant.scopes & {"offline_access", "offline"}:
            document["refresh_token"] = "fake_rt_" + secrets.token_urlsafe(24)
            self._refresh[document["refresh_token"]] = Refresh(grant)
        return document

    def find(self, refresh_token: str) -> Refresh | None:
        """Return a refresh token, used or not."""
        return self._refresh.get(refresh_token)

    def end(self, grant: Grant, by: str) -> None:
        """End a grant, and the access tokens that it has given."""
        grant.ended_by = grant.ended_by or by
        for token in grant.access_tokens:
            self._tokens.remove(token)


class OAuth:
    """As ``fake.oauth``; its address is that of the fake, ``auth_url=fake.url``.

    Whoever asks is sent back immediately with a code, or with an error if ``denial`` is set.
    """

    def __init__(self, world: World, tokens: Tokens, owner: str) -> None:
        self._world = world
        self._owner = owner
        self._pairs = Pairs(world, tokens, owner)
        self._clients = {"fake-client": ("fake-secret", "")}
        self._codes: dict[str, _Code] = {}
        self.grants: list[Grant] = []
        """Everything that was ever allowed, oldest first."""
        self.user = owner
        """Who signs in next: a creator's UUID, or the account's own; ``login_hint`` wins."""
        self.denial: str | None = None
        """The error that sign-ins end with, such as ``"access_denied"``."""
        self.expires_in: float = 3600.0
        """The life of an access token in seconds."""
        self.grace: float = 30.0
        """The seconds in which a refresh token may be used again."""
        self.same_pair = False
        """Whether it then gives the same pair again, or a new one; that is not documented."""
        self.changes: dict[str, Any] = {}
        """Fields of the token responses to replace; ``...`` leaves one out."""
        self.counts: Counter[str] = Counter()
        """``authorization_code`` and ``refresh_token`` exchanges that succeeded; of the latter the
        ``repeated`` ones; those that were ``refused``, and those of them that were ``reuse``."""

    def add_client(self, client_id: str, client_secret: str, redirect_uri: str) -> None:
        """Register an application; ``fake-client`` with ``fake-secret`` may return to anywhere."""
        self._clients[client_id] = (client_secret, redirect_uri)

    def sign_in(
        self, user: UUID | str | None = None, scopes: Collection[str] = ("offline_access",)
    ) -> dict[str, Any]:
        """Give the first pair of a new grant without the way through a browser.

        Args:
            user: a creator's UUID; by default the fake's own account.
            scopes: what is allowed.

        Returns:
            What the token endpoint would respond.

        """
        uuid = self._owner if user is None else uuid_of(user)
        if uuid not in (self._owner, *self._world.creators):
            raise ValueError(f"there is no creator {uuid}; creators.add makes one")
        grant = Grant(uuid, "fake-client", frozenset(scopes))
        self.grants.append(grant)
        return self._pairs.issue(grant, self.expires_in)

    def revoke(self, user: UUID | str | None = None) -> None:
        """Let a user take back everything that was allowed."""
        uuid = self._owner if user is None else uuid_of(user)
        for grant in self.grants:
            if grant.user == uuid and grant.ended_by is None:
                self._pairs.end(grant, "user")

    def authorize(self, call: Call) -> Reply:
        """GET /oauth2/auth."""
        asked = _form(call.request.path.partition("?")[2])
        back = asked.get("redirect_uri", "")
        _, registered = self._clients.get(asked.get("client_id", ""), ("", None))
        if registered is None or registered not in ("", back) or not back:
            raise _refused(400, "invalid_request", "client_id or redirect_uri is not registered")
        state = {"state": asked["state"]} if "state" in asked else {}
        problem = _problem(asked, self.denial)
        if problem is not None:
            return _redirect(back, {"error": problem[0], "error_description": problem[1], **state})
        user = asked.get("login_hint", self.user)
        if user not in (self._owner, *self._world.creators):
            raise _refused(400, "invalid_request", f"fake.creators.add made no {user}")
        grant = Grant(user, asked["client_id"], frozenset(asked["scope"].split()))
        code = "code-" + secrets.token_urlsafe(24)
        ends_at = self._world.now() + _CODE_SECONDS
        self._codes[code] = _Code(grant, back, asked["code_challenge"], ends_at)
        return _redirect(back, {"code": code, "scope": asked["scope"], **state})

    def token(self, call: Call) -> Reply:
        """POST /oauth2/token."""
        try:
            form = _form(call.request.body.decode(errors="replace"))
            client_id = self._authenticate(call.request)
            kind = form.get("grant_type", "")
            exchanges = {"authorization_code": self._by_code, "refresh_token": self._by_refresh}
            if kind not in exchanges:
                raise _refused(400, "unsupported_grant_type", "grant_type is not supported")
            document = exchanges[kind](form, client_id)
        except RefusedError:
            self.counts["refused"] += 1
            raise
        self.counts[kind] += 1
        changed = {**document, **self.changes}
        shown = {name: value for name, value in changed.items() if value is not ...}
        return Reply.of(200, shown, {"Cache-Control": "no-store"})

    def revocation(self, call: Call) -> Reply:
        """POST /oauth2/revoke (RFC 7009), which no official page describes."""
        self._authenticate(call.request)
        text = _form(call.request.body.decode(errors="replace")).get("token", "")
        known = self._pairs.find(text)
        for grant in self.grants:
            if text in grant.access_tokens or (known and known.grant is grant):
                self._pairs.end(grant, "application")
        return Reply.with_body(200, b"", "")

    def _authenticate(self, request: ReceivedRequest) -> str:
        client_id, secret = _credentials(request)
        expected, _ = self._clients.get(client_id, ("", ""))
        if not expected or not hmac.compare_digest(secret.encode(), expected.encode()):
            raise _refused(401, "invalid_client", "Client authentication failed")
        return client_id

    def _by_code(self, form: Form, client_id: str) -> dict[str, Any]:
        code = self._codes.get(form.get("code", ""))
        if code is None or self._world.now() >= code.ends_at or code.grant.client_id != client_id:
            raise _refused(400, "invalid_grant", "The code is not valid")
        if code.is_used:
            self._pairs.end(code.grant, "reuse")
            raise _refused(400, "invalid_grant", "The code was already used")
        verifier = form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if len(verifier) not in _VERIFIER or challenge != code.challenge:
            raise _refused(400, "invalid_grant", "The code verifier does not match")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _refused(400, "invalid_grant", "The redirect_uri does not match")
        code.is_used = True
        self.grants.append(code.grant)
        return self._pairs.issue(code.grant, self.expires_in)

    def _by_refresh(self, form: Form, client_id: str) -> dict[str, Any]:
        known = self._pairs.find(form.get("refresh_token", ""))
        if known is None or known.grant.client_id != client_id or known.grant.ended_by:
            raise _refused(400, "invalid_grant", "The refresh token is not valid")
        now = self._world.now()
        if now - known.used_at > self.grace:
            self.counts["reuse"] += 1
            self._pairs.end(known.grant, "reuse")
            raise _refused(400, "invalid_grant", "The refresh token was already used")
        if known.used_at == math.inf:
            known.used_at = now
            known.answer = self._pairs.issue(known.grant, self.expires_in)
            return known.answer
        self.counts["repeated"] += 1
        if self.same_pair:
            return known.answer
        return self._pairs.issue(known.grant, self.expires_in)


def _problem(asked: Form, denial: str | None) -> tuple[str, str] | None:
    """Return what is wrong with a request for authorization: an error and its description."""
    if denial is not None:
        return denial, "The resource owner denied the request"
    if asked.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
        return "invalid_request", "PKCE with S256 is required"
    missing = next((name for name in ("state", "scope") if not asked.get(name)), None)
    return (f"invalid_{missing}", f"{missing} is required") if missing else None


def _credentials(request: ReceivedRequest) -> tuple[str, str]:
    """Read HTTP Basic; a secret in the body is not accepted."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, _, secret = (unquote_plus(part) for part in decoded.partition(":"))
    return (client_id, secret) if scheme.lower() == "basic" else ("", "")


def _form(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text).items()}


def _refused(status: int, error: str, description: str) -> RefusedError:
    document = {"error": error, "error_description": description}
    return RefusedError(Reply.of(status, document, {"Cache-Control": "no-store"}))


def _redirect(back: str, query: Mapping[str, str]) -> Reply:
    location = f"{back}{'&' if '?' in back else '?'}{urlencode(query)}"
    return Reply(303, b"", {"Location": location})


_OPEN = Access("", is_open=True)

OAUTH: Routes = (
    OAuth,
    (
        Route("GET", "/oauth2/auth", OAuth.authorize, _OPEN),
        Route("POST", "/oauth2/token", OAuth.token, _OPEN),
        Route("POST", "/oauth2/revoke", OAuth.revocation, _OPEN),
    ),
)
