"""One exchange at a time over all processes on a store, and nothing lost by the way.

The rules: the refresh token's first use is noted before it is sent, so that none is spent on a
store that would not take its successor; the new pair is stored before it is used; and what is
stored goes by the version that was read (compare and set). The lease of an exchange is not renewed;
with one attempt it is shorter than the 30 seconds in which Fanvue takes a refresh token again, so
that whoever comes after a crash can repeat the exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

from fanvue_async.errors import (
    ClientStateError,
    ConfigurationError,
    FanvueError,
    SignInRequiredError,
    StoreError,
    TokenError,
)
from fanvue_async.oauth.endpoint import Refusal
from fanvue_async.oauth.grants import Grant, read
from fanvue_async.stores.claims import Claim

if TYPE_CHECKING:
    from fanvue_async.oauth.endpoint import Endpoint
    from fanvue_async.oauth.grants import Keys
    from fanvue_async.stores import Entry, Store

CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client"})
"""Errors that are about the application, not about one grant."""
_ATTEMPTS = 3
_USELESS = Refusal(None, None, "the authorization server sent no token that can be used")


@attrs.frozen
class Pace:
    """Time: how long things take, and where it comes from; tests replace both."""

    lease: float = 15.0
    """Seconds that one process may be the only one to exchange."""
    attempt: float = 10.0
    """Seconds that one exchange may take; with the lease less than the grace."""
    grace: float = 30.0
    """Seconds in which a refresh token may be used again (documented)."""
    keeping: float = 30.0
    """Seconds for which storing a new pair is tried before callers are told."""
    poll: float = 0.1
    """Seconds between two looks at an exchange of another process."""
    pause: float = 0.3
    """Seconds before an exchange is tried again."""
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Held:
    """A grant in this process, with its life on the process's own clock."""

    def __init__(self, grant: Grant, pace: Pace) -> None:
        self.grant: Grant = grant
        # Another machine may have issued it, by another clock: an age below zero is none.
        age = max(0.0, pace.wall() - grant.issued_at)
        life = grant.expires_in
        usable_for = life - age - min(5.0, life / 50)  # a request is in flight for a while
        usable = bool(grant.access_token) and not grant.refused
        now = pace.clock()
        self.expires_at: float = now + usable_for if usable else now
        ageing = min(300.0, life / 10) if grant.refresh_token is not None else 0.0
        # Not at the same moment in all processes.
        self.ages_at: float = self.expires_at - ageing * (0.5 + 0.5 * pace.random())

    def __repr__(self) -> str:
        return f"<Held of generation {self.grant.generation}>"


