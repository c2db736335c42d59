"""The users of the fake: fans and creators."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID, uuid4

from fanvue_async.engine import wire

Row = dict[str, Any]
"""An object of the API, under the API's own names."""


def new_uuid() -> str:
    """Make an id."""
    return str(uuid4())


def uuid_of(given: UUID | str) -> str:
    """Write a UUID that a test gave.

    Raises:
        ValueError: it is not a UUID.

    """
    text = wire.uuid_text(given)
    if text is None:
        raise ValueError(f"UUIDs are needed, not {given!r}")
    return text


class Users:
    """All users, as ``fake.users``. An unknown user is added when first named."""

    def __init__(self, not_contactable: Collection[UUID | str], moment: Callable[[], str]) -> None:
        self._moment = moment
        self._rows: dict[str, Row] = {}
        self._presence: dict[str, Row] = {}
        self._creators: set[str] = set()
        self.not_contactable: set[str] = {uuid_of(user) for user in not_contactable}
        """The UUIDs of users who may not be contacted."""

    def add(  # noqa: PLR0913 - all but one are options
        self,
        uuid: UUID | str | None = None,
        *,
        handle: str | None = None,
        display_name: str | None = None,
        avatar_url: str | None = None,
        is_top_spender: bool = False,
        is_creator: bool = False,
        contactable: bool = True,
        online: bool = False,
    ) -> str:
        """Add a user, or change one.

        Args:
            uuid: by default a new one.
            handle: by default made of the UUID; the display name by default of the handle.
            display_name: what fans and creators see.
            avatar_url: the address of a picture.
            is_top_spender: shown as such.
            is_creator: a creator, to whom a few filters do not apply.
            contactable: whether chats may be opened and messages sent.
            online: whether the user is there now.

        Returns:
            The user's UUID.

        """
        user = new_uuid() if uuid is None else uuid_of(uuid)
        known = self._rows.get(user, {})
        name: str = handle or known.get("handle", f"user-{user[-12:]}")
        self._rows[user] = {
            "uuid": user,
            "handle": name,
            "displayName": display_name or known.get("displayName", name),
            "nickname": None,
            "isTopSpender": is_top_spender,
            "avatarUrl": avatar_url,
            "registeredAt": self._moment(),
        }
        if is_creator:
            self._creators.add(user)
        if not contactable:
            self.not_contactable.add(user)
        self.set_online(user, online=online)
        return user

    def set_online(self, user: UUID | str, *, online: bool) -> None:
        """Let a user come or go."""
        self._presence[uuid_of(user)] = {
            "isOnline": online,
            "lastSeenAt": self._moment() if online else None,
        }

    def __getitem__(self, user: UUID | str) -> Row:
        uuid = uuid_of(user)
        if uuid not in self._rows:
            self.add(uuid)
        return self._rows[uuid]

    def presence(self, user: str) -> Row:
        """Return ``isOnline`` and ``lastSeenAt``; an unknown user is offline."""
        return self._presence.get(user, {"isOnline": False, "lastSeenAt": None})

    def is_creator(self, user: str) -> bool:
        """Return whether a user is a creator."""
        return user in self._creators
