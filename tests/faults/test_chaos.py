"""The promises about single calls, kept by a thousand at once; ``chaos.py`` is the long run."""

from __future__ import annotations

import pytest
from faults.chaos import CONCURRENCY, run
from faults.scale import TOLERANCE


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    ("seed", "calls"),
    [
        (2, 1_000),
        pytest.param(3, 500, marks=pytest.mark.skip(reason="open: too few succeed under load")),
    ],
    ids=["plain", "TLS"],
)
async def test_chaos(seed: int, calls: int) -> None:
    """Whatever the server does: typed, in time, truthful, nothing done twice, no answer mixed up.

    And what the callers cancel ends as cancelled, and nothing else does.
    """
    result = await run(seed, calls, TOLERANCE)

    assert result.wrongs == []
    # All this would be true of a server that does nothing, too.
    assert sum(result.ends.values()) == calls > CONCURRENCY
    assert len(result.played) > 50
    assert len(result.ends) > 8
    assert result.ends["done"] > calls / 5
    assert result.ends["cancelled"] > calls / 100
