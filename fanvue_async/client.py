"""What users hold: a client, its scoped clients, and clients that act for a creator."""

from __future__ import annotations

import logging
import ssl as ssl_module
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import aiohttp

from fanvue_async import config
from fanvue_async.config import Limits, RateLimits, RetryPolicy, Timeout
from fanvue_async.engine import credentials
from fanvue_async.engine.credentials import TokenProvider
from fanvue_async.engine.notices import Notices, RetryEvent
from fanvue_async.engine.operation import uuid_of
from fanvue_async.engine.origin import Origin
from fanvue_async.engine.pool import Pool
from fanvue_async.engine.session import Session
from fanvue_async.engine.terms import Bounds, Terms
from fanvue_async.errors import RateLimit
from fanvue_async.raw import Response, raw_request
from fanvue_async.resources._resource import Resource

if TYPE_CHECKING:
    from fanvue_async.resources.agencies import AgenciesResource
    from fanvue_async.resources.apps import AppsResource
    from fanvue_async.resources.chats import ChatsResource, CreatorChatsResource
    from fanvue_async.resources.collections import CollectionsResource
    from fanvue_async.resources.creators import CreatorsResource
    from fanvue_async.resources.custom_lists import CreatorCustomListsResource, CustomListsResource
    from fanvue_async.resources.followers import CreatorFollowersResource, FollowersResource
    from fanvue_async.resources.insights import CreatorInsightsResource, InsightsResource
    from fanvue_async.resources.mass_messages import (
        CreatorMassMessagesResource,
        MassMessagesResource,
    )
    from fanvue_async.resources.media import CreatorMediaResource, MediaResource
    from fanvue_async.resources.messages import CreatorMessagesResource, MessagesResource
    from fanvue_async.resources.notifications import (
        CreatorNotificationsResource,
        NotificationsResource,
    )
    from fanvue_async.resources.posts import CreatorPostsResource, PostsResource
    from fanvue_async.resources.smart_lists import CreatorSmartListsResource, SmartListsResource
    from fanvue_async.resources.subscribers import (
        CreatorOnlySubscribersResource,
        SubscribersResource,
    )
    from fanvue_async.resources.templates import TemplatesResource
    from fanvue_async.resources.tracking_links import TrackingLinksResource
    from fanvue_async.resources.users import Account, UsersResource
    from fanvue_async.resources.vault import VaultResource


class _Scoped:
    """What all clients have: a session, and what is made from it directly."""

    _session: Session
    _owned: Pool | None = None
    """The pool that closing this client closes."""

    def __repr__(self) -> str:
        session = getattr(self, "_session", None)  # a traceback may show one that was refused
        return f"<{type(self).__name__} {session.terms.description if session else 'not made'}>"

    @property
    def rate_limit(self) -> RateLimit | None:
        """The newest rate limit that the API reported for this account or creator, or None."""
        return self._session.terms.rate_limit

    def with_options(
        self,
        *,
        access_token: str | TokenProvider | EllipsisType = ...,
        account: str | EllipsisType = ...,
        timeout: Timeout | float | EllipsisType = ...,
        retry: RetryPolicy | EllipsisType = ...,
    ) -> Self:
        """Make a scoped client: another one on the same connections, cheap enough per request.

        What is left out stays as it is. Closing a scoped client closes nothing.

        Args:
            access_token: whom to act for.
            account: a name for whom the token belongs to, 1 to 256 printable characters, under
                which rate limit and retry quota are kept when the token changes. Default: with a
                new token, the provider's ``account``, else each token is its own account.
            timeout: a :class:`Timeout`, or a number of seconds for its ``total``.
            retry: when a call is tried again.

        Raises:
            ConfigurationError: an option cannot work, None and an empty token included: a missing
                token must never act as the parent's.

        """
        secret = None if access_token is ... else credentials.Secret(access_token)
        del access_token  # out of this frame, which a traceback with locals would show
        terms = self._session.terms.derive(
            credential=credentials.Credential(secret, "access_token") if secret else None,
            account=None if account is ... else config.checked_account(account),
            timeout=None if timeout is ... else config.checked_timeout(timeout),
            retry=None if retry is ... else config.checked_retry(retry),
        )
        return self._scoped(terms)

    def _scoped(self, terms: Terms) -> Self:
        """Make another client of this class on the same pool, with what ``__init__`` sets."""
        scoped = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Resource):  # of this client's session, made on first use
                delattr(scoped, name)
        scoped._session = Session(terms)  # noqa: SLF001 - of this class
        scoped._owned = None  # noqa: SLF001 - likewise
        return scoped

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, object] | None = None,
        idempotent: bool | None = None,
    ) -> Response:
        """Call an endpoint that this package has no method for, with all its promises.

        Args:
            method: GET, HEAD, POST, PUT, PATCH or DELETE.
            path: the path below the base URL, such as ``"/chats"``, percent-encoded where needed;
                of a :class:`CreatorClient`, the path below ``/creators/{creatorUserUuid}``.
            json: what to send as JSON; None sends no body.
            params: the query: str, numbers, booleans, dates, UUIDs, or lists of those. A list
                repeats its key, booleans become ``true`` and ``false``.
            idempotent: whether the call may be repeated when the API may have processed it.
                Default: by method (RFC 9110, 9.2.2), so POST and PATCH are not.

        Returns:
            The response, whose status is one of success.

        Raises:
            InvalidArgumentError: an argument is invalid; nothing was sent.
            APIError: the API responded with another status; each has its own class.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        """
        request = raw_request(
            method,
            path,
            json=json,
            params=params,
            idempotent=idempotent,
            creator=self._session.creator,
        )
        return await self._session.send(request)


