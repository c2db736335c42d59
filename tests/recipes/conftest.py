"""Makes the examples importable."""

from __future__ import annotations

import sys

from support.programs import EXAMPLES

sys.path.insert(0, str(EXAMPLES))
