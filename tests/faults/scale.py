"""How often, and how exactly: the tests of this directory have a short form and a long one.

In the suite they are short and have no bounds of time, because they run beside others, in Python's
development mode and under coverage. With ``ALONE`` in the environment, as
``python tests/faults/chaos.py --alone`` sets it, times are held to what is promised.
"""

from __future__ import annotations

import math
import os
import sys

ALONE = bool(os.environ.get("ALONE"))
TOLERANCE = 1.0 if ALONE else math.inf


def many(short: int, long: int) -> int:
    """Choose how often something is done."""
    return long if ALONE else short


def say(text: str) -> None:
    """Print what was measured; pytest shows it when the long form runs."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
