"""Agencies: all creators of an agency together. Only its administrators may call these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from types import EllipsisType
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.money import Cents
from fanvue_async.paging import Listing, Numbered
from fanvue_async.resources._check import Check
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.chats import Chat
from fanvue_async.resources.users import FanUser

_MAX_CREATORS = 50
_MAX_RANGE = timedelta(days=365)


@attrs.frozen(kw_only=True)
class AgencyChat(Chat):
    """A conversation of one of the creators."""

    creator_uuid: str
    """Whose chat it is."""


@attrs.frozen(kw_only=True)
class AgencyEarningDay:
    """What a creator earned on one day."""

    creator_uuid: str
    date: date
    """The day in UTC on which it was paid."""
    gross: int = ABSENT
    """Minor units of ``currency``, before fees."""
    net: int = ABSENT
    """Minor units of ``currency``, after fees."""
    currency: str | None = None
    """Such as ``EUR``; None for old amounts."""


@attrs.frozen(kw_only=True)
class ChatterResult:
    """What a chatter achieved."""

    chatter_uuid: str
    chatter_name: str = ABSENT
    avatar_url: str | None = attrs.field(default=None, repr=False)
    messages: int = ABSENT
    ppvs_sent: int = ABSENT
    """Messages with a price that the chatter sent."""
    ppvs_unlocked: int = ABSENT
    """How many of them were bought."""
    revenue: Cents = ABSENT
    """US cents, of bought messages only."""
    golden_ratio: float = ABSENT
    unlock_ratio: float = ABSENT
    active_hours: float = ABSENT
    eph: float = ABSENT
    """US cents an active hour; 0 without active hours."""
    avg_response_ms: float | None = None
    """Milliseconds."""


@attrs.frozen(kw_only=True)
class ChatterLeaderboard:
    """The chatters of an agency, highest revenue first."""

    data: tuple[ChatterResult, ...]


@attrs.frozen(kw_only=True)
class AgencySubscriber(FanUser):
    """A fan who subscribes to one of the creators."""

    creator_uuid: str
    subscribed_at: datetime = ABSENT
    expires_at: datetime | None = None


@attrs.frozen(kw_only=True)
class AgencySubscriberDay:
    """How the subscriptions to a creator changed on one day."""

    creator_uuid: str
    date: date
    """In UTC."""
    new_subscribers_count: int = ABSENT
    cancelled_subscribers_count: int = ABSENT
    total: int = ABSENT
    """The sum of new minus cancelled since the first day asked for; may be negative."""


@attrs.frozen(kw_only=True)
class CreatorInvite:
    """What the API says about the invitation of a creator."""

    success: bool
    message: str = ABSENT


@attrs.frozen(kw_only=True)
class AgencyInvite:
    """What the API says about an invitation to the team."""

    success: bool
    message: str = ABSENT
    invite_uuid: str = ABSENT


@attrs.frozen(kw_only=True)
class CreatorAccess:
    """A creator whom a member of the team works for."""

    uuid: str
    role: str = ABSENT
    """``ADMIN`` or ``CHATTER``."""


@attrs.frozen(kw_only=True)
class TeamMember:
    """A member of the agency's team."""

    uuid: str
    is_admin: bool = ABSENT
    nickname: str | None = None
    email: str = attrs.field(default=ABSENT, repr=False)
    display_name: str = ABSENT
    creator_access: tuple[CreatorAccess, ...] = ()


_WITH_CREATORS = ("read:agency", "read:creator")
_COMMAS = ("creatorUuids",)

