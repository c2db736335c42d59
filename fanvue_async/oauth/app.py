"""An application that creators sign in to."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from fanvue_async import config
from fanvue_async.client import FanvueClient
from fanvue_async.engine.cancels import to_its_end
from fanvue_async.engine.credentials import Secret
from fanvue_async.engine.waits import this_task
from fanvue_async.errors import ConfigurationError, InvalidArgumentError
from fanvue_async.oauth import sign_in as browser
from fanvue_async.oauth.connecting import Connecting
from fanvue_async.oauth.endpoint import Endpoint
from fanvue_async.oauth.grants import Keys, read
from fanvue_async.oauth.hook import Hook
from fanvue_async.oauth.renewal import Pace, Renewals, Tasks
from fanvue_async.oauth.sign_in import SignIn
from fanvue_async.oauth.token import AccountToken
from fanvue_async.stores import Entry, Store


class OAuthApp:
    """An application that creators sign in to, and the tokens that they grant it.

    Use it in ``async with``, or call `aclose` at the end. The grants are in ``store``, which stays
    open: every process on the same store with the same ``client_id`` sees them.

    Args:
        client_id: of the application, as Fanvue shows it.
        client_secret: likewise; sent by HTTP Basic.
        redirect_uri: where Fanvue sends creators back to, exactly as it is registered.
        store: where the grants are kept: a `fanvue_async.stores.Store`.
        auth_url: the authorization server.
        base_url: where the API is; see `FanvueClient`.
        timeout: seconds that one exchange may take, at most 10.
        ssl: a TLS context that verifies the servers; None means the system's authorities.
        proxy: ``http://[user:password@]host:port``.
        session: an ``aiohttp.ClientSession`` whose connector is used; see `FanvueClient`.
        on_sign_in_required: called with the account's name when its grant has ended, once over all
            processes. It must not block; what it raises is logged once.
        allow_http: permit ``http`` addresses on other machines, for a fake in another container.

    Raises:
        ConfigurationError: a setting cannot work. The message never quotes the secret.

    """

    # A debugger may show an app whose settings were refused.
    _auth_url: str = ""
    _client_id: str = ""

    def __init__(  # noqa: PLR0913 - settings, all but three by keyword
        self,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        *,
        store: Store,
        auth_url: str = "https://auth.fanvue.com",
        base_url: str | None = None,
        timeout: float = 10.0,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        session: aiohttp.ClientSession | None = None,
        on_sign_in_required: Callable[[str], None] | None = None,
        allow_http: bool = False,
        _pace: Pace | None = None,
    ) -> None:
        secret = Secret(client_secret)
        del client_secret  # out of this frame, which a traceback with locals would show
        for name, value in (("client_id", Secret(client_id)), ("client_secret", secret)):
            if not _is_text(value):
                raise ConfigurationError(f"{name} must be printable ASCII text")
        self._auth_url = config.checked_base_url(auth_url, "auth_url", allow_http=allow_http)
        self._client_id = client_id
        self._redirect_uri = _checked_redirect_uri(redirect_uri)
        self._store = config.checked_store(store)
        hook = Hook(config.checked_hook(on_sign_in_required, "on_sign_in_required"))
        pace = _pace or Pace()
        self._client = FanvueClient(
            base_url=base_url, session=session, ssl=ssl, proxy=proxy, allow_http=allow_http
        )
        self._keys = Keys(self._auth_url, client_id)
        within = _checked_timeout(timeout, pace.attempt)
        self._endpoint = Endpoint(self._client, self._auth_url, client_id, secret, within)
        self._renewals = Renewals(self._store, self._keys, self._endpoint, pace, hook.call)
        self._connecting = Connecting(
            self._store,
            self._keys,
            self._endpoint,
            self._client,
            pace,
            redirect_uri=self._redirect_uri,
        )
        self._tasks = Tasks()
        self._tokens: dict[str, AccountToken] = {}

    def sign_in(self, scopes: Iterable[str], *, account: str | None = None) -> SignIn:
        """Begin a sign-in: send the creator to its ``url``, and keep it on the server.

        Args:
            scopes: what to ask for, such as ``["read:self", "write:chat"]``; ``openid``,
                ``offline_access`` and ``offline`` are added.
            account: a name of yours for the account. Default: the one that `connect` is given,
                else the creator's UUID, which needs ``read:self``.

        Raises:
            ConfigurationError: a scope or the name cannot work, or there is no name and no
                ``read:self``.

        """
        asked = browser.checked_scopes(scopes)
        if account is not None:
            config.checked_account(account)
        elif "read:self" not in asked:
            raise ConfigurationError(
                "without the scope read:self the account needs a name: sign_in(…, account=…)"
            )
        return browser.begin(
            self._auth_url, self._client_id, self._redirect_uri, asked, account=account
        )

    async def connect(
        self, sign_in: SignIn, callback_url: str, *, account: str | None = None
    ) -> str:
        """Finish a sign-in: check its callback, exchange the code, and store the grant.

        A cancelled caller ends nothing: the exchange goes on and its grant is stored. A callback
        that is handled a second time, within 30 days, gives the same account.

        Args:
            sign_in: what `sign_in` returned.
            callback_url: the address that the browser came back to, with its query.
            account: the name to keep the account under; an earlier grant of it is replaced.

        Returns:
            The account's name, for `token`.

        Raises:
            SignInError: the creator refused, the callback is forged or of another sign-in, or its
                code is not good (any more); ``error`` and ``error_description`` say which.
            TokenError: the authorization server failed. Let the creator sign in again.
            ConfigurationError: client id or secret is refused, or the name cannot work.
            InvalidArgumentError: ``sign_in`` is not a `SignIn`.
            StoreError: the store failed.
            ClientStateError: the app is closed.
            FanvueError: the API did not tell the creator's UUID; call it again.

        """
        if not isinstance(sign_in, SignIn):
            raise InvalidArgumentError("sign_in must be what sign_in() returned")
        callback = Secret(callback_url)
        del callback_url  # out of this frame, which a traceback with locals would show
        code = browser.code_of(callback, sign_in)
        if account is None:
            account = sign_in.account
        if account is not None:
            config.checked_account(account)
        self._start()
        return str(await self._finished(lambda: self._connect(sign_in, code, account)))

    async def _connect(self, sign_in: SignIn, code: Secret, account: str | None) -> str:
        connected = await self._connecting.finish(sign_in, code, account)
        self._forget(connected)
        return connected

    def token(self, account: str) -> AccountToken:
        """Return the provider of an account's token, always the same one, connected or not."""
        config.checked_account(account)
        if account not in self._tokens:
            pool = self._client._session.terms.pool  # noqa: SLF001 - of this package
            self._tokens[account] = AccountToken(
                account, self._renewals, self._tasks, lambda: pool.refusal(this_task())
            )
        return self._tokens[account]

    async def accounts(self) -> AsyncIterator[str]:
        """Iterate over the names of all accounts that are connected, also of ended grants."""
        async for account in self._keys.accounts(self._store):
            yield account

    async def disconnect(self, account: str) -> bool:
        """Forget an account, and ask the authorization server to end its grant.

        That it does is assumed: no official page describes it (RFC 7009). Nothing is raised if it
        refuses. A cancelled caller ends nothing.

        Returns:
            Whether the account was connected.

        Raises:
            StoreError: the store failed.
            ClientStateError: the app is closed; nothing was forgotten.

        """
        config.checked_account(account)
        self._start()
        return bool(await self._finished(lambda: self._disconnect(account)))

    async def _disconnect(self, account: str) -> bool:
        key = self._keys.grant(account)
        known: Entry | None = None
        while (entry := await self._store.get(key)) is not None:
            known = entry
            if await self._store.delete(key, version=entry.version):
                break
            # It was renewed in between, and the new pair is the one to end; or the store has
            # deleted it, lost its response, and found nothing when it tried again.
        if known is None:
            return False
        self._forget(account)
        token = Secret(read(known).refresh_token)
        if token.reveal() is not None:
            await self._endpoint.revoke(token)
        return True

    async def aclose(self) -> None:
        """Refuse new exchanges, let those that have begun be stored, then close the connections.

        Bounded by the time of one exchange and 5 seconds for the store. A cancelled caller ends its
        waiting only.
        """
        self._renewals.closing = True
        await to_its_end(self._close())

    async def _close(self) -> None:
        try:
            await self._tasks.finish(self._renewals.pace.attempt + 5.0)
        finally:
            await self._client.aclose()

    def _start(self) -> None:
        """Refuse to go on after `aclose`, or in another loop or process."""
        self._client._session.terms.pool.start()  # noqa: SLF001 - of this package

    async def _finished(self, work: Callable[[], Awaitable[object]]) -> object:
        """Await what goes on if the caller is cancelled."""
        working = self._tasks.start(work)
        outcome = await asyncio.shield(working)
        del working
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _forget(self, account: str) -> None:
        if account in self._tokens:
            self._tokens[account].forget()

    async def __aenter__(self) -> Self:
        self._client._session.terms.pool.start()  # noqa: SLF001 - of this package
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<OAuthApp {self._client_id!r} at {self._auth_url}>"


def _is_text(secret: Secret) -> bool:
    value: object = secret.reveal()
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()


def _checked_redirect_uri(uri: str) -> str:
    try:
        parts = urlsplit(uri if isinstance(uri, str) else "")
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme or not parts.netloc or "#" in uri:
        raise ConfigurationError("redirect_uri must be an absolute URL without a fragment")
    return uri


def _checked_timeout(timeout: float, longest: float) -> config.Timeout:
    given = config.checked_timeout(timeout)
    if given.total > longest:
        raise ConfigurationError(f"timeout must be at most {longest:g} seconds")
    return config.Timeout(given.total, given.total, min(given.connect, given.total))
