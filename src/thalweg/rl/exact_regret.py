"""The regret of a policy as a landscape, exactly: G(w) = V* - J(pi_w), each level a sample.

The generalised posterior exp(-nbeta G(w)) over policies concentrates by the learning coefficient of G as
the Bayesian posterior does by that of the loss. V* cancels in the estimate, nbeta (E[G] - G(w*)).
Source: Elliott et al. 2026 (arXiv 2601.07524).

A softmax policy has regret 0 only at infinite logits unless actions tie, so plain regret has no finite
minimum; with entropy paid by a temperature it has one.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, guarded
from thalweg.landscape import Data, Landscape, ModuleLosses, PerSample, copied, of_losses, one_path
from thalweg.mdp import MDP, Levels, backed_up, log_entropy
from thalweg.rl._finite_minimum import AHEAD, BEFORE, fall, sentence, ways
from thalweg.types import Params, Tree

ROUNDING = 64.0  # roundings of a return


def regret_landscape(
    policy: nn.Module,
    world: Levels | MDP,
    *,
    n: int,
    reward: Any = None,
    observations: Tensor | None = None,
    temperature: float = 0.0,
    name: str | None = None,
) -> Landscape:
    """The exact regret of a policy as a landscape around its weights.

    Args:
        policy: observations (B, ...) -> logits (B, A).
        world: levels, each a sample whose loss is its weighted regret; or a decision process, one sample.
        n: sample size of the theory: episodes that the generalised posterior stands for; nbeta is n / log n
            unless a sampler's settings give it.
        reward: of a decision process; levels have their own.
        observations: (S, ...) of a decision process; default the number of each state.
        temperature: reward units that a nat of entropy is paid with; 0 for plain regret.
        name: identity in a store of what its source cannot identify.

    Raises:
        InputError: a policy whose outputs are no logits of the world's actions.
    """
    if not isinstance(policy, nn.Module):
        raise InputError(f"policy is a {type(policy).__name__}: give a torch.nn.Module of observations")
    if not (temperature >= 0 and temperature < float("inf")):
        raise InputError(f"temperature = {temperature}: give a number of at least 0, in units of reward")
    loss, seen = _regret(world, reward, temperature), _sight(world, observations)
    module = copied(policy)
    _check_policy(module, seen[0, :1], world.actions)
    data = Data(seen, torch.arange(len(seen)))
    return of_losses(PolicyLosses(module, PerSample(loss)), data, n=n, name=name)


@dataclass(frozen=True)
class PolicyLosses(ModuleLosses):
    """Regrets of a policy, which sees every state of a level.

    Attributes:
        whole: the samples are a whole family with its weights, not draws from one: their mean has no error.
    """

    whole: ClassVar[bool] = True

    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Weighted regrets (B,) of levels, given observations (B, S, ...) and the levels' numbers."""
        assert targets is not None
        return self.loss(self.logits(params, frozen, inputs), targets)

    def logits(self, params: Params, frozen: Params, inputs: Tensor) -> Tensor:
        """(B, S, A) of observations (B, S, ...)."""
        with one_path(inputs.device.type):
            found = self.outputs({**params, **frozen}, inputs.flatten(0, 1))
        return found.reshape(*inputs.shape[:2], -1)

    def doubt(self, scape: Landscape, gradient: Tensor) -> str:
        """Whether plain regret falls without end as logits grow; where entropy is paid there is a minimum.

        Args:
            scape: of these losses, at w*.
            gradient: (D,) at w*.
        """
        regret: Any = self.loss.given
        if regret.temperature:
            return ""
        assert scape.data is not None
        seen, level = scape.data.inputs, scape.data.targets
        rounding = ROUNDING * torch.finfo(gradient.dtype).eps * float(regret.best.abs().max())

        def mean(logits: Tensor) -> Tensor:
            return self.loss(logits, level).to(torch.float64).mean()

        def greedy(table: Tensor) -> Tensor:  # a row's visits times its action values
            policy = torch.softmax(table, -1).requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(regret.of_policy(policy[seen], level).mean(), policy)
            return -slope / slope.abs().max().clamp(min=torch.finfo(slope.dtype).tiny)

        with torch.no_grad():
            logits = self.logits(scape.params, scape.frozen, seen)
            for way in ways(self.module, scape, gradient, seen.flatten(0, 1), greedy):
                change = way.change.reshape(logits.shape)
                sides = ([mean(logits + (c - 1) * change) for c in side.to(logits)] for side in (BEFORE, AHEAD))
                before, ahead = (torch.stack(side) for side in sides)
                gain = fall(before, float(mean(logits)), ahead, rounding)
                if gain is not None:
                    return sentence(gain)
        return ""


class Tabular(nn.Module):
    """A policy with a logit of its own for every state and action, at zero: uniform."""

    def __init__(self, states: int, actions: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(states, actions, dtype=torch.float64))

    def forward(self, states: Tensor) -> Tensor:
        """States (B,) -> logits (B, A)."""
        return self.logits[states]


