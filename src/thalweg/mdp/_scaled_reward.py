"""One reward as it is certified: its mean where policies come, without its constant, of size 1; how far it is off.

    R(s, a) = level + unit (gain(s, a) +- error(s, a))

The unit is a power of two, so that scaling rounds nothing. A number that was given stands for all that round to it:
half a unit in its last place is in the error, with the rounding of the mean and of taking the level off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._rows import Visited, everywhere, visited
from thalweg.mdp.probabilities import EPS, half_unit, numbers
from thalweg.mdp.process import MDP

LARGEST = 2.0**996  # of a return: about 1e300
TINY = 1e-300  # what scaling may lose of denormal numbers


@dataclass(frozen=True, eq=False)
class Earned:
    """A reward on the states that policies visit.                               S' states, A actions

    Attributes:
        whole: the process.
        part: those states, and the process on them.
        gain: (S', A) mean rewards, less the level, in units.
        error: (S', A) by how much each may be off, in units.
        level: in units of the reward.
        unit: a power of two, in units of the reward.
    """

    whole: MDP
    part: Visited
    gain: Tensor
    error: Tensor
    level: float
    unit: float

    @property
    def mdp(self) -> MDP:
        """The process on the states that policies visit."""
        return self.part.mdp

    def policy(self, given: Any) -> tuple[Tensor, float]:
        """(..., S', A) of a policy (..., S, A) of the whole process; by how much a chance may be off, relative.

        Raises:
            InputError: another shape, no probabilities.
        """
        found, off = self.whole.chances(given)
        return found[..., self.part.states, :].detach(), off


def earned(mdp: MDP, reward: Any, *, whole: bool = False) -> Earned:
    """Read one reward, or keep what this has made of one.

    `whole` keeps the states that no policy visits: a process that departs from the stated one may come there.
    """
    if isinstance(reward, Earned):
        return reward
    part = everywhere(mdp) if whole else visited(mdp)
    mean = mdp.mean_reward(reward).detach()
    if mean.ndim != 2:
        raise InputError(f"reward has shape {tuple(mean.shape)}, a batch: give one reward at a time")
    held = getattr(reward, "each", reward)
    given, half = numbers(held, "reward").detach(), half_unit(held)
    if given.shape == (mdp.states, mdp.actions, mdp.states) and given.ndim == 3:
        return _of_steps(mdp, part, given, half)
    gain = mean[part.states]
    _bounded(gain, mdp.discount)
    level = part.mdp.level(gain)
    return _scaled(mdp, part, gain - level, half * gain.abs() + EPS / 2 * (gain - level).abs(), float(level))


def combined(parts: Sequence[Earned], weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """(S', A), (S', A): the sum of rewards of one process, each in its unit, and by how much it may be off."""
    gain, size, error = np.zeros((3, *parts[0].gain.shape))
    for part, weight in zip(parts, weights, strict=True):
        gain = gain + weight * part.gain.numpy()
        size = size + abs(weight) * part.gain.abs().numpy()
        error = error + abs(weight) * part.error.numpy()
    return gain, error * (1 + (len(parts) + 2) * EPS) + (len(parts) + 2) * EPS / 2 * size


def _of_steps(mdp: MDP, part: Visited, given: Tensor, half: float) -> Earned:
    """Of the whole step (S, A, S): the level comes off before the mean, which it would else round."""
    chances = mdp.dynamics.chances[part.states]
    given = torch.where(chances > 0, given[part.states], 0.0)  # what does not happen is not paid
    _bounded(given, mdp.discount)
    level = part.mdp.level((chances * given).sum(-1))
    off = torch.where(chances > 0, given - level, 0.0)
    size = (chances * off.abs()).sum(-1)
    error = half * (chances * given.abs()).sum(-1) + ((mdp.dynamics.terms + 3) * EPS + 2 * mdp.rounding) * size
    return _scaled(mdp, part, (chances * off).sum(-1), error, float(level))


def _bounded(gain: Tensor, discount: float) -> None:
    """Refuse what overflows when it is summed."""
    largest = float(gain.abs().max())
    if not largest < LARGEST * (1 - discount):
        raise InputError(f"a reward of {largest:.3g}: its sums overflow, scale it down")


def _scaled(mdp: MDP, part: Visited, gain: Tensor, error: Tensor, level: float) -> Earned:
    """In units of its size."""
    largest = float(gain.abs().max())
    unit = 2.0 ** math.frexp(largest)[1] if largest > 0 else 1.0
    unit = max(unit, 2.0**-1000)
    return Earned(mdp, part, gain / unit, error / unit + TINY, level, unit)