class NotRenewedError(Exception):
    """An exchange failed, and may be tried again."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


class Renewals:
    """Exchanges refresh tokens for all accounts of one application."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        endpoint: Endpoint,
        pace: Pace,
        on_sign_in_required: Callable[[str], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._endpoint = endpoint
        self.pace = pace
        self._on_sign_in_required = on_sign_in_required
        self._unsaved: dict[str, tuple[str, Grant]] = {}
        self.closing: bool = False
        """Whether nothing new is to be begun."""

    async def renewed(self, account: str, held: Held | None, *, soft: bool) -> Held:
        """Return a grant whose access token can be used, after an exchange if there must be one.

        ``soft``: the one that is held is still good, so don't wait.

        Raises:
            SignInRequiredError: there is no grant, or no more.
            TokenError: the exchange failed; the grant is kept.
            ConfigurationError: the authorization server does not know the application.
            StoreError: the store failed.
            ClientStateError: the app was closed before the exchange was begun.

        """
        failures, began = 0, self.pace.clock()
        while True:
            try:
                result = await self._step(account, held, soft=soft)
            except NotRenewedError as error:
                refusal = error.refusal
            else:
                if result is not None:
                    return result
                await self.pace.sleep(self.pace.poll * (0.5 + self.pace.random()))
                continue
            failures += 1
            is_late = self.pace.clock() - began > self.pace.grace - self.pace.attempt
            if soft or is_late or failures == _ATTEMPTS or refusal.retry_after is not None:
                raise TokenError(
                    f"the token of account {account!r} could not be renewed: {refusal.words}",
                    attempts=failures,
                )
            await self.pace.sleep(self.pace.pause * 2**failures * (0.5 + self.pace.random()))

    async def _step(self, account: str, held: Held | None, *, soft: bool) -> Held | None:
        """Look at the store, and exchange unless another process does; None: look again."""
        await self._save(account)
        entry = await self._store.get(self._keys.grant(account))
        if found := self._usable(account, entry, held, soft=soft):
            return found
        if self.closing:
            raise ClientStateError("the OAuthApp is closed")
        claim = Claim(
            self._store,
            self._keys.grant(account),
            seconds=self.pace.lease,
            clock=self.pace.clock,
        )
        if not await claim.take():
            return held if soft else None
        try:
            if found := self._usable(account, claim.mark, held, soft=soft):
                return found
            return await self._exchange(account, claim)
        finally:
            await claim.lease.release()

    def _usable(
        self, account: str, entry: Entry | None, held: Held | None, *, soft: bool
    ) -> Held | None:
        """Return what the store holds if it needs no exchange."""
        if entry is None:
            raise _required(account, "is not connected")
        grant = read(entry)
        if grant.ended:
            raise _required(account, "must authorize the application again")
        is_known = held is not None and grant == held.grant
        found = held if held is not None and is_known else Held(grant, self.pace)
        ends_at = found.ages_at if soft else found.expires_at
        return found if self.pace.clock() < ends_at else None

    async def _exchange(self, account: str, claim: Claim) -> Held | None:
        """Exchange the refresh token under the lease; None if another process wrote meanwhile."""
        assert claim.mark is not None
        grant = read(claim.mark)
        if grant.refresh_token is None:
            await self._end(account, claim, grant)
            return None
        if grant.first_used_at is None:
            grant = attrs.evolve(grant, first_used_at=self.pace.wall())
            if not await claim.write(grant.dump()):
                return None
        if claim.lease.remaining < self.pace.attempt:
            return None  # the store was slow: a crash now would be found out too late
        outcome = await self._endpoint.exchange(
            {"grant_type": "refresh_token", "refresh_token": grant.refresh_token or ""}
        )
        if not isinstance(outcome, Refusal):
            return await self._keep(account, claim, grant.followed_by(outcome, self.pace.wall()))
        if outcome.error == "invalid_grant":
            await self._end(account, claim, grant)
            return None
        if outcome.error in CLIENT_ERRORS:
            raise ConfigurationError(
                f"the authorization server refuses client_id or client_secret: {outcome.words}"
            )
        raise NotRenewedError(outcome)

    async def _end(self, account: str, claim: Claim, grant: Grant) -> None:
        """Mark the grant as ended, unless another process has renewed it; the next look tells."""
        if await claim.write(attrs.evolve(grant, ended=True).dump()):
            # In a turn of its own, when no task runs: a hook might cancel this one.
            asyncio.get_running_loop().call_soon(self._on_sign_in_required, account)

    async def _keep(self, account: str, claim: Claim, grant: Grant) -> Held | None:
        """Store the new pair, also over a store that fails for a while; None if it came too late.

        What cannot be stored is not used, but kept in memory and stored at the next need.
        """
        assert claim.mark is not None
        self._unsaved[account] = claim.mark.version, grant
        until = self.pace.clock() + self.pace.keeping
        while True:
            try:
                is_stored = await self._save(account)
            except StoreError:
                if self.pace.clock() > until:
                    raise
                await self.pace.sleep(self.pace.pause * (0.5 + self.pace.random()))
            else:
                break
        if not is_stored:
            return None
        held = Held(grant, self.pace)
        if held.expires_at <= self.pace.clock():  # it would be exchanged again at once, for ever
            raise NotRenewedError(_USELESS)
        return held

    async def _save(self, account: str) -> bool:
        """Store a pair that is not stored yet; False if another process wrote in between."""
        if account not in self._unsaved:
            return False
        version, grant = self._unsaved[account]
        key = self._keys.grant(account)
        is_stored = await self._store.put(key, grant.dump(), version=version) is not None
        if not is_stored:  # by an earlier try, perhaps, whose answer was lost
            entry = await self._store.get(key)
            is_stored = entry is not None and read(entry) == grant
        del self._unsaved[account]
        return is_stored

    async def refuse(self, account: str, is_refused: Callable[[str], bool]) -> None:
        """Tell all processes that the API refused a token, unless a newer one is stored."""
        key = self._keys.grant(account)
        while (entry := await self._store.get(key)) is not None:
            grant = read(entry)
            if grant.refused or not is_refused(grant.access_token):
                return
            grant = attrs.evolve(grant, refused=True)
            if await self._store.put(key, grant.dump(), version=entry.version) is not None:
                return


def _required(account: str, words: str) -> SignInRequiredError:
    return SignInRequiredError(f"account {account!r} {words}", account=account)


class Tasks:
    """Work that goes on when its callers are cancelled, up to the end of the app."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[object]] = set()
        self._is_over = False

    def start(self, work: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
        """Run ``work``; its task returns its result, or the FanvueError that it raised."""
        # In an empty context: it outlives its caller, whose variables it must not keep alive.
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._outcome(work), context=contextvars.Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finish(self, seconds: float) -> None:
        """Wait for all of them, so long at most; what is left is cancelled."""
        if running := set(self._running):
            _, slow = await asyncio.wait(running, timeout=seconds)
            self._is_over = True
            for task in slow:
                task.cancel()
            if slow:
                await asyncio.wait(slow)

    async def _outcome(self, work: Callable[[], Awaitable[object]]) -> object:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                return await work()
            except FanvueError as error:
                return error.with_traceback(None)
        if self._is_over:
            return ClientStateError("the OAuthApp was closed")
        return TokenError("the exchange was cancelled by something other than its callers")