class LevelRegret(nn.Module):
    """Regret of each level, weighted so that the mean over levels is the regret of the family."""

    next: Tensor
    reward: Tensor
    keep: Tensor
    start: Tensor
    scale: Tensor
    best: Tensor

    def __init__(self, levels: Levels, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.horizon, self.discount = levels.horizon, levels.discount
        self.register_buffer("next", levels.next.expand(len(levels), -1, -1).flatten(1))
        self.register_buffer("reward", levels.reward)
        self.register_buffer("keep", levels.discount * (~levels.end).to(torch.float64))
        self.register_buffer("start", levels.start)
        self.register_buffer("scale", levels.weight * len(levels))
        self.register_buffer("best", levels.best(temperature))

    def extra_repr(self) -> str:
        """All that is no buffer."""
        return f"horizon={self.horizon}, discount={self.discount}, temperature={self.temperature}"

    def forward(self, logits: Tensor, level: Tensor) -> Tensor:
        """Logits (B, S, A) -> (B,) in units of reward."""
        nats = log_entropy(torch.log_softmax(logits, -1)) if self.temperature else None
        return self.of_policy(torch.softmax(logits, -1), level, nats)

    def of_policy(self, policy: Tensor, level: Tensor, nats: Tensor | None = None) -> Tensor:
        """Probabilities (B, S, A), with their entropy (B, S) where it is paid -> (B,) in units of reward."""
        moves = policy * self.keep[level].to(policy)
        gain = (policy * self.reward[level].to(policy)).sum(-1)
        if nats is not None:
            gain = gain + self.temperature * nats
        value = backed_up(gain, moves, self.next[level], self.horizon)
        returns = (self.start[level].to(policy) * value).sum(1)
        return self.scale[level].to(policy) * (self.best[level].to(policy) - returns)


class _ProcessRegret(nn.Module):
    """Regret of a decision process, discounted without end, by a linear solve."""

    reward: Tensor
    start: Tensor
    best: Tensor

    def __init__(self, mdp: MDP, reward: Any, temperature: float) -> None:
        super().__init__()
        self.mdp, self.temperature = mdp, temperature
        rows, places = mdp.dynamics.held
        gain = mdp.mean_reward(reward).clone()
        if gain.ndim != 2:
            raise InputError(f"reward has shape {tuple(gain.shape)}: a landscape has one reward, give (S, A)")
        plan = mdp.soft_optimal(gain, temperature) if temperature else mdp.optimal(gain)
        for key, held in {"rows": rows, "places": places, "reward": gain, "start": mdp.start}.items():
            self.register_buffer(key, held)
        self.register_buffer("best", plan.value @ mdp.start)

    def extra_repr(self) -> str:
        return f"discount={self.mdp.discount}, temperature={self.temperature}"

    def forward(self, logits: Tensor, sample: Tensor) -> Tensor:
        """Logits (1, S, A) -> (1,) in units of reward, by a solve in float64."""
        exact = logits.to(torch.float64)
        nats = log_entropy(torch.log_softmax(exact, -1)) if self.temperature else None
        return self.of_policy(torch.softmax(exact, -1), sample, nats).to(logits)

    def of_policy(self, policy: Tensor, sample: Tensor, nats: Tensor | None = None) -> Tensor:
        """Probabilities (1, S, A), with their entropy (1, S) where it is paid -> (1,) in units of reward."""
        gain = self.reward if nats is None else self.reward + self.temperature * nats[..., None]
        return self.best - self.mdp.solve(policy.to(torch.float64), gain) @ self.start


def _regret(world: Levels | MDP, reward: Any, temperature: float) -> nn.Module:
    """The loss that belongs to a world."""
    if isinstance(world, Levels):
        if reward is not None:
            raise InputError("levels have a reward of their own: leave reward= out")
        return LevelRegret(world, temperature)
    if not isinstance(world, MDP):
        raise InputError(f"world is a {type(world).__name__}: give tw.rl levels or a tw.MDP with reward=")
    if reward is None:
        raise InputError("a tw.MDP has no reward: give reward=, of states or of states and actions")
    return _ProcessRegret(world, reward, temperature)


def _sight(world: Levels | MDP, observations: Tensor | None) -> Tensor:
    """What the policy sees: (L, S, ...) of levels, (1, S, ...) of a process."""
    if isinstance(world, Levels):
        return world.observations
    seen = torch.arange(world.states) if observations is None else observations
    if len(seen) != world.states:
        raise InputError(f"observations of {len(seen)} states, the process has {world.states}: give one for each")
    return seen[None]


def _check_policy(module: nn.Module, seen: Tensor, actions: int) -> None:
    """Refuse a policy whose outputs are no logits of the actions."""
    with guarded("policy", "give a module of observations (B, ...)"), torch.no_grad():
        logits = module(seen)
    if not isinstance(logits, Tensor) or logits.shape != (1, actions):
        shape = tuple(logits.shape[1:]) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"policy gives {shape} an observation, the world has {actions} actions: give their logits")
