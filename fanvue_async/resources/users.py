"""Users: the token's own account, and how the API describes other people."""

from __future__ import annotations

from datetime import datetime

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.money import Cents
from fanvue_async.resources._resource import Resource


@attrs.frozen(kw_only=True)
class MiniUser:
    """A user as rows of earnings and comments show them."""

    uuid: str
    handle: str = ABSENT
    """The name in the profile's address, without ``@``."""
    display_name: str = ABSENT
    nickname: str | None = None
    """What the account calls this user."""
    is_top_spender: bool = ABSENT


@attrs.frozen(kw_only=True)
class FanUser(MiniUser):
    """A user as lists of chats, followers and subscribers show them."""

    avatar_url: str | None = attrs.field(default=None, repr=False)
    """May be signed, and so a secret for as long as it works."""
    registered_at: datetime = ABSENT


@attrs.frozen(kw_only=True)
class FanCounts:
    """How many people follow an account."""

    followers_count: int = ABSENT
    subscribers_count: int = ABSENT


@attrs.frozen(kw_only=True)
class ContentCounts:
    """How much an account has published."""

    image_count: int = ABSENT
    video_count: int = ABSENT
    audio_count: int = ABSENT
    post_count: int = ABSENT
    pay_to_view_post_count: int = ABSENT


@attrs.frozen(kw_only=True)
class CurrentUser:
    """The profile of the token's account."""

    uuid: str
    email: str = attrs.field(default=ABSENT, repr=False)
    handle: str = ABSENT
    """The name in the profile's address, without ``@``."""
    bio: str = ABSENT
    display_name: str = ABSENT
    is_creator: bool = ABSENT
    created_at: datetime = ABSENT
    updated_at: datetime | None = None
    avatar_url: str | None = attrs.field(default=None, repr=False)
    banner_url: str | None = attrs.field(default=None, repr=False)
    likes_count: int | None = None
    """Of creators only; so are the counts below (assumed)."""
    fan_counts: FanCounts | None = None
    content_counts: ContentCounts | None = None


@attrs.frozen(kw_only=True)
class AccountEarnings:
    """What an account has earned."""

    total: Cents = ABSENT
    """Of all time, before fees; US cents."""
    available_balance: Cents = ABSENT
    """What can be paid out now; US cents."""
    last_payout_at: datetime | None = None


@attrs.frozen(kw_only=True)
class AccountFans:
    """How many people an account can contact."""

    followers: int = ABSENT
    subscribers: int = ABSENT
    """Those with an active subscription."""


@attrs.frozen(kw_only=True)
class AccountDetails:
    """State, earnings and fans of an account."""

    status: str = ABSENT
    """``active`` or ``suspended``."""
    earnings: AccountEarnings = ABSENT
    fans: AccountFans = ABSENT


@attrs.frozen(kw_only=True)
class Account:
    """An account: its profile and its state."""

    uuid: str
    email: str = attrs.field(default=ABSENT, repr=False)
    handle: str = ABSENT
    """The name in the profile's address, without ``@``."""
    bio: str = ABSENT
    display_name: str = ABSENT
    is_creator: bool = ABSENT
    created_at: datetime = ABSENT
    updated_at: datetime | None = None
    avatar_url: str | None = attrs.field(default=None, repr=False)
    banner_url: str | None = attrs.field(default=None, repr=False)
    account: AccountDetails


_ME = Operation("GET", "/users/me", CurrentUser, id="getCurrentUser", scopes=("read:self",))
_ACCOUNT = Operation("GET", "/users/account", Account, id="getAccount", scopes=("read:self",))
CREATOR_ACCOUNT = Operation(
    "GET",
    "/creators/{creatorUserUuid}/account",
    Account,
    id="getCreatorAccount",
    scopes=("read:creator",),
)


class UsersResource(Resource):
    """The token's own account, as ``client.users``."""

    async def me(self) -> CurrentUser:
        """Read the profile of the token's account. Scope: ``read:self``.

        Raises:
            FanvueError: see :mod:`fanvue_async.errors`.

        Source: getCurrentUser, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_ME)

    async def account(self) -> Account:
        """Read profile, status, earnings and fan counts of the account. Scope: ``read:self``.

        Raises:
            FanvueError: see :mod:`fanvue_async.errors`.

        Source: getAccount, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_ACCOUNT)
