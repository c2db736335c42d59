"""What an account has to do with each fan: followers, subscribers, money, mutes, nicknames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from fanvue_async.testing.exchange import page
from fanvue_async.testing.routes import Access, Call, Route, Routes
from fanvue_async.testing.users import Row, uuid_of
from fanvue_async.testing.values import PAGE, Parameter, number, one_of
from fanvue_async.testing.values import uuid as a_uuid

if TYPE_CHECKING:
    from fanvue_async.testing.world import Owner


MINI = ("uuid", "handle", "displayName", "nickname", "isTopSpender")
"""What a short user row holds."""


@attrs.define
class Relation:
    """What there is between an account and one user."""

    followed_at: str | None = None
    subscribed_at: str | None = None
    """None also when a subscription has ended."""
    is_expired: bool = False
    renews: bool = True
    is_on_trial: bool = False
    is_muted: bool = False
    nickname: str | None = None
    spent: int = 0
    """US cents, by the fan."""
    tipped: int = 0


class Fans:
    """The relations of one account, by the user's UUID."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self._relations: dict[str, Relation] = {}

    def __getitem__(self, user: str) -> Relation:
        return self._relations.setdefault(user, Relation())

    def row(self, user: str) -> Row:
        """Return the user as the owner sees them."""
        known = self.owner.world.users[user]
        relation = self._relations.get(user)
        return {**known, "nickname": relation.nickname if relation else None}

    def status(self, user: str) -> str | None:
        """Return ``"subscriber"``, ``"expired"``, ``"follower"``, …; None for a stranger."""
        if user in self.owner.world.users.not_contactable:
            return "not_contactable"
        relation = self._relations.get(user)
        if relation is None:
            return None
        if relation.subscribed_at:
            return "subscriber"
        return "expired" if relation.is_expired else "follower"

    def subscribers(self) -> list[str]:
        """Return who subscribes now, newest first."""
        return self._having(lambda relation: relation.subscribed_at)

    def followers(self) -> list[str]:
        """Return who follows and does not subscribe, newest first."""
        return self._having(lambda r: None if r.subscribed_at else r.followed_at)

    def having(self, test: Callable[[Relation], object]) -> list[str]:
        """Return the users whose relation passes a test."""
        return [user for user, relation in self._relations.items() if test(relation)]

    def _having(self, since: Callable[[Relation], str | None]) -> list[str]:
        found = [(since(relation) or "", user) for user, relation in self._relations.items()]
        oldest = sorted((each for each in found if each[0]), key=lambda each: each[0])
        return [user for _, user in reversed(oldest)]


class Followers:
    """As ``fake.followers``."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans

    def add(self, user: UUID | str | None = None) -> str:
        """Let a user follow; by default a new one. Returns the user's UUID."""
        owner = self._fans.owner
        uuid = owner.world.users.add() if user is None else uuid_of(user)
        self._fans[uuid].followed_at = owner.world.moment()
        owner.tell("follow.created", {"user": self._fans.row(uuid)})
        return uuid

    def remove(self, user: UUID | str) -> None:
        """Let a user stop following; there is no event for it."""
        self._fans[uuid_of(user)].followed_at = None

    def page(self, call: Call) -> Any:
        """GET /followers: those who do not subscribe, newest first."""
        return page([self._fans.row(user) for user in self._fans.followers()], call.query)


class Subscribers:
    """As ``fake.subscribers``."""

    def __init__(self, fans: Fans) -> None:
        self._fans = fans

    def add(
        self,
        user: UUID | str | None = None,
        *,
        price: int = 999,
        renews: bool = True,
        on_trial: bool = False,
    ) -> str:
        """Let a user subscribe.

        Args:
            user: by default a new one.
            price: US cents.
            renews: whether it goes on by itself.
            on_trial: a free trial; nothing is paid.

        Returns:
            The user's UUID.

        """
        owner = self._fans.owner
        uuid = owner.world.users.add() if user is None else uuid_of(user)
        relation = self._fans[uuid]
        relation.subscribed_at = owner.world.moment()
        relation.is_expired = False
        relation.renews, relation.is_on_trial = renews, on_trial
        relation.spent += 0 if on_trial else price
        paid = 0 if on_trial else price
        owner.tell("subscription.activated", {"user": self._fans.row(uuid), "price": paid})
        return uuid

    def expire(self, user: UUID | str) -> None:
        """End a user's subscription."""
        uuid = uuid_of(user)
        relation = self._fans[uuid]
        relation.subscribed_at, relation.is_expired = None, True
        self._fans.owner.tell("subscription.deactivated", {"user": self._fans.row(uuid)})

    def page(self, call: Call) -> Any:
        """GET /subscribers, newest first unless asked otherwise."""
        users = self._fans.subscribers()
        field, direction = call.query.get("sortField"), call.query.get("sortDirection")
        if field == "name":
            users.sort(key=lambda user: str(self._fans.row(user)["displayName"]).lower())
        elif direction == "asc":
            users.reverse()
        if field == "name" and direction == "desc":
            users.reverse()
        return page([self._fans.row(user) for user in users], call.query)

    def online(self, call: Call) -> Any:
        """GET /creators/{creatorUserUuid}/subscribers/online."""
        asked, limit = call.query["subscriberUuids"], int(call.query["limit"])
        presence = self._fans.owner.world.users.presence
        rows = [
            {"uuid": user, "lastSeenAt": presence(user)["lastSeenAt"]}
            for user in self._fans.subscribers()
            if presence(user)["isOnline"] and (asked is None or user in asked)
        ]
        return {"count": len(rows[:limit]), "data": rows[:limit]}


_SORTED = {
    **PAGE,
    "sortField": Parameter(one_of("name", "subscribedAt")),
    "sortDirection": Parameter(one_of("asc", "desc")),
}
# The documented default of 1000 contradicts the documented maximum of 50, so nothing is checked.
_ONLINE = {
    "limit": Parameter(number(1), 1000),
    "subscriberUuids": Parameter(a_uuid, many="commas"),
}

_READ = Access("read:fan", "read:creator")
_READ_ONLINE = Access("read:fan", "read:creator", only_creators=True)

FOLLOWERS: Routes = (
    Followers,
    (Route("GET", "/followers", Followers.page, _READ, query=PAGE),),
)
SUBSCRIBERS: Routes = (
    Subscribers,
    (
        Route("GET", "/subscribers", Subscribers.page, _READ, query=_SORTED, creator_query=PAGE),
        Route("GET", "/subscribers/online", Subscribers.online, _READ_ONLINE, query=_ONLINE),
    ),
)
