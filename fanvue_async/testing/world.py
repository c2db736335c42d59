"""What all accounts of the fake share, and who owns one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from uuid import UUID

import attrs

from fanvue_async.testing.storage import Storage
from fanvue_async.testing.users import Row, Users

Listener = Callable[[str, str, Row], None]
"""Called with an event's name, the UUID of the creator it happened to, and what it is about."""


class World:
    """Everything behind the API: its clock, its users, and who listens to what happens.

    Args:
        not_contactable: the users who may not be contacted.
        duplicates: the status of a second chat with the same user.

    """

    def __init__(self, not_contactable: Collection[UUID | str], duplicates: int) -> None:
        self.clock: Callable[[], float] = time.time
        self.duplicates = duplicates
        self.users: Users = Users(not_contactable, self.moment)
        self.storage: Storage = Storage()
        self.creators: list[str] = []
        """The UUIDs of the creators whom tokens of the fake's own account may act for."""
        self.needs_chat = False
        """Whether a message needs a chat; what Fanvue does without one is not documented."""
        self.listeners: list[Listener] = []

    def now(self) -> float:
        """Return the Unix time."""
        return self.clock()

    def moment(self, seconds: float = 0.0) -> str:
        """Write the time, or one so many seconds later, as the API does."""
        return written(datetime.fromtimestamp(self.now() + seconds, UTC))


@attrs.define
class Owner:
    """Whose chats, posts and so on an account holds."""

    world: World
    profile: Row
    """As ``GET /users/me`` shows it."""

    @property
    def uuid(self) -> str:
        """The owner's UUID."""
        uuid: str = self.profile["uuid"]
        return uuid

    def tell(self, event: str, about: Row) -> None:
        """Tell the listeners that something has happened to the owner."""
        for listener in self.world.listeners:
            listener(event, self.uuid, about)


def written(moment: datetime) -> str:
    """Write a time as the API does: UTC, milliseconds, Z."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
