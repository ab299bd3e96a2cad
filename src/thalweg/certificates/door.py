"""What a certificate is made from, checked before anything is computed: policies, rewards, features, a record."""

from typing import Any

import torch
from torch import Tensor

from thalweg.certificates.statement import Assumption
from thalweg.errors import InputError
from thalweg.rl import MDP
from thalweg.rl.planning import LARGEST
from thalweg.values import Behaviour, Linear

NAMED = 5  # states in a message at most


def one_policy(mdp: MDP, given: Any, whose: str) -> Tensor | None:
    """(S, A) in float64, or None where none is known.

    Args:
        mdp: that it is for.
        given: probabilities (S, A), or None.
        whose: for the message.

    Raises:
        InputError: another shape, or rows that are no probabilities.
    """
    if given is None:
        return None
    try:
        found = torch.as_tensor(given, dtype=torch.float64)
        mdp.evaluate(found, torch.zeros(mdp.states))
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{whose}: {error}") from error
    if found.ndim != 2:
        raise InputError(
            f"{whose} has shape {tuple(found.shape)}, a batch: certify one ({mdp.states}, {mdp.actions})"
        )
    return found


def one_reward(mdp: MDP, given: Any, whose: str) -> Tensor | None:
    """(S, A) means over the next state, with a return range above 0; or None where none is known.

    Args:
        mdp: in which it is paid.
        given: (S,), (S, A) or (S, A, S), or None.
        whose: for the message.

    Raises:
        InputError: another shape, numbers that are not finite or overflow, a return range of 0 and why it is 0.
    """
    if given is None:
        return None
    try:
        found = mdp.mean_reward(given)
    except InputError as error:
        raise InputError(f"{whose}: {error}") from error
    if found.ndim != 2:
        raise InputError(f"{whose} has shape {tuple(found.shape)}, a batch: certify one reward at a time")
    if not float(found.abs().max()) < LARGEST * (1 - mdp.discount):
        raise InputError(f"{whose}: a reward of {float(found.abs().max()):.3g}, its sums overflow: scale it down")
    if not mdp.return_range(found) > 0:
        raise InputError(f"the return range of {whose} is 0, every policy returns the same: {_flat(mdp, found)}")
    return found


def recorded(behaviour: Behaviour) -> Assumption:
    """Whether the choices can have been made where they are said to have been.

    Which states are visited is free. A state that no policy reaches from the start of its process contradicts that
    process, so that it fails; where an agent was put there, a start that holds the state says so.
    """
    wrong = 0
    first = ""
    for e, world in enumerate(behaviour.environments):
        visits = behaviour.counts(e).sum(1)
        lost = (visits > 0) & ~world.reachable
        if lost.any() and not wrong:
            first = f"{_numbered(lost)} of environment {e}"
        wrong += int(visits[lost].sum())
    if wrong:
        words = f"{wrong} choices in states that no policy reaches from the start: {first}"
        return Assumption("data", "failed", words)
    words = f"{len(behaviour)} choices in states and actions that exist; which states is free"
    return Assumption("data", "checked", words)


def check_features(values: Linear, worlds: tuple[MDP, ...]) -> None:
    """Refuse a feature on which nothing depends, in any process: its weight is free and its reward has no range.

    Args:
        values: the class.
        worlds: where choices were recorded, and the deployment.

    Raises:
        InputError: features of another size than a process, or a feature whose return range is 0 in all.
    """
    shape = tuple(values.features.shape)
    for world in worlds:
        if shape[:-1] not in ((world.states,), (world.states, world.actions)):
            raise InputError(
                f"features {shape} do not fit a process of {world.states} states and {world.actions} actions: give"
                " (S, D) or (S, A, D)"
            )
    for d in range(values.weights):
        gains = [values.gains(world.actions)[d] for world in worlds]
        if not any(world.return_range(gain) > 0 for world, gain in zip(worlds, gains, strict=True)):
            raise InputError(f"feature {d}: every policy returns the same of it: {_flat(worlds[0], gains[0])}")


def _flat(mdp: MDP, gain: Tensor) -> str:
    """Why a reward (S, A) has no return range."""
    reached = mdp.reachable
    apart = (gain != gain[reached].flatten()[0]).any(1)
    if not apart.any():
        return "it is the same everywhere, give another"
    if not apart[reached].any():
        return f"it differs only in states that no policy reaches, {_numbered(apart)}: give another"
    return "no choice of action changes it, give another"


def _numbered(which: Tensor) -> str:
    """States by number, the first few."""
    numbers = which.nonzero()[:, 0].tolist()
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"state {', '.join(map(str, numbers[:NAMED]))}{more}"


__all__ = ["check_features", "one_policy", "one_reward", "recorded"]
