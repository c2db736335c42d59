"""A bot that acts for every creator who has connected in connect_app.py.

Run it beside the backend, on the same machine or, with Redis, on another one::

    python connect_bot.py

It looks into each creator's chats now and then. Tokens are renewed by whichever process needs one
first; the others read the new one.
"""

import asyncio
import os
import sys

from connect_store import open_app, open_store

from fanvue_async import FanvueClient, FanvueError, SignInRequiredError

EVERY = float(os.environ.get("EVERY", "15"))


async def look(account: str, creator: FanvueClient) -> None:
    """Tell how much one creator has not read; a failure of one is none of the others'."""
    try:
        unread = await creator.chats.unread()
    except SignInRequiredError:
        print(f"{account} must connect again", flush=True)  # send them the link
    except FanvueError as error:
        print(f"{account}: {error}", file=sys.stderr, flush=True)
    else:
        print(f"{account}: {unread.unread_chats_count} unread chats", flush=True)


async def main() -> None:
    """Look, wait, and look again."""
    async with (
        open_store() as store,
        open_app(store) as app,
        FanvueClient(timeout=20) as fanvue,
    ):
        while True:
            async with asyncio.TaskGroup() as looks:
                async for account in app.accounts():
                    creator = fanvue.with_options(access_token=app.token(account))
                    looks.create_task(look(account, creator))
            await asyncio.sleep(EVERY)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("stopped")
