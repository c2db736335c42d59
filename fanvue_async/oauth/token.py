"""The access token of one account, for as long as the creator allows it."""

from __future__ import annotations

import asyncio
import copy
import hmac
from collections.abc import Callable
from typing import NoReturn

from fanvue_async.engine.credentials import Secret
from fanvue_async.errors import ClientStateError, FanvueError
from fanvue_async.oauth.renewal import Held, Renewals, Tasks


class AccountToken:
    """A `TokenProvider` that renews its token in time; `OAuthApp.token` gives it.

    Any number of calls, processes and machines share one exchange. A caller that is cancelled ends
    its own waiting only.
    """

    def __init__(
        self, account: str, renewals: Renewals, tasks: Tasks, refusal: Callable[[], str | None]
    ) -> None:
        self.account: str = account
        """The account whose token it is."""
        self._renewals = renewals
        self._tasks = tasks
        self._refusal = refusal
        self._held: Held | None = None
        self._renewal: asyncio.Task[object] | None = None
        self._soft_after = 0.0
        self._looks = 0  # how often the store had to be looked at anew, whatever a renewal has read

    async def get_token(self) -> str:
        """Return an access token that can be used now.

        Raises:
            SignInRequiredError: the creator must authorize the application again.
            TokenError: the token has expired and could not be renewed; later it may be.
            StoreError: the store failed.
            ClientStateError: the app is closed, or belongs to another event loop or process.

        """
        if refusal := self._refusal():
            raise ClientStateError(refusal)
        while True:
            held, now = self._held, self._renewals.pace.clock()
            if held is not None and now < held.expires_at:
                if now >= held.ages_at and now >= self._soft_after:
                    self._soft_after = now + min(30.0, (held.expires_at - now) / 4)
                    self._renew(soft=True)
                return held.grant.access_token
            outcome = await asyncio.shield(self._renew(soft=False))
            if isinstance(outcome, FanvueError):
                # Each caller its own: a traceback would grow with every caller of a shared one.
                error, outcome = copy.copy(outcome), None
                raise error

    async def invalidate(self, token: str, /) -> None:
        """Learn that the API refused ``token``; tell all processes, unless there is a newer one.

        Raises:
            StoreError: the store failed.

        """
        refused = Secret(token)
        del token  # out of this frame, which a traceback with locals would show

        def is_refused(other: str) -> bool:
            return hmac.compare_digest(other.encode(), refused.reveal().encode())

        if refusal := self._refusal():
            raise ClientStateError(refusal)
        self._forget_refused(is_refused)
        await self._renewals.refuse(self.account, is_refused)
        self._forget_refused(is_refused)  # which was read again before the store knew of it

    def forget(self) -> None:
        """Look at the store before the token is used again."""
        self._held = None
        self._looks += 1

    def _forget_refused(self, is_refused: Callable[[str], bool]) -> None:
        self._looks += 1
        if self._held is not None and is_refused(self._held.grant.access_token):
            self._held = None

    def __repr__(self) -> str:
        return f"<AccountToken {self.account!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("what holds a token cannot be pickled or copied")

    def _renew(self, *, soft: bool) -> asyncio.Task[object]:
        """Start a renewal, unless one is running."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._tasks.start(lambda: self._renewed(soft=soft))
        return self._renewal

    async def _renewed(self, *, soft: bool) -> None:
        looks = self._looks
        try:
            held = await self._renewals.renewed(self.account, self._held, soft=soft)
            if looks == self._looks:
                self._held = held
        except FanvueError:
            if not soft:  # the token is still good; if it is not when it expires, callers are told
                raise
