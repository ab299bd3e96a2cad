"""Columns of numbers that somebody gives, and times that ascend."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from thalweg.errors import InputError


def given(name: str, values: Any) -> np.ndarray:
    """An array of integers or floats as it was given; a long double becomes a double.

    Raises:
        InputError: words, dates, complex numbers, lists of unequal length.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":  # tensors, fractions and integers beyond 64 bits
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(
            f"{name} holds what is no number: give integers or floats, one for each checkpoint"
        ) from None
    if array.dtype.kind not in "iufb":
        raise InputError(f"{name} holds {array.dtype}, no numbers: give integers or floats, one for each checkpoint")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def columns(steps: Any, named: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Steps and what was seen at them, as they were given: (T) each, finite; steps are not looked at for order.

    Raises:
        InputError: as `given`; shapes that differ, NaN or infinity.
    """
    arrays = {name: given(name, values) for name, values in {"steps": steps, **named}.items()}
    shape = arrays["steps"].shape
    if len(shape) != 1:
        raise InputError(f"steps has shape {shape}: give one number for each checkpoint")
    for name, values in arrays.items():
        if values.shape != shape:
            raise InputError(
                f"{name} has shape {values.shape}, steps has {shape[0]}: give one value for each checkpoint"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds NaN or infinity: leave those checkpoints out")
    return arrays


def ascending(steps: np.ndarray) -> np.ndarray:
    """(T) times since the first, as floats; exact differences also of integers that no float holds.

    Raises:
        InputError: they do not ascend, or differ by less than floats can tell.
    """
    if not (steps[1:] > steps[:-1]).all():
        raise InputError("steps are not ascending, or some come twice: sort the checkpoints, one for each step")
    first, *_ = values = steps.tolist()
    since = np.array([value - first for value in values], dtype=np.float64)
    if not (np.diff(since) > 0).all() or not np.isfinite(since).all():
        raise InputError("steps differ by less than floats can tell beside their range: give them in another unit")
    return since
