"""The promises about single calls, kept by hundreds at once; ``chaos.py`` is the long run."""

from __future__ import annotations

import asyncio
import os
import traceback
from typing import Any

import pytest
from faults.chaos import CONCURRENCY, Result, run
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


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("no_leaks_of_ours")
@pytest.mark.parametrize(
    ("seed", "calls", "is_hostile"),
    [(2, 500, False), (3, 250, False), (4, 400, True)],
    ids=["plain", "TLS", "hostile environment"],
)
async def test_chaos(seed: int, calls: int, *, is_hostile: bool) -> None:
    """Whatever the server does: typed, in time, truthful, nothing done twice, no answer mixed up.

    And what the callers cancel ends as cancelled, and nothing else does. All of that also while
    hooks, filters, tracers and a token provider do harm.
    """
    for slack in (3, 12):  # the longer deadlines are for a machine that is busy otherwise
        result = await run(seed, calls, TOLERANCE, slack, is_hostile=is_hostile)

        assert result.wrongs == []
        assert sum(result.ends.values()) == calls > CONCURRENCY
        if _is_lively(result, calls):
            return
    pytest.fail(f"the promises were hardly tried: {result}")


def _is_lively(result: Result, calls: int) -> bool:
    """Tell whether much happened: the promises are true of a server that does nothing, too."""
    return (
        len(result.played) > 50
        and len(result.ends) > 8
        and result.ends["done"] > calls / 5
        and result.ends["cancelled"] > calls / 100
    )
