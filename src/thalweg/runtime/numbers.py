"""Finite numbers for JSON."""

from collections.abc import Iterable
from math import isfinite


def finite(number: float | None) -> float | None:
    """A number for JSON, which has no infinity and no NaN: None in their place."""
    return number if number is not None and isfinite(number) else None


def all_finite(numbers: Iterable[float]) -> list[float | None]:
    """Numbers for JSON, of an array or several: None where one is infinite or NaN."""
    return [finite(float(number)) for number in numbers]
