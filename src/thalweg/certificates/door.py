"""What a certificate is made from, checked before anything is computed: policies and rewards."""

from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.rl.probabilities import half_unit, numbers
from thalweg.rl.valuation import Valuation, valuation


def probabilities(mdp: MDP, given: Any, whose: str) -> Tensor:
    """(..., S, A) in the precision in which it was given, which is what it is known to.

    Raises:
        InputError: whose they are, and what is wrong with them.
    """
    try:
        mdp.checked(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    return torch.as_tensor(given if half_unit(given) else numbers(given, whose))


def one_reward(mdp: MDP, given: Any, whose: str, *, whole: bool = False) -> Valuation:
    """What one reward says of a process, with a return range above 0.

    Args:
        mdp: in which it is paid.
        given: (S,), (S, A) or (S, A, S).
        whose: for the message.
        whole: in the states that no policy visits too.

    Raises:
        InputError: another shape, numbers that are not finite or overflow, a return range of 0.
    """
    try:
        found = valuation(mdp, given, whole=whole)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    found.known_range(whose)
    return found


__all__ = ["one_reward", "probabilities"]