_CHATS = Operation(
    "GET",
    "/agencies/chats",
    Numbered[AgencyChat],
    id="listAgencyChats",
    scopes=("read:agency", "read:chat"),
)
_EARNINGS = Operation(
    "GET",
    "/agencies/earnings",
    Numbered[AgencyEarningDay],
    id="listAgencyEarningsByDay",
    scopes=_WITH_CREATORS,
    commas=_COMMAS,
)
_SUBSCRIBERS = Operation(
    "GET",
    "/agencies/subscribers",
    Numbered[AgencySubscriber],
    id="listAgencySubscribers",
    scopes=_WITH_CREATORS,
    commas=_COMMAS,
)
_SUBSCRIBERS_HISTORY = Operation(
    "GET",
    "/agencies/subscribers-history",
    Numbered[AgencySubscriberDay],
    id="listAgencySubscribersHistory",
    scopes=_WITH_CREATORS,
    commas=_COMMAS,
)
_CHATTER_LEADERBOARD = Operation(
    "GET",
    "/agencies/insights/chatter-leaderboard",
    ChatterLeaderboard,
    id="getChatterLeaderboard",
    scopes=("read:agency",),
    commas=("chatterUuids",),
)
_INVITE_CREATOR = Operation(
    "POST",
    "/agencies/creator-invites",
    CreatorInvite,
    id="createCreatorInvite",
    scopes=("write:agency",),
)
_INVITE = Operation(
    "POST", "/agencies/invites", AgencyInvite, id="createAgencyInvite", scopes=("write:agency",)
)
_TEAM_MEMBERS = Operation(
    "GET",
    "/agencies/team-members",
    list[TeamMember],
    id="listTeamMembers",
    scopes=("read:agency",),
)
_UPDATE_TEAM_MEMBER = Operation(
    "PUT",
    "/agencies/team-members/{userId}",
    TeamMember,
    id="updateTeamMember",
    scopes=("write:agency",),
)


def _days(
    check: Check, start_date: datetime, end_date: datetime, creator_uuids: Sequence[UUID | str]
) -> dict[str, object]:
    """Make the query for some days of some creators."""
    check.period(start_date, end_date, required=True)
    uuids = check.uuids("creator_uuids", creator_uuids, 0, _MAX_CREATORS)
    return {"startDate": start_date, "endDate": end_date, "creatorUuids": uuids}


