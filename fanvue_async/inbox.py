"""What fans have written since the last time, oldest first in each chat.

::

    inbox = Inbox(fanvue, store=store)
    async for message in inbox.follow(every=15.0):
        await answer(message)

Nothing is marked as read. How far each chat was read is kept in a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Self
from uuid import UUID

from fanvue_async.client import CreatorClient, FanvueClient
from fanvue_async.config import checked_store
from fanvue_async.engine.operation import uuid_of
from fanvue_async.errors import (
    LASTING,
    FanvueError,
    InvalidArgumentError,
    PermissionDeniedError,
    StoreError,
)
from fanvue_async.log import logger as _logger
from fanvue_async.resources.chats import Chat
from fanvue_async.resources.messages import Message
from fanvue_async.stores import ABSENT, Store, documents

_AUTOMATIC = "AUTOMATED_"
_REMEMBERED_SECONDS = 30 * 86_400.0
_NAME_LENGTH = 200

# What every further chat would meet, too; but the 403 of one chat is no missing scope, which would
# have refused the list of chats.
_STOPPING: tuple[type[FanvueError], ...] = tuple(
    cls for cls in (*LASTING, StoreError) if cls is not PermissionDeniedError
)


class Inbox:
    """The messages of an account's fans, each given once.

    A message counts as handled when the loop asks for the next one. After a crash the last one
    comes again, and no message is lost. The first time, it gives the unread messages; from then on
    what has come since. Own messages and automatic ones are left out.

    Args:
        fanvue: whose inbox it is: a client, or a creator's. Scope: ``read:chat``, and
            ``read:self`` if ``name`` would be the UUID of the token's account.
        store: where positions are kept.
        name: distinguishes inboxes on one store, 1 to 200 characters. Default: the creator's UUID;
            else the account's name, if ``account=`` or the token's provider gives one; else the
            UUID of the token's account. Under another name an inbox starts anew, so an account
            that is named later needs its UUID here to go on where it was.
        on_error: called with a chat and the error when one chat cannot be read; the others go on.
            It is tried again by the next look if the error is transient, else when something new
            is in it, and nothing is lost in between. Default: a WARNING in the log.

    Raises:
        InvalidArgumentError: ``name`` is invalid.
        ConfigurationError: ``store`` is no store.

    """

    def __init__(
        self,
        fanvue: FanvueClient | CreatorClient,
        *,
        store: Store,
        name: str | None = None,
        on_error: Callable[[Chat, FanvueError], None] | None = None,
    ) -> None:
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH):
            raise InvalidArgumentError(f"name must be a str of 1 to {_NAME_LENGTH} characters")
        self._fanvue = fanvue
        self._positions = _Positions(checked_store(store))
        self._name = name
        self._on_error = on_error
        self._denied: dict[str, str] = {}  # at which message a chat was denied at the last look
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def new(self) -> AsyncIterator[Message]:
        """Give what has come since the last time, and end.

        Raises:
            FanvueError: the list of chats cannot be read, or the store failed; see
                :mod:`fanvue_async.errors`.

        """
        return _New(self)

    def follow(self, *, every: float = 15.0) -> AsyncIterator[Message]:
        """Give what comes, for ever. Transient errors are logged, and tried again.

        Args:
            every: seconds between two looks, at least 0. A look at which nothing is new costs one
                request.

        Raises:
            InvalidArgumentError: ``every`` is not such a number.
            FanvueError: the list of chats cannot be read, for a reason that is not transient.

        """
        if isinstance(every, bool) or not isinstance(every, int | float) or not every >= 0:
            raise InvalidArgumentError("every must be a number of seconds, at least 0")
        return _Follow(self, every)

    async def note(self, message_uuid: UUID | str) -> bool:
        """Note a message as handled, as one is that came by a webhook.

        It counts as handled from then on, also if the store fails and has noted it all the same.

        Returns:
            False if it was handled already; leave it alone then.

        Raises:
            InvalidArgumentError: ``message_uuid`` is not a UUID.
            FanvueError: the store failed, or the account's UUID could not be read.

        """
        message = uuid_of("message_uuid", message_uuid)
        await self.prepare()
        return await self._positions.note(message)

    async def prepare(self) -> None:
        """Find the name under which positions are kept; called by itself when needed."""
        if self._positions.prefix:
            return
        if self._name is None:
            terms = self._fanvue._session.terms  # noqa: SLF001 - of this package
            self._name = terms.identity or (await self._me())
        self._positions.prefix = f"inbox/{self._name}/"

    async def _me(self) -> str:
        assert isinstance(self._fanvue, FanvueClient)
        return (await self._fanvue.users.me()).uuid

    def is_first_denial(self, chat: Chat, error: FanvueError) -> bool:
        """Tell whether it may be all chats that are denied: then the next list is refused, too."""
        if not isinstance(error, PermissionDeniedError):
            return False
        is_first = self._denied.pop(chat.user.uuid, None) != _version(chat)
        if is_first:
            self._denied[chat.user.uuid] = _version(chat)
        return is_first

    def report(self, chat: Chat, error: FanvueError) -> None:
        """Tell that a chat cannot be read."""
        if self._on_error is None:
            _logger.warning("a chat cannot be read: %s", error)
            return
        self._on_error(chat, error)


class _Positions:
    """How far each chat was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.prefix = ""

    async def walked(self) -> datetime | None:
        """Return the activity up to which all chats have been read."""
        entry = await self._store.get(f"{self.prefix}walked")
        return None if entry is None else _moment(documents.load(entry.value)["until"])

    async def set_walked(self, until: datetime) -> None:
        """Note that all chats have been read up to this activity."""
        value = documents.dump({"until": until.isoformat()})
        await self._store.put(f"{self.prefix}walked", value)

    async def of(self, chat: Chat) -> tuple[str, datetime] | None:
        """Return the UUID and the time of the last message that was read in a chat."""
        entry = await self._store.get(self._key(chat))
        if entry is None:
            return None
        fields = documents.load(entry.value)
        return fields["message"], _moment(fields["at"])

    async def set(self, chat: Chat, message: str, at: datetime) -> None:
        """Note the last message that was read in a chat."""
        value = documents.dump({"message": message, "at": at.isoformat()})
        await self._store.put(self._key(chat), value)

    async def failure(self, chat: Chat) -> tuple[str, datetime | None] | None:
        """Return at which message a chat could not be read, and since when it is unread."""
        entry = await self._store.get(self._failure_key(chat))
        if entry is None:
            return None
        fields = documents.load(entry.value)
        return fields["message"], _moment(fields["since"]) if fields["since"] else None

    async def set_failure(self, chat: Chat, since: datetime | None) -> None:
        """Note that a chat cannot be read as it is."""
        value = documents.dump(
            {"message": _version(chat), "since": since.isoformat() if since else None}
        )
        await self._store.put(self._failure_key(chat), value)

    async def is_noted(self, message: str) -> bool:
        """Return whether a message was handled."""
        return await self._store.get(f"{self.prefix}handled/{message}") is not None

    async def note(self, message: str) -> bool:
        """Note a message as handled; False if it was before."""
        key = f"{self.prefix}handled/{message}"
        value = documents.dump({})
        version = await self._store.put(key, value, version=ABSENT, expires_in=_REMEMBERED_SECONDS)
        return version is not None

    def _key(self, chat: Chat) -> str:
        return f"{self.prefix}chat/{chat.user.uuid}"

    def _failure_key(self, chat: Chat) -> str:
        return f"{self.prefix}failed/{chat.user.uuid}"


