"""Messages are given once though the process is killed; ``inbox.py`` is the long form."""

from __future__ import annotations

from faults.inbox import Plan, run


async def test_no_message_is_lost_or_given_again_without_a_kill() -> None:
    """Oldest first in each chat, while fans write on; nothing is marked as read."""
    result = await run(Plan(chats=40, kills=2, rate=50.0, seed=7))

    assert result.messages > 60
    assert result.is_as_promised, result
