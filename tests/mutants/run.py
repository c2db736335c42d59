"""Break the package on purpose: ``python tests/mutants/run.py --help``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])  # where the package `mutants` lies
    runpy.run_module("mutants", run_name="__main__")
