"""Run the benchmarks: ``python tests/benchmarks/run.py --help``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])  # where the package `benchmarks` lies
    runpy.run_module("benchmarks", run_name="__main__")
