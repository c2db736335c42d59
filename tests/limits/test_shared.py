"""Processes that share a bucket over a store; ``shared.py`` beside it is the long form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from limits.shared import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(60)
async def test_processes_on_one_store_see_no_429(tmp_path: Path) -> None:
    """Three processes with twice as many calls as a window allows: each of them succeeds."""
    where = str(tmp_path / "limits.db")
    result = await run("sqlite", where, processes=3, calls=10, limit=(15, 2.0))
    assert (result.succeeded, result.failed, result.refused) == (30, 0, 0)
