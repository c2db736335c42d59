"""How often, and how exactly: the tests of this directory have a short form and a long one.

In the suite they are short, and bounds of time are ten times wider than what is promised, because
they run beside others, in Python's development mode and under coverage. With ``ALONE`` in the
environment, as ``python tests/faults/chaos.py --alone`` sets it, they are what is promised.
"""

from __future__ import annotations

import os
import sys

ALONE = bool(os.environ.get("ALONE"))
TOLERANCE = 1 if ALONE else 10


def many(short: int, long: int) -> int:
    """Choose how often something is done."""
    return long if ALONE else short


def say(text: str) -> None:
    """Print what was measured; pytest shows it when the long form runs."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