class _New:
    """One look at the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._positions = inbox._positions  # noqa: SLF001 - of this module
        self._chats: AsyncIterator[Chat] | None = None
        self._listed_chat: Chat | None = None  # which was not looked into yet
        self._walked: datetime | None = None
        self._newest: datetime | None = None
        self._is_complete = True
        self._chat: Chat | None = None
        self._waiting: list[Message] = []  # of the chat, newest first
        self._end: tuple[str, datetime] | None = None  # where the chat's reading will stand
        self._given: Message | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        await self._handled()
        while True:
            while self._waiting:
                message = self._waiting[-1]
                is_noted = await self._positions.is_noted(message.uuid)
                self._waiting.pop()  # not before: a store that fails must not cost the message
                if not is_noted:
                    self._given = message
                    return message
            await self._chat_read()
            if not await self._next_chat():
                raise StopAsyncIteration

    async def _handled(self) -> None:
        """Note the last message: asking for the next one means that it was handled."""
        message = self._given
        if message is None or self._chat is None:
            return
        await self._positions.note(message.uuid)
        if message.sent_at is not None:
            await self._positions.set(self._chat, message.uuid, message.sent_at)
        self._given = None

    async def _chat_read(self) -> None:
        """Note that all of a chat was read."""
        if self._chat is not None and self._end is not None:
            await self._positions.set(self._chat, *self._end)
        self._chat = self._end = None

    async def _next_chat(self) -> bool:
        """Find the next chat with something new, and read it; False if no chat is left."""
        if self._chats is None:
            await self._inbox.prepare()
            self._walked = await self._positions.walked()
            self._chats = aiter(self._inbox._fanvue.chats.list())  # noqa: SLF001 - of this module
        while (chat := await self._listed(self._chats)) is not None:
            # Of the first one alone: chats that come to the front meanwhile are not seen again.
            self._newest = self._newest or chat.last_message_at
            position = await self._positions.of(chat)
            last = chat.last_message
            is_known = position is not None and last is not None and position[0] == last.uuid
            is_read = not is_known and await self._read(chat, position)
            self._listed_chat = None
            if is_read:
                return True
        if self._newest is not None and self._is_complete and self._newest != self._walked:
            await self._positions.set_walked(self._newest)
        return False

    async def _listed(self, chats: AsyncIterator[Chat]) -> Chat | None:
        """Return the next chat that may hold something new; the same until it was looked into."""
        while self._listed_chat is None:
            chat = await anext(chats, None)
            if chat is None:
                return None
            at = chat.last_message_at
            if at is not None and self._walked is not None and at < self._walked:
                return None
            self._listed_chat = chat if at is not None else None
        return self._listed_chat

    async def _read(self, chat: Chat, position: tuple[str, datetime] | None) -> bool:
        """Read what is new in a chat; False if that failed, now or before."""
        failure = await self._positions.failure(chat)
        if failure is not None and failure[0] == _version(chat):
            return False
        # A failed chat is unread for longer than since the last walk, which went on without it.
        missed = failure[1] if failure is not None else None
        since = position[1] if position is not None else missed or self._walked
        try:
            found, newest = await self._new_in(chat, position, since)
        except _STOPPING:
            raise
        except FanvueError as error:
            if error.transient or self._inbox.is_first_denial(chat, error):
                self._is_complete = False
            else:  # it would fail again, until something new is said in the chat
                await self._positions.set_failure(chat, since)
            self._inbox.report(chat, error)
            return False
        self._chat, self._waiting, self._end = chat, found, newest
        return True

    async def _new_in(
        self, chat: Chat, position: tuple[str, datetime] | None, since: datetime | None
    ) -> tuple[list[Message], tuple[str, datetime] | None]:
        """Return a chat's new messages of the fan, newest first, and the newest of all."""
        # A chat that was never read has its unread messages, and what came since the last walk.
        unread = (chat.unread_messages_count or 0) if position is None else 0
        if not unread and since is None:
            return [], _last(chat) if chat.last_message_at == self._newest else None
        found: list[Message] = []
        counted = 0
        newest: tuple[str, datetime] | None = None
        async for message in self._inbox._fanvue.messages.list(chat.user.uuid):  # noqa: SLF001 - ours
            sent_at = message.sent_at
            if position is not None and message.uuid == position[0]:
                break
            is_old = since is None or (sent_at is not None and sent_at < since)
            if is_old and counted >= unread:
                break
            if newest is None and sent_at is not None:
                newest = (message.uuid, sent_at)
            is_fans = message.sender.uuid == chat.user.uuid
            if is_fans and not (message.type or "").startswith(_AUTOMATIC):
                found.append(message)
                # What came after the chat was listed is not in its count of unread messages.
                counted += sent_at is None or sent_at <= (chat.last_message_at or sent_at)
        return found, newest


class _Follow:
    """Looks at the inbox, again and again."""

    def __init__(self, inbox: Inbox, every: float) -> None:
        self._inbox = inbox
        self._every = every
        self._look: AsyncIterator[Message] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            if self._look is None:
                self._look = self._inbox.new()
            try:
                return await anext(self._look)
            except StopAsyncIteration:
                pass
            except FanvueError as error:
                if not error.transient:
                    raise
                _logger.warning("the inbox cannot be read, and is tried again: %s", error)
                await self._inbox._sleep(self._every)  # noqa: SLF001 - of this module
                continue  # with the same look, which knows what was given last
            self._look = None
            await self._inbox._sleep(self._every)  # noqa: SLF001 - of this module


def _last(chat: Chat) -> tuple[str, datetime] | None:
    """Return the newest message of a chat, by the list of chats."""
    last = chat.last_message
    return None if last is None or last.sent_at is None else (last.uuid, last.sent_at)


def _version(chat: Chat) -> str:
    """Return what changes when something new is said in a chat."""
    last = chat.last_message
    return str(chat.last_message_at) if last is None else last.uuid


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
