"""Open chats with Fanvue users, on the real API or on a fake one.

With a token and users it talks to the real API::

    FANVUE_ACCESS_TOKEN=… python docs/examples/create_chat.py 3fa85f64-5717-4562-b3fc-2c963f66afa6

Without them, it starts a fake API and shows a bot's day: a fan writes, the bot answers, and things
go wrong.
"""

from __future__ import annotations

import asyncio
import os
import sys

from fanvue_async import (
    AuthenticationError,
    FanvueClient,
    FanvueError,
    NotContactableError,
    RetryEvent,
    Timeout,
)
from fanvue_async.inbox import Inbox
from fanvue_async.stores import MemoryStore
from fanvue_async.testing import FakeFanvue

ALICE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
BOB = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


async def main(users: list[str]) -> int:
    """Open the chats and return the program's exit status."""
    if users and os.environ.get("FANVUE_ACCESS_TOKEN"):
        async with FanvueClient(on_retry=tell_retry) as fanvue:
            errors = [await create(fanvue, user) for user in users]
        return 1 if any(errors) else 0
    print("This is a fake API on your machine.")
    print('For the real one: FANVUE_ACCESS_TOKEN=… make demo USERS="<user uuid> …"')
    async with FakeFanvue(not_contactable=[BOB]) as fake:
        async with fake.client(on_retry=tell_retry, timeout=Timeout(20, attempt=1)) as fanvue:
            await show_chats(fake, fanvue)
            await show_answers(fake, fanvue)
            await show_creators(fake, fanvue)
        print(f"\nThe fake API got {len(fake.requests)} requests; all connections are closed.")
    return 0


async def create(fanvue: FanvueClient, user: str) -> FanvueError | None:
    """Open one chat, print the result, and return the error if there was one."""
    print(f"  chats.create({user!r})")
    try:
        created = await fanvue.chats.create(user)
    except FanvueError as error:
        print(f"  ✗ {type(error).__name__}: {error}")
        return error
    print(f"  ✓ {created.message}")
    return None


def tell_retry(event: RetryEvent) -> None:
    """Print that an attempt failed and will be repeated."""
    print(f"  … attempt {event.attempt} failed ({event.status or event.error}), trying again")


async def show_chats(fake: FakeFanvue, fanvue: FanvueClient) -> None:
    """Show a success, a retry and two refusals."""
    print("\nA chat is opened:")
    assert await create(fanvue, ALICE) is None

    print("\nThe API fails for a moment, and the call is repeated:")
    fake.reply(503, json={"message": "back in a moment"})
    assert await create(fanvue, ALICE) is None

    print("\nThe API refuses, which raises a typed error immediately:")
    assert isinstance(await create(fanvue, BOB), NotContactableError)
    stranger = fanvue.with_options(access_token="expired")
    assert isinstance(await create(stranger, ALICE), AuthenticationError)


async def show_answers(fake: FakeFanvue, fanvue: FanvueClient) -> None:
    """Show a fan's message answered once, although a response is lost."""
    print("\nA fan writes, and the bot answers:")
    fake.users.add(ALICE, handle="alice", display_name="Alice")
    fake.chats.receive(ALICE, "Hi! Are you there?")
    inbox = Inbox(fanvue, store=MemoryStore())
    async for message in inbox.new():
        print(f"  {message.sender.handle}: {message.text}")
        await fanvue.messages.send(message.sender.uuid, text="Hi! I am.")
        print("  ✓ answered")

    print(
        "\nA response is lost. The message is not sent twice: the bot reads the chat and finds it:"
    )
    fake.drop("headers", on="POST /chats/{userUuid}/message")
    sent = await fanvue.messages.send(ALICE, text="See you tonight!")
    print(f"  ✓ sent once, as {sent.message_uuid}")
    texts = [said["text"] for said in fake.messages.of(ALICE)]
    assert texts.count("See you tonight!") == 1


async def show_creators(fake: FakeFanvue, fanvue: FanvueClient) -> None:
    """Show an agency's token acting for its creator."""
    print("\nAn agency opens a chat for its creator:")
    anna = fake.creators.add(handle="anna")
    await fanvue.creator(anna).chats.create(ALICE)
    print(f"  ✓ creator {anna} has a chat with {ALICE}")
    assert list(fake.creator(anna).chats) == [ALICE]


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
