"""Tracking links: addresses that count who came by them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import attrs

from fanvue_async.engine.models import ABSENT
from fanvue_async.engine.operation import Operation
from fanvue_async.money import Cents
from fanvue_async.paging import Cursored, Listing
from fanvue_async.resources._resource import Resource
from fanvue_async.resources.users import FanUser

SocialPlatform = Literal[
    "facebook", "instagram", "other", "reddit", "snapchat", "tiktok", "twitter", "youtube"
]


@attrs.frozen(kw_only=True)
class LinkEngagement:
    """Who came by a link."""

    acquired_subscribers: int = ABSENT
    """Whose first click was on this link."""
    acquired_followers: int = ABSENT
    """Whose first click was on this link."""
    total_subscribers: int = ABSENT
    """Who clicked it ever and subscribes now."""
    total_followers: int = ABSENT
    """Who clicked it ever and follows now."""


@attrs.frozen(kw_only=True)
class LinkEarnings:
    """What came in by a link. That the unit is US cents is assumed."""

    total_gross: Cents = ABSENT
    """US cents, before fees."""
    total_net: Cents = ABSENT
    """US cents, after fees."""


@attrs.frozen(kw_only=True)
class TrackingLink:
    """A link that counts who came by it."""

    uuid: str
    name: str = ABSENT
    link_url: str = ABSENT
    """A short code such as ``fv-123`` in the API's examples, not a whole address."""
    external_social_platform: str = ABSENT
    """Where it is shown, such as ``instagram``."""
    created_at: datetime = ABSENT
    clicks: int = ABSENT
    engagement: LinkEngagement = ABSENT
    earnings: LinkEarnings | None = None
    """None for a new link."""


@attrs.frozen(kw_only=True)
class TrackingLinkUser(FanUser):
    """A user who came by a link."""

    status: str | None = None
    """``subscriber``, ``follower``, ``expired`` or ``deleted``; None: nothing now."""


@attrs.frozen(kw_only=True)
class TrackingMetadata:
    """The data of a user's most recent impression of a link."""

    metadata: dict[str, str] | None = None


_READ, _WRITE = ("read:tracking_links",), ("write:tracking_links",)
_WRITE_FOR_CREATOR = ("write:tracking_links", "write:creator")
_ARGUMENTS = {"uuid": "link_uuid"}

_LIST = Operation(
    "GET",
    "/tracking-links",
    Cursored[TrackingLink],
    id="listTrackingLinks",
    creator_id="listCreatorTrackingLinks",
    scopes=_READ,
)
_CREATE = Operation(
    "POST",
    "/tracking-links",
    TrackingLink,
    id="createTrackingLink",
    creator_id="createCreatorTrackingLink",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
)
_DELETE = Operation[None](
    "DELETE",
    "/tracking-links/{uuid}",
    id="deleteTrackingLink",
    creator_id="deleteCreatorTrackingLink",
    scopes=_WRITE,
    creator_scopes=_WRITE_FOR_CREATOR,
    arguments=_ARGUMENTS,
)
_USERS = Operation(
    "GET",
    "/tracking-links/{uuid}/users",
    Cursored[TrackingLinkUser],
    id="listTrackingLinkUsers",
    creator_id="listCreatorTrackingLinkUsers",
    scopes=_READ,
    arguments=_ARGUMENTS,
)
_METADATA = Operation(
    "GET",
    "/tracking-links/{uuid}/users/{userUuid}/metadata",
    TrackingMetadata,
    id="getUserTrackingMetadata",
    creator_id="getCreatorUserTrackingMetadata",
    scopes=_READ,
    arguments=_ARGUMENTS,
)


class TrackingLinksResource(Resource):
    """The tracking links of an account, as ``tracking_links`` of clients of both kinds."""

    async def create(self, name: str, external_social_platform: SocialPlatform) -> TrackingLink:
        """Create a link. Scope: ``write:tracking_links``.

        Args:
            name: what the account calls it, at least 1 character.
            external_social_platform: where it is shown, such as ``instagram`` or ``other``.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: anything else. If ``maybe_processed``, the link may be there.

        Source: createTrackingLink, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_CREATE)
        json = {
            "name": check.required_text("name", name),
            "externalSocialPlatform": check.required_text(
                "external_social_platform", external_social_platform
            ),
        }
        return await self._call(_CREATE, json=json)

    async def delete(self, link_uuid: UUID | str) -> None:
        """Delete a link. Scope: ``write:tracking_links``.

        Args:
            link_uuid: the link.

        Raises:
            InvalidArgumentError: ``link_uuid`` is not a UUID; nothing was sent.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: deleteTrackingLink, https://api.fanvue.com/docs/api-reference

        """
        await self._call(_DELETE, link_uuid)

    def users(
        self, link_uuid: UUID | str, *, start: str | None = None, page_size: int = 50
    ) -> Listing[TrackingLinkUser]:
        """List the users who came by a link. Scope: ``read:tracking_links``.

        Args:
            link_uuid: the link.
            start: ``Page.next`` of an earlier page.
            page_size: users a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            NotFoundError: while listing: there is no such link.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listTrackingLinkUsers, https://api.fanvue.com/docs/api-reference

        """
        return Listing(
            self._session,
            _USERS,
            link_uuid,
            start=start,
            page_size=page_size,
            size_name="limit",
        )

    async def user_metadata(self, link_uuid: UUID | str, user_uuid: UUID | str) -> TrackingMetadata:
        """Read the data of a user's most recent impression. Scope: ``read:tracking_links``.

        Args:
            link_uuid: the link.
            user_uuid: a user who came by it.

        Raises:
            InvalidArgumentError: an argument is not a UUID; nothing was sent.
            NotFoundError: there is no such link or user.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: getUserTrackingMetadata, https://api.fanvue.com/docs/api-reference

        """
        return await self._call(_METADATA, link_uuid, user_uuid)

    def list(
        self,
        *,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        start: str | None = None,
        page_size: int = 50,
    ) -> Listing[TrackingLink]:
        """List the links. Scope: ``read:tracking_links``.

        Args:
            created_after: only links created after this moment.
            created_before: only links created before this moment.
            start: ``Page.next`` of an earlier page.
            page_size: links a page, 1 to 50.

        Raises:
            InvalidArgumentError: an argument is out of bounds; nothing was sent.
            FanvueError: while listing: anything else; see :mod:`fanvue_async.errors`.

        Source: listTrackingLinks, https://api.fanvue.com/docs/api-reference

        """
        check = self._check(_LIST)
        query = {
            "createdAfter": check.moment("created_after", created_after),
            "createdBefore": check.moment("created_before", created_before),
        }
        return Listing(
            self._session,
            _LIST,
            query=query,
            start=start,
            page_size=page_size,
            size_name="limit",
        )
