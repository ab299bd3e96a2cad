"""What a certificate is made from, checked before anything is computed: policies and rewards."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp import MDP, Valuation, half_unit, numbers, valuation


def probabilities(mdp: MDP, given: Any, whose: str, axes: int = 3) -> Tensor:
    """(S, A), or (K, S, A) where three axes may be, in the precision in which it was given and is known."""
    _check_axes(tuple(getattr(given, "shape", ())), whose, axes)  # an empty policy has no sums
    try:
        mdp.checked(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    typed = isinstance(given, Tensor | np.ndarray) and half_unit(given) > 0  # a list is of float64
    found = torch.as_tensor(given) if typed else numbers(given, whose)
    _check_axes(tuple(found.shape), whose, axes)
    return found.detach()


def _check_axes(shape: tuple[int, ...], whose: str, axes: int) -> None:
    """Refuse a policy without rows, and one of more axes than may be."""
    if 0 in shape or len(shape) > axes:
        what = "one (S, A)" if axes == 2 else "(S, A), or (K, S, A) with K at least 1"
        raise InputError(f"{whose}: policy has shape {shape}: give {what}")


def one_reward(mdp: MDP, given: Any, whose: str, *, whole: bool = False) -> Valuation:
    """What one reward says of a process, with a return range above 0; refused by the name of whose it is."""
    try:
        found = valuation(mdp, given, whole=whole)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    found.known_range(whose)
    return found
