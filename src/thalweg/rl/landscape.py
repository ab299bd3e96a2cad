"""The regret of a policy as a landscape, exactly: G(w) = V* - J(pi_w), each level a sample.

The generalised posterior exp(-nbeta G(w)) over policies concentrates by the learning coefficient of G as
the Bayesian posterior does by that of the loss. V* cancels in the estimate, nbeta (E[G] - G(w*)).
Source: Elliott et al. 2026 (arXiv 2601.07524).

A softmax policy has regret 0 only at infinite logits unless actions tie, so plain regret has no finite
minimum; with entropy paid by a temperature it has one.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.errors import InputError, guarded
from thalweg.landscape import Data, Landscape, ModuleLosses, PerSample, of_losses
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP
from thalweg.types import Params, Tree

SHARP = -1e9  # a logit with no probability left
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
    module = deepcopy(policy).eval()
    _check_policy(module, seen[0, :1], world.actions)
    data = Data(seen, torch.arange(len(seen)))
    return of_losses(PolicyLosses(module, PerSample(loss)), data, n=n, name=name)


@dataclass(frozen=True)
class PolicyLosses(ModuleLosses):
    """Regrets of a policy, which sees every state of a level."""

    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Weighted regrets (B,) of levels, given observations (B, S, ...) and the levels' numbers."""
        assert targets is not None
        return self.loss(self.logits(params, frozen, inputs), targets)

    def logits(self, params: Params, frozen: Params, inputs: Tensor) -> Tensor:
        """(B, S, A) of observations (B, S, ...)."""
        found = functional_call(self.module, {**params, **frozen}, (inputs.flatten(0, 1),))
        return found.reshape(*inputs.shape[:2], -1)

    def doubt(self, params: Params, frozen: Params, data: Data) -> str:
        """Whether plain regret is less at infinite logits; where entropy is paid there is a minimum.

        Looked at are the policy made infinitely sharp, its logits times c -> infinity, which every network with a
        linear last layer can reach; and where each state has logits of its own, the policy greedy to its values.
        """
        regret: Any = self.loss.given
        if regret.temperature:
            return ""
        with torch.no_grad():
            logits = self.logits(params, frozen, data.inputs)
        scores = [logits]
        if isinstance(self.module, Tabular):  # a logit has gradient -d(s) pi(a|s) A(s, a)
            moving = logits.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss(moving, data.targets).mean(), moving)
            scores.append(-gradient / torch.softmax(logits, -1))
        with torch.no_grad():
            sharp = [torch.where(score == score.amax(-1, keepdim=True), 0.0, SHARP) for score in scores]
            now, *limits = (self.loss(x, data.targets).to(torch.float64).mean().item() for x in (logits, *sharp))
        gain = now - min(limits)
        if gain <= ROUNDING * torch.finfo(logits.dtype).eps * float(regret.best.abs().max()):
            return ""
        return (
            f"logits that grow without end lower the regret by {gain:.3g} more: a softmax policy has no finite"
            " minimum here, and the number would depend on the size of its logits: pay entropy, temperature=0.01"
        )


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
        policy = torch.softmax(logits, -1)
        moves = policy * self.keep[level].to(policy)
        gain = (policy * self.reward[level].to(policy)).sum(-1)
        if self.temperature:
            gain = gain + self.temperature * _entropy(logits)
        after, value = self.next[level], torch.zeros_like(gain)
        for _ in range(self.horizon):
            value = gain + (moves * value.gather(1, after).reshape(moves.shape)).sum(-1)
        returns = (self.start[level].to(policy) * value).sum(1)
        return self.scale[level].to(policy) * (self.best[level].to(policy) - returns)


class ProcessRegret(nn.Module):
    """Regret of a decision process, discounted without end, by a linear solve."""

    reward: Tensor
    start: Tensor
    best: Tensor

    def __init__(self, mdp: MDP, reward: Any, temperature: float) -> None:
        super().__init__()
        self.mdp, self.temperature = mdp, temperature
        rows = mdp.transitions if mdp.sparse is None else torch.as_tensor(mdp.sparse.data)
        places = torch.empty(0) if mdp.sparse is None else torch.as_tensor(mdp.sparse.indices)
        gain = mdp.mean_reward(reward).clone()
        if gain.ndim != 2:
            raise InputError(f"reward has shape {tuple(gain.shape)}: a landscape has one reward, give (S, A)")
        plan = mdp.soft_optimal(gain, temperature) if temperature else mdp.optimal(gain)
        for key, held in {"rows": rows, "places": places, "reward": gain, "start": mdp.start}.items():
            self.register_buffer(key, held)
        self.register_buffer("best", plan.value @ mdp.start)

    def extra_repr(self) -> str:
        """All that is no buffer."""
        return f"discount={self.mdp.discount}, temperature={self.temperature}"

    def forward(self, logits: Tensor, sample: Tensor) -> Tensor:
        """Logits (1, S, A) -> (1,) in units of reward, by a solve in float64."""
        exact = logits.to(torch.float64)
        policy, gain = torch.softmax(exact, -1), self.reward
        if self.temperature:
            gain = gain + self.temperature * _entropy(exact)[..., None]
        return (self.best - self.mdp.solve(policy, gain) @ self.start).to(logits)


def _entropy(logits: Tensor) -> Tensor:
    """(...): nats; finite gradients also where an action has no probability left."""
    logs = torch.log_softmax(logits, -1)
    return -(logs.exp() * logs).sum(-1)


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
    return ProcessRegret(world, reward, temperature)


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


__all__ = ["LevelRegret", "PolicyLosses", "ProcessRegret", "Tabular", "regret_landscape"]
