"""Events are handled once by many processes; ``deliveries.py`` is the long run."""

from __future__ import annotations

from faults.deliveries import Plan, run


async def test_no_event_is_lost_or_handled_twice() -> None:
    """Repeated, in random order, to three processes, one killed, the others stopped at work."""
    result = await run(Plan(events=100, workers=3, rate=200, lease=2.0, seed=7))

    assert result.lost == []
    assert result.doubled == []
    assert result.left == 0
    assert result.handled == 120
