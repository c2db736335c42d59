"""The demonstration that ``make demo`` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.programs import complaints

_DEMO = Path(__file__).parents[2] / "docs" / "examples" / "create_chat.py"


def test_the_demo_shows_a_bot_s_day() -> None:
    """It ends well: a lost response does not send a message twice, and nothing is left open."""
    finished = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, _DEMO], capture_output=True, text=True, timeout=25, check=False
    )

    assert (finished.returncode, complaints(finished.stderr)) == (0, "")
    assert "✓ sent once" in finished.stdout
    assert finished.stdout.endswith("all connections are closed.\n")
