"""The promises about single calls, kept by hundreds at once; ``chaos.py`` is the long run."""

from __future__ import annotations

import asyncio
import os
import traceback
from typing import Any

import pytest
from faults.chaos import CONCURRENCY, run
from faults.scale import TOLERANCE

_ON_UVLOOP = os.environ.get("FANVUE_TEST_LOOP") == "uvloop"
# It closes a descriptor twice when a connection is reset before TLS began, also without aiohttp;
# then it may be another socket's.
pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")] * _ON_UVLOOP


def _is_uvloops_own(report: dict[str, Any]) -> bool:
    """Tell whether it says what uvloop says when a TLS handshake is cancelled just as it ends.

    It does so of plain aiohttp, too.
    """
    frames = traceback.extract_tb(getattr(report.get("exception"), "__traceback__", None))
    names = [frame.name.removeprefix("uvloop.loop.") for frame in frames]
    return names in (
        [
            "SSLProtocol._do_read",
            "SSLProtocol._process_outgoing",
            "UVStream.write",
            "UVHandle._ensure_alive",
        ],
        ["SSLProtocol._on_handshake_complete"],
    )


@pytest.fixture
async def no_leaks_of_ours(no_leaks: None) -> None:
    """Do as ``no_leaks`` does, but for what uvloop reports of itself."""
    del no_leaks
    loop = asyncio.get_running_loop()
    note = loop.get_exception_handler()
    if note is not None and _ON_UVLOOP:
        loop.set_exception_handler(
            lambda loop, report: None if _is_uvloops_own(report) else note(loop, report)
        )


@pytest.mark.usefixtures("no_leaks_of_ours")
@pytest.mark.parametrize(("seed", "calls"), [(2, 500), (3, 250)], ids=["plain", "TLS"])
async def test_chaos(seed: int, calls: int) -> None:
    """Whatever the server does: typed, in time, truthful, nothing done twice, no answer mixed up.

    And what the callers cancel ends as cancelled, and nothing else does.
    """
    result = await run(seed, calls, TOLERANCE, slack=3)

    assert result.wrongs == []
    # All this would be true of a server that does nothing, too.
    assert sum(result.ends.values()) == calls > CONCURRENCY
    assert len(result.played) > 50
    assert len(result.ends) > 8
    assert result.ends["done"] > calls / 5
    assert result.ends["cancelled"] > calls / 100


@pytest.mark.usefixtures("no_leaks_of_ours")
async def test_chaos_in_a_hostile_environment() -> None:
    """All of that holds while hooks, filters, tracers and a token provider do harm."""
    result = await run(4, 400, TOLERANCE, slack=3, is_hostile=True)

    assert result.wrongs == []
    assert result.ends["done"] > 80
