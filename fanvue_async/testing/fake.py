"""FakeFanvue: the server, its script, its buckets and tokens, and everything behind the API."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, get_args
from uuid import UUID

from fanvue_async.client import FanvueClient
from fanvue_async.testing.account import Account
from fanvue_async.testing.agencies import Agencies
from fanvue_async.testing.api import ROUTER, Accounts, Api, owner_of
from fanvue_async.testing.buckets import Buckets, checked
from fanvue_async.testing.deliveries import SECRET, Deliveries, deliver
from fanvue_async.testing.oauth import OAuth
from fanvue_async.testing.profiles import Creators
from fanvue_async.testing.script import Script
from fanvue_async.testing.scripted import ScriptedServer
from fanvue_async.testing.tokens import Token, Tokens
from fanvue_async.testing.users import Users
from fanvue_async.testing.world import World

Duplicates = Literal[201, 400, 409]


class FakeFanvue(Account, ScriptedServer):
    """A Fanvue API on 127.0.0.1, with real connections and scripted trouble.

    It checks what the real API checks: the token, the version header, the query, the body, whether
    a user may be contacted. What was created can be read, changed and deleted. What is not
    documented is a setting. The nouns (``chats``, ``messages``, ``users``, …) are those of
    the account that its tokens belong to; ``creator(uuid)`` has those of another.

    Args:
        tokens: the access tokens that it accepts.
        rate_limit: requests and seconds of one window for each token; the window is filled again
            as a whole. Default: every request is let through.
        not_contactable: the UUIDs of users who may not be contacted (400).
        duplicates: the status of a second chat with the same user: 201, 400 or 409.

    Raises:
        TypeError: one text was given where a collection is needed.
        ValueError: an argument makes no sense.

    """

    def __init__(
        self,
        *,
        tokens: Iterable[str] = ("fake-token",),
        rate_limit: tuple[int, float] | None = None,
        not_contactable: Collection[UUID | str] = (),
        duplicates: Duplicates = 201,
    ) -> None:
        if isinstance(tokens, str) or isinstance(not_contactable, str):
            raise TypeError("tokens and not_contactable are collections, not one text")
        if duplicates not in get_args(Duplicates):
            raise ValueError("duplicates must be 201, 400 or 409")
        limit = None
        if rate_limit is not None:
            requests, seconds = rate_limit
            limit = checked(requests, seconds)
        world = World(not_contactable, duplicates)
        self.world = world
        """The clock, and what else all accounts share."""
        self.users: Users = world.users
        Account.__init__(self, owner_of(world, world.users.add(handle="me", is_creator=True)))
        self.buckets: Buckets = Buckets(limit, world.now)
        self.webhooks: Deliveries = Deliveries(world, lambda: self._server.loop)
        """The addresses that are told what happens."""
        self._tokens = Tokens(world.now)
        self.oauth: OAuth = OAuth(world, self._tokens, self.uuid)
        """The authorization server, at the same address."""
        self.creators: Creators = Creators(world)
        self._accounts = Accounts(world, self)
        self.agencies: Agencies = Agencies(self._accounts.chats)
        for noun in (self.oauth, self.creators, self.agencies, world.storage):
            self.has(noun)
        for token in tokens:
            self.add_token(token)
        if self._tokens.first() is None:
            raise ValueError("tokens must hold at least one")
        api = Api(self._accounts, self._tokens, self.buckets)
        ScriptedServer.__init__(self, Script(ROUTER.is_for), api.admit, api.answer)

    @property
    def token(self) -> str:
        """An access token that it accepts."""
        token = self._tokens.first()
        if token is None:
            raise RuntimeError("the fake server accepts no token any more; add one by add_token")
        return token

    def client(self, **options: Any) -> FanvueClient:
        """Make a client on this server; its waits for a retry take no time.

        Args:
            options: what ``FanvueClient`` takes; ``access_token`` defaults to ``token``.

        """
        token = options.pop("access_token") if "access_token" in options else self.token
        client = FanvueClient(token, base_url=self.url, **options)
        client._session.terms.pool.clockwork.sleep = _no_time  # noqa: SLF001 - the seam for this
        return client

    def creator(self, uuid: UUID | str) -> Account:
        """Return the account of a creator: the same nouns as here.

        Args:
            uuid: what ``creators.add`` gave.

        Raises:
            ValueError: that creator was not added.

        """
        return self._accounts.of(uuid)

    def add_token(
        self,
        token: str,
        *,
        user: UUID | str | None = None,
        like: str | None = None,
        scopes: Collection[str] | None = None,
        expires_in: float = math.inf,
    ) -> None:
        """Accept another access token.

        Args:
            token: the token.
            user: the creator whose it is, from ``creators.add``; by default the fake's own
                account. Tokens of one creator share a rate limit.
            like: another token, of the same user and with the same rate limit, as a renewed
                token has them.
            scopes: what it allows; without them 403. By default everything.
            expires_in: seconds.

        Raises:
            ValueError: ``like`` is not accepted, or that user was not added.

        """
        owner = None if user is None else self.creator(user).uuid
        holder = owner or token
        if like is not None:
            known = self._tokens.get(like)
            owner, holder = known.user, known.holder
        allowed = None if scopes is None else frozenset(scopes)
        ends = self.world.now() + expires_in
        self._tokens.add(Token(token, holder, owner, allowed, ends))

    def expire(self, token: str) -> None:
        """Accept an access token no longer.

        Raises:
            ValueError: it was not accepted before.

        """
        self._tokens.remove(self._tokens.get(token).text)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.webhooks.aclose()
        finally:
            await super().__aexit__(exc_type, exc_value, traceback)

    async def deliver(
        self,
        url: str,
        *events: Mapping[str, Any] | bytes,
        secret: str | Sequence[str] = SECRET,
        repeats: int = 0,
        seed: int | None = None,
        signed_at: float | None = None,
    ) -> list[int]:
        """Send signed webhook deliveries, one after the other; the fake need not run for it.

        Args:
            url: where to.
            events: JSON objects, of either family; or bytes, which are sent as they are.
            secret: the signing secret; several while a secret rotates.
            repeats: how often each event is sent again.
            seed: send all of them in the random order of this seed.
            signed_at: the unix seconds that the signature tells, by default now.

        Returns:
            The statuses of the responses; 0 where none came within 10 seconds.

        """
        return await deliver(
            url, events, secret=secret, repeats=repeats, seed=seed, signed_at=signed_at
        )


async def _no_time(_: float) -> None:
    """Wait for a retry without waiting, but let others run."""
    await asyncio.sleep(0)
