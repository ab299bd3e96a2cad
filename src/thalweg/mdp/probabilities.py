"""Numbers as they are given: in float64, with what their own precision leaves open, and rows that sum to 1.

A number in floating point stands for all numbers that round to it: it is known to half a unit in its last place.
Rows are distributions: what they miss 1 by is rounding, and is divided out in float64.
"""

from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError, first_line

EPS = 2.0**-52  # of float64: twice the largest relative error of one rounding
SUM = 1e-9  # by which probabilities in float64 may miss 1
POLICY = 1e-5  # the same of a policy: many were cast from single precision
HALF_UNITS = {  # of the last place, relative to the number
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
    torch.int64: 2.0**-53,  # large ones are rounded when they become float64
}
WIDE = 8  # bytes of whole numbers that float64 does not hold
BELOW = 4  # half units by which a subtraction may leave a probability below 0


def numbers(given: Any, what: str) -> Tensor:
    """In float64 from the first: torch reads a list of Python's numbers in float32, which loses half their digits.

    Raises:
        InputError: text, rows of different lengths, complex numbers, a sparse tensor.
    """
    if isinstance(given, Tensor) and given.layout != torch.strided:
        raise InputError(f"{what} is a sparse tensor: give it dense, .to_dense()")
    if "complex" in str(getattr(given, "dtype", "")):
        raise InputError(f"{what} holds complex numbers: give real ones")
    try:
        return torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} is no array of numbers: {first_line(error)}: give one, or a tensor") from error


def one_number(given: Any, what: str) -> float:
    """A single number, NaN and infinity among them.

    Raises:
        InputError: text, nothing, or several.
    """
    found = numbers(given, what)
    if found.ndim:
        raise InputError(f"{what} has shape {tuple(found.shape)}: give one number")
    return float(found.detach())


def half_unit(given: Any) -> float:
    """How far a number may be from what was meant, relative: half a unit in the last place of its type.

    Whole numbers are exact, but those of 64 bits, of which float64 holds 53. Lists are of float64.
    """
    if isinstance(given, Tensor):
        return HALF_UNITS.get(given.dtype, 0.0)
    held: Any = given
    if not isinstance(given, np.ndarray | np.generic) and not sparse.issparse(given):
        return HALF_UNITS[torch.float64]
    if np.issubdtype(held.dtype, np.floating):
        return max(float(np.finfo(held.dtype).eps) / 2, HALF_UNITS[torch.float64])
    return HALF_UNITS[torch.float64] if held.dtype.itemsize >= WIDE else 0.0


def distributions(given: Any, what: str, most: float = SUM) -> tuple[Tensor, float]:
    """Distributions along the last axis, each divided by its sum; differentiable, the sums being constants.

    Args:
        given: numbers of any shape.
        what: for the message.
        most: by which a sum may miss 1 in float64; numbers of less precision have what theirs allows.

    Returns:
        The same shape in float64; and the largest relative error of an entry: half a unit in its last place, and
        what its row missed 1 by. A policy is what its rows make of it, divided by their sums: what they missed 1 by
        is not in doubt.

    Raises:
        InputError: numbers that are no probabilities, sums that are not 1; with their place.
    """
    found, unit = numbers(given, what), half_unit(given)
    least = -BELOW * max(unit, EPS / 2)
    if not torch.isfinite(found).all() or (found < least).any():
        raise InputError(f"{what} holds a number that is no probability: give numbers from 0 to 1")
    if (found < 0).any():  # what a subtraction left
        found = torch.where(found < 0, 0.0, found)
    sums = found.sum(-1, keepdim=True).detach()
    off = (sums - 1).abs()
    if off.numel() and float(off.max()) > _allowed(unit, found.shape[-1], most):
        wrong = int(off.argmax())
        place = np.unravel_index(wrong, sums.shape[:-1])
        raise InputError(_off(what, place, float(sums.flatten()[wrong])))
    return found / sums, max(unit, EPS) + (float(off.max()) if off.numel() and most < POLICY else 0.0)


def thinned(rows: Any, actions: int, unit: float) -> tuple[Any, float]:
    """Sparse distributions (S A, S), as `distributions` has dense ones; known to `unit`, relative."""
    rows = sparse.csr_matrix(rows, dtype=np.float64, copy=True)
    if not np.isfinite(rows.data).all() or (rows.data < -BELOW * max(unit, EPS / 2)).any():
        raise InputError("transitions hold a number that is no probability: give numbers from 0 to 1")
    rows.sum_duplicates()
    rows.data[rows.data < 0] = 0.0
    rows.eliminate_zeros()
    sums = np.asarray(rows.sum(1)).reshape(-1)
    off = np.abs(sums - 1)
    terms = int(np.diff(rows.indptr).max(initial=0))
    if float(off.max()) > _allowed(unit, terms, SUM):
        wrong = int(off.argmax())
        raise InputError(_off("transitions", divmod(wrong, actions), float(sums[wrong])))
    rows.data /= np.repeat(sums, np.diff(rows.indptr))
    return rows, unit + float(off.max())


def chances_of(policy: np.ndarray, actions: int) -> np.ndarray:
    """(S, A) of actions (S,), or of what it is already."""
    return policy if policy.ndim == 2 else np.eye(actions)[policy]


def _allowed(unit: float, terms: int, most: float) -> float:
    """By how much a sum of so many terms of one precision may miss 1."""
    return max(most, 2 * (terms + 8) * unit if unit > EPS else 0.0)


def _off(what: str, place: Any, total: float) -> str:
    """Which row misses 1, by enough digits to see it."""
    where = f" at {', '.join(str(int(i)) for i in place)}" if len(place) else ""
    shown = f"{total:.6g}" if abs(total - 1) > 1e-5 else f"1 {'+' if total > 1 else '-'} {abs(total - 1):.3g}"
    return f"{what}{where} sums to {shown}: make it sum to 1"