class AgenciesResource(Resource):
    """The creators and the team of the token's agency, as ``client.agencies``.

    To act for one of the creators, use ``client.creator(uuid)``.
    """

    def chats(self, *, start: str | None = None, page_size: int = 50) -> Listing[AgencyChat]:
        """List the chats of all creators, newest first. Scopes: ``read:agency``, ``read:chat``.

        Args:
            start: ``Page.next`` of an earlier page.
            page_size: chats a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listAgencyChats, https://api.fanvue.com/docs/api-reference

        """
        return Listing(
            self._session,
            _CHATS,
            start=start,
            page_size=page_size,
            key=("creator_uuid", "user.uuid"),
        )

    def earnings(
        self,
        start_date: datetime,
        end_date: datetime,
        *,
        creator_uuids: Sequence[UUID | str] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[AgencyEarningDay]:
        """List the earnings of creators by day, newest first.

        Scopes: ``read:agency``, ``read:creator``. Amounts are minor units of each row's own
        currency: sum them by currency.

        Args:
            start_date: the first moment; days are those of UTC.
            end_date: the moment after the last.
            creator_uuids: up to 50 creators; default: all.
            start: ``Page.next`` of an earlier page.
            page_size: rows a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listAgencyEarningsByDay, https://api.fanvue.com/docs/api-reference

        """
        query = _days(self._check(_EARNINGS), start_date, end_date, creator_uuids)
        return Listing(
            self._session, _EARNINGS, query=query, start=start, page_size=page_size, key=()
        )

    def subscribers(
        self,
        *,
        creator_uuids: Sequence[UUID | str] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[AgencySubscriber]:
        """List who subscribes to creators now, newest first.

        Scopes: ``read:agency``, ``read:creator``.

        Args:
            creator_uuids: up to 50 creators; default: all.
            start: ``Page.next`` of an earlier page.
            page_size: subscribers a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listAgencySubscribers, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_SUBSCRIBERS)
        query = {"creatorUuids": check.uuids("creator_uuids", creator_uuids, 0, _MAX_CREATORS)}
        return Listing(
            self._session,
            _SUBSCRIBERS,
            query=query,
            start=start,
            page_size=page_size,
            key=("creator_uuid", "uuid"),
        )

    def subscribers_history(
        self,
        start_date: datetime,
        end_date: datetime,
        *,
        creator_uuids: Sequence[UUID | str] = (),
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[AgencySubscriberDay]:
        """List how subscriptions to creators changed, day by day, newest first.

        Scopes: ``read:agency``, ``read:creator``.

        Args:
            start_date: the first moment; days are those of UTC.
            end_date: the moment after the last, at most 365 days later.
            creator_uuids: up to 50 creators; default: all.
            start: ``Page.next`` of an earlier page.
            page_size: rows a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listAgencySubscribersHistory, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_SUBSCRIBERS_HISTORY)
        query = _days(check, start_date, end_date, creator_uuids)
        if end_date - start_date > _MAX_RANGE:
            raise check.refuse("end_date may be at most 365 days after start_date")
        return Listing(
            self._session,
            _SUBSCRIBERS_HISTORY,
            query=query,
            start=start,
            page_size=page_size,
            key=(),
        )

    async def chatter_leaderboard(
        self,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        chatter_uuids: Sequence[UUID | str] = (),
    ) -> ChatterLeaderboard:
        """Read what the chatters achieved; refreshed about daily. Scope: ``read:agency``.

        Args:
            start_date: the first day, in UTC.
            end_date: the last day; whether it is included is not documented.
            chatter_uuids: up to 100 chatters; default: all.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getChatterLeaderboard, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_CHATTER_LEADERBOARD)
        check.period(start_date, end_date)
        query = {
            "startDate": start_date,
            "endDate": end_date,
            "chatterUuids": check.uuids("chatter_uuids", chatter_uuids, 0, 100),
        }
        return await self._call(_CHATTER_LEADERBOARD, query=query)

    async def invite_creator(self, email: str) -> CreatorInvite:
        """Invite a creator to the agency by e-mail. Scope: ``write:agency``.

        Args:
            email: of an existing creator's account.

        Raises:
            InvalidArgumentError: ``email`` is not an address; nothing was sent.
            FanvueError: anything else. If ``maybe_processed``, the e-mail may be on its way.

        Source: createCreatorInvite, https://api.fanvue.com/docs/api-reference

        """
        email = self._check(_INVITE_CREATOR).email("email", email)
        return await self._call(_INVITE_CREATOR, json={"email": email})

    async def invite(self, email: str) -> AgencyInvite:
        """Invite somebody to the team by e-mail. Scope: ``write:agency``.

        Args:
            email: of an existing account that is not a creator's and not invited yet.

        Raises:
            InvalidArgumentError: ``email`` is not an address; nothing was sent.
            FanvueError: anything else. If ``maybe_processed``, the e-mail may be on its way.

        Source: createAgencyInvite, https://api.fanvue.com/docs/api-reference

        """
        email = self._check(_INVITE).email("email", email)
        return await self._call(_INVITE, json={"email": email})

    def team_members(self) -> Listing[TeamMember]:
        """List the team; the API gives it whole. Scope: ``read:agency``.

        Raises:
            FanvueError: while listing; see :mod:`fanvue_async.errors`.

        Source: listTeamMembers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(self._session, _TEAM_MEMBERS)

    async def update_team_member(
        self,
        user_id: UUID | str,
        creator_uuids: Sequence[UUID | str] | None,
        *,
        nickname: str | EllipsisType | None = ...,
    ) -> TeamMember:
        """Set whom a member of the team works for. Scope: ``write:agency``.

        Args:
            user_id: the member.
            creator_uuids: all creators that the member may act for. The API takes None as well;
                what that does is not documented.
            nickname: what the agency calls the member; left out, it stays, and None removes it
                (assumed).

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: there is no such member.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: updateTeamMember, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_UPDATE_TEAM_MEMBER)
        json = {
            "creatorUuids": None
            if creator_uuids is None
            else check.uuids("creator_uuids", creator_uuids),
            "nickname": check.text("nickname", nickname, 0),
        }
        return await self._call(_UPDATE_TEAM_MEMBER, user_id, json=json)