class FanvueClient(_Scoped):
    """A client for the Fanvue API, or a scoped client of one.

    Making one opens nothing and needs no event loop. It belongs to the event loop and the process
    of its first call. Use it in ``async with``, or call :meth:`aclose` at the end.

    Args:
        access_token: the OAuth access token, or a :class:`TokenProvider` that gives one for each
            request. Default: the environment variable ``FANVUE_ACCESS_TOKEN``. Without either,
            the client serves as the root of scoped clients that bring their own.
        base_url: where the API is; ``https``, or ``http`` on this machine. Default: the environment
            variable ``FANVUE_BASE_URL``, then ``https://api.fanvue.com``.
        api_version: sent as ``X-Fanvue-API-Version``.
        timeout: a :class:`Timeout`, or a number of seconds for its ``total``.
        retry: when a call is tried again.
        limits: how many connections are opened; None means ``Limits()``.
        rate_limits: wait for the API's rate limit instead of raising its 429; None raises it.
        session: an ``aiohttp.ClientSession`` whose connector and tracing are used, and left open.
            Nothing else of it applies. Not together with ``limits``.
        ssl: a TLS context that verifies the server; None means the system's authorities.
        proxy: ``http://[user:password@]host:port``. The environment's proxy variables are ignored.
        user_agent: your application's name, appended to this package's in ``User-Agent``.
        on_retry: called with a :class:`RetryEvent` before each wait for a retry. It must not block.
        allow_http: permit an ``http`` base URL on any machine, for a fake API in another container.
            Tokens travel unencrypted then, which is logged as a warning.

    Raises:
        ConfigurationError: a setting cannot work. The message never quotes a token.

    """

    def __init__(  # noqa: PLR0913 - the settings of a client, all but the first by keyword
        self,
        access_token: str | TokenProvider | None = None,
        *,
        base_url: str | None = None,
        api_version: str = "2025-06-26",
        timeout: Timeout | float = config.Timeout(),  # noqa: B008 - frozen
        retry: RetryPolicy = config.RetryPolicy(),  # noqa: B008 - frozen
        limits: Limits | None = None,
        rate_limits: RateLimits | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        user_agent: str | None = None,
        on_retry: Callable[[RetryEvent], None] | None = None,
        allow_http: bool = False,
    ) -> None:
        source, name = credentials.from_environment(), credentials.ENVIRONMENT
        if access_token is not None:
            source, name = credentials.Secret(access_token), "access_token"
        secret_proxy = None if proxy is None else credentials.Secret(proxy)
        del access_token, proxy  # out of this frame, which a traceback with locals would show
        origin = Origin(
            base_url,
            api_version=api_version,
            user_agent=user_agent,
            ssl=ssl,
            proxy=secret_proxy,
            allow_http=allow_http,
        )
        rate_limits = config.checked_rate_limits(rate_limits)
        on_wait = rate_limits.on_wait if rate_limits is not None else None
        notices = Notices(config.checked_hook(on_retry), on_wait)
        if origin.is_plain:
            notices.log(logging.WARNING, "tokens travel unencrypted to %s", origin.base_url)
        pool = Pool(origin, notices, limits=limits, borrowed=session, rate_limits=rate_limits)
        credential = credentials.Credential(source, name) if source else None
        timeout, retry = config.checked_timeout(timeout), config.checked_retry(retry)
        self._session = Session(Terms(pool, credential, Bounds(timeout), retry))
        self._owned = pool

    def creator(self, creator_uuid: UUID | str) -> CreatorClient:
        """Make a client that acts for a creator whom the token may act for.

        It needs ``read:creator`` or ``write:creator`` besides the scopes of each operation, and
        shares this client's connections. Agencies act for their creators this way.

        Args:
            creator_uuid: a ``uuid.UUID``, or its canonical text of 36 characters.

        Raises:
            InvalidArgumentError: ``creator_uuid`` is not a UUID.

        """
        uuid = uuid_of("creator_uuid", creator_uuid)
        return CreatorClient(self._session.terms.derive(creator=uuid))

    @cached_property
    def chats(self) -> ChatsResource:
        """Chats with fans and other creators."""
        from fanvue_async.resources.chats import ChatsResource  # noqa: PLC0415 - on first use

        return ChatsResource(self._session)

    @cached_property
    def messages(self) -> MessagesResource:
        """Messages of the chats."""
        from fanvue_async.resources.messages import MessagesResource  # noqa: PLC0415 - likewise

        return MessagesResource(self._session)

    @cached_property
    def mass_messages(self) -> MassMessagesResource:
        """Messages to all members of lists."""
        from fanvue_async.resources.mass_messages import MassMessagesResource  # noqa: PLC0415 - likewise

        return MassMessagesResource(self._session)

    @cached_property
    def custom_lists(self) -> CustomListsResource:
        """Lists of users that the account made."""
        from fanvue_async.resources.custom_lists import CustomListsResource  # noqa: PLC0415 - likewise

        return CustomListsResource(self._session)

    @cached_property
    def smart_lists(self) -> SmartListsResource:
        """Lists of users that the API keeps, such as all subscribers."""
        from fanvue_async.resources.smart_lists import SmartListsResource  # noqa: PLC0415 - likewise

        return SmartListsResource(self._session)

    @cached_property
    def templates(self) -> TemplatesResource:
        """Saved messages to send again."""
        from fanvue_async.resources.templates import TemplatesResource  # noqa: PLC0415 - likewise

        return TemplatesResource(self._session)

    @cached_property
    def users(self) -> UsersResource:
        """The token's own account."""
        from fanvue_async.resources.users import UsersResource  # noqa: PLC0415 - likewise

        return UsersResource(self._session)

    @cached_property
    def followers(self) -> FollowersResource:
        """Users who follow the account and do not subscribe."""
        from fanvue_async.resources.followers import FollowersResource  # noqa: PLC0415 - likewise

        return FollowersResource(self._session)

    @cached_property
    def subscribers(self) -> SubscribersResource:
        """Users with an active subscription."""
        from fanvue_async.resources.subscribers import SubscribersResource  # noqa: PLC0415 - likewise

        return SubscribersResource(self._session)

    @cached_property
    def notifications(self) -> NotificationsResource:
        """Notifications of the account."""
        from fanvue_async.resources.notifications import NotificationsResource  # noqa: PLC0415 - likewise

        return NotificationsResource(self._session)

    @cached_property
    def creators(self) -> CreatorsResource:
        """Creators whom the token may act for."""
        from fanvue_async.resources.creators import CreatorsResource  # noqa: PLC0415 - likewise

        return CreatorsResource(self._session)

    @cached_property
    def posts(self) -> PostsResource:
        """Posts of the account."""
        from fanvue_async.resources.posts import PostsResource  # noqa: PLC0415 - likewise

        return PostsResource(self._session)

    @cached_property
    def collections(self) -> CollectionsResource:
        """Named groups of posts."""
        from fanvue_async.resources.collections import CollectionsResource  # noqa: PLC0415 - likewise

        return CollectionsResource(self._session)

    @cached_property
    def media(self) -> MediaResource:
        """Files of the account, and their upload."""
        from fanvue_async.resources.media import MediaResource  # noqa: PLC0415 - likewise

        return MediaResource(self._session)

    @cached_property
    def vault(self) -> VaultResource:
        """Folders of the account's media."""
        from fanvue_async.resources.vault import VaultResource  # noqa: PLC0415 - likewise

        return VaultResource(self._session)

    @cached_property
    def insights(self) -> InsightsResource:
        """Earnings, and what is known about fans."""
        from fanvue_async.resources.insights import InsightsResource  # noqa: PLC0415 - likewise

        return InsightsResource(self._session)

    @cached_property
    def tracking_links(self) -> TrackingLinksResource:
        """Links that count the users who came through them."""
        from fanvue_async.resources.tracking_links import TrackingLinksResource  # noqa: PLC0415 - likewise

        return TrackingLinksResource(self._session)

    @cached_property
    def agencies(self) -> AgenciesResource:
        """All creators of an agency together, and its team."""
        from fanvue_async.resources.agencies import AgenciesResource  # noqa: PLC0415 - likewise

        return AgenciesResource(self._session)

    @cached_property
    def apps(self) -> AppsResource:
        """Subscriptions to an application."""
        from fanvue_async.resources.apps import AppsResource  # noqa: PLC0415 - likewise

        return AppsResource(self._session)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, end those in flight with ClientStateError, close the connections.

        It may be called again, and more than once at a time. Whatever is cancelled meanwhile, the
        connections are closed. On a scoped client it does nothing, and a borrowed session stays
        open.

        Args:
            drain: seconds, up to a day, that calls in flight may go on before they are ended.

        Raises:
            ClientStateError: called in another event loop or process than the calls. If that loop
                is closed, the connections are dropped all the same.
            ConfigurationError: ``drain`` is out of range.

        """
        config.check_drain(drain)
        if self._owned is not None:
            await self._owned.aclose(drain=drain)

    async def __aenter__(self) -> Self:
        self._session.terms.pool.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class CreatorClient(_Scoped):
    """Acts for one creator; made by :meth:`FanvueClient.creator`.

    It has what the API offers for creators, and shares the connections of the client it came from.
    """

    def __init__(self, terms: Terms) -> None:
        self._session = Session(terms)

    @cached_property
    def chats(self) -> CreatorChatsResource:
        """Chats of the creator."""
        from fanvue_async.resources.chats import (  # noqa: PLC0415 - on first use
            CreatorChatsResource,
        )

        return CreatorChatsResource(self._session)

    @cached_property
    def messages(self) -> CreatorMessagesResource:
        """Messages of the creator's chats."""
        from fanvue_async.resources.messages import (  # noqa: PLC0415 - likewise
            CreatorMessagesResource,
        )

        return CreatorMessagesResource(self._session)

    @cached_property
    def mass_messages(self) -> CreatorMassMessagesResource:
        """Messages to all members of lists."""
        from fanvue_async.resources.mass_messages import CreatorMassMessagesResource  # noqa: PLC0415 - likewise

        return CreatorMassMessagesResource(self._session)

    @cached_property
    def custom_lists(self) -> CreatorCustomListsResource:
        """Lists of users that the creator made."""
        from fanvue_async.resources.custom_lists import CreatorCustomListsResource  # noqa: PLC0415 - likewise

        return CreatorCustomListsResource(self._session)

    @cached_property
    def smart_lists(self) -> CreatorSmartListsResource:
        """Lists of users that the API keeps, such as all subscribers."""
        from fanvue_async.resources.smart_lists import CreatorSmartListsResource  # noqa: PLC0415 - likewise

        return CreatorSmartListsResource(self._session)

    @cached_property
    def followers(self) -> CreatorFollowersResource:
        """Users who follow the creator and do not subscribe."""
        from fanvue_async.resources.followers import CreatorFollowersResource  # noqa: PLC0415 - likewise

        return CreatorFollowersResource(self._session)

    @cached_property
    def subscribers(self) -> CreatorOnlySubscribersResource:
        """Users with an active subscription."""
        from fanvue_async.resources.subscribers import CreatorOnlySubscribersResource  # noqa: PLC0415 - likewise

        return CreatorOnlySubscribersResource(self._session)

    @cached_property
    def notifications(self) -> CreatorNotificationsResource:
        """Notifications of the creator."""
        from fanvue_async.resources.notifications import CreatorNotificationsResource  # noqa: PLC0415 - likewise

        return CreatorNotificationsResource(self._session)

    @cached_property
    def posts(self) -> CreatorPostsResource:
        """Posts of the creator."""
        from fanvue_async.resources.posts import CreatorPostsResource  # noqa: PLC0415 - likewise

        return CreatorPostsResource(self._session)

    @cached_property
    def media(self) -> CreatorMediaResource:
        """Files of the creator, and their upload."""
        from fanvue_async.resources.media import CreatorMediaResource  # noqa: PLC0415 - likewise

        return CreatorMediaResource(self._session)

    @cached_property
    def vault(self) -> VaultResource:
        """Folders of the creator's media."""
        from fanvue_async.resources.vault import VaultResource  # noqa: PLC0415 - likewise

        return VaultResource(self._session)

    @cached_property
    def insights(self) -> CreatorInsightsResource:
        """What the creator earned."""
        from fanvue_async.resources.insights import CreatorInsightsResource  # noqa: PLC0415 - likewise

        return CreatorInsightsResource(self._session)

    @cached_property
    def tracking_links(self) -> TrackingLinksResource:
        """Links that count the users who came through them."""
        from fanvue_async.resources.tracking_links import TrackingLinksResource  # noqa: PLC0415 - likewise

        return TrackingLinksResource(self._session)

    async def account(self) -> Account:
        """Read profile, status, earnings and fan counts of the creator. Scope: ``read:creator``.

        Raises:
            FanvueError: see :mod:`fanvue_async.errors`.

        Source: getCreatorAccount, https://api.fanvue.com/docs/api-reference

        """
        from fanvue_async.resources.users import CREATOR_ACCOUNT  # noqa: PLC0415 - likewise

        return await self._session.call(CREATOR_ACCOUNT)
