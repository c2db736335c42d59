"""Medians with their quartiles."""

from __future__ import annotations

from statistics import quantiles
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Spread:
    """The middle of many measurements, and how far they lie apart."""

    low: float
    """A quarter of them is below this."""
    median: float
    high: float
    """A quarter of them is above this."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = quantiles(values, n=4, method="inclusive")
        return cls(low, median, high, len(values))
