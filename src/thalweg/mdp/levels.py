"""Families of small deterministic worlds, whose regret is exact for any policy.      L levels, S states, A actions

An episode takes at most `horizon` steps, and a policy knows no time; discounted returns come from backups

    V_0 = 0,    V_{k+1}(s) = sum_a pi(a|s) [r(s, a) + discount (1 - end(s, a)) V_k(next(s, a))].

The regret of a level is its best return, over policies that may also know time, less the policy's own.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.mdp._policy_iteration import entropy


@dataclass(frozen=True, eq=False)
class Levels:
    """A family of levels with a distribution over them.

    Attributes:
        next: (L, S, A) or (1, S, A) the state after each action.
        reward: (L, S, A).
        end: (L, S, A) whether the episode ends by that step.
        start: (L, S) probabilities of the first state.
        weight: (L,) probabilities of the levels.
        observations: (L, S, ...) what a policy sees.
        horizon: steps of an episode at most.
        discount: in [0, 1).
        groups: {name: (L,) bool} of the levels that one speaks of, `distinguishing` among them.
    """

    next: Tensor
    reward: Tensor
    end: Tensor
    start: Tensor
    weight: Tensor
    observations: Tensor
    horizon: int
    discount: float
    groups: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what a caller gives."""
        if not 0 <= self.discount < 1:
            raise InputError(f"discount = {self.discount}: give a number in [0, 1)")
        if self.horizon < 1:
            raise InputError(f"horizon = {self.horizon}: give at least one step")
        for name, given in (("weight", self.weight), ("start", self.start)):
            if (given < 0).any() or ((given.sum(-1) - 1).abs() > 1e-9).any():
                raise InputError(f"{name} of the levels does not sum to 1")

    def __len__(self) -> int:
        return len(self.weight)

    def __repr__(self) -> str:
        size = f"{len(self)} levels, {self.states} states, {self.actions} actions"
        return f"Levels({size}, horizon={self.horizon}, discount={self.discount:g})"

    @property
    def states(self) -> int:
        """S."""
        return self.start.shape[1]

    @property
    def actions(self) -> int:
        """A."""
        return self.reward.shape[2]

    def only(self, levels: str | Tensor, states: Tensor | None = None) -> "Levels":
        """The family restricted to some levels, and to episodes that start in some states.

        Args:
            levels: the name of a group, or (L,) bool.
            states: (L, S) or (S,) bool; all where it is not given.

        Raises:
            InputError: an unknown group, or nothing left.
        """
        if isinstance(levels, str):
            if levels not in self.groups:
                raise InputError(f"no group {levels!r} of levels: there are {', '.join(self.groups) or 'none'}")
            levels = self.groups[levels]
        start = self.start if states is None else self.start * states.expand_as(self.start)
        weight = self.weight * levels * start.sum(1)
        if not weight.sum() > 0:
            raise InputError("no level is left: choose levels and states that have a weight")
        keep = weight > 0
        found = self.taken(keep, (weight / weight.sum())[keep])
        return replace(found, start=(start / start.sum(1, keepdim=True))[keep])

    def taken(self, which: Tensor, weight: Tensor) -> "Levels":
        """Levels by their numbers (L',), which may repeat, or (L,) bool; with probabilities (L',) of their own."""
        return replace(
            self,
            next=self.next if len(self.next) == 1 else self.next[which],  # shared by all levels
            reward=self.reward[which],
            end=self.end[which],
            start=self.start[which],
            weight=weight,
            observations=self.observations[which],
            groups={name: group[which] for name, group in self.groups.items()},
        )

    def evenly(self) -> "Levels":
        """The same levels, each as likely as the other."""
        return replace(self, weight=torch.full_like(self.weight, 1 / len(self)))

    def best(self, temperature: float = 0.0) -> Tensor:
        """(L,) the largest return of each level; with entropy paid by `temperature` a nat."""
        value = torch.zeros_like(self.start)
        for _ in range(self.horizon):
            values = self.reward + self.discount * torch.where(self.end, 0.0, self.after(value))
            value = temperature * torch.logsumexp(values / temperature, -1) if temperature else values.amax(-1)
        return (self.start * value).sum(1)

    def after(self, value: Tensor) -> Tensor:
        """(L, S, A): a value (L, S) at the next state."""
        index = self.next.expand(len(self), -1, -1).flatten(1)
        return value.gather(1, index).reshape(len(self), self.states, self.actions)

    def returns(self, policy: Tensor, temperature: float = 0.0) -> Tensor:
        """(L,): J of a policy of probabilities (L, S, A) on each level."""
        gain = (policy * self.reward.to(policy)).sum(-1)
        gain = gain + temperature * entropy(policy) if temperature else gain
        moves = policy * (self.discount * (~self.end).to(policy))
        value = backed_up(gain, moves, self.next.expand(len(self), -1, -1).flatten(1), self.horizon)
        return (self.start.to(policy) * value).sum(1)

    def regrets(self, policy: Tensor) -> Tensor:
        """(L,): best return less the policy's, on each level."""
        return self.best().to(policy) - self.returns(policy)

    def policy(self, module: nn.Module) -> Tensor:
        """(L, S, A): probabilities of a module of observations."""
        with torch.no_grad():
            logits = module(self.observations.flatten(0, 1))
        return torch.softmax(logits, -1).reshape(len(self), self.states, self.actions)

    def regret(self, policy: Tensor, group: str | None = None) -> Tensor:
        """The mean regret of a policy (L, S, A) over the levels, or over those of a group."""
        weight = self.weight.to(policy)
        if group is not None:
            weight = weight * self.groups[group]
        return (weight * self.regrets(policy)).sum() / weight.sum()


def backed_up(gain: Tensor, moves: Tensor, after: Tensor, horizon: int) -> Tensor:
    """(B, S): the value of a policy from each state on, after so many backups.

    Args:
        gain: (B, S) its mean reward.
        moves: (B, S, A) its chances, times discount where the episode goes on.
        after: (B, S A) the state after each action.
        horizon: backups.
    """
    value = torch.zeros_like(gain)
    for _ in range(horizon):
        value = gain + (moves * value.gather(1, after).reshape(moves.shape)).sum(-1)
    return value
