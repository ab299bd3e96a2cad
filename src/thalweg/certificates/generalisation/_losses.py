"""Losses and the range that they were said to have."""

from typing import Any

ROUNDING = 1e-9  # of the range, by which a loss may miss it: a regret is a difference of two nearly equal returns


def outside(losses: Any, lower: float, upper: float) -> Any:
    """Where losses, of any shape, miss their range by more than rounding, or are NaN."""
    slack = ROUNDING * (upper - lower)
    return ~((losses >= lower - slack) & (losses <= upper + slack))
