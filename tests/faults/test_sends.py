"""Sends through a server that does its worst; ``sends.py`` is the long form."""

from __future__ import annotations

import random

from faults.sends import storm


async def test_no_message_is_sent_twice_or_confirmed_wrongly() -> None:
    """What a caller is told of each send is what the ledger says, and lost ones are found."""
    report = await storm(300, random.randrange(1_000_000))

    assert report.wrong == []
    assert report.counts["sent"] > 150
    assert report.settled >= 0.9  # of about 80; the long form asks for 0.95 of 500
