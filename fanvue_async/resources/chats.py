"""Chats: conversations of the token's account with other users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fanvue_async import wire
from fanvue_async.errors import InvalidArgumentError, NotContactableError
from fanvue_async.session import Operation

if TYPE_CHECKING:
    from uuid import UUID

    from fanvue_async.session import Session


@attrs.frozen
class CreatedChat:
    """The API's word that a chat was created."""

    message: str = attrs.field(validator=attrs.validators.instance_of(str))
    """What the API says; its wording is not documented."""


# https://api.fanvue.com/docs/api-reference/overview (createChat)
# Idempotent is assumed: a chat is identified by the user, and creating one sends the user nothing.
# Documented for 400 are the version error and {message} of contactability.
_CREATE = Operation(
    "POST",
    "/chats",
    idempotent=True,
    read=wire.reader(CreatedChat),
    bare_message=NotContactableError,
)


class ChatsResource:
    """The chats of one account, as ``client.chats``."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, user_uuid: UUID | str) -> CreatedChat:
        """Open a chat with a user. Needs the scope ``write:chat``.

        What the API answers when the chat exists is not documented; that a repetition is harmless
        is assumed, so transient failures are repeated (``RetryPolicy(repeat_unknown=False)`` is
        for those who doubt it).

        Args:
            user_uuid: a ``uuid.UUID``, or its canonical text of 36 characters.

        Returns:
            What the API says about it.

        Raises:
            InvalidArgumentError: ``user_uuid`` is no UUID; nothing was sent.
            NotContactableError: the user cannot be contacted.
            APIError: the API refused for another reason; each status has its class.
            FanvueError: anything else; see :mod:`fanvue_async.errors`.

        Source: https://api.fanvue.com/docs/api-reference/overview (createChat)

        """
        uuid = wire.uuid_text(user_uuid)
        if uuid is None:
            raise InvalidArgumentError(
                message="user_uuid must be a uuid.UUID or its text: 8-4-4-4-12 hexadecimal digits",
                operation=_CREATE.name,
            )
        return await self._session.request(_CREATE, wire.dumps({"userUuid": uuid}))
