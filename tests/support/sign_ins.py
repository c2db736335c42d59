"""An application on a fake authorization server, and the browser of a creator."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from fanvue_async.oauth import OAuthApp
from fanvue_async.oauth.renewal import Pace
from fanvue_async.stores import MemoryStore

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from fanvue_async import FanvueClient
    from fanvue_async.oauth import AccountToken, SignIn
    from fanvue_async.stores import Store
    from fanvue_async.testing import FakeFanvue

SCOPES = ("read:self", "read:chat", "write:chat")
_SECRET = "fake-secret"
BACK = "https://bot.example/callback"


class Clock:
    """Wall and monotonic clock of an application and its fake, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Take no time, but let time pass."""
        self.now += seconds
        await asyncio.sleep(0.002)


class World:
    """A fake, a store, and as many applications (processes, so to speak) as a test needs."""

    def __init__(self, fake: FakeFanvue, stack: AsyncExitStack) -> None:
        self.fake = fake
        self.clock = Clock()
        self.store: Store = MemoryStore(_clock=self.clock)
        self.hooked: list[str] = []
        self._stack = stack

    async def app(self, *, secret: str = _SECRET, **options: Any) -> OAuthApp:
        """Make another application on the same store."""
        pace = Pace(wall=self.clock, clock=self.clock, sleep=self.clock.sleep, random=lambda: 0.5)
        settings: dict[str, Any] = {
            "store": self.store,
            "auth_url": self.fake.url,
            "base_url": self.fake.url,
            "on_sign_in_required": self.hooked.append,
            "_pace": pace,
            **options,
        }
        return await self._stack.enter_async_context(
            OAuthApp("fake-client", secret, BACK, **settings)
        )

    async def browse(self, sign_in: SignIn) -> str:
        """Let the creator agree (or not), and return the address they come back to."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(sign_in.url, allow_redirects=False) as response,
        ):
            return response.headers["Location"]

    async def connected(self, app: OAuthApp, account: str = "anna") -> AccountToken:
        """Sign in, and return the account's token."""
        sign_in = app.sign_in(SCOPES)
        await app.connect(sign_in, await self.browse(sign_in), account=account)
        return app.token(account)

    def client(self, token: AccountToken, **options: Any) -> FanvueClient:
        """Make a client that acts with a token."""
        client = self.fake.client(access_token=token, **options)
        self._stack.push_async_callback(client.aclose)
        return client

    @property
    def exchanges(self) -> int:
        """How many refresh tokens were exchanged."""
        return self.fake.oauth.counts["refresh_token"]

    @property
    def asked(self) -> int:
        """How many requests the token endpoint has seen."""
        return sum(request.path == "/oauth2/token" for request in self.fake.requests)
