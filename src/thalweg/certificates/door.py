"""What a certificate is made from, checked before anything is computed: policies and rewards."""

from typing import Any

from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.rl.planning import LARGEST


def probabilities(mdp: MDP, given: Any, whose: str, axes: int = 3) -> Tensor:
    """(S, A), or (K, S, A) where three axes may be, in float64, with rows that sum to 1 to the last digit.

    What single precision leaves over would be earned each step.

    Args:
        mdp: in which the policy acts.
        given: probabilities.
        whose: for the message.
        axes: that there may be at most, 2 or 3.

    Raises:
        InputError: whose they are, and what is wrong with them.
    """
    _check_axes(tuple(getattr(given, "shape", ())), whose, axes)  # an empty policy has no sums
    try:
        found = mdp.checked(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    _check_axes(tuple(found.shape), whose, axes)
    return found / found.sum(-1, keepdim=True)


def _check_axes(shape: tuple[int, ...], whose: str, axes: int) -> None:
    """Refuse a policy without rows, and one of more axes than may be."""
    if 0 in shape or len(shape) > axes:
        what = "one (S, A)" if axes == 2 else "(S, A), or (K, S, A) with K at least 1"
        raise InputError(f"{whose}: policy has shape {shape}: give {what}")


def one_reward(mdp: MDP, given: Any, whose: str) -> Tensor:
    """(S, A) means over the next state, with a return range above 0.

    Args:
        mdp: in which it is paid.
        given: (S,), (S, A) or (S, A, S).
        whose: for the message.

    Raises:
        InputError: another shape, numbers that are not finite or overflow, a return range of 0.
    """
    try:
        found = mdp.mean_reward(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    if found.ndim != 2:
        raise InputError(f"{whose} has shape {tuple(found.shape)}, a batch: certify one reward at a time")
    if not float(found.abs().max()) < LARGEST * (1 - mdp.discount):
        raise InputError(f"{whose}: a reward of {float(found.abs().max()):.3g}, its sums overflow: scale it down")
    if not mdp.return_range(found) > 0:
        raise InputError(f"the return range of {whose} is 0, every policy returns the same by it: give another")
    return found


__all__ = ["one_reward", "probabilities"]
