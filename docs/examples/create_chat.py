"""Create chats with Fanvue users, on the real API or on a fake one.

With a token and users it talks to the real API::

    FANVUE_ACCESS_TOKEN=… python docs/examples/create_chat.py 3fa85f64-5717-4562-b3fc-2c963f66afa6

Without, it starts a fake API and shows what a program sees of it, good and bad.
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
    RetryPolicy,
)
from fanvue_async.testing import FakeFanvue

ALICE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
BOB = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


async def main(users: list[str]) -> int:
    """Create the chats and return the program's exit status."""
    if users and os.environ.get("FANVUE_ACCESS_TOKEN"):
        async with FanvueClient(on_retry=tell_retry) as fanvue:
            errors = [await create(fanvue, user) for user in users]
        return 1 if any(errors) else 0
    print("No FANVUE_ACCESS_TOKEN and users given, so this is a fake API on this machine.")
    print('For the real one: FANVUE_ACCESS_TOKEN=… make demo USERS="<user uuid> …"')
    await show_fake()
    return 0


async def create(fanvue: FanvueClient, user: str) -> FanvueError | None:
    """Create one chat, say what came of it, and return the error if there was one."""
    print(f"  chats.create({user!r})")
    try:
        created = await fanvue.chats.create(user)
    except FanvueError as error:
        print(f"  ✗ {type(error).__name__}: {error}")
        return error
    print(f"  ✓ {created.message}")
    return None


def tell_retry(event: RetryEvent) -> None:
    """Say that an attempt failed for a passing reason."""
    reason = event.status or event.error
    print(f"  … attempt {event.attempt} failed ({reason}), next in {event.wait:.2f} s")


async def show_fake() -> None:
    """Show a success, a retry and two refusals."""
    async with FakeFanvue(not_contactable=[BOB]) as fake:
        async with FanvueClient(
            fake.token,
            base_url=fake.url,
            retry=RetryPolicy(wait_initial=0.2),
            on_retry=tell_retry,
        ) as fanvue:
            print("\nA chat is created:")
            assert await create(fanvue, ALICE) is None

            print("\nThe API fails for a moment, and the call is tried again:")
            fake.reply(503, json={"message": "back in a moment"})
            assert await create(fanvue, ALICE) is None

            print("\nThe API refuses, and that is a typed error at once:")
            assert isinstance(await create(fanvue, BOB), NotContactableError)
            stranger = fanvue.with_options(access_token="expired")
            assert isinstance(await create(stranger, ALICE), AuthenticationError)
        print(f"\nThe fake API read {len(fake.requests)} requests; all connections are closed.")


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
