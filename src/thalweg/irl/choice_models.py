"""How an agent with values acts: the likelihood of actions given a reward.          B rewards, S states, A actions

    Boltzmann:  p(a|s) ~ exp(b Q*(s, a))          Soft:  p(a|s) = exp((Q(s, a) - V(s)) / t),  V = t log sum exp(Q / t)

Behaviour cannot tell the choice model, its discount or the agent's idea of the dynamics from the values: all are
assumed.
Source: Ramachandran & Amir 2007; Ziebart 2010; Haarnoja et al. 2017 (arXiv 1702.08165).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp import MDP, Gains
from thalweg.old_names import old_keywords

LARGEST_INVERSE_TEMPERATURE = 1e6  # nats: beyond, the rounding of Q* decides between actions


class ChoiceModel(Protocol):
    """Log probabilities of actions, given what an agent is rewarded with."""

    def log_policy(self, mdp: MDP, reward: Any) -> Tensor:
        """(..., S, A) nats."""
        ...


@old_keywords(sharpness="inverse_temperature")
@dataclass(frozen=True)
class Boltzmann:
    """p(a|s) ~ exp(b Q*(s, a)), Q* of the best policy.

    Attributes:
        inverse_temperature: b, in nats a unit of reward; where `relative`, nats a return range of the environment,
            so that the scale of a reward does not matter.
        relative: whether Q* is divided by the return range.
    """

    inverse_temperature: float
    relative: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.inverse_temperature <= LARGEST_INVERSE_TEMPERATURE:
            raise InputError(
                f"inverse temperature {self.inverse_temperature}: give a number above 0, in nats, at most"
                f" {LARGEST_INVERSE_TEMPERATURE:.0e}"
            )

    def log_policy(self, mdp: MDP, reward: Any) -> Tensor:
        """(..., S, A) nats, differentiable in the reward.

        Raises:
            InputError: a reward without a return range, where the choice model is relative.
        """
        gain = mdp.mean_reward(reward)
        gain = gain - mdp.level(gain)[..., None, None]  # changes no choice, and would cost digits
        values = mdp.backup(gain, mdp.optimal(Gains(gain)).value)
        if self.relative:
            span = mdp.return_range(Gains(gain))
            if not (span > 0).all():
                raise InputError(
                    "the return range of a reward is 0: every policy returns the same, no action is chosen"
                )
            values = values / span[..., None, None]
        return torch.log_softmax(self.inverse_temperature * values, -1)


@dataclass(frozen=True)
class Soft:
    """p(a|s) = exp((Q(s, a) - V(s)) / t), the policy that is best where each nat of entropy is paid with t.

    Attributes:
        temperature: t, in units of reward.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature {self.temperature}: give a number above 0, in units of reward")

    def log_policy(self, mdp: MDP, reward: Any) -> Tensor:
        """(..., S, A) nats, differentiable in the reward."""
        gain = mdp.mean_reward(reward)
        values = mdp.backup(gain, mdp.soft_optimal(Gains(gain), self.temperature).value)
        return torch.log_softmax(values / self.temperature, -1)
