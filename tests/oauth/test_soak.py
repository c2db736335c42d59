"""The short forms of soak.py: kills and callers who leave during an exchange, and load."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.parametrize(
    "arguments",
    [
        ["kill", "sqlite", "--rounds", "3"],
        ["leave", "sqlite", "--rounds", "2"],
        ["load", "sqlite", "--processes", "2", "--creators", "20", "--seconds", "2"],
    ],
    ids=" ".join,
)
async def test_no_sign_in_is_lost(arguments: list[str]) -> None:
    """Whoever dies or leaves, the others get the token, by another exchange within the grace."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SOAK), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
