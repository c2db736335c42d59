"""Chats: conversations of the token's account with other users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fanvue_async.engine.operation import Operation, uuid_of
from fanvue_async.errors import NotContactableError
from fanvue_async.resources._resource import Resource

if TYPE_CHECKING:
    from uuid import UUID


@attrs.frozen(kw_only=True)
class CreatedChat:
    """The API's word that a chat was created."""

    message: str
    """What the API says; its wording is not documented."""


# https://api.fanvue.com/docs/api-reference/overview (createChat)
# Idempotent is assumed: a chat is identified by the user, and creating one sends the user nothing.
# Documented for 400 are the version error and {message} of contactability.
_CREATE = Operation(
    "POST",
    "/chats",
    CreatedChat,
    id="createChat",
    creator_id="createCreatorChat",
    scopes=("write:chat",),
    idempotent=True,
    bare_message=NotContactableError,
)


class CreatorChatsResource(Resource):
    """The chats of a creator, as ``creator.chats``."""

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
        return await self._call(_CREATE, json={"userUuid": uuid_of("user_uuid", user_uuid)})


class ChatsResource(CreatorChatsResource):
    """The chats of the token's own account, as ``client.chats``."""
