"""The account's own profile, and the creators that a token may act for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from fanvue_async.testing.exchange import page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row
from fanvue_async.testing.values import PAGE

if TYPE_CHECKING:
    from fanvue_async.testing.fans import Fans
    from fanvue_async.testing.insights import Insights
    from fanvue_async.testing.world import World

_COUNTS = ("likesCount", "fanCounts", "contentCounts")


class Profile:
    """As ``fake.me``: ``profile`` is what ``GET /users/me`` shows, and may be changed."""

    def __init__(self, fans: Fans, insights: Insights) -> None:
        self._fans = fans
        self._insights = insights
        self.profile: Row = fans.owner.profile

    @property
    def uuid(self) -> str:
        """The account's UUID."""
        return self._fans.owner.uuid

    def _count(self) -> dict[str, int]:
        return {
            "followers": len(self._fans.followers()),
            "subscribers": len(self._fans.subscribers()),
        }

    def current(self, _: Call) -> Any:
        """GET /users/me; the counts are a creator's."""
        if not self.profile["isCreator"]:
            return {k: v for k, v in self.profile.items() if k not in _COUNTS}
        counts = {f"{name}Count": number for name, number in self._count().items()}
        return {**self.profile, "fanCounts": counts}

    def account(self, _: Call) -> Any:
        """GET /users/account."""
        total = sum(row["gross"] for row in self._insights.earnings)
        net = sum(row["net"] for row in self._insights.earnings)
        return {
            **{k: v for k, v in self.profile.items() if k not in _COUNTS},
            "account": {
                "status": "active",
                "earnings": {"total": total, "availableBalance": net, "lastPayoutAt": None},
                "fans": self._count(),
            },
        }


class Creators:
    """As ``fake.creators``: whom the fake's own account may act for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, uuid: UUID | str | None = None, *, handle: str | None = None) -> str:
        """Add a creator for whom the fake's own account may act.

        Args:
            uuid: by default a new one.
            handle: by default made of the UUID.

        Returns:
            The creator's UUID.

        """
        creator = self._world.users.add(uuid, handle=handle, is_creator=True)
        if creator not in self._world.creators:
            self._world.creators.append(creator)
        return creator

    def page(self, call: Call) -> Any:
        """GET /creators."""
        rows = [{**self._world.users[uuid], "role": "ADMIN"} for uuid in self._world.creators]
        return page(rows, call.query)


def profile_of(user: Row, moment: str) -> Row:
    """Make the profile of a creator from what others see of them."""
    return {
        "uuid": user["uuid"],
        "email": f"{user['handle']}@example.com",
        "handle": user["handle"],
        "bio": "",
        "displayName": user["displayName"],
        "isCreator": True,
        "createdAt": moment,
        "updatedAt": None,
        "avatarUrl": user["avatarUrl"],
        "bannerUrl": None,
        "likesCount": 0,
        "fanCounts": {"followersCount": 0, "subscribersCount": 0},
        "contentCounts": {
            "imageCount": 0,
            "videoCount": 0,
            "audioCount": 0,
            "postCount": 0,
            "payToViewPostCount": 0,
        },
    }


PROFILE: Routes = (
    Profile,
    (
        Route("GET", "/users/me", Profile.current, Access("read:self")),
        Route("GET", "/users/account", Profile.account, Access("read:self")),
        Route("GET", "/account", Profile.account, Access("", "read:creator", only_creators=True)),
    ),
)
CREATORS: Routes = (
    Creators,
    (Route("GET", "/creators", Creators.page, Access("read:creator"), query=PAGE),),
)
