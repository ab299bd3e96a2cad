"""What a certificate is made from, checked before anything is computed: policies and rewards."""

from typing import Any

from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.rl.planning import LARGEST


def probabilities(mdp: MDP, given: Any, whose: str) -> Tensor:
    """(..., S, A) whose rows sum to 1 to the last digit: what single precision leaves over would be earned each step.

    Raises:
        InputError: whose they are, and what is wrong with them.
    """
    try:
        found = mdp.checked(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    return found / found.sum(-1, keepdim=True)


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
