"""A code becomes a grant, once, and the grant gets its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fanvue_async.errors import ConfigurationError, FanvueError, SignInError, StoreError, TokenError
from fanvue_async.oauth.endpoint import Refusal
from fanvue_async.oauth.grants import NOTHING, read
from fanvue_async.oauth.renewal import CLIENT_ERRORS
from fanvue_async.stores import ABSENT
from fanvue_async.stores.documents import dump, load

if TYPE_CHECKING:
    from fanvue_async.client import FanvueClient
    from fanvue_async.engine.credentials import Secret
    from fanvue_async.oauth.endpoint import Endpoint
    from fanvue_async.oauth.grants import Grant, Keys
    from fanvue_async.oauth.renewal import Pace
    from fanvue_async.oauth.sign_in import SignIn
    from fanvue_async.stores import Store

_DAY = 86_400.0
_REMEMBERED = 30 * _DAY  # long after any server has forgotten the code


class Connecting:
    """Finishes sign-ins."""

    def __init__(  # noqa: PLR0913 - the parts of an app, from one caller
        self,
        store: Store,
        keys: Keys,
        endpoint: Endpoint,
        client: FanvueClient,
        pace: Pace,
        *,
        redirect_uri: str,
    ) -> None:
        self._store = store
        self._keys = keys
        self._endpoint = endpoint
        self._client = client
        self._pace = pace
        self._redirect_uri = redirect_uri

    async def finish(self, sign_in: SignIn, code: Secret, account: str | None) -> str:
        """Store the grant of a code under ``account``, else under the creator's UUID."""
        used, unnamed = self._keys.code(sign_in.state), self._keys.unnamed(sign_in.state)
        # A code used twice ends its grant (RFC 6749, 4.1.2), and browsers load a page again.
        begun = await self._store.put(used, dump({}), version=ABSENT, expires_in=_REMEMBERED)
        if begun is not None:
            grant = await self._exchange(sign_in, code, used)
            await self._keep(unnamed, grant, expires_in=_DAY)
        else:
            entry = await self._store.get(used)
            if entry is not None and (name := load(entry.value).get("account")) is not None:
                return str(name)
            entry = await self._store.get(unnamed)
            if entry is None:
                raise SignInError("this callback is being handled already, or was cut short")
            grant = read(entry)
        name = account or await self._uuid(grant)
        key = self._keys.grant(name)
        if (earlier := await self._store.get(key)) is not None:
            grant = attrs.evolve(grant, generation=read(earlier).generation + 1)
        await self._keep(key, grant)
        await self._store.put(used, dump({"account": name}), expires_in=_REMEMBERED)
        await self._store.delete(unnamed)
        return name

    async def _exchange(self, sign_in: SignIn, code: Secret, used: str) -> Grant:
        outcome = await self._endpoint.exchange(
            {
                "grant_type": "authorization_code",
                "code": code.reveal(),
                "redirect_uri": self._redirect_uri,
                "code_verifier": sign_in.code_verifier,
            }
        )
        if isinstance(outcome, Refusal):
            await self._store.delete(used)
            raise _refused(outcome)
        return NOTHING.followed_by(outcome, self._pace.wall())

    async def _keep(self, key: str, grant: Grant, *, expires_in: float | None = None) -> None:
        """Store a grant, also over a store that fails for a while: its code is used up."""
        until = self._pace.clock() + self._pace.keeping
        while True:
            try:
                await self._store.put(key, grant.dump(), expires_in=expires_in)
            except StoreError:
                if self._pace.clock() > until:
                    raise
                await self._pace.sleep(self._pace.pause)
            else:
                return

    async def _uuid(self, grant: Grant) -> str:
        """Ask the API whose grant it is."""
        creator = self._client.with_options(access_token=grant.access_token)
        return (await creator.users.me()).uuid


def _refused(refusal: Refusal) -> FanvueError:
    words = f"the sign-in failed: {refusal.words}"
    if refusal.error in CLIENT_ERRORS:
        return ConfigurationError(words)
    if refusal.error is None or refusal.retry_after is not None:
        return TokenError(words)
    return SignInError(words, error=refusal.error, error_description=refusal.description)
