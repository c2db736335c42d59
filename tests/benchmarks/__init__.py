"""What a call costs: this package against the same call by hand, through tenacity and on httpx."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
"""The folder in which ``python -m benchmarks`` finds this package."""
